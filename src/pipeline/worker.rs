//! A worker: decodes blocks and writes their rows and rejects into data files of its own.

use std::{collections::BTreeMap, sync::Arc};

use arrow_schema::{ArrowError, SchemaRef};
use frazil_service::clock::{Clock, Ids};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Counts, PendingFile},
    data_file::{MemoryBudget, PartitionedWriter, TableWriteError, WriterContext},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Progress, WriteError,
    complete::{EventTimes, Times},
    progress::WorkerHolds,
};
use crate::{
    decode::Decoder,
    dedup::WorkerDedup,
    record::{Reasons, RecordBlock, Reject, RowBlock, SourceInfo},
    reject::dead_letter_rows,
};

/// What a worker is sent.
pub(super) enum Work {
    /// Records to write, and how many blocks of the session were read before them.
    Block(Box<RecordBlock>, u64),
    /// The checkpoint ends here: close the files and say what they are.
    Barrier(oneshot::Sender<Written>),
}

/// What a worker made of its part of a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) data_files: Vec<PendingFile>,
    pub(super) dead_letter_files: Vec<PendingFile>,
    pub(super) counts: Counts,
    pub(super) reasons: Reasons,
    /// The first record of each reason.
    pub(super) samples: BTreeMap<&'static str, Sample>,
    pub(super) times: Times,
}

/// A record that could not be a row.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) source: Arc<SourceInfo>,
    pub(super) reject: Reject,
}

/// One worker's own things.
pub(super) struct Worker {
    pub(super) decoder: Box<dyn Decoder>,
    /// Where it is told how complete the table is.
    pub(super) event_times: Option<EventTimes>,
    /// Where duplicates are dropped.
    pub(super) dedup: Option<WorkerDedup>,
    pub(super) table: LoadedTable,
    pub(super) dead_letters: LoadedTable,
    pub(super) dead_letter_schema: SchemaRef,
    pub(super) epoch: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) memory: Arc<MemoryBudget>,
    /// Its place among the workers.
    pub(super) number: usize,
    pub(super) progress: watch::Sender<Progress>,
}

/// Files open at a time in one worker. Each holds at least a page buffer a column.
const OPEN_FILES_MAX: usize = 64;

impl Worker {
    /// Works until its queue is closed; what is then open is given up.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Work>) -> Result<(), WriteError> {
        let mut open = Open::default();
        let outcome = self.work(&mut queue, &mut open).await;
        open.abort().await;
        outcome
    }

    async fn work(
        &mut self,
        queue: &mut mpsc::Receiver<Work>,
        open: &mut Open,
    ) -> Result<(), WriteError> {
        loop {
            let work = tokio::select! {
                biased;
                work = queue.recv() => work,
                () = self.memory.pressed() => {
                    open.keep_memory_limit().await?;
                    self.tell(open);
                    continue;
                }
            };
            let Some(work) = work else {
                if let Some(dedup) = &mut self.dedup {
                    dedup.done();
                }
                return Ok(());
            };
            match work {
                Work::Block(block, number) => {
                    let now = self.clock.now_micros();
                    let mut rows = self.decoder.decode(&block, now);
                    if let Some(event_times) = &self.event_times {
                        event_times.see(&block, &rows.rows, now, &mut open.times);
                    }
                    let bytes = block.bytes_read();
                    drop(block);
                    if !self.drop_duplicates(&mut rows, number, open).await? {
                        // The session ends with the worker that failed, which has the error.
                        return Ok(());
                    }
                    self.progress.send_modify(|progress| {
                        progress.bytes_read += bytes;
                        progress.queue_bytes = progress.queue_bytes.saturating_sub(bytes);
                        progress.decoded.add(&rows.counts);
                    });
                    self.write(rows, open).await?;
                    self.tell(open);
                    // Decoding and encoding are long steps without a wait: let readers and
                    // the committer have their turn.
                    tokio::task::yield_now().await;
                }
                Work::Barrier(reply) => {
                    let written = std::mem::take(open).finish().await?;
                    self.tell(open);
                    // Gone with the session when another part of it failed.
                    let _ = reply.send(written);
                }
            }
        }
    }

    /// Takes out the rows that the table has already, once all blocks before this one have passed. False: they never will.
    async fn drop_duplicates(
        &mut self,
        rows: &mut RowBlock,
        number: u64,
        open: &mut Open,
    ) -> Result<bool, WriteError> {
        let Some(dedup) = &mut self.dedup else {
            return Ok(true);
        };
        let name = &self.table.name;
        let unfit = |error: ArrowError| WriteError::unfit(name, &error.to_string());
        let keys = dedup.keys(rows).map_err(unfit)?;
        loop {
            tokio::select! {
                biased;
                passes = dedup.turn(number) => {
                    if !passes {
                        return Ok(false);
                    }
                    break;
                }
                // Others may wait for room that only this worker can make.
                () = self.memory.pressed() => open.keep_memory_limit().await?,
            }
        }
        let now = self.clock.now_micros();
        let unchecked = dedup
            .drop_duplicates(rows, &keys, number, now)
            .map_err(unfit)?;
        self.progress.send_modify(|progress| {
            let before = progress.dedup.map_or(0, |dedup| dedup.unchecked);
            progress.dedup = Some(dedup.progress(before + unchecked));
        });
        Ok(true)
    }

    /// Tells whoever watches what is held.
    fn tell(&self, open: &Open) {
        self.progress.send_modify(|progress| {
            if let Some(holds) = progress.workers.get_mut(self.number) {
                *holds = open.holds();
            }
        });
    }

    async fn write(&mut self, rows: RowBlock, open: &mut Open) -> Result<(), WriteError> {
        let prefix = format!("e{}-s{}-{}", self.epoch, rows.source.id, rows.range.start);
        if rows.rows.num_rows() > 0 {
            if open.rows.is_none() {
                open.rows = Some(self.writer(&self.table, prefix.clone())?);
            }
            if let Some(writer) = &mut open.rows {
                writer.write(&rows.rows).await?;
            }
        }
        if !rows.rejects.is_empty() {
            let batch = dead_letter_rows(
                &self.dead_letter_schema,
                &rows.source,
                &rows.rejects,
                self.clock.now_micros(),
            )
            .map_err(|error| WriteError::unfit(&self.dead_letters.name, &error.to_string()))?;
            if open.dead_letters.is_none() {
                open.dead_letters = Some(self.writer(&self.dead_letters, prefix)?);
            }
            if let Some(writer) = &mut open.dead_letters {
                writer.write(&batch).await?;
            }
        }
        for reject in rows.rejects {
            open.samples.entry(reject.reason).or_insert_with(|| Sample {
                source: Arc::clone(&rows.source),
                reject,
            });
        }
        open.counts.add(&rows.counts);
        open.reasons.add(&rows.reasons);
        Ok(())
    }

    fn writer(
        &self,
        table: &LoadedTable,
        name_prefix: String,
    ) -> Result<PartitionedWriter, WriteError> {
        Ok(PartitionedWriter::new(WriterContext {
            storage: Arc::clone(&table.storage),
            metadata: Arc::clone(&table.metadata),
            ids: Arc::clone(&self.ids),
            name_prefix,
            memory: Arc::clone(&self.memory),
            open_files_max: OPEN_FILES_MAX,
        })?)
    }
}

/// The files of the checkpoint that is being gathered.
#[derive(Default)]
struct Open {
    rows: Option<PartitionedWriter>,
    dead_letters: Option<PartitionedWriter>,
    counts: Counts,
    reasons: Reasons,
    samples: BTreeMap<&'static str, Sample>,
    times: Times,
}

impl Open {
    fn holds(&self) -> WorkerHolds {
        let writers = [&self.rows, &self.dead_letters].into_iter().flatten();
        writers.fold(WorkerHolds::default(), |holds, writer| WorkerHolds {
            open_files: holds.open_files + writer.open_files(),
            memory_bytes: holds.memory_bytes + writer.memory_bytes(),
        })
    }

    async fn keep_memory_limit(&mut self) -> Result<(), TableWriteError> {
        for writer in [&mut self.rows, &mut self.dead_letters]
            .into_iter()
            .flatten()
        {
            writer.keep_memory_limit().await?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<Written, WriteError> {
        let mut written = Written {
            counts: self.counts,
            reasons: self.reasons,
            samples: self.samples,
            times: self.times,
            ..Written::default()
        };
        if let Some(writer) = self.rows {
            written.data_files = writer.finish().await?;
        }
        if let Some(writer) = self.dead_letters {
            written.dead_letter_files = writer.finish().await?;
        }
        Ok(written)
    }

    async fn abort(self) {
        for writer in [self.rows, self.dead_letters].into_iter().flatten() {
            writer.abort().await;
        }
    }
}
