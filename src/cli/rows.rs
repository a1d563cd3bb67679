//! Rows as they are shown.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, StringArray,
    cast::AsArray as _,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

/// How wide a UUID is in Arrow.
pub(crate) const UUID_BYTES: i32 = 16;

/// The schema of [`printable`] rows.
pub(crate) fn printable_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| Arc::new(printable_field(field)))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The rows with UUIDs, which Arrow only knows as 16 bytes, as their text.
pub(crate) fn printable(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(printable_column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn is_uuid(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeBinary(UUID_BYTES))
}

fn printable_field(field: &Field) -> Field {
    let data_type = if is_uuid(field.data_type()) {
        DataType::Utf8
    } else {
        field.data_type().clone()
    };
    Field::new(field.name(), data_type, true)
}

/// A column of UUIDs as their text; any other as it is.
pub(crate) fn printable_column(column: &ArrayRef) -> ArrayRef {
    if !is_uuid(column.data_type()) {
        return Arc::clone(column);
    }
    let bytes: &FixedSizeBinaryArray = column.as_fixed_size_binary();
    let texts = bytes.iter().map(|value| {
        value
            .and_then(|value| uuid::Uuid::from_slice(value).ok())
            .map(|id| id.to_string())
    });
    Arc::new(texts.collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_text() {
        let id = uuid::Uuid::from_u128(7);
        let column: ArrayRef = Arc::new(
            FixedSizeBinaryArray::try_from_iter(std::iter::once(id.as_bytes().to_vec())).unwrap(),
        );
        let printed = printable_column(&column);
        assert_eq!(printed.as_string::<i32>().value(0), id.to_string());
    }
}
