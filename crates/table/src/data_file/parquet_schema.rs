//! A table's schema as Parquet's, by the mapping of Iceberg's specification (Appendix A, Parquet):
//! names as in the table, field ids on every field, three-level lists, and the logical types that
//! readers in Java go by (Arrow's own conversion leaves the one of `uuid` out).

use std::sync::Arc;

use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType},
    schema::types::{Type as ParquetType, TypePtr},
};

use super::{TableWriteError, encode::Step};

/// A column of the Parquet file: a primitive field, perhaps inside others.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) field_id: i32,
    /// Its full name in the table: `geo.country`, `tags.element`.
    pub(crate) name: String,
    pub(crate) kind: PrimitiveType,
    /// The top-level column that it is, or is in.
    pub(crate) column: usize,
    /// The way to it from that column; empty where it is that column.
    pub(crate) path: Vec<Step>,
    /// Of the column and of what each step leads to, whether it may be null.
    pub(crate) optional: Vec<bool>,
}

impl Leaf {
    /// Whether it is inside a list or a map.
    pub(crate) fn is_repeated(&self) -> bool {
        self.path.contains(&Step::Elements)
    }
}

/// A table's schema as Parquet's, with the leaves in the file's order.
pub(crate) fn parquet_schema(schema: &Schema) -> Result<(TypePtr, Vec<Leaf>), TableWriteError> {
    let mut leaves = Vec::new();
    let mut fields = Vec::new();
    for (column, field) in schema.as_struct().fields().iter().enumerate() {
        let place = Place {
            name: String::new(),
            column,
            path: Vec::new(),
            optional: vec![!field.required],
        };
        fields.push(Arc::new(field_type(
            field,
            &field.name,
            &place,
            &mut leaves,
        )?));
    }
    let root = ParquetType::group_type_builder("table")
        .with_fields(fields)
        .build()?;
    Ok((Arc::new(root), leaves))
}

/// Where in the schema a field is.
#[derive(Debug, Clone)]
struct Place {
    /// The full name of what is around it, with a dot at its end.
    name: String,
    column: usize,
    path: Vec<Step>,
    /// Of the column and of what each step leads to.
    optional: Vec<bool>,
}

impl Place {
    /// The place of `child`, to which `steps` lead from `field`, which is here.
    fn inside(&self, field: &NestedField, steps: &[Step], child: &NestedField) -> Self {
        let mut path = self.path.clone();
        path.extend_from_slice(steps);
        let mut optional = self.optional.clone();
        // What lies between, the entries of a map, is never null.
        optional.extend(steps.iter().skip(1).map(|_| false));
        optional.push(!child.required);
        Self {
            name: format!("{}{}.", self.name, field.name),
            column: self.column,
            path,
            optional,
        }
    }
}

fn field_type(
    field: &NestedField,
    name: &str,
    place: &Place,
    leaves: &mut Vec<Leaf>,
) -> Result<ParquetType, TableWriteError> {
    let repetition = if field.required {
        Repetition::REQUIRED
    } else {
        Repetition::OPTIONAL
    };
    let group = |fields: Vec<TypePtr>, logical: Option<LogicalType>| {
        ParquetType::group_type_builder(name)
            .with_repetition(repetition)
            .with_id(Some(field.id))
            .with_logical_type(logical)
            .with_fields(fields)
            .build()
    };
    match field.field_type.as_ref() {
        Type::Primitive(kind) => {
            leaves.push(Leaf {
                field_id: field.id,
                name: format!("{}{}", place.name, field.name),
                kind: kind.clone(),
                column: place.column,
                path: place.path.clone(),
                optional: place.optional.clone(),
            });
            primitive_type(kind, name, repetition, field.id)
        }
        Type::Struct(nested) => {
            let mut fields = Vec::new();
            for (index, child) in nested.fields().iter().enumerate() {
                let inside = place.inside(field, &[Step::Field(index)], child);
                fields.push(Arc::new(field_type(child, &child.name, &inside, leaves)?));
            }
            Ok(group(fields, None)?)
        }
        Type::List(list) => {
            let child = &list.element_field;
            let inside = place.inside(field, &[Step::Elements], child);
            let element = field_type(child, "element", &inside, leaves)?;
            Ok(group(
                vec![repeated("list", vec![element])?],
                Some(LogicalType::List),
            )?)
        }
        Type::Map(map) => {
            let entry =
                |index, child| place.inside(field, &[Step::Elements, Step::Field(index)], child);
            let key = field_type(&map.key_field, "key", &entry(0, &map.key_field), leaves)?;
            let value = field_type(
                &map.value_field,
                "value",
                &entry(1, &map.value_field),
                leaves,
            )?;
            Ok(group(
                vec![repeated("key_value", vec![key, value])?],
                Some(LogicalType::Map),
            )?)
        }
    }
}

fn repeated(name: &str, fields: Vec<ParquetType>) -> Result<TypePtr, TableWriteError> {
    let group = ParquetType::group_type_builder(name)
        .with_repetition(Repetition::REPEATED)
        .with_fields(fields.into_iter().map(Arc::new).collect())
        .build()?;
    Ok(Arc::new(group))
}

fn primitive_type(
    kind: &PrimitiveType,
    name: &str,
    repetition: Repetition,
    id: i32,
) -> Result<ParquetType, TableWriteError> {
    let timestamp = |unit, utc| LogicalType::Timestamp {
        is_adjusted_to_u_t_c: utc,
        unit,
    };
    let (physical, logical, length) = match kind {
        PrimitiveType::Boolean => (PhysicalType::BOOLEAN, None, 0),
        PrimitiveType::Int => (PhysicalType::INT32, None, 0),
        PrimitiveType::Long => (PhysicalType::INT64, None, 0),
        PrimitiveType::Float => (PhysicalType::FLOAT, None, 0),
        PrimitiveType::Double => (PhysicalType::DOUBLE, None, 0),
        PrimitiveType::Decimal { precision, scale } => {
            let (physical, length) = decimal_storage(*precision)?;
            let logical = LogicalType::Decimal {
                scale: *scale as i32,
                precision: *precision as i32,
            };
            (physical, Some(logical), length)
        }
        PrimitiveType::Date => (PhysicalType::INT32, Some(LogicalType::Date), 0),
        PrimitiveType::Time => {
            let logical = LogicalType::Time {
                is_adjusted_to_u_t_c: false,
                unit: TimeUnit::MICROS,
            };
            (PhysicalType::INT64, Some(logical), 0)
        }
        PrimitiveType::Timestamp => (
            PhysicalType::INT64,
            Some(timestamp(TimeUnit::MICROS, false)),
            0,
        ),
        PrimitiveType::Timestamptz => (
            PhysicalType::INT64,
            Some(timestamp(TimeUnit::MICROS, true)),
            0,
        ),
        PrimitiveType::TimestampNs => (
            PhysicalType::INT64,
            Some(timestamp(TimeUnit::NANOS, false)),
            0,
        ),
        PrimitiveType::TimestamptzNs => (
            PhysicalType::INT64,
            Some(timestamp(TimeUnit::NANOS, true)),
            0,
        ),
        PrimitiveType::String => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String), 0),
        PrimitiveType::Uuid => (
            PhysicalType::FIXED_LEN_BYTE_ARRAY,
            Some(LogicalType::Uuid),
            16,
        ),
        PrimitiveType::Fixed(length) => (PhysicalType::FIXED_LEN_BYTE_ARRAY, None, *length as i32),
        PrimitiveType::Binary => (PhysicalType::BYTE_ARRAY, None, 0),
    };
    let mut builder = ParquetType::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_id(Some(id))
        .with_logical_type(logical);
    if physical == PhysicalType::FIXED_LEN_BYTE_ARRAY {
        builder = builder.with_length(length);
    }
    if let PrimitiveType::Decimal { precision, scale } = kind {
        builder = builder
            .with_precision(*precision as i32)
            .with_scale(*scale as i32);
    }
    Ok(builder.build()?)
}

/// The physical type of a decimal, and its length in bytes where that is fixed.
pub(crate) fn decimal_storage(precision: u32) -> Result<(PhysicalType, i32), TableWriteError> {
    Ok(match precision {
        0..=9 => (PhysicalType::INT32, 0),
        10..=18 => (PhysicalType::INT64, 0),
        _ => (
            PhysicalType::FIXED_LEN_BYTE_ARRAY,
            Type::decimal_required_bytes(precision)? as i32,
        ),
    })
}
