//! Rejects → rows of the dead-letter table.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        Int32Builder, Int64Builder, LargeBinaryBuilder, ListBuilder, MapBuilder, MapFieldNames,
        StringBuilder, TimestampMicrosecondBuilder,
    },
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use crate::record::{Reject, SourceInfo};

/// The flag of a record that is kept as a prefix and cannot be replayed.
pub const TRUNCATED: &str = "truncated";

/// The rejects as rows of the dead-letter table, whose arrow schema is `schema`.
///
/// A column that the dead-letter table has beside its own stays null, so that one added by
/// another engine harms nothing.
///
/// # Errors
/// Where the table's columns are no longer of the types that frazil made them with.
pub fn dead_letter_rows(
    schema: &SchemaRef,
    source: &SourceInfo,
    rejects: &[Reject],
    recorded_at_micros: i64,
) -> Result<RecordBatch, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            Ok(match field.name().as_str() {
                "source" => text(rejects.iter().map(|_| &*source.name)),
                "partition" => {
                    let mut values = Int32Builder::with_capacity(rejects.len());
                    values.append_value_n(source.partition, rejects.len());
                    Arc::new(values.finish())
                }
                "offset" => long(rejects.iter().map(|r| r.position as i64)),
                "index" => {
                    let mut values = Int32Builder::with_capacity(rejects.len());
                    for reject in rejects {
                        values.append_value(reject.index as i32);
                    }
                    Arc::new(values.finish())
                }
                "timestamp" => {
                    let mut values = TimestampMicrosecondBuilder::with_capacity(rejects.len())
                        .with_data_type(field.data_type().clone());
                    for reject in rejects {
                        let at_ms = reject.message.as_ref().and_then(|one| one.timestamp_ms);
                        values.append_option(at_ms.map(|at_ms| at_ms.saturating_mul(1_000)));
                    }
                    Arc::new(values.finish())
                }
                "key" => {
                    let mut values = LargeBinaryBuilder::new();
                    for reject in rejects {
                        let key = reject.message.as_ref().and_then(|one| one.key.as_ref());
                        values.append_option(key);
                    }
                    Arc::new(values.finish())
                }
                "headers" => headers(field.data_type(), rejects)?,
                "recorded_at" => {
                    let mut values = TimestampMicrosecondBuilder::with_capacity(rejects.len())
                        .with_data_type(field.data_type().clone());
                    for _ in rejects {
                        values.append_value(recorded_at_micros);
                    }
                    Arc::new(values.finish())
                }
                "reason" => text(rejects.iter().map(|r| r.reason)),
                "detail" => text(rejects.iter().map(|r| r.detail.as_str())),
                "record" => {
                    let mut values = LargeBinaryBuilder::new();
                    for reject in rejects {
                        values.append_value(&reject.record);
                    }
                    Arc::new(values.finish())
                }
                "record_length" => long(rejects.iter().map(|r| r.record_length as i64)),
                "flags" => flags(field.data_type(), rejects)?,
                _ => new_null_array(field.data_type(), rejects.len()),
            })
        })
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    for value in values {
        builder.append_value(value);
    }
    Arc::new(builder.finish())
}

fn long(values: impl Iterator<Item = i64>) -> ArrayRef {
    let mut builder = Int64Builder::new();
    for value in values {
        builder.append_value(value);
    }
    Arc::new(builder.finish())
}

/// The last of several headers of a name: a map holds one.
fn headers(data_type: &DataType, rejects: &[Reject]) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(entries, _) = data_type else {
        return Err(changed("headers", "map"));
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(changed("headers", "map"));
    };
    let [key, value] = &fields[..] else {
        return Err(changed("headers", "map"));
    };
    let names = MapFieldNames {
        entry: entries.name().clone(),
        key: key.name().clone(),
        value: value.name().clone(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), LargeBinaryBuilder::new())
        .with_keys_field(Arc::clone(key))
        .with_values_field(Arc::clone(value));
    for reject in rejects {
        let Some(message) = &reject.message else {
            builder.append(false)?;
            continue;
        };
        let last: BTreeMap<_, _> = message
            .headers
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name), value))
            .collect();
        for (name, value) in last {
            builder.keys().append_value(name);
            builder.values().append_option(value.as_ref());
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn changed(column: &str, what: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "the dead-letter table's column {column} is no longer a {what}"
    ))
}

fn flags(data_type: &DataType, rejects: &[Reject]) -> Result<ArrayRef, ArrowError> {
    let DataType::List(element) = data_type else {
        return Err(changed("flags", "list"));
    };
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(element));
    for reject in rejects {
        if reject.truncated {
            builder.values().append_value(TRUNCATED);
        }
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}
