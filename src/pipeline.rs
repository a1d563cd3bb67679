//! Wires the stages: readers → workers (decode, partition, Parquet) → committer.
//!
//! The only file that knows them all. It owns the queues and their limits, and guarantees that
//! * a checkpoint's files hold exactly the records of its ranges: a barrier goes down each worker's
//!   queue behind the last block of the checkpoint, and every worker closes its files at it;
//! * checkpoints are committed in order, one at a time, while reading goes on;
//! * whatever a fence, a failure or a signal leaves uncommitted is thrown away as a whole, and the
//!   next session starts from the table.

mod committer;
mod error;
mod input;
mod kafka;
mod session;
mod tables;
mod worker;

use std::{sync::Arc, time::Duration};

use frazil_dataset::Dataset;
use frazil_service::{
    clock::{Clock, Ids},
    shutdown::Shutdown,
};
use frazil_table::{catalog::Catalog, commit::Counts};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    record::Reasons,
    source::{Compute, FileSystem, SourceError},
};

pub use error::WriteError;
pub use kafka::{Connect, KafkaInput};

use kafka::Kafka;

/// Blocks that wait for one worker: enough to keep it busy while a checkpoint is taken, few enough
/// that a slow storage holds readers back instead of filling memory.
const WORKER_QUEUE_BLOCKS: usize = 2;

/// Blocks that wait for a place at a worker.
const READER_QUEUE_BLOCKS: usize = 2;

/// Files read at the same time.
const READERS_MAX: usize = 4;

/// The share of the memory limit that data files being written may take; the rest is for blocks
/// being read and decoded, and for what is on its way to storage.
const WRITERS_MEMORY_SHARE: f64 = 0.6;

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
    /// About how much memory the whole pipeline may take, in bytes.
    pub memory_max_bytes: usize,
    /// How much of a source is handed from stage to stage at a time; a checkpoint ends between two.
    pub block_bytes: usize,
    /// How many finished sources the table's state holds before they move to a file of their own.
    pub finished_sources_max: usize,
    /// Where reading runs: threads in life, inline in simulation.
    pub compute: Compute,
}

/// What has happened so far, for whoever watches.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Bytes read, decompressed.
    pub bytes_read: u64,
    /// Bytes to read in all, where known.
    pub bytes_total: Option<u64>,
    /// What was decoded, committed or not.
    pub decoded: Counts,
    /// The last snapshot.
    pub snapshot_id: Option<i64>,
    /// Checkpoints committed.
    pub commits: u64,
}

/// What a run did. Counts are of what is committed.
#[derive(Debug, Default)]
pub struct WriteReport {
    /// What became of the records.
    pub counts: Counts,
    /// Why records were rejected and values rescued.
    pub reasons: Reasons,
    /// Data files committed.
    pub data_files: u64,
    /// Snapshots made.
    pub commits: u64,
    /// The last of them.
    pub snapshot_id: Option<i64>,
    /// What a person should know: files already read, continued, skipped as copies.
    pub notes: Vec<String>,
    /// Where the table's current metadata lies.
    pub metadata_location: Option<String>,
    /// Whether a signal ended the run before the end of its input.
    pub stopped: bool,
    /// Sources that could not be read to their end. What was read before is committed, and the
    /// next run goes on from there.
    pub failed_sources: Vec<SourceError>,
}

impl WriteReport {
    fn add(
        &mut self,
        counts: &Counts,
        reasons: &Reasons,
        data_files: u64,
        commits: u64,
        snapshot_id: Option<i64>,
    ) {
        self.counts.add(counts);
        self.reasons.add(reasons);
        self.data_files += data_files;
        self.commits += commits;
        self.snapshot_id = snapshot_id.or(self.snapshot_id);
    }
}

/// Writes a job's records to its table, to the end of its input or until told to stop.
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
        Input::Kafka(input) => Some(Kafka::open(input, job)?),
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
    loop {
        let commits = report.commits;
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
        let ended = match ended {
            Err(error) if kafka.as_ref().is_some_and(|kafka| kafka.goes_on(&error)) => {
                session::End::Failed { error }
            }
            ended => ended?,
        };
        match ended {
            session::End::Failed { error } => {
                failures = if report.commits > commits {
                    1
                } else {
                    failures + 1
                };
                let pause = rest(services.ids.as_ref(), failures, FAILED_REST_MAX);
                tracing::error!(table = %job.dataset.table, error = format!("failed to {error}"), pause_ms = pause.as_millis(), "trying again from the table");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = asked.requested() => return Err(error),
                }
            }
            session::End::Done => return Ok(report),
            session::End::Fenced { reason } => {
                // A session that commits has a right to its place; one that never does makes room.
                fences = if report.commits > commits {
                    1
                } else {
                    fences + 1
                };
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
