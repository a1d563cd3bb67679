//! Partitions: Iceberg's transforms over whole Arrow arrays, and batches split by their values.
//!
//! Each row's partition values are those of the specification ("Partition Transforms" and Appendix B),
//! so that other engines prune by them. A batch whose rows are all of one partition, the common case
//! for logs, is passed on as it is.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, Scalar, StructArray, UInt32Array};
use arrow_ord::cmp::not_distinct;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;
use iceberg::spec::{NestedFieldRef, PartitionSpec, Schema, Struct, StructType, Transform, Type};

mod path;
#[cfg(test)]
mod tests;
mod transform;
mod value;

pub use path::partition_path;
pub(crate) use transform::redundant_bytes;
pub use transform::transform_array;
pub use value::literal_at;

use crate::data_file::TableWriteError;

/// Splits batches by a partition spec. Holds buffers that batches share.
#[derive(Debug)]
pub struct Partitioner {
    sources: Vec<Source>,
    partition_type: StructType,
    /// Turns the partition values of a batch into comparable bytes; made with the first batch.
    converter: Option<(RowConverter, Rows)>,
}

/// One field of the spec.
#[derive(Debug)]
struct Source {
    transform: Transform,
    /// Where its column is: indexes from the top, through structs.
    column: Vec<usize>,
    result_type: Type,
}

/// The rows of a batch that are of one partition.
#[derive(Debug)]
pub struct PartitionRows {
    /// The partition values as bytes: equal exactly where the values are.
    pub key: Box<[u8]>,
    /// The partition values, in the spec's order.
    pub values: Struct,
    /// The rows, in the batch's order.
    pub rows: RecordBatch,
}

impl Partitioner {
    /// A splitter of rows of `schema` by `spec`.
    ///
    /// # Errors
    /// [`TableWriteError::Unsupported`] for a transform that this version does not know, or a source
    /// column that is gone.
    pub fn new(spec: &PartitionSpec, schema: &Schema) -> Result<Self, TableWriteError> {
        let unsupported = |reason: String| TableWriteError::Unsupported { reason };
        let mut sources = Vec::with_capacity(spec.fields().len());
        for field in spec.fields() {
            if matches!(field.transform, Transform::Unknown) {
                return Err(unsupported(format!(
                    "partition field `{}` has a transform that this version does not know",
                    field.name
                )));
            }
            let column = field_path(schema, field.source_id).ok_or_else(|| {
                unsupported(format!(
                    "the source column of partition field `{}` is no longer in the table",
                    field.name
                ))
            })?;
            let source = schema.field_by_id(field.source_id);
            let result_type = source
                .and_then(|source| field.transform.result_type(&source.field_type).ok())
                .ok_or_else(|| {
                    unsupported(format!(
                        "partition field `{}` does not fit its column's type",
                        field.name
                    ))
                })?;
            sources.push(Source {
                transform: field.transform,
                column,
                result_type,
            });
        }
        let partition_type = spec.partition_type(schema)?;
        Ok(Self {
            sources,
            partition_type,
            converter: None,
        })
    }

    /// The type of the partition values.
    pub fn partition_type(&self) -> &StructType {
        &self.partition_type
    }

    /// Whether there is but one partition.
    pub fn is_unpartitioned(&self) -> bool {
        self.sources
            .iter()
            .all(|source| source.transform == Transform::Void)
    }

    /// Splits a batch. Partitions come in the order of their first rows, and a batch of one
    /// partition is not copied; the rows of several are copied, each partition's on their own, so
    /// that none keeps another's memory alive.
    pub fn split(&mut self, rows: &RecordBatch) -> Result<Vec<PartitionRows>, TableWriteError> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let values = self.transformed(rows)?;
        let keys: Vec<ArrayRef> = self
            .sources
            .iter()
            .zip(&values)
            .filter(|(source, _)| source.transform != Transform::Void)
            .map(|(_, array)| Arc::clone(array))
            .collect();
        if all_constant(&keys)? {
            let first: Vec<ArrayRef> = keys.iter().map(|array| array.slice(0, 1)).collect();
            let key = self
                .encode(&first)?
                .map(|encoded| Box::from(encoded.row(0).data()));
            return Ok(vec![PartitionRows {
                key: key.unwrap_or_default(),
                values: self.values_at(&values, 0),
                rows: rows.clone(),
            }]);
        }
        let Some(encoded) = self.encode(&keys)? else {
            return Ok(Vec::new());
        };
        let groups = group(encoded, rows.num_rows());
        let mut split = Vec::with_capacity(groups.starts.len());
        for (group, start) in groups.starts.iter().enumerate() {
            let end = groups
                .starts
                .get(group + 1)
                .copied()
                .unwrap_or(rows.num_rows());
            let indices = groups.order.slice(*start, end - start);
            let first = indices.value(0) as usize;
            split.push((first, indices));
        }
        let keys: Vec<Box<[u8]>> = split
            .iter()
            .map(|(first, _)| Box::from(encoded.row(*first).data()))
            .collect();
        split
            .into_iter()
            .zip(keys)
            .map(|((first, indices), key)| {
                Ok(PartitionRows {
                    key,
                    values: self.values_at(&values, first),
                    rows: take_record_batch(rows, &indices)?,
                })
            })
            .collect()
    }

    fn transformed(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, TableWriteError> {
        self.sources
            .iter()
            .map(|source| transform_array(source.transform, &column_at(rows, &source.column)?))
            .collect()
    }

    fn values_at(&self, values: &[ArrayRef], row: usize) -> Struct {
        self.sources
            .iter()
            .zip(values)
            .map(|(source, array)| match source.transform {
                Transform::Void => None,
                _ => literal_at(array.as_ref(), row, &source.result_type),
            })
            .collect()
    }

    /// The keys as comparable bytes; `None` where there are no key columns.
    fn encode(&mut self, keys: &[ArrayRef]) -> Result<Option<&Rows>, ArrowError> {
        if keys.is_empty() {
            return Ok(None);
        }
        let (converter, rows) = match &mut self.converter {
            Some(made) => made,
            none => {
                let fields = keys
                    .iter()
                    .map(|key| SortField::new(key.data_type().clone()));
                let converter = RowConverter::new(fields.collect())?;
                let rows = converter.empty_rows(0, 0);
                none.insert((converter, rows))
            }
        };
        rows.clear();
        converter.append(rows, keys)?;
        Ok(Some(rows))
    }
}

/// Where a field is: indexes from the top, through structs; `None` where there is no such field.
pub(crate) fn field_path(schema: &Schema, id: i32) -> Option<Vec<usize>> {
    let mut path = Vec::new();
    find_field(schema.as_struct().fields(), id, &mut path).then_some(path)
}

fn find_field(fields: &[NestedFieldRef], id: i32, path: &mut Vec<usize>) -> bool {
    for (index, field) in fields.iter().enumerate() {
        path.push(index);
        if field.id == id {
            return true;
        }
        if let Type::Struct(nested) = field.field_type.as_ref()
            && find_field(nested.fields(), id, path)
        {
            return true;
        }
        path.pop();
    }
    false
}

/// A column by its path through structs, with the nulls of the structs around it.
pub(crate) fn column_at(rows: &RecordBatch, path: &[usize]) -> Result<ArrayRef, ArrowError> {
    let mut array: ArrayRef = match path.first() {
        Some(index) if *index < rows.num_columns() => Arc::clone(rows.column(*index)),
        _ => {
            return Err(ArrowError::SchemaError(
                "a batch lacks a column of the table".to_owned(),
            ));
        }
    };
    for index in path.iter().skip(1) {
        let parent = array
            .as_any()
            .downcast_ref::<StructArray>()
            .ok_or_else(|| {
                ArrowError::SchemaError(
                    "a column of the batch is no struct, but is in the table".to_owned(),
                )
            })?;
        let nulls = parent.nulls().cloned();
        let child = Arc::clone(parent.column(*index));
        array = match nulls {
            None => child,
            Some(nulls) => {
                let merged = arrow_buffer::NullBuffer::union(Some(&nulls), child.nulls());
                arrow_array::make_array(child.to_data().into_builder().nulls(merged).build()?)
            }
        };
    }
    Ok(array)
}

fn all_constant(keys: &[ArrayRef]) -> Result<bool, ArrowError> {
    for key in keys {
        let first = key.len() - 1;
        // Most batches of several partitions differ between their first row and their last.
        let ends = [0, first].map(|row| key.slice(row, 1));
        if !is_constant(&ends[1], &ends[0])? || !is_constant(key, &ends[0])? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_constant(array: &ArrayRef, first: &ArrayRef) -> Result<bool, ArrowError> {
    let same = not_distinct(array, &Scalar::new(Arc::clone(first)))?;
    Ok(same.true_count() == array.len())
}

/// A batch's rows ordered by partition.
struct Groups {
    /// Row numbers, those of a partition together and in order.
    order: UInt32Array,
    /// Where in `order` each partition starts.
    starts: Vec<usize>,
}

/// Groups equal keys: one pass that numbers them, then a counting sort. Nothing is allocated a row.
fn group(keys: &Rows, rows: usize) -> Groups {
    let mut numbers: HashMap<&[u8], u32> = HashMap::new();
    let mut group_of: Vec<u32> = Vec::with_capacity(rows);
    let mut counts: Vec<usize> = Vec::new();
    let mut last: Option<(&[u8], u32)> = None;
    for row in keys {
        let key = row.data();
        let number = match last {
            Some((same, number)) if same == key => number,
            _ => *numbers.entry(key).or_insert_with(|| {
                counts.push(0);
                (counts.len() - 1) as u32
            }),
        };
        last = Some((key, number));
        counts[number as usize] += 1;
        group_of.push(number);
    }
    let mut starts = Vec::with_capacity(counts.len());
    let mut total = 0;
    for count in &counts {
        starts.push(total);
        total += count;
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; rows];
    for (row, number) in group_of.into_iter().enumerate() {
        let slot = &mut next[number as usize];
        order[*slot] = row as u32;
        *slot += 1;
    }
    Groups {
        order: UInt32Array::from(order),
        starts,
    }
}
