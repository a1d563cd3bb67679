//! The committer: takes checkpoints in order and makes each a snapshot.

use std::sync::Arc;

use frazil_dataset::TableName;
use frazil_service::clock::Ids;
use frazil_table::{
    catalog::LoadedTable,
    commit::{Checkpoint, Committer, Counts, Outcome},
    dead_letters,
};
use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{Progress, WriteError, kafka::GroupOffsets, worker::Written};
use crate::{
    checkpoint::Moves,
    record::Reasons,
    source::{SourceError, kafka::KafkaError},
};

/// A checkpoint on its way: its ranges, and the workers' promises of what they made of them.
pub(super) struct Gathered {
    pub(super) moves: Moves,
    pub(super) written: Vec<oneshot::Receiver<Written>>,
}

/// What the committer is sent.
pub(super) enum Job {
    /// A checkpoint to commit.
    Checkpoint(Gathered),
    /// Say when all before is committed.
    Flush(oneshot::Sender<()>),
}

/// What a session's checkpoints were committed under.
pub(super) struct CheckpointCommitter {
    pub(super) committer: Arc<Committer>,
    pub(super) table: TableName,
    pub(super) table_uuid: Uuid,
    pub(super) epoch: u64,
    pub(super) dead_letters: LoadedTable,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) group_offsets: Option<GroupOffsets>,
}

/// What a session committed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) reasons: Reasons,
    pub(super) data_files: u64,
    pub(super) commits: u64,
    pub(super) snapshot_id: Option<i64>,
    /// The sources that could not be read to their end.
    pub(super) failed_sources: Vec<SourceError>,
    /// Why Kafka could not be read on.
    pub(super) kafka_failed: Option<KafkaError>,
    /// Why the session must start again from the table, if it must.
    pub(super) fenced: Option<String>,
}

impl CheckpointCommitter {
    /// Commits until the queue is closed or a checkpoint is fenced.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) -> Result<Tally, WriteError> {
        let mut tally = Tally::default();
        while let Some(job) = queue.recv().await {
            let gathered = match job {
                Job::Checkpoint(gathered) => gathered,
                Job::Flush(done) => {
                    // Gone with the session.
                    let _ = done.send(());
                    continue;
                }
            };
            let Some(written) = collect(gathered.written).await else {
                // A worker failed; the session has its error.
                break;
            };
            // Boxed: the compiler cannot prove the unboxed future `Send` for every lifetime of its borrows.
            let outcome = self.commit(&gathered.moves, &written).boxed().await?;
            match outcome {
                Outcome::Committed { snapshot_id } => tally.snapshot_id = Some(snapshot_id),
                Outcome::AlreadyCommitted { snapshot_id } => {
                    tally.snapshot_id = snapshot_id.or(tally.snapshot_id);
                }
                Outcome::Superseded => {
                    tally.fenced = Some("another writer committed the same records".into());
                    break;
                }
                Outcome::Fenced { reason } => {
                    tally.fenced = Some(reason);
                    break;
                }
            }
            if let Some(offsets) = &self.group_offsets {
                offsets.store(&gathered.moves.advances);
            }
            tally.commits += 1;
            tally.data_files += written.data_files.len() as u64;
            tally.counts.add(&written.counts);
            tally.reasons.add(&written.reasons);
            self.progress.send_modify(|progress| {
                progress.snapshot_id = tally.snapshot_id;
                progress.commits += 1;
            });
            if written.counts.dead_letters > 0 {
                self.hand_over().await;
            }
        }
        Ok(tally)
    }

    async fn commit(&self, moves: &Moves, written: &Written) -> Result<Outcome, WriteError> {
        let dead_letters = if written.dead_letter_files.is_empty() {
            None
        } else {
            // The manifest by which the table's outbox names the rejects' files.
            let files = &written.dead_letter_files;
            Some(dead_letters::write_manifest(&self.dead_letters, files, self.ids.uuid()).await?)
        };
        let checkpoint = Checkpoint {
            id: self.ids.uuid(),
            table_uuid: self.table_uuid,
            epoch: self.epoch,
            sources_version: moves.sources_version,
            advances: moves.advances.clone(),
            data_files: written.data_files.clone(),
            dead_letters,
            counts: written.counts.clone(),
        };
        Ok(self.committer.commit(&self.table, &checkpoint).await?)
    }

    /// Lets the dead-letter table take what the outbox holds. What fails now is done by the next
    /// checkpoint, the next start, or another writer; the table's outbox remembers.
    async fn hand_over(&self) {
        if let Err(error) = self.committer.apply_outbox(&self.table).await {
            tracing::warn!(table = %self.table, %error, "dead letters wait in the table's outbox");
        }
    }
}

/// All workers' parts; `None` when one of them is gone.
async fn collect(promises: Vec<oneshot::Receiver<Written>>) -> Option<Written> {
    let mut all = Written::default();
    for promise in promises {
        let mut part = promise.await.ok()?;
        all.data_files.append(&mut part.data_files);
        all.dead_letter_files.append(&mut part.dead_letter_files);
        all.counts.add(&part.counts);
        all.reasons.add(&part.reasons);
    }
    Some(all)
}
