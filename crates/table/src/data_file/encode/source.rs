//! The values of an Arrow array as slices, typed once a batch.

use arrow_array::{
    Array, ArrayRef, BooleanArray,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};
use parquet::basic::Type as PhysicalType;

use super::column::ColumnSpec;

/// An array's values, in the form in which Parquet stores them.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Boolean(&'a BooleanArray),
    Int(&'a [i32]),
    Long(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    Bytes(ByteStrings<'a>),
    /// Decimals, converted: Arrow has them in 16 bytes each.
    IntDecimal(Vec<i32>),
    LongDecimal(Vec<i64>),
    /// Big-endian, `width` bytes each.
    WideDecimal {
        bytes: Vec<u8>,
        width: usize,
    },
}

/// Byte strings within one buffer.
#[derive(Debug, Clone, Copy)]
pub(super) enum ByteStrings<'a> {
    Short { offsets: &'a [i32], data: &'a [u8] },
    Long { offsets: &'a [i64], data: &'a [u8] },
    Fixed { width: usize, data: &'a [u8] },
}

impl<'a> ByteStrings<'a> {
    #[inline]
    pub(super) fn get(&self, index: usize) -> &'a [u8] {
        match self {
            Self::Short { offsets, data } => {
                &data[offsets[index] as usize..offsets[index + 1] as usize]
            }
            Self::Long { offsets, data } => {
                &data[offsets[index] as usize..offsets[index + 1] as usize]
            }
            Self::Fixed { width, data } => &data[index * width..(index + 1) * width],
        }
    }

    /// The bytes of some strings together.
    pub(super) fn bytes(&self, from: usize, count: usize) -> usize {
        match self {
            Self::Short { offsets, .. } => (offsets[from + count] - offsets[from]) as usize,
            Self::Long { offsets, .. } => (offsets[from + count] - offsets[from]) as usize,
            Self::Fixed { width, .. } => width * count,
        }
    }
}

/// The array's values for a column; `None` where the array is not of the column's type.
pub(super) fn source<'a>(spec: &ColumnSpec, array: &'a ArrayRef) -> Option<Source<'a>> {
    let physical = spec.descriptor.physical_type();
    let source = match (array.data_type(), physical) {
        (DataType::Boolean, PhysicalType::BOOLEAN) => Source::Boolean(array.as_boolean()),
        (DataType::Int32, PhysicalType::INT32) => {
            Source::Int(array.as_primitive::<Int32Type>().values())
        }
        (DataType::Date32, PhysicalType::INT32) => {
            Source::Int(array.as_primitive::<Date32Type>().values())
        }
        (DataType::Int64, PhysicalType::INT64) => {
            Source::Long(array.as_primitive::<Int64Type>().values())
        }
        (DataType::Time64(TimeUnit::Microsecond), PhysicalType::INT64) => {
            Source::Long(array.as_primitive::<Time64MicrosecondType>().values())
        }
        (DataType::Timestamp(TimeUnit::Microsecond, _), PhysicalType::INT64) => {
            Source::Long(array.as_primitive::<TimestampMicrosecondType>().values())
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, _), PhysicalType::INT64) => {
            Source::Long(array.as_primitive::<TimestampNanosecondType>().values())
        }
        (DataType::Float32, PhysicalType::FLOAT) => {
            Source::Float(array.as_primitive::<Float32Type>().values())
        }
        (DataType::Float64, PhysicalType::DOUBLE) => {
            Source::Double(array.as_primitive::<Float64Type>().values())
        }
        (DataType::Decimal128(_, _), _) => {
            decimals(spec, array.as_primitive::<Decimal128Type>().values())?
        }
        (DataType::Utf8, PhysicalType::BYTE_ARRAY) => {
            let array = array.as_string::<i32>();
            Source::Bytes(ByteStrings::Short {
                offsets: array.value_offsets(),
                data: array.value_data(),
            })
        }
        (DataType::LargeBinary, PhysicalType::BYTE_ARRAY) => {
            let array = array.as_binary::<i64>();
            Source::Bytes(ByteStrings::Long {
                offsets: array.value_offsets(),
                data: array.value_data(),
            })
        }
        (DataType::FixedSizeBinary(width), PhysicalType::FIXED_LEN_BYTE_ARRAY)
            if *width == spec.descriptor.type_length() =>
        {
            let data = array.as_fixed_size_binary().value_data();
            Source::Bytes(ByteStrings::Fixed {
                width: *width as usize,
                data,
            })
        }
        _ => return None,
    };
    Some(source)
}

fn decimals<'a>(spec: &ColumnSpec, values: &[i128]) -> Option<Source<'a>> {
    Some(match spec.descriptor.physical_type() {
        PhysicalType::INT32 => Source::IntDecimal(values.iter().map(|v| *v as i32).collect()),
        PhysicalType::INT64 => Source::LongDecimal(values.iter().map(|v| *v as i64).collect()),
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            let width = usize::try_from(spec.descriptor.type_length())
                .ok()
                .filter(|width| *width <= 16)?;
            let mut bytes = Vec::with_capacity(width * values.len());
            for value in values {
                bytes.extend_from_slice(&value.to_be_bytes()[16 - width..]);
            }
            Source::WideDecimal { bytes, width }
        }
        _ => return None,
    })
}
