//! Opens tables, and commits checkpoints to them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use iceberg::spec::Operation;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Checkpoint, Decision, Guards, Outcome, RetryPolicy,
    attempts::{Attempts, Plan, Seen, Step, Tickets},
    decide::{apply, decide_with},
    finished,
    guard::{self, COMMIT_ID},
};
use crate::{
    catalog::{Catalog, CommitError, Creation, LoadedTable},
    dead_letters,
    error::{TableError, TableErrorKind},
    snapshot::{Kept, SnapshotChange, Ticket},
    state::{self, LastCommit, State, wire},
};

/// Ranges that a summary lists; of more it holds a digest. The metadata file, rewritten at each
/// commit, holds the summaries of all its snapshots.
const SUMMARY_RANGES_MAX: usize = 100;

/// The key of a snapshot's summary that says up to which event time the table is complete with it.
pub const COMPLETE_THROUGH: &str = "frazil.complete-through";

/// Commits checkpoints, and all else that changes a table's state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Committer {
    pub(crate) attempts: Attempts,
    finished_sources_max: usize,
}

/// A table that passed all guards.
#[derive(Debug, Clone)]
pub struct OpenTable {
    /// The table.
    pub table: LoadedTable,
    /// Its state; a new one where it never had any.
    pub state: State,
}

impl Committer {
    /// Commits by way of that catalog.
    pub fn new(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            attempts: Attempts {
                catalog,
                tickets: Tickets {
                    clock,
                    ids,
                    snapshot_id: None,
                },
                guards: Guards::default(),
                policy: RetryPolicy::default(),
                seen: Arc::default(),
            },
            finished_sources_max: state::finished::SOURCES_MAX,
        }
    }

    /// With another patience.
    #[must_use]
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.attempts.policy = policy;
        self
    }

    /// With another number of finished sources that the state holds before they move to a file.
    #[must_use]
    pub fn with_finished_sources_max(mut self, sources: usize) -> Self {
        self.finished_sources_max = sources;
        self
    }

    /// With some guards off: for simulations that show what each is for.
    #[doc(hidden)]
    #[must_use]
    pub fn with_guards(mut self, guards: Guards) -> Self {
        self.attempts.guards = guards;
        self
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.attempts.catalog
    }

    /// What its attempts have seen.
    pub fn seen(&self) -> &Seen {
        &self.attempts.seen
    }

    /// The table, after all guards; `None` where there is none.
    ///
    /// # Errors
    /// The table cannot be read, or a guard stops: another table's state, a rewritten history.
    pub async fn open(&self, name: &TableName) -> Result<Option<OpenTable>, TableError> {
        let open = self.look(name).await?;
        if let Some(OpenTable { table, state }) = &open
            && let Some(last) = &state.last_commit
            && guard::lineage(&table.metadata, last) == guard::Lineage::BelowKnown
        {
            tracing::info!(table = %name, "snapshots were expired down to after our last commit; that the history holds it is taken for granted");
        }
        Ok(open)
    }

    /// As [`Self::open`], for whoever does not write rows to it: what only a writer takes for granted is not said.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn look(&self, name: &TableName) -> Result<Option<OpenTable>, TableError> {
        let loaded = self.attempts.catalog.load(name).await;
        let Some(table) = loaded.map_err(|e| TableError::catalog(name, &e))? else {
            return Ok(None);
        };
        let state = guard::state_of(&table, &self.attempts.guards)?;
        Ok(Some(OpenTable { table, state }))
    }

    /// Makes the table and its dead-letter table. Another's table of that name, made meanwhile,
    /// is opened instead.
    ///
    /// # Errors
    /// As [`Self::open`]; a definition or a place that the catalog refuses.
    pub async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<OpenTable, TableError> {
        match self.attempts.catalog.create(name, creation).await {
            // Of an unknown outcome the table tells; of another's table, too.
            Ok(_) | Err(CommitError::Conflict(_) | CommitError::Unknown(_)) => {}
            Err(CommitError::Rejected(reason)) => {
                return Err(TableError::new(name, TableErrorKind::Rejected, reason));
            }
            Err(CommitError::NotSent(reason)) => {
                return Err(TableError::new(
                    name,
                    TableErrorKind::CatalogUnavailable,
                    reason,
                ));
            }
        }
        let Some(open) = self.open(name).await? else {
            return Err(TableError::new(
                name,
                TableErrorKind::CatalogUnavailable,
                "it could not be made: the catalog did not answer; start again",
            ));
        };
        self.dead_letter_table(name).await?;
        Ok(open)
    }

    /// Commits the checkpoint, whole or not at all.
    ///
    /// After [`Outcome::Superseded`] and [`Outcome::Fenced`] all that is uncommitted is to be
    /// thrown away, and all sources seek to the positions of the table opened anew. Its data files
    /// are to be left alone: orphan removal proves which are dead.
    ///
    /// # Errors
    /// Nothing is known to be committed. After [`TableErrorKind::Unknown`] it may be all the same.
    pub async fn commit(
        &self,
        name: &TableName,
        checkpoint: &Checkpoint,
    ) -> Result<Outcome, TableError> {
        let plan = CommitPlan {
            attempts: self.attempts.clone(),
            name: name.clone(),
            checkpoint: checkpoint.clone(),
            finished_sources_max: self.finished_sources_max,
            complete_through_s: None,
        };
        self.attempts.run(name, plan).await
    }
}

/// A checkpoint on its way into the table.
struct CommitPlan {
    attempts: Attempts,
    name: TableName,
    checkpoint: Checkpoint,
    finished_sources_max: usize,
    /// As of the last attempt.
    complete_through_s: Option<i64>,
}

#[async_trait]
impl Plan for CommitPlan {
    type Done = Outcome;

    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        tickets: &Tickets,
    ) -> Result<Step<Outcome>, TableError> {
        let base = base.ok_or_else(|| TableError::gone(&self.name))?;
        let guards = &self.attempts.guards;
        let mut state = guard::state_of(base, guards)?;
        if guards.table_uuid && self.checkpoint.table_uuid != base.metadata.uuid() {
            return Err(TableError::recreated(&self.name));
        }
        let known = self.checkpoint.advances.iter().filter(|one| !one.new);
        let recalled = finished::recall(base, &mut state, known.map(|one| one.source)).await;
        let recalled = finished::unless_moved_on(&self.attempts, base, recalled).await?;
        if recalled.is_none() {
            return Ok(Step::Again);
        }
        match decide_with(&state, &self.checkpoint, guards) {
            Decision::Commit(_) => {}
            Decision::AlreadyCommitted => return Ok(self.already_committed(base, &state)),
            Decision::Superseded => return Ok(self.lost(base, Outcome::Superseded)),
            Decision::Fenced(reason) => return Ok(self.lost(base, Outcome::Fenced { reason })),
            Decision::Malformed(reason) => return Err(self.malformed(&reason)),
        }
        if guards.files
            && let Some(reason) = guard::misfit(&base.metadata, &self.checkpoint.data_files)
        {
            let reason = format!("{reason}; the rows must be encoded again");
            return Ok(Step::Done(Outcome::Fenced { reason }));
        }
        let gives = self.checkpoint.dead_letters.is_some();
        let settled = dead_letters::settle(&self.attempts, base, state, gives).await?;
        let Some(state) = settled else {
            return Ok(Step::Again);
        };
        let mut next = apply(&state, &self.checkpoint);
        let (id, most) = (self.checkpoint.id, self.finished_sources_max);
        let moved = finished::move_out(base, &mut next, id, most, tickets.ids.as_ref()).await;
        let moved = finished::unless_moved_on(&self.attempts, base, moved).await?;
        if moved.is_none() {
            return Ok(Step::Again);
        }
        self.complete_through_s = next.complete_through_s();
        let ticket = tickets.for_base(base);
        let kept = finished::keep(&base.metadata, &next, &ticket, &self.attempts);
        let change = self.change(base, &ticket, next, kept);
        Ok(Step::Commit(ticket, Box::new(change)))
    }

    fn committed(&mut self, snapshot_id: i64) -> Outcome {
        Outcome::Committed {
            snapshot_id,
            complete_through_s: self.complete_through_s,
        }
    }
}

impl CommitPlan {
    fn malformed(&self, reason: &str) -> TableError {
        TableError::new(
            &self.name,
            TableErrorKind::Rejected,
            format!("the checkpoint contradicts itself: {reason}"),
        )
    }

    fn already_committed(&self, base: &LoadedTable, state: &State) -> Step<Outcome> {
        let id = self.checkpoint.id;
        let snapshot_id = match &state.last_commit {
            Some(last) if last.id == id => Some(last.snapshot_id),
            _ => guard::find_commit(&base.metadata, id),
        };
        Step::Done(Outcome::AlreadyCommitted { snapshot_id })
    }

    /// The state no longer tells of a commit of ours once another moved all its sources on; the
    /// history may.
    fn lost(&self, base: &LoadedTable, outcome: Outcome) -> Step<Outcome> {
        let found = guard::find_commit(&base.metadata, self.checkpoint.id);
        Step::Done(match found {
            Some(snapshot_id) if self.attempts.guards.own_id => Outcome::AlreadyCommitted {
                snapshot_id: Some(snapshot_id),
            },
            _ => outcome,
        })
    }

    fn change(
        &self,
        base: &LoadedTable,
        ticket: &Ticket,
        next: State,
        kept: Option<Kept>,
    ) -> SnapshotChange {
        let mut summary = BTreeMap::from([
            (
                "frazil.counts".to_string(),
                serde_json::to_string(&self.checkpoint.counts).expect("counts are plain"),
            ),
            ("frazil.ranges".to_string(), ranges(&self.checkpoint)),
        ]);
        summary.insert("frazil.epoch".to_string(), next.epoch.to_string());
        if let Some(late) = self
            .checkpoint
            .completion
            .as_ref()
            .map(|one| one.late_records)
            && late > 0
        {
            summary.insert("frazil.late-records".to_string(), late.to_string());
        }
        state_change(
            base.metadata.properties(),
            ticket,
            self.checkpoint.id,
            next,
            self.checkpoint.data_files.clone(),
            summary,
            kept,
        )
    }
}

/// The snapshot that moves a table's state on, with or without rows.
pub(crate) fn state_change(
    properties: &HashMap<String, String>,
    ticket: &Ticket,
    commit_id: uuid::Uuid,
    mut next: State,
    added: Vec<super::PendingFile>,
    mut summary: BTreeMap<String, String>,
    kept: Option<Kept>,
) -> SnapshotChange {
    next.last_commit = Some(LastCommit {
        id: commit_id,
        snapshot_id: ticket.snapshot_id,
        sequence_number: ticket.sequence_number,
    });
    summary.insert(COMMIT_ID.to_string(), commit_id.to_string());
    let through = next.complete_through_s().map(jiff::Timestamp::from_second);
    if let Some(Ok(through)) = through {
        summary.insert(COMPLETE_THROUGH.to_string(), through.to_string());
    }
    let set_properties = wire::encode(&next);
    SnapshotChange {
        operation: Operation::Append,
        added,
        replaced: None,
        summary,
        remove_properties: wire::stale_keys(properties, &set_properties),
        set_properties,
        kept,
    }
}

/// The ranges of a commit, for audit: `[[source, start, end], …]`, or beyond a hundred their number
/// and the 128-bit XXH3 of that JSON.
fn ranges(checkpoint: &Checkpoint) -> String {
    let all: Vec<(u64, u64, u64)> = checkpoint
        .advances
        .iter()
        .map(|advance| (advance.source, advance.start, advance.end))
        .collect();
    let json = serde_json::to_string(&all).expect("numbers are plain");
    if all.len() <= SUMMARY_RANGES_MAX {
        return json;
    }
    format!(
        r#"{{"ranges":{},"xxh3":"{:032x}"}}"#,
        all.len(),
        xxh3_128(json.as_bytes())
    )
}
