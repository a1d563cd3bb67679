//! What a manifest holds of a file's columns, gathered row group by row group.

use std::collections::HashMap;

use super::{
    bounds::bounds,
    encode::{EncodedColumn, Extent},
    parquet_schema::Leaf,
    settings::{MetricsMode, WriteSettings},
};
use iceberg::spec::{DataFileBuilder, Datum, PrimitiveType};

/// The metrics of one file.
#[derive(Debug)]
pub(crate) struct FileMetrics {
    leaves: Vec<LeafMetrics>,
}

#[derive(Debug, Clone, Default)]
struct LeafMetrics {
    column_bytes: u64,
    values: u64,
    nulls: u64,
    nans: u64,
    extent: Extent,
}

impl FileMetrics {
    pub(crate) fn new(leaves: usize) -> Self {
        Self {
            leaves: vec![LeafMetrics::default(); leaves],
        }
    }

    /// Adds a column chunk.
    pub(crate) fn add(&mut self, leaf: usize, column: &EncodedColumn) {
        let metrics = &mut self.leaves[leaf];
        metrics.column_bytes += column.close.metadata.compressed_size() as u64;
        metrics.values += column.entries;
        metrics.nulls += column.nulls;
        metrics.nans += column.nans;
        metrics.extent.merge(&column.extent);
    }

    /// Fills in the manifest's columns, each by its metrics mode.
    pub(crate) fn fill(
        &self,
        leaves: &[Leaf],
        settings: &WriteSettings,
        file: &mut DataFileBuilder,
    ) {
        let (mut sizes, mut values, mut nulls, mut nans) = (
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
        );
        let (mut lower, mut upper) = (HashMap::<i32, Datum>::new(), HashMap::<i32, Datum>::new());
        for (index, (leaf, metrics)) in leaves.iter().zip(&self.leaves).enumerate() {
            let id = leaf.field_id;
            sizes.insert(id, metrics.column_bytes);
            let mode = settings.metrics(&leaf.name, index);
            if mode == MetricsMode::None {
                continue;
            }
            values.insert(id, metrics.values);
            // Of elements of lists and maps only how many there are: readers cannot tell from bounds
            // or nulls of elements which rows may match.
            if leaf.is_repeated() {
                continue;
            }
            nulls.insert(id, metrics.nulls);
            if matches!(leaf.kind, PrimitiveType::Float | PrimitiveType::Double) {
                nans.insert(id, metrics.nans);
            }
            let (low, high) = bounds(&metrics.extent, &leaf.kind, mode);
            lower.extend(low.map(|low| (id, low)));
            upper.extend(high.map(|high| (id, high)));
        }
        file.column_sizes(sizes)
            .value_counts(values)
            .null_value_counts(nulls)
            .nan_value_counts(nans)
            .lower_bounds(lower)
            .upper_bounds(upper);
    }
}
