//! One value of an array as an Iceberg literal.

use arrow_array::{
    Array,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};
use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Type};

/// The value in a row as a literal of `literal_type`; `None` for null, and for a nested type.
pub fn literal_at(array: &dyn Array, row: usize, literal_type: &Type) -> Option<Literal> {
    if array.is_null(row) {
        return None;
    }
    let int = |v: i32| PrimitiveLiteral::Int(v);
    let long = |v: i64| PrimitiveLiteral::Long(v);
    let literal = match array.data_type() {
        DataType::Boolean => PrimitiveLiteral::Boolean(array.as_boolean().value(row)),
        DataType::Int32 => int(array.as_primitive::<Int32Type>().value(row)),
        DataType::Date32 => int(array.as_primitive::<Date32Type>().value(row)),
        DataType::Int64 => long(array.as_primitive::<Int64Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            long(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            long(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            long(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::Float32 => {
            PrimitiveLiteral::Float(array.as_primitive::<Float32Type>().value(row).into())
        }
        DataType::Float64 => {
            PrimitiveLiteral::Double(array.as_primitive::<Float64Type>().value(row).into())
        }
        DataType::Decimal128(_, _) => {
            PrimitiveLiteral::Int128(array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Utf8 => PrimitiveLiteral::String(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeBinary => {
            PrimitiveLiteral::Binary(array.as_binary::<i64>().value(row).to_vec())
        }
        DataType::FixedSizeBinary(_) => {
            fixed(array.as_fixed_size_binary().value(row), literal_type)
        }
        _ => return None,
    };
    Some(Literal::Primitive(literal))
}

fn fixed(bytes: &[u8], literal_type: &Type) -> PrimitiveLiteral {
    match (literal_type, <[u8; 16]>::try_from(bytes)) {
        (Type::Primitive(PrimitiveType::Uuid), Ok(uuid)) => {
            PrimitiveLiteral::UInt128(u128::from_be_bytes(uuid))
        }
        _ => PrimitiveLiteral::Binary(bytes.to_vec()),
    }
}
