//! The loop round every commit: load, decide, build, swap, and again where it may help.
//!
//! The only place that retries a commit. Each turn decides anew on a fresh base; how a swap ended
//! says what may be deleted and whether to go on.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};

use super::Guards;
use crate::{
    catalog::{Catalog, CatalogError, CommitError, LoadedTable},
    error::{TableError, TableErrorKind},
    snapshot::{self, SnapshotChange, Ticket},
};

/// How long is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Swaps that others won before giving up. Fewer give up under many writers; more hide that
    /// there are too many.
    pub conflicts_max: u32,
    /// Swaps that could not be asked for before giving up.
    pub not_sent_max: u32,
    /// The first wait, doubled each time.
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

/// One thing to be committed, decided anew on every base.
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

    /// What comes of it once the swap is certain.
    fn committed(&mut self, snapshot_id: i64) -> Self::Done;
}

/// What to do on a base.
pub(crate) enum Step<D> {
    /// Nothing more.
    Done(D),
    /// The base is out of date: again, on a fresh one.
    Again,
    /// Commit this.
    Commit(Ticket, Box<SnapshotChange>),
}

/// Gives tickets for attempts.
#[derive(Debug, Clone)]
pub(crate) struct Tickets {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Tickets {
    pub(crate) fn for_base(&self, base: &LoadedTable) -> Ticket {
        Ticket::new(&base.metadata, self.clock.as_ref(), self.ids.as_ref())
    }
}

/// Runs plans against one catalog.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) tickets: Tickets,
    pub(crate) guards: Guards,
    pub(crate) policy: RetryPolicy,
}

/// What was met so far.
#[derive(Debug, Default)]
struct Met {
    conflicts: u32,
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
        mut plan: P,
    ) -> Result<P::Done, TableError> {
        let mut met = Met::default();
        loop {
            let base = match self.catalog.load(name).await {
                Ok(base) => base,
                Err(error) => {
                    self.wait_for_catalog(name, &mut met, error).await?;
                    continue;
                }
            };
            let step = plan.decide(base.as_ref(), &self.tickets).await;
            let (ticket, change) = match step? {
                Step::Done(done) => return Ok(done),
                Step::Again => {
                    self.conflict(name, &mut met, "the table moved on while it was looked at")
                        .await?;
                    continue;
                }
                Step::Commit(ticket, change) => (ticket, change),
            };
            let base = base.expect("a plan commits on a base only");
            if self.swap(&base, &ticket, *change, &mut met).await? {
                return Ok(plan.committed(ticket.snapshot_id));
            }
        }
    }

    /// One attempt. True: it is committed. False: again, on a fresh base.
    async fn swap(
        &self,
        base: &LoadedTable,
        ticket: &Ticket,
        change: SnapshotChange,
        met: &mut Met,
    ) -> Result<bool, TableError> {
        let name = &base.name;
        let mut prepared = snapshot::prepare(base, ticket, change).await?;
        if !self.guards.requirements {
            prepared.requirements.clear();
        }
        let outcome = self
            .catalog
            .commit(base, prepared.requirements, prepared.updates)
            .await;
        let Err(error) = outcome else {
            return Ok(true);
        };
        if !matches!(error, CommitError::Unknown(_)) || !self.guards.unknown_deletes_nothing {
            snapshot::discard(base.storage.as_ref(), &prepared.written).await;
        }
        match error {
            CommitError::Conflict(reason) => {
                self.conflict(name, met, &reason).await?;
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
        Ok(false)
    }

    async fn conflict(
        &self,
        name: &TableName,
        met: &mut Met,
        reason: &str,
    ) -> Result<(), TableError> {
        met.conflicts += 1;
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
        self.wait(met).await;
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
        let (_, low) = self.tickets.ids.uuid().as_u64_pair();
        let share = f64::from((low & 0xffff) as u32) / 65_536.0;
        let wait = met.wait.mul_f64(1.0 + share);
        tokio::time::sleep(wait).await;
        wait
    }
}
