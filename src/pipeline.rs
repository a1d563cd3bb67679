//! Wires the stages: readers → workers (decode, partition, Parquet) → committer.
//!
//! The only file that knows them all. It owns the queues and their limits, and guarantees that
//! * a checkpoint's files hold exactly the records of its ranges: a barrier goes down each worker's
//!   queue behind the last block of the checkpoint, and every worker closes its files at it;
//! * checkpoints are committed in order, one at a time, while reading goes on;
//! * whatever a fence, a failure or a signal leaves uncommitted is thrown away as a whole, and the
//!   next session starts from the table.

mod committer;
mod complete;
mod dead_letter_limit;
mod error;
mod follow;
mod input;
mod kafka;
mod progress;
mod quiet;
mod session;
mod stopped;
mod tables;
mod worker;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use frazil_dataset::Dataset;
use frazil_service::{
    clock::{Clock, Ids},
    shutdown::Shutdown,
};
use frazil_table::{catalog::Catalog, data_file::MemoryBudget};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    dedup::{Dedup, DedupGuards},
    source::{Compute, FileSystem, SourceError},
};

pub use error::WriteError;
pub use kafka::{Connect, KafkaInput};
pub use progress::{
    Committed, Durations, Lag, PartitionProgress, Progress, State, Trouble, Uncommitted,
    WorkerHolds,
};
pub use stopped::{StoppedSample, StoppedSamples, stopped_samples};

use dead_letter_limit::DeadLetterLimit;
use follow::Follow;
use kafka::Kafka;

/// Blocks that wait for one worker: enough to keep it busy while a checkpoint is taken, few enough
/// that a slow storage holds readers back instead of filling memory.
const WORKER_QUEUE_BLOCKS: usize = 2;

/// Blocks that wait for a place at a worker.
const READER_QUEUE_BLOCKS: usize = 2;

/// Files read at the same time.
const READERS_MAX: usize = 4;

/// What the pipeline runs on.
#[derive(Debug, Clone)]
pub struct Services {
    /// The catalog that holds the table.
    pub catalog: Arc<dyn Catalog>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Ids of commits, files and snapshots.
    pub ids: Arc<dyn Ids>,
    /// Where input files are.
    pub files: Arc<dyn FileSystem>,
}

/// Where the records come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// Files, folders and globs.
    Files {
        /// As the user gave them.
        paths: Vec<String>,
        /// Take each file as one never seen, whatever the table holds.
        as_new_source: bool,
        /// Go on with what is written to them, until told to stop.
        follow: bool,
    },
    /// Standard input.
    StandardInput,
    /// Topics of Kafka.
    Kafka(KafkaInput),
}

/// What is to be written, and by how much of the machine.
#[derive(Debug, Clone)]
pub struct WriteJob {
    /// The dataset.
    pub dataset: Dataset,
    /// Where its records come from.
    pub input: Input,
    /// Tasks that decode and encode; one a core.
    pub workers: usize,
    /// The memory for data files being written, of all jobs that share it.
    pub memory: Arc<MemoryBudget>,
    /// How much of a source is handed from stage to stage at a time; a checkpoint ends between two.
    pub block_bytes: usize,
    /// How many finished sources the table's state holds before they move to a file of their own.
    pub finished_sources_max: usize,
    /// Whether dead letters beyond the dataset's limits pass, until they are within them again.
    pub accept_dead_letters: bool,
    /// Where reading runs: threads in life, inline in simulation.
    pub compute: Compute,
    /// For simulations.
    #[doc(hidden)]
    pub dedup_guards: DedupGuards,
}

/// What a run did, beside what its [`Progress`] counted.
#[derive(Debug, Default)]
pub struct WriteReport {
    /// What a person should know: files already read, continued, skipped as copies.
    pub notes: Vec<String>,
    /// Where the table's current metadata lies.
    pub metadata_location: Option<String>,
    /// Whether a signal ended the run before the end of its input.
    pub stopped: bool,
    /// Files that were not given, but that hold what was read of one that was: of the last session.
    pub rotated: Vec<PathBuf>,
    /// Sources that could not be read to their end. What was read before is committed, and the
    /// next run goes on from there.
    pub failed_sources: Vec<SourceError>,
}

/// Writes a job's records to its table, to the end of its input (files that are followed have none) or until told to
/// stop.
///
/// Sessions follow each other until one ends: whenever another writer or an operator moves the
/// table's positions, all that is uncommitted is thrown away and a new session starts from the table.
///
/// # Errors
/// With a remedy each: trying again, mending the command line or a file, or a person's decision.
pub async fn write(
    services: &Services,
    job: &WriteJob,
    shutdown: &Shutdown,
    progress: &watch::Sender<Progress>,
) -> Result<WriteReport, WriteError> {
    let mut kafka = match &job.input {
        Input::Kafka(input) => Some(Kafka::open(input, job, services, progress)?),
        Input::Files { .. } | Input::StandardInput => None,
    };
    let written = sessions(services, job, shutdown, progress, &mut kafka).await;
    if let Some(kafka) = kafka {
        kafka.close().await;
    }
    written
}

async fn sessions(
    services: &Services,
    job: &WriteJob,
    shutdown: &Shutdown,
    progress: &watch::Sender<Progress>,
    kafka: &mut Option<Kafka>,
) -> Result<WriteReport, WriteError> {
    let mut report = WriteReport::default();
    let mut remembered = Remembered::default();
    let mut asked = shutdown.clone();
    let mut fences: u32 = 0;
    let mut failures: u32 = 0;
    let mut follow = match &job.input {
        Input::Files {
            paths,
            follow: true,
            ..
        } => Some(Follow::new(paths, services, job)),
        _ => None,
    };
    loop {
        if let Some(follow) = &mut follow {
            remembered.settled = follow.begin().await?;
            remembered.rotated = follow.rotated();
        }
        let commits = progress.borrow().committed.commits;
        let ended = session::run(
            services,
            job,
            shutdown,
            progress,
            kafka.as_mut(),
            &mut remembered,
            &mut report,
        )
        .await;
        // A stream goes on once what failed is mended; all else ends, and whoever started it tries again.
        let goes_on = |error: &WriteError| {
            kafka.as_ref().is_some_and(|kafka| kafka.goes_on(error))
                || follow.as_ref().is_some_and(|follow| follow.goes_on(error))
        };
        let ended = match ended {
            Err(error) if goes_on(&error) => session::End::Failed { error },
            ended => ended?,
        };
        let has_committed = progress.borrow().committed.commits > commits;
        match ended {
            session::End::Failed { error } => {
                failures = if has_committed { 1 } else { failures + 1 };
                let pause = rest(services.ids.as_ref(), failures, FAILED_REST_MAX);
                let now = services.clock.now_micros();
                progress.send_modify(|progress| {
                    progress.failures += 1;
                    let trouble = Trouble::new(error.to_string());
                    progress.set_state(State::Retrying, Some(trouble), now);
                });
                tracing::error!(table = %job.dataset.table, error = format!("failed to {error}"), pause_ms = pause.as_millis(), "trying again from the table");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = asked.requested() => return Err(error),
                }
            }
            session::End::Done => match &mut follow {
                Some(follow) if !asked.is_requested() => {
                    (fences, failures) = (0, 0);
                    follow.has_read(&report);
                    tokio::select! {
                        changed = follow.changed() => changed?,
                        () = asked.requested() => {
                            report.stopped = true;
                            return Ok(report);
                        }
                    }
                }
                _ => return Ok(report),
            },
            session::End::Altered => {
                (fences, failures) = (0, 0);
                tracing::info!(table = %job.dataset.table, "its columns, partitions or order were changed: going on by the new ones");
            }
            session::End::Fenced { reason } => {
                // A session that commits has a right to its place; one that never does makes room.
                progress.send_modify(|progress| progress.fences += 1);
                fences = if has_committed { 1 } else { fences + 1 };
                tracing::warn!(table = %job.dataset.table, %reason, "starting again from the table");
                if matches!(job.input, Input::StandardInput) {
                    return Err(WriteError::StandardInputFenced {
                        table: job.dataset.table.clone(),
                        reason,
                    });
                }
                tokio::select! {
                    () = tokio::time::sleep(rest(services.ids.as_ref(), fences, FENCED_REST_MAX)) => {}
                    () = asked.requested() => {}
                }
            }
        }
    }
}

/// What a run's sessions must agree on.
#[derive(Debug, Default)]
struct Remembered {
    /// The table that the run writes: another one under its name is not begun in silence.
    table_uuid: Option<Uuid>,
    /// The sources that the table had when the run began: those that `as_new_source` passes over.
    /// What the run itself began goes on after a fence.
    sources_before: Option<u64>,
    /// Followed files that were renamed or copied, and may still be written to.
    rotated: Vec<String>,
    /// Followed files to which nobody has written for a while.
    settled: HashSet<PathBuf>,
    /// Whether a session read its input to the end.
    has_ended: bool,
    /// The dead letters of its last checkpoints.
    limit: Option<Arc<Mutex<DeadLetterLimit>>>,
    /// The last session's window, where a control keeps it.
    dedup: Option<Arc<Dedup>>,
}

impl Remembered {
    fn limit(&mut self, job: &WriteJob) -> Arc<Mutex<DeadLetterLimit>> {
        let limit = self.limit.get_or_insert_with(|| {
            let limit = DeadLetterLimit::new(job.dataset.limits, job.accept_dead_letters);
            Arc::new(Mutex::new(limit))
        });
        Arc::clone(limit)
    }
}

/// The longest rest after a fence.
const FENCED_REST_MAX: Duration = Duration::from_secs(10);

/// The longest rest after a failure.
const FAILED_REST_MAX: Duration = Duration::from_secs(30);

/// How long to leave the sources to whoever fenced us, or what failed to itself: doubling from 50 ms, half of it by
/// chance, so that two writers of one source do not fence each other in step.
fn rest(ids: &dyn Ids, times: u32, max: Duration) -> Duration {
    let most = 50_u64
        .saturating_mul(1 << times.min(16))
        .min(max.as_millis() as u64);
    let chance = ids.snapshot_id().unsigned_abs() % (most / 2 + 1);
    Duration::from_millis(most / 2 + chance)
}
