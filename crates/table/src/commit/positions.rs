//! What an operator may do to positions: `frazil offsets set`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use frazil_dataset::TableName;
use uuid::Uuid;

use super::{
    Committer, Guards,
    attempts::{Attempts, Plan, Step, Tickets},
    committer::state_change,
    finished, guard,
};
use crate::{
    catalog::LoadedTable,
    dead_letters,
    error::{TableError, TableErrorKind},
    state::{OperatorAction, SourceIdentity, SourceState, State},
};

/// What an operator asks for, and on whose word.
#[derive(Debug, Clone)]
pub struct PositionChanges {
    /// The changes. None, with `accept_history`: only that is accepted.
    pub changes: Vec<PositionChange>,
    /// Who asks.
    pub who: String,
    /// Why.
    pub why: String,
    /// Accept the table as it is now where a guard would stop: a history without our last commit,
    /// another table's state, a state that is lost or damaged (which then begins empty: all
    /// sources are read again).
    pub accept_history: bool,
}

/// One change of a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionChange {
    /// Go on from that position.
    Set {
        /// The source's id in the state.
        source: u64,
        /// The next position to read.
        position: u64,
        /// What the source is as of that position; `None`: as it was.
        identity: Option<SourceIdentity>,
    },
    /// Add a source that the state does not have.
    Add {
        /// The id that adding it makes: the state's `sources_version` + 1, + 2, … in the order of the changes.
        source: u64,
        /// The next position to read.
        position: u64,
        /// What it is.
        identity: SourceIdentity,
    },
    /// Forget the source: met again, it is a new one.
    Forget {
        /// The source's id in the state.
        source: u64,
    },
}

impl PositionChange {
    /// The id of the source that it changes.
    pub fn source(&self) -> u64 {
        match self {
            Self::Set { source, .. } | Self::Add { source, .. } | Self::Forget { source } => {
                *source
            }
        }
    }
}

impl Committer {
    /// Changes positions, by an empty append that raises the epoch, so that every checkpoint begun
    /// before is fenced. Gives the snapshot.
    ///
    /// # Errors
    /// A source that the state does not have; a guard that stops, unless it is accepted.
    pub async fn set_positions(
        &self,
        name: &TableName,
        changes: &PositionChanges,
    ) -> Result<i64, TableError> {
        let plan = SetPlan {
            attempts: self.attempts.clone(),
            name: name.clone(),
            changes: changes.clone(),
            id: self.attempts.tickets.ids.uuid(),
        };
        self.attempts.run(name, plan).await
    }
}

struct SetPlan {
    attempts: Attempts,
    name: TableName,
    changes: PositionChanges,
    id: Uuid,
}

#[async_trait]
impl Plan for SetPlan {
    type Done = i64;

    async fn decide(
        &mut self,
        base: Option<&LoadedTable>,
        tickets: &Tickets,
    ) -> Result<Step<i64>, TableError> {
        let base = base.ok_or_else(|| TableError::gone(&self.name))?;
        if let Some(snapshot_id) = guard::find_commit(&base.metadata, self.id) {
            return Ok(Step::Done(snapshot_id));
        }
        let ticket = tickets.for_base(base);
        let state = self.state(base, ticket.timestamp_ms).await?;
        let settled = dead_letters::settle(&self.attempts, base, state, false).await?;
        let Some(mut next) = settled else {
            return Ok(Step::Again);
        };
        let changed = self.change(base, &mut next).await;
        let changed = finished::unless_moved_on(&self.attempts, base, changed).await?;
        if changed.is_none() {
            return Ok(Step::Again);
        }
        next.last_action = Some(OperatorAction {
            id: self.id,
            at_ms: ticket.timestamp_ms,
            who: self.changes.who.clone(),
            why: self.changes.why.clone(),
        });
        let summary = BTreeMap::from([
            ("frazil.action".to_string(), "set-positions".to_string()),
            ("frazil.action.who".to_string(), self.changes.who.clone()),
            (
                "frazil.action.at-ms".to_string(),
                ticket.timestamp_ms.to_string(),
            ),
            ("frazil.action.why".to_string(), self.changes.why.clone()),
            ("frazil.action.sources".to_string(), self.sources()),
            ("frazil.epoch".to_string(), next.epoch.to_string()),
        ]);
        let kept = finished::keep(&base.metadata, &next, &ticket, &self.attempts);
        let change = state_change(
            base.metadata.properties(),
            &ticket,
            self.id,
            next,
            Vec::new(),
            summary,
            kept,
        );
        Ok(Step::Commit(ticket, Box::new(change)))
    }

    fn committed(&mut self, snapshot_id: i64) -> i64 {
        snapshot_id
    }
}

impl SetPlan {
    /// The base's state under the next epoch, or what is accepted for it.
    async fn state(&self, base: &LoadedTable, now_ms: i64) -> Result<State, TableError> {
        let guards = self.attempts.guards;
        let error = match guard::state_of(base, &guards) {
            Ok(mut state) => {
                state.epoch += 1;
                return Ok(state);
            }
            Err(error) => error,
        };
        let accepted = matches!(
            error.kind,
            TableErrorKind::HistoryRewritten
                | TableErrorKind::Recreated
                | TableErrorKind::StateMissing
                | TableErrorKind::StateDamaged
        );
        if !accepted || !self.changes.accept_history {
            return Err(error);
        }
        tracing::warn!(table = %self.name, %error, "accepted by an operator");
        let lenient = Guards {
            table_uuid: false,
            history: false,
            state_missing: false,
            ..guards
        };
        let uuid = base.metadata.uuid();
        let mut known = guard::state_of(base, &lenient).ok();
        if let Some(known) = &mut known {
            // Rows that it told of may be gone.
            known.complete = None;
        }
        let mut state = match known {
            Some(state) if error.kind == TableErrorKind::HistoryRewritten => state,
            // What it says of dead letters is another table's, or nothing.
            known => State {
                table_uuid: uuid,
                dead_letters: dead_letters::adopt(&self.attempts, base).await?,
                ..known.unwrap_or_else(|| State::new(uuid))
            },
        };
        // Which epochs there were is as uncertain as all else: the time is past them all.
        state.epoch = state.epoch.max(now_ms.unsigned_abs()) + 1;
        Ok(state)
    }

    /// Makes all changes, also of finished sources.
    async fn change(&self, base: &LoadedTable, next: &mut State) -> Result<(), TableError> {
        self.accept_lost_sources(base, next).await?;
        if self.changes.accept_history {
            finished::own(base, next, self.attempts.tickets.ids.as_ref()).await?;
        }
        let named = self.changes.changes.iter().map(PositionChange::source);
        finished::recall(base, next, named).await?;
        let again = self.read_again(next);
        for change in &self.changes.changes {
            self.apply(next, change)?;
        }
        if !again.is_empty() {
            next.unmark_complete(&again);
        }
        let forgotten = self.forgotten();
        if forgotten.is_empty() {
            return Ok(());
        }
        finished::forget(base, next, &forgotten, self.attempts.tickets.ids.as_ref()).await
    }

    /// Forgets the finished sources where their file is lost and that is accepted.
    async fn accept_lost_sources(
        &self,
        base: &LoadedTable,
        next: &mut State,
    ) -> Result<(), TableError> {
        let Some(file) = next
            .finished
            .clone()
            .filter(|_| self.changes.accept_history)
        else {
            return Ok(());
        };
        match finished::read(base, &file).await {
            Err(error) if error.kind == TableErrorKind::FinishedSourcesLost => {
                tracing::warn!(table = %self.name, %error, "accepted by an operator");
                next.finished = None;
                Ok(())
            }
            read => read.map(drop),
        }
    }

    /// The partitions of which records may be read again, that were read before.
    fn read_again(&self, state: &State) -> BTreeSet<u64> {
        let again = self.changes.changes.iter().filter(|change| {
            let Some(source) = state.sources.get(&change.source()) else {
                return false;
            };
            let goes_back = match change {
                PositionChange::Set { position, .. } => *position < source.position,
                PositionChange::Forget { .. } => true,
                PositionChange::Add { .. } => false,
            };
            goes_back && matches!(source.identity, SourceIdentity::Kafka(_))
        });
        again.map(PositionChange::source).collect()
    }

    fn forgotten(&self) -> BTreeSet<u64> {
        let changes = self.changes.changes.iter();
        changes
            .filter(|change| matches!(change, PositionChange::Forget { .. }))
            .map(PositionChange::source)
            .collect()
    }

    fn apply(&self, state: &mut State, change: &PositionChange) -> Result<(), TableError> {
        match change {
            PositionChange::Set {
                source,
                position,
                identity,
            } => {
                let Some(committed) = state.sources.get_mut(source) else {
                    return Err(self.no_source(*source));
                };
                committed.position = *position;
                committed.commit = self.id;
                if let Some(identity) = identity {
                    committed.identity = identity.clone();
                }
            }
            PositionChange::Add {
                source,
                position,
                identity,
            } => {
                if *source != state.sources_version + 1 {
                    return Err(TableError::new(
                        &self.name,
                        TableErrorKind::Conflicts,
                        "a writer added sources meanwhile; set the positions again".to_owned(),
                    ));
                }
                state.sources_version = *source;
                let added = SourceState {
                    identity: identity.clone(),
                    position: *position,
                    commit: self.id,
                };
                state.sources.insert(*source, added);
            }
            PositionChange::Forget { source } => {
                if state.sources.remove(source).is_none() {
                    return Err(self.no_source(*source));
                }
            }
        }
        Ok(())
    }

    fn no_source(&self, source: u64) -> TableError {
        TableError::new(
            &self.name,
            TableErrorKind::Usage,
            format!("it has no source {source}; `frazil offsets show` lists them"),
        )
    }

    fn sources(&self) -> String {
        let changed: Vec<(u64, Option<u64>)> = self
            .changes
            .changes
            .iter()
            .take(100)
            .map(|change| match change {
                PositionChange::Set {
                    source, position, ..
                }
                | PositionChange::Add {
                    source, position, ..
                } => (*source, Some(*position)),
                PositionChange::Forget { source } => (*source, None),
            })
            .collect();
        serde_json::to_string(&changed).expect("numbers are plain")
    }
}
