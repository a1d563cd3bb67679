//! The loop round every commit: load, decide, build, swap, and again where it may help.
//!
//! The only place that retries a commit. Each turn decides anew on a fresh base; how a swap ended
//! says what may be deleted and whether to go on.
//!
//! Many writers share a table by chance and by age. Who lost waits for a random share of a window,
//! which is measured in the time that an attempt takes: long at first, longer where more commits of
//! others have passed by than that, and shorter the more often it has lost already. So attempts are about as
//! many as the table can take, and nobody loses for ever. An attempt after a lost one is quick: the
//! manifests of its own files are kept, and nothing is merged that can wait. And a swap that is certain to be
//! lost is not tried.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use iceberg::TableUpdate;
use tokio::time::Instant;

use super::Guards;
use crate::{
    catalog::{Catalog, CatalogError, CommitError, LoadedTable},
    error::{TableError, TableErrorKind},
    snapshot::{self, AddedManifests, SnapshotChange, Ticket},
    storage::Storage,
};

/// The window of the first wait after a lost race, in attempts' times. Larger wastes fewer attempts where
/// many write, smaller less time where few do.
const WINDOW_ATTEMPTS: u32 = 24;

/// The least that an attempt counts for, so that none is tried over and over in no time.
const ATTEMPT_TIME_MIN: Duration = Duration::from_millis(1);

/// How often an older table than one seen before is taken for a stale answer. After that it is the truth: the table
/// went back.
const STALE_READS_MAX: u32 = 5;

/// How long is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Swaps that others won before giving up. Fewer give up under many writers; more hide that
    /// there are too many.
    pub conflicts_max: u32,
    /// Swaps that could not be asked for before giving up.
    pub not_sent_max: u32,
    /// The first wait for a catalog that does not answer, doubled each time.
    pub wait_min: Duration,
    /// The longest single wait.
    pub wait_max: Duration,
    /// All waits together while the outcome of a swap is not known.
    pub unknown_wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            conflicts_max: 50,
            not_sent_max: 3,
            wait_min: Duration::from_millis(50),
            wait_max: Duration::from_secs(5),
            unknown_wait_max: Duration::from_mins(2),
        }
    }
}

/// One thing to be committed, decided anew on every base. It adds the same files on each.
#[async_trait]
pub(crate) trait Plan: Send {
    /// What comes of it.
    type Done: Send;

    /// What to do on that base; `None` where there is no table.
    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        tickets: &Tickets,
    ) -> Result<Step<Self::Done>, TableError>;

    /// What comes of it once the swap is certain; the snapshot is the one before where it makes none.
    fn committed(&mut self, snapshot_id: i64) -> Self::Done;

    /// A swap of it ended in a way that is not known: what was written for it may be in the table, now or later.
    fn is_unknown(&mut self) {}
}

/// What to do on a base.
pub(crate) enum Step<D> {
    /// Nothing more.
    Done(D),
    /// The base is out of date: again, on a fresh one.
    Again,
    /// Commit this.
    Commit(Ticket, Box<SnapshotChange>),
    /// Commit this change of the table's metadata, which makes no snapshot. What must hold of the base is added.
    Update(Vec<TableUpdate>),
}

/// Gives tickets for attempts.
#[derive(Debug, Clone)]
pub(crate) struct Tickets {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// The snapshot id to go on with: that of an attempt which is certainly lost.
    pub(crate) snapshot_id: Option<i64>,
}

impl Tickets {
    pub(crate) fn for_base(&self, base: &LoadedTable) -> Ticket {
        let (clock, ids) = (self.clock.as_ref(), self.ids.as_ref());
        Ticket::new(&base.metadata, clock, ids, self.snapshot_id)
    }
}

/// Runs plans against one catalog.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) tickets: Tickets,
    pub(crate) guards: Guards,
    pub(crate) policy: RetryPolicy,
    pub(crate) seen: Arc<Seen>,
}

/// What a committer's attempts have seen, for whoever watches.
#[derive(Debug, Default)]
pub struct Seen {
    /// Attempts that others were ahead of.
    conflicts: AtomicU64,
    /// The table's data files and their bytes, when it was last looked at.
    data_files: AtomicU64,
    bytes: AtomicU64,
    /// What it was laid out by then; `None` before.
    layout: Mutex<Option<Layout>>,
}

/// By which of its schemas, partition specs and sort orders a table is written, by their ids: whoever writes it by
/// others leaves out what was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    schema: i32,
    partition_spec: i32,
    sort_order: i64,
}

impl Layout {
    /// A table's.
    pub fn of(table: &LoadedTable) -> Self {
        let metadata = &table.metadata;
        Self {
            schema: metadata.current_schema_id(),
            partition_spec: metadata.default_partition_spec_id(),
            sort_order: metadata.default_sort_order_id(),
        }
    }
}

impl Seen {
    /// Attempts that others were ahead of.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// The data files of the table before the last attempt.
    pub fn data_files(&self) -> u64 {
        self.data_files.load(Ordering::Relaxed)
    }

    /// Their size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How the table was laid out before the last attempt.
    pub fn layout(&self) -> Option<Layout> {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, base: &LoadedTable) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = Some(Layout::of(base));
        let snapshot = base.metadata.current_snapshot();
        let total = |key: &str| {
            let value = snapshot.and_then(|one| one.summary().additional_properties.get(key));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        self.data_files
            .store(total("total-data-files"), Ordering::Relaxed);
        self.bytes
            .store(total("total-files-size"), Ordering::Relaxed);
    }
}

/// What was met so far.
#[derive(Debug, Default)]
struct Met {
    conflicts: u32,
    /// The table's last sequence number when it was first looked at.
    first_number: Option<i64>,
    /// The newest that was seen of it.
    newest_number: i64,
    /// Older tables seen since, one after the other, while a swap's outcome was not known.
    stale_reads: u32,
    /// Commits of others since.
    passed: u32,
    /// The manifests of the last attempt, which is certainly lost, and where they lie.
    kept: Option<(AddedManifests, Arc<dyn Storage>)>,
    not_sent: u32,
    /// What the last swap said whose outcome is not known.
    unknown: Option<String>,
    unknown_waited: Duration,
    wait: Duration,
}

impl Attempts {
    /// Runs the plan until it is done, or cannot be.
    pub(crate) async fn run<P: Plan>(
        &self,
        name: &TableName,
        plan: P,
    ) -> Result<P::Done, TableError> {
        let mut met = Met::default();
        let done = self.take_turns(name, plan, &mut met).await;
        forget(&mut met.kept).await;
        done
    }

    async fn take_turns<P: Plan>(
        &self,
        name: &TableName,
        mut plan: P,
        met: &mut Met,
    ) -> Result<P::Done, TableError> {
        let mut tickets = self.tickets.clone();
        loop {
            let started = Instant::now();
            let base = match self.catalog.load(name).await {
                Ok(base) => base,
                Err(error) => {
                    self.wait_for_catalog(name, met, error).await?;
                    continue;
                }
            };
            if met.is_stale(base.as_ref()) {
                self.wait_unknown(name, met).await?;
                continue;
            }
            met.see(base.as_ref());
            if let Some(base) = &base {
                self.seen.see(base);
            }
            tickets.snapshot_id = met.kept.as_ref().map(|(added, _)| added.snapshot_id);
            let step = plan.decide(base.as_ref(), &tickets).await;
            let swapped = match (step?, base) {
                (Step::Done(done), _) => return Ok(done),
                (Step::Commit(ticket, change), Some(base)) => {
                    let swap = self.swap(&base, &ticket, *change, met);
                    (swap.await?, ticket.snapshot_id)
                }
                (Step::Update(updates), Some(base)) => {
                    let requirements = snapshot::same_table_and_refs(&base.metadata);
                    let requirements = requirements.map_err(|error| {
                        let reason = format!("its branches and tags cannot be read: {error}");
                        TableError::new(name, TableErrorKind::Rejected, reason)
                    })?;
                    let swap = self.catalog.commit(&base, requirements, updates);
                    let snapshot_id = base.metadata.current_snapshot_id().unwrap_or(-1);
                    (swap.await.map(drop), snapshot_id)
                }
                (Step::Again | Step::Commit(..) | Step::Update(_), _) => {
                    let reason = "the table moved on while it was looked at";
                    self.conflict(name, met, reason, started).await?;
                    continue;
                }
            };
            let (outcome, snapshot_id) = swapped;
            match outcome {
                Ok(()) => return Ok(plan.committed(snapshot_id)),
                Err(error) => {
                    if matches!(error, CommitError::Unknown(_)) {
                        plan.is_unknown();
                    }
                    self.settle(name, error, met, started).await?;
                }
            }
        }
    }

    /// One attempt. The inner result is that of the swap.
    async fn swap(
        &self,
        base: &LoadedTable,
        ticket: &Ticket,
        change: SnapshotChange,
        met: &mut Met,
    ) -> Result<Result<(), CommitError>, TableError> {
        let kept = met.kept.as_ref().map(|(added, _)| added);
        let mut prepared = snapshot::prepare(base, ticket, change, kept).await?;
        if kept.is_some_and(|kept| kept.snapshot_id != ticket.snapshot_id) {
            forget(&mut met.kept).await;
        }
        if !self.guards.requirements {
            prepared.requirements.clear();
        }
        let outcome = if self.catalog.may_be_current(base).await {
            let (requirements, updates) = (prepared.requirements, prepared.updates);
            let swap = self.catalog.commit(base, requirements, updates);
            swap.await.map(|_| ())
        } else {
            Err(CommitError::Conflict(
                "it was changed meanwhile".to_string(),
            ))
        };
        let is_unknown = matches!(outcome, Err(CommitError::Unknown(_)));
        let is_lost = outcome.is_err() && !(is_unknown && self.guards.unknown_deletes_nothing);
        // What the table names, or may name, is no longer ours to delete.
        met.kept = prepared
            .added
            .filter(|_| is_lost)
            .map(|added| (added, Arc::clone(&base.storage)));
        if is_lost {
            snapshot::discard(base.storage.as_ref(), &prepared.written).await;
        }
        Ok(outcome)
    }

    /// Waits as long as a swap that did not certainly succeed asks for, unless trying again is no use.
    async fn settle(
        &self,
        name: &TableName,
        error: CommitError,
        met: &mut Met,
        started: Instant,
    ) -> Result<(), TableError> {
        match error {
            CommitError::Conflict(reason) => {
                self.conflict(name, met, &reason, started).await?;
            }
            CommitError::NotSent(reason) => {
                met.not_sent += 1;
                if met.not_sent >= self.policy.not_sent_max {
                    return Err(TableError::new(
                        name,
                        TableErrorKind::CatalogUnavailable,
                        reason,
                    ));
                }
                self.wait(met).await;
            }
            CommitError::Rejected(reason) => {
                return Err(TableError::new(name, TableErrorKind::Rejected, reason));
            }
            CommitError::Unknown(reason) => {
                tracing::warn!(table = %name, reason, "the outcome of a commit is not known; reading the table");
                met.unknown = Some(reason);
                self.wait_unknown(name, met).await?;
            }
        }
        Ok(())
    }

    async fn conflict(
        &self,
        name: &TableName,
        met: &mut Met,
        reason: &str,
        started: Instant,
    ) -> Result<(), TableError> {
        met.conflicts += 1;
        self.seen.conflicts.fetch_add(1, Ordering::Relaxed);
        if met.conflicts >= self.policy.conflicts_max {
            return Err(TableError::new(
                name,
                TableErrorKind::Conflicts,
                format!(
                    "other writers were first {} times in a row ({reason}); run fewer, or make checkpoints rarer",
                    met.conflicts
                ),
            ));
        }
        let attempt = started.elapsed().max(ATTEMPT_TIME_MIN);
        let window = met.window(attempt).min(self.policy.wait_max);
        tokio::time::sleep(window.mul_f64(self.chance())).await;
        Ok(())
    }

    /// A catalog that does not answer is waited for only while a swap's outcome is not known.
    async fn wait_for_catalog(
        &self,
        name: &TableName,
        met: &mut Met,
        error: CatalogError,
    ) -> Result<(), TableError> {
        let hopeless = matches!(error, CatalogError::Rejected { .. });
        if met.unknown.is_none() || hopeless {
            return Err(TableError::catalog(name, &error));
        }
        self.wait_unknown(name, met).await
    }

    async fn wait_unknown(&self, name: &TableName, met: &mut Met) -> Result<(), TableError> {
        if met.unknown_waited >= self.policy.unknown_wait_max {
            let reason = met.unknown.as_deref().unwrap_or("no reply");
            return Err(TableError::new(
                name,
                TableErrorKind::Unknown,
                format!(
                    "whether the last commit was made could not be found out ({reason}); start again: the table tells then, nothing is lost or doubled"
                ),
            ));
        }
        let waited = self.wait(met).await;
        met.unknown_waited += waited;
        Ok(())
    }

    /// Waits, twice as long as the last time and up to twice that, so that two who collided part.
    async fn wait(&self, met: &mut Met) -> Duration {
        met.wait = (met.wait * 2).clamp(self.policy.wait_min, self.policy.wait_max);
        let wait = met.wait.mul_f64(1.0 + self.chance());
        tokio::time::sleep(wait).await;
        wait
    }

    /// At random from 0 to 1.
    fn chance(&self) -> f64 {
        let (_, low) = self.tickets.ids.uuid().as_u64_pair();
        f64::from((low & 0xffff) as u32) / 65_536.0
    }
}

impl Met {
    /// Whether a table is older than one seen before, and must not tell how a swap ended: a catalog that answers from
    /// a replica would have a commit that is there, or about to be, called fenced.
    fn is_stale(&mut self, base: Option<&LoadedTable>) -> bool {
        let is_older = base.is_some_and(|base| {
            self.unknown.is_some() && base.metadata.last_sequence_number() < self.newest_number
        });
        self.stale_reads = if is_older { self.stale_reads + 1 } else { 0 };
        is_older && self.stale_reads <= STALE_READS_MAX
    }

    /// Counts the commits of others.
    fn see(&mut self, base: Option<&LoadedTable>) {
        if let Some(base) = base {
            let number = base.metadata.last_sequence_number();
            let passed = number - *self.first_number.get_or_insert(number);
            self.passed = u32::try_from(passed).unwrap_or(0);
            self.newest_number = self.newest_number.max(number);
        }
    }

    /// The longest wait after a lost race.
    fn window(&self, attempt: Duration) -> Duration {
        let attempts = WINDOW_ATTEMPTS.max(self.passed);
        attempt.saturating_mul(attempts) / self.conflicts.max(1)
    }
}

/// Deletes the manifests of an attempt that is certainly lost and has no successor.
async fn forget(kept: &mut Option<(AddedManifests, Arc<dyn Storage>)>) {
    if let Some((added, storage)) = kept.take() {
        snapshot::discard(storage.as_ref(), &added.paths()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_often_waits_less_and_who_was_passed_by_many_waits_more() {
        let attempt = Duration::from_millis(10);
        let window = |conflicts, passed| {
            let met = Met {
                conflicts,
                passed,
                ..Met::default()
            };
            met.window(attempt).as_millis()
        };
        assert_eq!(window(1, 1), 240);
        assert_eq!(window(3, 5), 80);
        assert_eq!(window(1, 30), 300);
        assert_eq!(window(10, 30), 30);
        assert_eq!(window(u32::MAX, u32::MAX), 10);
    }
}
