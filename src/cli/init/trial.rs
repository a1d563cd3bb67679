//! A sample through source and decoder, by a dataset file in the making.

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use frazil::{
    decode::decoder,
    source::{Compute, Framing, ReadOptions, SourceReader},
};
use frazil_table::schema::{arrow_schema, table_schema};

use crate::cli::rescued::rescued_values;

/// What became of a sample's records.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) records: u64,
    pub(super) dead_letters: u64,
    /// Rows of which something was rescued.
    pub(super) rows_rescued: u64,
    pub(super) batches: Vec<RecordBatch>,
    /// What was rescued, by path and reason.
    pub(super) rescued: BTreeMap<(String, String), u64>,
}

/// The rescued paths that are kept apart; more are data, not names.
const PATHS_MAX: usize = 4_096;

impl Trial {
    /// Decodes a sample; `None` where the dataset file is none.
    pub(super) fn of(dataset_file: &str, sample: &[u8]) -> Option<Self> {
        let dataset = frazil_dataset::parse_dataset(dataset_file, "sample", "sample").ok()?;
        let schema = arrow_schema(&table_schema(&dataset).ok()?).ok()?;
        let mut decoder = decoder(&dataset, &schema).ok()?;
        let options = ReadOptions {
            framing: Arc::new(Framing::of(&dataset)),
            compute: Compute::Inline,
            ..ReadOptions::default()
        };
        let input = Cursor::new(sample.to_vec());
        let mut reader = SourceReader::stream(1, Box::new(input), options);
        let mut trial = Self::default();
        // Computed inline, it never waits.
        while let Ok(Some(block)) = futures::executor::block_on(reader.next_block()) {
            let decoded = decoder.decode(&block, 0);
            trial.records += decoded.counts.records_read;
            trial.dead_letters += decoded.counts.dead_letters;
            trial.rows_rescued += decoded.counts.rows_rescued;
            trial.look_at_rescued(&decoded.rows);
            trial.batches.push(decoded.rows);
        }
        Some(trial)
    }

    fn look_at_rescued(&mut self, rows: &RecordBatch) {
        let column = rows.column_by_name("_rescued");
        let Some(texts) = column.and_then(|column| column.as_string_opt::<i32>()) else {
            return;
        };
        for text in texts.iter().flatten() {
            for one in rescued_values(text).unwrap_or_default() {
                if self.rescued.len() < PATHS_MAX {
                    *self.rescued.entry((one.path, one.reason)).or_default() += 1;
                }
            }
        }
    }

    /// The share of records that became rows of which nothing was rescued.
    pub(super) fn clean(&self) -> f64 {
        let clean = self.records - self.dead_letters - self.rows_rescued;
        if self.records == 0 {
            return 0.0;
        }
        clean as f64 / self.records as f64
    }

    /// A text column's values that are not null.
    pub(super) fn values(&self, column: &str) -> impl Iterator<Item = &str> {
        let columns = self
            .batches
            .iter()
            .filter_map(move |batch| batch.column_by_name(column)?.as_string_opt::<i32>());
        columns.flat_map(|texts| texts.iter().flatten())
    }

    /// In how many rows a column is not null.
    pub(super) fn filled(&self, column: &str) -> u64 {
        let columns = self
            .batches
            .iter()
            .filter_map(|batch| batch.column_by_name(column));
        columns
            .map(|array| (array.len() - array.null_count()) as u64)
            .sum()
    }
}
