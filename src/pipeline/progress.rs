//! What a dataset's writing has come to, for whoever watches: a person's terminal, health checks, metrics.
//!
//! Nothing is decided by it. It is kept over all sessions of a run, and over runs that are started again.

use std::collections::{BTreeMap, VecDeque};

use frazil_table::commit::Counts;
use tokio::sync::watch;

use crate::{
    dedup::DedupProgress,
    record::Reasons,
    source::kafka::{Partition, ReaderSeen},
};

/// What has happened so far.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What it does now.
    pub state: State,
    /// Since when, in microseconds since the epoch.
    pub state_since_micros: i64,
    /// Why it does not write, where it does not.
    pub trouble: Option<Trouble>,
    /// When the first run began, in microseconds since the epoch.
    pub began_micros: i64,
    /// Bytes read, decompressed.
    pub bytes_read: u64,
    /// Bytes to read in all, where known.
    pub bytes_total: Option<u64>,
    /// What was decoded, committed or not.
    pub decoded: Counts,
    /// What was committed.
    pub committed: Committed,
    /// Sessions that were ended by another writer or an operator.
    pub fences: u64,
    /// Sessions that ended by an error.
    pub failures: u64,
    /// Records that were read and are not committed, by checkpoint, the oldest first.
    pub uncommitted: VecDeque<Uncommitted>,
    /// Bytes of records that wait for a worker.
    pub queue_bytes: u64,
    /// What each worker holds.
    pub workers: Vec<WorkerHolds>,
    /// Kafka's partitions that are being read.
    pub partitions: BTreeMap<Partition, PartitionProgress>,
    /// What Kafka's partitions hold, as the client last heard.
    pub reader: Option<watch::Receiver<ReaderSeen>>,
    /// When the session last moved, in microseconds since the epoch.
    pub session_moved_micros: Option<i64>,
    /// Since when a checkpoint is being committed, in microseconds since the epoch.
    pub committing_since_micros: Option<i64>,
    /// The share of dead letters in the window of the dataset's limits.
    pub dead_letter_share: Option<f64>,
    /// The share that they allow.
    pub dead_letter_share_max: f64,
    /// The definition's `[checkpoint] interval`, once it is read.
    pub checkpoint_interval: Option<std::time::Duration>,
    /// The event time up to which the table is complete, in microseconds since the epoch.
    pub complete_through_micros: Option<i64>,
    /// The window of deduplication, where the dataset has one.
    pub dedup: Option<DedupProgress>,
}

/// What a dataset's task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It opens what it needs.
    #[default]
    Starting,
    /// It reads and commits.
    Running,
    /// It failed, and will be tried again by itself.
    Retrying,
    /// A person must decide. It looks again from time to time.
    Parked,
    /// A person must decide. It stays as it is until it is told to look again.
    Stopped,
    /// All is done.
    Ended,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Starting,
        Self::Running,
        Self::Retrying,
        Self::Parked,
        Self::Stopped,
        Self::Ended,
    ];

    /// Its name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }

    /// Whether all is as it should be.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Running | Self::Ended)
    }
}

/// Why a dataset is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What failed, with its causes and what to do. Reads after "failed to …".
    pub error: String,
    /// The command that decides, where the error names one.
    pub next: Option<String>,
}

/// What was committed.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// What became of the records.
    pub counts: Counts,
    /// Why records were rejected and values rescued.
    pub reasons: Reasons,
    /// Data files.
    pub data_files: u64,
    /// Checkpoints.
    pub commits: u64,
    /// Attempts at them that other writers were ahead of.
    pub conflicts: u64,
    /// How long each took.
    pub seconds: Durations,
    /// The last snapshot.
    pub snapshot_id: Option<i64>,
    /// When it was made, in microseconds since the epoch.
    pub last_micros: Option<i64>,
    /// The table's data files and their bytes, before the last commit.
    pub table_data_files: u64,
    /// See `table_data_files`.
    pub table_bytes: u64,
}

/// A checkpoint's records on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncommitted {
    /// How many.
    pub records: u64,
    /// When the first of them was read, in microseconds since the epoch.
    pub since_micros: i64,
}

/// What a worker holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerHolds {
    /// Files being written.
    pub open_files: usize,
    /// Memory for rows and pages, in bytes.
    pub memory_bytes: usize,
}

/// A partition's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The next offset that is not committed.
    pub position: u64,
    /// The time of the newest record that is committed, or else of the first that was read, in milliseconds since the epoch.
    pub newest_ms: Option<i64>,
}

/// How far a partition is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Records (offsets, to be exact: a compacted topic has gaps).
    pub records: u64,
    /// The age of the newest record that is committed, where there are later ones; else 0.
    pub seconds: Option<f64>,
    /// Offsets between the first that the topic holds and the committed one: at 0 records are being lost.
    pub margin: u64,
}

/// How many durations were at most so long: a histogram of Prometheus.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// One for each of [`Self::BOUNDS`], not cumulated.
    pub counts: [u64; Self::BOUNDS.len()],
    /// All.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

impl Durations {
    /// The upper bounds in seconds.
    pub const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    /// Adds one.
    pub fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        let place = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(place) = place {
            self.counts[place] += 1;
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Progress {
    /// Nothing yet, at that time in microseconds since the epoch.
    pub fn new(now_micros: i64) -> Self {
        Self {
            state: State::Starting,
            state_since_micros: now_micros,
            trouble: None,
            began_micros: now_micros,
            bytes_read: 0,
            bytes_total: None,
            decoded: Counts::default(),
            committed: Committed::default(),
            fences: 0,
            failures: 0,
            uncommitted: VecDeque::new(),
            queue_bytes: 0,
            workers: Vec::new(),
            partitions: BTreeMap::new(),
            reader: None,
            session_moved_micros: None,
            committing_since_micros: None,
            dead_letter_share: None,
            dead_letter_share_max: 1.0,
            checkpoint_interval: None,
            complete_through_micros: None,
            dedup: None,
        }
    }

    /// It does something else from now on.
    pub fn set_state(&mut self, state: State, trouble: Option<Trouble>, now_micros: i64) {
        if self.state != state {
            self.state_since_micros = now_micros;
        }
        self.state = state;
        self.trouble = trouble;
    }

    /// How far each partition is behind, as far as it is known.
    pub fn lags(&self, now_micros: i64) -> Vec<(Partition, Lag)> {
        let Some(reader) = &self.reader else {
            return Vec::new();
        };
        let seen = reader.borrow();
        let of = |(partition, at): (&Partition, &PartitionProgress)| {
            let (first, end) = *seen.offsets.get(partition)?;
            let records = end.saturating_sub(at.position);
            let age = |newest: i64| ((now_micros / 1_000 - newest).max(0)) as f64 / 1_000.0;
            let lag = Lag {
                records,
                seconds: if records == 0 {
                    Some(0.0)
                } else {
                    at.newest_ms.map(age)
                },
                margin: at.position.saturating_sub(first),
            };
            Some((partition.clone(), lag))
        };
        self.partitions.iter().filter_map(of).collect()
    }

    /// When each task last moved, in microseconds since the epoch. One that waits for work moves.
    pub fn heartbeats(&self, now_micros: i64) -> Vec<(&'static str, i64)> {
        let mut beats = Vec::new();
        beats.extend(self.session_moved_micros.map(|at| ("session", at)));
        if self.session_moved_micros.is_some() {
            beats.push(("commit", self.committing_since_micros.unwrap_or(now_micros)));
        }
        if let Some(reader) = &self.reader {
            let ago = reader.borrow().polled.elapsed();
            let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
            beats.push(("kafka", now_micros.saturating_sub(ago)));
        }
        beats
    }

    /// A session begins.
    pub(super) fn session_begins(&mut self, now_micros: i64) {
        self.uncommitted.clear();
        self.queue_bytes = 0;
        self.workers.clear();
        self.partitions.clear();
        self.committing_since_micros = None;
        self.session_moved_micros = Some(now_micros);
    }

    /// A session reads from here on.
    pub(super) fn session_runs(&mut self, workers: usize, now_micros: i64) {
        self.workers = vec![WorkerHolds::default(); workers];
        self.set_state(State::Running, None, now_micros);
    }

    /// Records were read.
    pub(super) fn read(&mut self, records: u64, begins_checkpoint: bool, now_micros: i64) {
        self.session_moved_micros = Some(now_micros);
        if begins_checkpoint || self.uncommitted.is_empty() {
            self.uncommitted.push_back(Uncommitted {
                records: 0,
                since_micros: now_micros,
            });
        }
        if let Some(last) = self.uncommitted.back_mut() {
            last.records += records;
        }
    }
}

impl Trouble {
    /// An error's text, and the first command of ours that it names.
    pub fn new(error: impl Into<String>) -> Self {
        let error = error.into();
        let quoted = error.split('`').skip(1).step_by(2);
        let next = quoted.into_iter().find(|text| text.starts_with("frazil "));
        Self {
            next: next.map(str::to_owned),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn lag_is_counted_from_what_is_committed() {
        let mut progress = Progress::new(0);
        let partition = |number| Partition {
            topic: "t".into(),
            number,
        };
        for (number, position) in [(0, 7), (1, 10), (2, 3)] {
            let at = PartitionProgress {
                position,
                newest_ms: (number < 2).then_some(1_000),
            };
            progress.partitions.insert(partition(number), at);
        }
        let offsets = (0..3).map(|number| (partition(number), (5, 10))).collect();
        let polled = Instant::now();
        let (_seen, reader) = watch::channel(ReaderSeen { offsets, polled });
        progress.reader = Some(reader);
        let lags: Vec<Lag> = progress
            .lags(3_500_000)
            .into_iter()
            .map(|(_, lag)| lag)
            .collect();
        let lag = |records, seconds, margin| Lag {
            records,
            seconds,
            margin,
        };
        assert_eq!(
            lags,
            [lag(3, Some(2.5), 2), lag(0, Some(0.0), 5), lag(7, None, 0)]
        );
    }

    #[test]
    fn the_next_step_is_the_command_that_the_error_names() {
        let trouble = Trouble::new(
            "read `x`: gone. `frazil offsets show web` shows it, `frazil doctor` more",
        );
        assert_eq!(trouble.next.as_deref(), Some("frazil offsets show web"));
        assert_eq!(Trouble::new("read `x`").next, None);
    }

    #[test]
    fn durations_are_counted_by_their_bounds() {
        let mut durations = Durations::default();
        for seconds in [0.05, 0.2, 100.0] {
            durations.add(seconds);
        }
        assert_eq!(durations.counts[..3], [1, 0, 1]);
        assert_eq!(durations.count, 3);
        assert_eq!(durations.counts.iter().sum::<u64>(), 2);
    }
}
