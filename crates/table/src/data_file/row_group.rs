//! A row group being encoded: one encoder a column.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use iceberg::spec::Schema;
use parquet::{
    file::properties::{WriterProperties, WriterPropertiesPtr},
    schema::types::{SchemaDescriptor, TypePtr},
};

use super::{
    TableWriteError,
    encode::{ColumnEncoder, ColumnSpec, EncodedColumn, TELLING_VALUES, Tools},
    parquet_schema::{Leaf, parquet_schema},
};

/// What all files of a table share: the schema in its three forms, and how each column is encoded.
#[derive(Debug)]
pub(crate) struct FileLayout {
    pub(crate) arrow: SchemaRef,
    pub(crate) parquet: TypePtr,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) properties: WriterPropertiesPtr,
    columns: Vec<Arc<ColumnSpec>>,
}

impl FileLayout {
    pub(crate) fn new(schema: &Schema) -> Result<Self, TableWriteError> {
        let arrow = crate::schema::arrow_schema(schema)?;
        let (parquet, leaves) = parquet_schema(schema)?;
        let descriptor = SchemaDescriptor::new(Arc::clone(&parquet));
        let column = |(leaf, descriptor): (&Leaf, &Arc<_>)| {
            Arc::new(ColumnSpec {
                descriptor: Arc::clone(descriptor),
                path: leaf.path.clone(),
                optional: leaf.optional.clone(),
            })
        };
        let columns = leaves
            .iter()
            .zip(descriptor.columns())
            .map(column)
            .collect();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("frazil version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            arrow,
            parquet,
            leaves,
            properties: Arc::new(properties),
            columns,
        })
    }
}

/// Columns whose dictionary was found not to pay, so that later row groups and files do not try again.
#[derive(Debug, Clone)]
pub(crate) struct DictionaryHints {
    useless: Vec<bool>,
}

impl DictionaryHints {
    pub(crate) fn new(layout: &FileLayout) -> Self {
        Self {
            useless: vec![false; layout.leaves.len()],
        }
    }
}

/// Encodes the rows of one row group.
#[derive(Debug)]
pub(crate) struct RowGroupEncoder {
    layout: Arc<FileLayout>,
    columns: Vec<ColumnEncoder>,
    rows: usize,
}

impl RowGroupEncoder {
    pub(crate) fn new(
        layout: &Arc<FileLayout>,
        hints: &DictionaryHints,
        tools: &mut Tools,
    ) -> Result<Self, TableWriteError> {
        let mut columns = Vec::with_capacity(layout.columns.len());
        for (spec, useless) in layout.columns.iter().zip(&hints.useless) {
            columns.push(ColumnEncoder::new(Arc::clone(spec), !useless, tools)?);
        }
        Ok(Self {
            layout: Arc::clone(layout),
            columns,
            rows: 0,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Encodes a batch of the layout's Arrow schema.
    pub(crate) fn write(
        &mut self,
        rows: &RecordBatch,
        tools: &mut Tools,
    ) -> Result<(), TableWriteError> {
        for (encoder, leaf) in self.columns.iter_mut().zip(&self.layout.leaves) {
            encoder.write(rows.column(leaf.column), tools)?;
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    /// The memory that the row group holds.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.columns.iter().map(ColumnEncoder::memory_bytes).sum()
    }

    /// The encoded bytes before compression.
    pub(crate) fn uncompressed_bytes(&self) -> usize {
        self.columns
            .iter()
            .map(ColumnEncoder::uncompressed_bytes)
            .sum()
    }

    /// What it will add to the file, as far as that is known: pages being written are not.
    pub(crate) fn compressed_bytes(&self) -> usize {
        self.columns
            .iter()
            .map(ColumnEncoder::compressed_bytes)
            .sum()
    }

    /// Ends the row group: its columns in the file's order.
    pub(crate) fn close(
        self,
        tools: &mut Tools,
        hints: &mut DictionaryHints,
    ) -> Result<Vec<EncodedColumn>, TableWriteError> {
        let mut closed = Vec::with_capacity(self.columns.len());
        for (encoder, useless) in self.columns.into_iter().zip(&mut hints.useless) {
            let column = encoder.close(tools)?;
            let values = column.entries - column.nulls;
            *useless |= !column.dictionary_kept && values >= TELLING_VALUES;
            closed.push(column);
        }
        Ok(closed)
    }
}
