//! How a session tells up to which event time its checkpoints make the table complete.
//!
//! A partition is complete through the newest time that was read of it less the delay that is allowed to others. A
//! time ahead of the clock counts as the clock's: one record of a year to come must not make all others late.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arrow_arith::aggregate;
use arrow_array::{RecordBatch, cast::AsArray as _, types::TimestampMicrosecondType};
use arrow_schema::{ArrowError, Schema};
use frazil_dataset::{CompletePolicy, EventTime};
use frazil_table::state::{SourceIdentity, State, complete::Completion};

use crate::{
    checkpoint::Moves,
    record::{Messages, RecordBlock},
};

const MICROS_A_SECOND: i64 = 1_000_000;

/// What a table is that nothing is known of: older than any time.
const UNKNOWN: i64 = i64::MIN;

/// A session's.
#[derive(Debug, Clone)]
pub(super) struct Completeness {
    policy: CompletePolicy,
    /// The table's, as far as this session knows, in microseconds since the epoch.
    through_micros: Arc<AtomicI64>,
}

/// Finds the records' times in blocks.
#[derive(Debug)]
pub(super) struct EventTimes {
    /// The column's index; `None`: Kafka's own time.
    column: Option<usize>,
    through_micros: Arc<AtomicI64>,
}

/// The times of some records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// The newest of each source, in microseconds since the epoch.
    pub(super) newest_micros: BTreeMap<u64, i64>,
    /// How many are older than what the table was said to be complete through.
    pub(super) late_records: u64,
}

impl Completeness {
    /// Of a session that begins with that state.
    pub(super) fn new(policy: &CompletePolicy, state: &State) -> Self {
        let through_s = state.complete_through_s();
        let through = through_s.map_or(UNKNOWN, |at| at.saturating_mul(MICROS_A_SECOND));
        Self {
            policy: policy.clone(),
            through_micros: Arc::new(AtomicI64::new(through)),
        }
    }

    /// For one worker, whose rows have that schema.
    pub(super) fn event_times(&self, schema: &Schema) -> Result<EventTimes, ArrowError> {
        let column = match &self.policy.time {
            EventTime::Message => None,
            EventTime::Column(name) => Some(schema.index_of(name)?),
        };
        Ok(EventTimes {
            column,
            through_micros: Arc::clone(&self.through_micros),
        })
    }

    /// What a checkpoint says.
    pub(super) fn of(&self, moves: &Moves, times: &Times) -> Completion {
        let newest = times.newest_micros.iter().map(|(source, newest)| {
            let through = newest.saturating_sub(micros(self.policy.delay));
            (*source, through)
        });
        let quiet = moves
            .quiet
            .iter()
            .map(|(source, through)| (*source, *through));
        let mut sources = BTreeMap::new();
        for (source, through) in newest.chain(quiet) {
            let mark = sources.entry(source).or_insert(i64::MIN);
            *mark = through.div_euclid(MICROS_A_SECOND).max(*mark);
        }
        // Files that are written beside are no partitions.
        let is_partition = |source: u64| {
            let mut advances = moves.advances.iter();
            advances
                .any(|one| one.source == source && matches!(one.identity, SourceIdentity::Kafka(_)))
        };
        sources.retain(|source, _| is_partition(*source));
        Completion {
            time: self.policy.time.to_string(),
            sources,
            gone: moves.gone.clone(),
            late_records: times.late_records,
        }
    }

    /// Takes in what a commit made of the table.
    pub(super) fn committed(&self, through_s: Option<i64>) {
        if let Some(at) = through_s {
            let through = at.saturating_mul(MICROS_A_SECOND);
            self.through_micros.store(through, Ordering::Relaxed);
        }
    }

    /// The table's, in microseconds since the epoch, where it is known.
    pub(super) fn through_micros(&self) -> Option<i64> {
        let through = self.through_micros.load(Ordering::Relaxed);
        (through != UNKNOWN).then_some(through)
    }
}

/// A duration of a policy, which is weeks at most.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl EventTimes {
    /// Looks at a block and the rows that it became.
    pub(super) fn see(
        &self,
        block: &RecordBlock,
        rows: &RecordBatch,
        now_micros: i64,
        times: &mut Times,
    ) {
        let before = self.through_micros.load(Ordering::Relaxed);
        let (newest, late) = match (self.column, &block.messages) {
            (Some(column), _) => of_column(rows, column, before),
            (None, Some(messages)) => of_messages(messages, before),
            (None, None) => (None, 0),
        };
        times.late_records += late;
        if let Some(newest) = newest {
            let known = times
                .newest_micros
                .entry(block.source.id)
                .or_insert(i64::MIN);
            *known = newest.min(now_micros).max(*known);
        }
    }
}

/// The newest, and how many are older than `before`.
fn of_column(rows: &RecordBatch, column: usize, before: i64) -> (Option<i64>, u64) {
    let Some(values) = rows
        .column(column)
        .as_primitive_opt::<TimestampMicrosecondType>()
    else {
        return (None, 0);
    };
    let is_late = aggregate::min(values).is_some_and(|oldest| oldest < before);
    let late = if is_late {
        values.iter().flatten().filter(|at| *at < before).count()
    } else {
        0
    };
    (aggregate::max(values), late as u64)
}

fn of_messages(messages: &Messages, before: i64) -> (Option<i64>, u64) {
    let mut newest = None;
    let mut late = 0;
    for message in &messages.of_records {
        let at = message.timestamp_ms.map(|at| at.saturating_mul(1_000));
        newest = newest.max(at);
        late += u64::from(at.is_some_and(|at| at < before));
    }
    (newest, late)
}

impl Times {
    /// Adds another worker's.
    pub(super) fn add(&mut self, other: Self) {
        self.late_records += other.late_records;
        for (source, newest) in other.newest_micros {
            let known = self.newest_micros.entry(source).or_insert(newest);
            *known = newest.max(*known);
        }
    }
}

#[cfg(test)]
mod tests;
