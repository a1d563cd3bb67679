//! Whether a data file's columns are the table's, so that its rows can be carried over without a thought about each.
//!
//! The reader fits columns to the table's by their places where types allow it, and takes those that it cannot convert
//! for missing. That is fit for queries of an engine that checked before; here it would become the table's content.

use std::collections::HashSet;

use frazil_table::{
    catalog::LoadedTable,
    error::{TableError, TableErrorKind},
};
use iceberg::{
    arrow::arrow_schema_to_schema,
    spec::{NestedFieldRef, PrimitiveType, Schema, Type},
};
use parquet::{arrow::parquet_to_arrow_schema, file::metadata::ParquetMetaDataReader};

use crate::files::LiveFile;

/// What a footer says of its own length stands in the last bytes of a file.
const FOOTER_TAIL: u64 = 8;

/// How much is read of a file's end at first: most footers are shorter.
const TAIL_BYTES: u64 = 64 * 1024;

/// Footers of data files are far shorter.
const FOOTER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Looks whether a file's rows can be carried over.
///
/// # Errors
/// [`TableErrorKind::Rejected`]: not by this version. Or the file cannot be read.
pub(super) async fn check(table: &LoadedTable, file: &LiveFile) -> Result<(), TableError> {
    let rejected = |reason: String| {
        let reason = format!("{}: {reason}", file.path);
        TableError::new(&table.name, TableErrorKind::Rejected, reason)
    };
    let footer = footer(table, file).await?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer)
        .map_err(|error| rejected(format!("its footer cannot be read: {error}")))?;
    // Without what other writers say of Arrow, the types are Parquet's own.
    let columns = parquet_to_arrow_schema(metadata.file_metadata().schema_descr(), None)
        .map_err(|error| rejected(format!("its columns are not known: {error}")))?;
    let columns = arrow_schema_to_schema(&columns).map_err(|_| {
        rejected("its columns have no field ids, or types that Iceberg lacks".to_owned())
    })?;
    difference(&columns, table.metadata.current_schema()).map_or(Ok(()), |what| Err(rejected(what)))
}

/// The bytes of a file's footer, without the tail that gives its length.
async fn footer(table: &LoadedTable, file: &LiveFile) -> Result<Vec<u8>, TableError> {
    let failed = |reason: String| {
        TableError::new(
            &table.name,
            TableErrorKind::Rejected,
            format!("{}: {reason}", file.path),
        )
    };
    let read = async |start: u64| {
        let bytes = table.storage.read_range(&file.path, start..file.bytes);
        bytes.await.map_err(|error| {
            let reason = format!("failed to {error}");
            TableError::new(&table.name, TableErrorKind::Storage, reason)
        })
    };
    let mut start = file.bytes.saturating_sub(TAIL_BYTES);
    let mut bytes = read(start).await?;
    let tail: Option<&[u8; FOOTER_TAIL as usize]> = bytes.last_chunk();
    let Some(&[a, b, c, d, b'P', b'A', b'R', b'1']) = tail else {
        return Err(failed("it does not end as Parquet does".to_owned()));
    };
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let whole = length + FOOTER_TAIL;
    if whole > file.bytes || length > FOOTER_BYTES_MAX {
        return Err(failed(format!("its footer has {length} bytes")));
    }
    if file.bytes - start < whole {
        start = file.bytes - whole;
        bytes = read(start).await?;
    }
    let from = bytes.len().saturating_sub(whole as usize);
    let to = bytes.len().saturating_sub(FOOTER_TAIL as usize);
    Ok(bytes.get(from..to).unwrap_or_default().to_vec())
}

/// What keeps rows with a file's columns from being rows of the table, if anything. Columns that the table dropped, that
/// it got since, and other names do not.
fn difference(file: &Schema, table: &Schema) -> Option<String> {
    let ids = |schema: &Schema| -> HashSet<i32> {
        let fields = schema.as_struct().fields().iter();
        fields.map(|field| field.id).collect()
    };
    let (of_file, of_table) = (ids(file), ids(table));
    let shared = |schema: &Schema, other: &HashSet<i32>| -> Vec<NestedFieldRef> {
        let fields = schema.as_struct().fields().iter();
        fields
            .filter(|field| other.contains(&field.id))
            .cloned()
            .collect()
    };
    let pairs = shared(file, &of_table)
        .into_iter()
        .zip(shared(table, &of_file));
    for (ours, theirs) in pairs {
        if ours.id != theirs.id {
            return Some(format!(
                "its columns stand in another order than the table's, from {} on",
                ours.name
            ));
        }
        if !is_same(&ours.field_type, &theirs.field_type) {
            return Some(format!(
                "its column {} is {}, and the table's {} is {}",
                ours.name, ours.field_type, theirs.name, theirs.field_type
            ));
        }
    }
    None
}

/// Whether values of both types are the same, by ids.
fn is_same(one: &Type, other: &Type) -> bool {
    let is_same_field = |one: &NestedFieldRef, other: &NestedFieldRef| {
        one.id == other.id && is_same(&one.field_type, &other.field_type)
    };
    match (one, other) {
        // Parquet keeps one as the other.
        (
            Type::Primitive(PrimitiveType::Fixed(16) | PrimitiveType::Uuid),
            Type::Primitive(PrimitiveType::Fixed(16) | PrimitiveType::Uuid),
        ) => true,
        (Type::Primitive(one), Type::Primitive(other)) => one == other,
        (Type::Struct(one), Type::Struct(other)) => {
            one.fields().len() == other.fields().len()
                && one
                    .fields()
                    .iter()
                    .zip(other.fields())
                    .all(|(one, other)| is_same_field(one, other))
        }
        (Type::List(one), Type::List(other)) => {
            is_same_field(&one.element_field, &other.element_field)
        }
        (Type::Map(one), Type::Map(other)) => {
            is_same_field(&one.key_field, &other.key_field)
                && is_same_field(&one.value_field, &other.value_field)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::{NestedField, StructType};

    use super::*;

    fn field(id: i32, name: &str, of: Type) -> NestedFieldRef {
        Arc::new(NestedField::optional(id, name, of))
    }

    fn primitive(id: i32, name: &str, of: PrimitiveType) -> NestedFieldRef {
        field(id, name, Type::Primitive(of))
    }

    fn schema(fields: &[NestedFieldRef]) -> Schema {
        let schema = Schema::builder().with_fields(fields.iter().cloned());
        schema.build().unwrap()
    }

    #[test]
    fn columns_have_to_be_the_same_in_the_same_order() {
        use PrimitiveType::{Binary, Fixed, Int, Long, String, Timestamp, Timestamptz, Uuid};
        let a = || primitive(1, "a", String);
        let b = || primitive(2, "b", String);
        let pair = |first: i32, second: i32| {
            let fields = vec![primitive(first, "x", Long), primitive(second, "y", Long)];
            field(5, "s", Type::Struct(StructType::new(fields)))
        };
        let told = |file: &[NestedFieldRef], table: &[NestedFieldRef]| {
            difference(&schema(file), &schema(table)).unwrap_or_default()
        };
        for (file, table, expected) in [
            (vec![a(), b()], vec![a(), b()], ""),
            (vec![a(), b()], vec![b()], ""),
            (vec![b()], vec![a(), b(), primitive(3, "c", Long)], ""),
            (vec![a()], vec![primitive(1, "renamed", String)], ""),
            (vec![a(), b()], vec![b(), a()], "another order"),
            (
                vec![primitive(1, "a", Binary)],
                vec![a()],
                "a is binary, and the table's a is string",
            ),
            (
                vec![primitive(1, "a", Int)],
                vec![primitive(1, "a", Long)],
                "is int",
            ),
            (
                vec![primitive(1, "a", Timestamp)],
                vec![primitive(1, "a", Timestamptz)],
                "is timestamp",
            ),
            (
                vec![primitive(1, "a", Fixed(16))],
                vec![primitive(1, "a", Uuid)],
                "",
            ),
            (vec![pair(6, 7)], vec![pair(6, 7)], ""),
            (vec![pair(6, 7)], vec![pair(7, 6)], "column s is"),
        ] {
            let found = told(&file, &table);
            assert!(
                found.contains(expected) && found.is_empty() == expected.is_empty(),
                "{expected:?}: {found:?}"
            );
        }
    }
}
