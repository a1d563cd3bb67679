//! The committer: takes checkpoints in order and makes each a snapshot.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Checkpoint, Committer, Layout, Outcome},
    dead_letters,
};
use futures::FutureExt as _;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Progress, WriteError,
    complete::Completeness,
    dead_letter_limit::{DeadLetterLimit, Verdict, Window},
    kafka::{GroupOffsets, partition_of},
    stopped,
    worker::{Sample, Written},
};
use crate::{
    checkpoint::Moves,
    source::{SourceError, kafka::KafkaError},
};

/// A checkpoint on its way: its ranges, and the workers' promises of what they made of them.
pub(super) struct Gathered {
    pub(super) moves: Moves,
    pub(super) written: Vec<oneshot::Receiver<Written>>,
    /// The time of each source's newest record in it, in milliseconds since the epoch, where records have one.
    pub(super) newest_ms: BTreeMap<u64, i64>,
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
    /// How the table was laid out when the session began.
    pub(super) layout: Layout,
    /// Told once a commit has seen that it is laid out otherwise by now.
    pub(super) altered: Arc<Notify>,
    pub(super) dead_letters: LoadedTable,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) limit: Arc<Mutex<DeadLetterLimit>>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) group_offsets: Option<GroupOffsets>,
    pub(super) completeness: Option<Completeness>,
}

/// How a session ended.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The sources that could not be read to their end.
    pub(super) failed_sources: Vec<SourceError>,
    /// Why Kafka could not be read on.
    pub(super) kafka_failed: Option<KafkaError>,
    /// Whether the table was laid out otherwise before the end of the input.
    pub(super) is_altered: bool,
    /// Why the session must start again from the table, if it must.
    pub(super) fenced: Option<String>,
}

impl CheckpointCommitter {
    /// Commits until the queue is closed or a checkpoint is fenced.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) -> Result<Ending, WriteError> {
        let mut ending = Ending::default();
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
            self.within_limit(&written).await?;
            let begun = self.clock.now_micros();
            let conflicts = self.committer.seen().conflicts();
            self.progress
                .send_modify(|progress| progress.committing_since_micros = Some(begun));
            // Boxed: the compiler cannot prove the unboxed future `Send` for every lifetime of its borrows.
            let outcome = self.commit(&gathered.moves, &written).boxed().await;
            let conflicts = self.committer.seen().conflicts() - conflicts;
            self.progress.send_modify(|progress| {
                progress.committing_since_micros = None;
                progress.committed.conflicts += conflicts;
            });
            let snapshot_id = match outcome? {
                Outcome::Committed {
                    snapshot_id,
                    complete_through_s,
                } => {
                    self.completed(complete_through_s, written.times.late_records);
                    Some(snapshot_id)
                }
                Outcome::AlreadyCommitted { snapshot_id } => snapshot_id,
                Outcome::Superseded => {
                    ending.fenced = Some("another writer committed the same records".into());
                    break;
                }
                Outcome::Fenced { reason } => {
                    ending.fenced = Some(reason);
                    break;
                }
            };
            if let Some(offsets) = &self.group_offsets {
                offsets.store(&gathered.moves.advances);
            }
            self.tell(
                &gathered.moves,
                &gathered.newest_ms,
                &written,
                snapshot_id,
                begun,
            );
            if written.counts.dead_letters > 0 {
                self.hand_over().await;
            }
            if self.committer.seen().layout() != Some(self.layout) {
                self.altered.notify_one();
            }
        }
        Ok(ending)
    }

    /// Tells whoever watches of a commit.
    fn tell(
        &self,
        moves: &Moves,
        newest_ms: &BTreeMap<u64, i64>,
        written: &Written,
        snapshot_id: Option<i64>,
        begun: i64,
    ) {
        let now = self.clock.now_micros();
        let seen = self.committer.seen();
        self.progress.send_modify(|progress| {
            if moves.has_blocks {
                progress.uncommitted.pop_front();
            }
            for advance in &moves.advances {
                let at = partition_of(&advance.identity)
                    .and_then(|partition| progress.partitions.get_mut(&partition));
                if let Some(at) = at {
                    at.position = advance.end;
                    at.newest_ms = newest_ms.get(&advance.source).copied().or(at.newest_ms);
                }
            }
            let committed = &mut progress.committed;
            committed.counts.add(&written.counts);
            committed.reasons.add(&written.reasons);
            committed.data_files += written.data_files.len() as u64;
            committed.commits += 1;
            committed.seconds.add((now - begun).max(0) as f64 / 1e6);
            committed.snapshot_id = snapshot_id.or(committed.snapshot_id);
            committed.last_micros = Some(now);
            committed.table_data_files = seen.data_files();
            committed.table_bytes = seen.bytes();
        });
    }

    fn judge(&self, written: &Written) -> (Verdict, Window) {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (verdict, window) = limit.judge(&written.counts, now);
        if let Verdict::Warn(window) = verdict {
            tracing::warn!(
                table = %self.table, records = window.records, dead_letters = window.dead_letters,
                "more dead letters than `dead_letters_max` allows; `frazil rejects` shows why"
            );
        }
        if !matches!(verdict, Verdict::Stop(_)) {
            limit.committed(&written.counts, now);
        }
        (verdict, window)
    }

    /// Nothing of a checkpoint with too many dead letters is committed, and one sample of each reason is kept.
    async fn within_limit(&self, written: &Written) -> Result<(), WriteError> {
        let (verdict, window) = self.judge(written);
        self.progress
            .send_modify(|progress| progress.dead_letter_share = window.meaning());
        let Verdict::Stop(window) = verdict else {
            return Ok(());
        };
        let (max, over) = {
            let limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
            (limit.max(), limit.window())
        };
        stopped::discard(&self.dead_letters, written).await;
        let now = self.clock.now_micros();
        stopped::keep_samples(&self.dead_letters, written, now).await;
        Err(WriteError::TooManyDeadLetters {
            table: self.table.clone(),
            dead_letters: window.dead_letters,
            records: window.records,
            max_percent: max * 100.0,
            window: over,
            reasons: stopped::told(&written.samples),
        })
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
            completion: self
                .completeness
                .as_ref()
                .map(|completeness| completeness.of(moves, &written.times)),
        };
        Ok(self.committer.commit(&self.table, &checkpoint).await?)
    }

    /// Tells how complete the table is now, and what came too late for that.
    fn completed(&self, through_s: Option<i64>, late_records: u64) {
        let Some(completeness) = &self.completeness else {
            return;
        };
        if late_records > 0 {
            tracing::warn!(
                table = %self.table, late_records,
                "records came that are older than what the table was said to be complete through; a longer `delay` in [complete] waits for them"
            );
        }
        completeness.committed(through_s);
        self.progress.send_modify(|progress| {
            progress.complete_through_micros = completeness.through_micros();
        });
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
        all.times.add(part.times);
        for (reason, sample) in part.samples {
            let place = |one: &Sample| (one.source.id, one.reject.position);
            match all.samples.entry(reason) {
                Entry::Vacant(free) => drop(free.insert(sample)),
                Entry::Occupied(mut taken) if place(&sample) < place(taken.get()) => {
                    taken.insert(sample);
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    Some(all)
}
