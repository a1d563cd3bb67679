//! Rows of one file in the table's sort order.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::SortOptions;
use arrow_select::interleave::interleave_record_batch;
use iceberg::spec::{NullOrder, Schema, SortDirection, SortOrder, TableMetadata, Transform};

use super::TableWriteError;
use crate::partition::{column_at, field_path, transform_array};

/// Rows that are put into order at a time: bounds what sorting copies.
const SORTED_BATCH_ROWS: usize = 8_192;

/// How a table's rows are to be sorted.
#[derive(Debug)]
pub(crate) struct Sorter {
    pub(crate) order_id: i32,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    column: Vec<usize>,
    transform: Transform,
    options: SortOptions,
}

impl Sorter {
    /// `None` for an unsorted table.
    pub(crate) fn new(order: &SortOrder, schema: &Schema) -> Result<Option<Self>, TableWriteError> {
        let unsupported = |reason: String| TableWriteError::Unsupported { reason };
        let mut keys = Vec::with_capacity(order.fields.len());
        for field in &order.fields {
            let column = field_path(schema, field.source_id).ok_or_else(|| {
                unsupported(format!(
                    "a column of sort order {} is no longer in the table",
                    order.order_id
                ))
            })?;
            keys.push(Key {
                column,
                transform: field.transform,
                options: SortOptions {
                    descending: field.direction == SortDirection::Descending,
                    nulls_first: field.null_order == NullOrder::First,
                },
            });
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let order_id = i32::try_from(order.order_id).map_err(|_| {
            unsupported(format!("sort order id {} is out of range", order.order_id))
        })?;
        Ok(Some(Self { order_id, keys }))
    }

    /// The keys of a batch's rows; the converter is made by the first.
    fn encode(
        &self,
        batch: &RecordBatch,
        converter: &mut Option<RowConverter>,
    ) -> Result<Rows, TableWriteError> {
        let keys = self
            .keys
            .iter()
            .map(|key| transform_array(key.transform, &column_at(batch, &key.column)?))
            .collect::<Result<Vec<ArrayRef>, TableWriteError>>()?;
        let converter = match converter {
            Some(converter) => converter,
            none => {
                let fields = keys.iter().zip(&self.keys).map(|(array, key)| {
                    SortField::new_with_options(array.data_type().clone(), key.options)
                });
                none.insert(RowConverter::new(fields.collect())?)
            }
        };
        Ok(converter.convert_columns(&keys)?)
    }

    /// The order of all rows, as (batch, row); rows that are equal stay as they came. Takes about as
    /// much memory as the sort columns, and 16 bytes a row.
    pub(crate) fn sort(
        &self,
        batches: &[RecordBatch],
    ) -> Result<Vec<(usize, usize)>, TableWriteError> {
        let mut encoded: Vec<Rows> = Vec::with_capacity(batches.len());
        let mut converter: Option<RowConverter> = None;
        for batch in batches {
            encoded.push(self.encode(batch, &mut converter)?);
        }
        let mut order: Vec<(usize, usize)> = batches
            .iter()
            .enumerate()
            .flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)))
            .collect();
        order.sort_by(|a, b| encoded[a.0].row(a.1).cmp(&encoded[b.0].row(b.1)));
        Ok(order)
    }
}

/// The keys of rows in a table's sort order, by which sorted files can be merged.
#[derive(Debug)]
pub struct RowKeys {
    sorter: Sorter,
    converter: Option<RowConverter>,
}

impl RowKeys {
    /// `None` for a table without a sort order.
    ///
    /// # Errors
    /// The sort order names a column that the table no longer has.
    pub fn new(metadata: &TableMetadata) -> Result<Option<Self>, TableWriteError> {
        let sorter = Sorter::new(metadata.default_sort_order(), metadata.current_schema())?;
        Ok(sorter.map(|sorter| Self {
            sorter,
            converter: None,
        }))
    }

    /// Keys that compare as the rows do. All keys of one `RowKeys` can be compared.
    ///
    /// # Errors
    /// The batch is not of the table's schema.
    pub fn of(&mut self, batch: &RecordBatch) -> Result<Rows, TableWriteError> {
        self.sorter.encode(batch, &mut self.converter)
    }
}

/// The rows in the given order, some thousand at a time.
pub(crate) fn in_order<'a>(
    batches: &'a [RecordBatch],
    order: &'a [(usize, usize)],
) -> impl Iterator<Item = Result<RecordBatch, TableWriteError>> + 'a {
    let references: Vec<&RecordBatch> = batches.iter().collect();
    order
        .chunks(SORTED_BATCH_ROWS)
        .map(move |chunk| Ok(interleave_record_batch(&references, chunk)?))
}
