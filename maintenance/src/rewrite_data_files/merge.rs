//! Sorted runs of rows into one.

use arrow_array::RecordBatch;
use arrow_row::Rows as Keys;
use arrow_row::{OwnedRow, Row};
use arrow_select::interleave::interleave_record_batch;
use frazil_table::data_file::{RowKeys, TableWriteError};
use futures::StreamExt as _;

use super::{read::Rows, write::RewriteError};

/// Rows that are handed on at a time.
const BATCH_ROWS: usize = 8_192;

/// Merges runs, each of which is in the order of the keys. Rows that are equal come in the order of the runs.
pub(super) struct Merge {
    keys: RowKeys,
    runs: Vec<Run>,
    /// The runs that have rows, as a heap: the first has the smallest.
    heap: Vec<usize>,
    /// The batches that the rows under way are in.
    batches: Vec<RecordBatch>,
    /// The rows under way, as (batch, row).
    order: Vec<(usize, usize)>,
}

struct Run {
    name: String,
    rows: Rows,
    keys: Option<Keys>,
    /// The last key of the batch before.
    last: Option<OwnedRow>,
    /// Which of the batches under way it stands in.
    batch: usize,
    at: usize,
}

impl Run {
    fn key(&self) -> Option<Row<'_>> {
        let keys = self.keys.as_ref()?;
        (self.at < keys.num_rows()).then(|| keys.row(self.at))
    }
}

impl Merge {
    /// Of those runs, each with the name of its file.
    pub(super) async fn new(
        keys: RowKeys,
        runs: Vec<(String, Rows)>,
    ) -> Result<Self, RewriteError> {
        let runs = runs.into_iter().map(|(name, rows)| Run {
            name,
            rows,
            keys: None,
            last: None,
            batch: 0,
            at: 0,
        });
        let mut merge = Self {
            keys,
            runs: runs.collect(),
            heap: Vec::new(),
            batches: Vec::new(),
            order: Vec::with_capacity(BATCH_ROWS),
        };
        for run in 0..merge.runs.len() {
            if merge.advance(run).await? {
                merge.heap.push(run);
            }
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at);
        }
        Ok(merge)
    }

    /// The next rows; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, RewriteError> {
        while let Some(run) = self.heap.first().copied() {
            let current = &mut self.runs[run];
            self.order.push((current.batch, current.at));
            current.at += 1;
            let more = match current.key() {
                Some(_) => {
                    self.check_order(run)?;
                    true
                }
                None => self.advance(run).await?,
            };
            if more {
                self.sift_down(0);
            } else {
                self.heap.swap_remove(0);
                self.sift_down(0);
            }
            if self.order.len() == BATCH_ROWS {
                return self.hand_on().map(Some);
            }
        }
        if self.order.is_empty() {
            return Ok(None);
        }
        self.hand_on().map(Some)
    }

    /// Reads the run's next batch that has rows. False: there is none.
    async fn advance(&mut self, run: usize) -> Result<bool, RewriteError> {
        let current = &mut self.runs[run];
        let last = current.keys.as_ref().and_then(|keys| {
            let last = keys.num_rows().checked_sub(1)?;
            Some(keys.row(last).owned())
        });
        current.last = last.or_else(|| current.last.take());
        current.keys = None;
        while let Some(batch) = current.rows.next().await {
            let batch = batch.map_err(RewriteError::Table)?;
            if batch.num_rows() == 0 {
                continue;
            }
            current.keys = Some(self.keys.of(&batch).map_err(RewriteError::Write)?);
            current.at = 0;
            current.batch = self.batches.len();
            self.batches.push(batch);
            let first = current.key();
            if first
                .is_some_and(|first| current.last.as_ref().is_some_and(|last| first < last.row()))
            {
                return Err(RewriteError::NotSorted(current.name.clone()));
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn check_order(&self, run: usize) -> Result<(), RewriteError> {
        let run = &self.runs[run];
        let Some(keys) = &run.keys else { return Ok(()) };
        if keys.row(run.at) < keys.row(run.at - 1) {
            return Err(RewriteError::NotSorted(run.name.clone()));
        }
        Ok(())
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        let (a, b) = (self.heap[one], self.heap[other]);
        match (self.runs[a].key(), self.runs[b].key()) {
            (Some(x), Some(y)) => (x, a) < (y, b),
            (key, _) => key.is_some(),
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut smallest = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.is_before(child, smallest) {
                    smallest = child;
                }
            }
            if smallest == at {
                return;
            }
            self.heap.swap(at, smallest);
            at = smallest;
        }
    }

    /// Puts the rows under way together, and lets go of batches that are done.
    fn hand_on(&mut self) -> Result<RecordBatch, RewriteError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &self.order)
            .map_err(|error| RewriteError::Write(TableWriteError::from(error)))?;
        self.order.clear();
        let old = std::mem::take(&mut self.batches);
        for run in &self.heap {
            let run = &mut self.runs[*run];
            let batch = old[run.batch].clone();
            run.batch = self.batches.len();
            self.batches.push(batch);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
