//! A session: from the table's positions to the end of the input, or to the next fence.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use frazil_dataset::Dataset;
use frazil_service::shutdown::Shutdown;
use frazil_table::{
    catalog::LoadedTable,
    commit::{Committer, OpenTable},
    schema,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use super::{
    Progress, READER_QUEUE_BLOCKS, Remembered, Services, WORKER_QUEUE_BLOCKS, WRITERS_MEMORY_SHARE,
    WriteError, WriteJob, WriteReport,
    committer::{CheckpointCommitter, Gathered, Tally},
    input::{self, Readers},
    tables,
    worker::{Work, Worker},
};
use crate::{checkpoint::Accumulated, decode, record::RecordBlock, source::Known};

/// How a session ended, other than by an error.
#[derive(Debug)]
pub(super) enum End {
    /// All of the input is committed, or a signal ended it.
    Done,
    /// The table moved under it.
    Fenced { reason: String },
}

/// Runs one session and adds what it committed to the report.
pub(super) async fn run(
    services: &Services,
    job: &WriteJob,
    shutdown: &Shutdown,
    progress: &watch::Sender<Progress>,
    remembered: &mut Remembered,
    report: &mut WriteReport,
) -> Result<End, WriteError> {
    let committer = Committer::new(
        Arc::clone(&services.catalog),
        Arc::clone(&services.clock),
        Arc::clone(&services.ids),
    );
    let committer = Arc::new(committer.with_finished_sources_max(job.finished_sources_max));
    let open = tables::prepare(&committer, &job.dataset, remembered.table_uuid).await?;
    remembered.table_uuid = Some(open.table.metadata.uuid());
    let sources_before = *remembered
        .sources_before
        .get_or_insert(open.state.sources_version);
    let Some(sources) = committer.sources(&open).await? else {
        let reason = "another writer moved on while its sources were looked at".to_owned();
        return Ok(End::Fenced { reason });
    };
    let known = Known {
        sources: &sources,
        sources_version: open.state.sources_version,
    };
    let plan = input::plan(services, job, known, sources_before).await?;
    report.notes = plan.notes;
    progress.send_modify(|progress| progress.bytes_total = plan.bytes_total);
    let gathered = Accumulated::new(
        job.dataset.checkpoint,
        open.state.sources_version,
        plan.new_sources,
    );
    let session = Session::start(services, job, &committer, open, progress).await?;
    let tally = session
        .run(plan.readers, gathered, shutdown.clone())
        .await?;
    report.add(
        &tally.counts,
        &tally.reasons,
        tally.data_files,
        tally.commits,
        tally.snapshot_id,
    );
    report.stopped = shutdown.is_requested();
    report.failed_sources = tally.failed_sources;
    if let Some(reason) = tally.fenced {
        return Ok(End::Fenced { reason });
    }
    committer.apply_outbox(&job.dataset.table).await?;
    if let Some(open) = committer.open(&job.dataset.table).await? {
        report.metadata_location = Some(open.table.metadata_location);
    }
    Ok(End::Done)
}

/// The running parts of a session. Dropping it stops them.
struct Session {
    workers: Vec<mpsc::Sender<Work>>,
    worker_tasks: JoinSet<Result<(), WriteError>>,
    checkpoints: mpsc::Sender<Gathered>,
    committer: AbortOnDrop<Result<Tally, WriteError>>,
}

/// Stops a task that nobody waits for any more.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    async fn start(
        services: &Services,
        job: &WriteJob,
        committer: &Arc<Committer>,
        open: OpenTable,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self, WriteError> {
        let dead_letters = committer.dead_letter_table(&job.dataset.table).await?;
        let arrow = arrow_schema_of(&open.table)?;
        let dead_letter_schema = arrow_schema_of(&dead_letters)?;
        let memory = (job.memory_max_bytes as f64 * WRITERS_MEMORY_SHARE) as usize;
        let mut worker_tasks = JoinSet::new();
        let mut workers = Vec::new();
        for _ in 0..job.workers.max(1) {
            let (sender, queue) = mpsc::channel(WORKER_QUEUE_BLOCKS);
            let worker = Worker {
                decoder: decoder(&job.dataset, &arrow)?,
                table: open.table.clone(),
                dead_letters: dead_letters.clone(),
                dead_letter_schema: Arc::clone(&dead_letter_schema),
                epoch: open.state.epoch,
                clock: Arc::clone(&services.clock),
                ids: Arc::clone(&services.ids),
                memory_max_bytes: memory / job.workers.max(1),
                progress: progress.clone(),
            };
            worker_tasks.spawn(worker.run(queue));
            workers.push(sender);
        }
        // One checkpoint may wait while another is committed; then reading waits too.
        let (checkpoints, queue) = mpsc::channel(1);
        let checkpoint_committer = CheckpointCommitter {
            committer: Arc::clone(committer),
            table: job.dataset.table.clone(),
            table_uuid: open.table.metadata.uuid(),
            epoch: open.state.epoch,
            dead_letters,
            ids: Arc::clone(&services.ids),
            progress: progress.clone(),
        };
        let committer = AbortOnDrop(tokio::spawn(checkpoint_committer.run(queue)));
        Ok(Self {
            workers,
            worker_tasks,
            checkpoints,
            committer,
        })
    }

    /// Reads, hands out, takes checkpoints; to the end of the input, a signal, or a fence.
    async fn run(
        mut self,
        readers: Readers,
        mut gathered: Accumulated,
        mut shutdown: Shutdown,
    ) -> Result<Tally, WriteError> {
        let (sender, mut blocks) = mpsc::channel(READER_QUEUE_BLOCKS);
        let mut reading = JoinSet::new();
        reading.spawn(readers.run(sender));
        // What was read of a source before it failed is committed, and the others are read on.
        let mut failed_sources = Vec::new();
        loop {
            let due = gathered.due();
            tokio::select! {
                biased;
                ended = &mut self.committer.0 => return self.ended_early(ended).await,
                Some(ended) = self.worker_tasks.join_next() => return Err(worker_error(ended)),
                () = shutdown.requested() => break,
                () = wait_until(due), if due.is_some() => self.checkpoint(&mut gathered).await?,
                block = blocks.recv() => match block {
                    None => break,
                    Some(Ok(mut block)) => {
                        gathered.add(&mut block);
                        self.hand_out(block).await?;
                        if gathered.is_full() {
                            self.checkpoint(&mut gathered).await?;
                        }
                    }
                    Some(Err(error)) => failed_sources.push(error),
                },
            }
        }
        reading.abort_all();
        drop(blocks);
        self.checkpoint(&mut gathered).await?;
        let mut tally = self.finish().await?;
        tally.failed_sources = failed_sources;
        Ok(tally)
    }

    /// Gives a block to the first worker that has room, so that little input makes few files.
    async fn hand_out(&mut self, block: RecordBlock) -> Result<(), WriteError> {
        let mut work = Work::Block(block);
        for worker in &self.workers {
            match worker.try_send(work) {
                Ok(()) => return Ok(()),
                Err(error) => work = error.into_inner(),
            }
        }
        let waits = self.workers.iter().map(|worker| Box::pin(worker.reserve()));
        if let (Ok(place), _, _) = futures::future::select_all(waits).await {
            place.send(work);
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// Sends the barrier down every worker's queue and the promises to the committer.
    async fn checkpoint(&mut self, gathered: &mut Accumulated) -> Result<(), WriteError> {
        if gathered.is_empty() {
            return Ok(());
        }
        let mut written = Vec::with_capacity(self.workers.len());
        let mut lost = false;
        for worker in &self.workers {
            let (promise, part) = oneshot::channel();
            lost |= worker.send(Work::Barrier(promise)).await.is_err();
            written.push(part);
        }
        if lost {
            return Err(self.failure().await);
        }
        // A committer that is gone was fenced or failed: the loop sees which.
        let _ = self
            .checkpoints
            .send(Gathered {
                moves: gathered.take(),
                written,
            })
            .await;
        Ok(())
    }

    /// Waits for the checkpoints on their way.
    async fn finish(mut self) -> Result<Tally, WriteError> {
        self.workers.clear();
        let (closed, _) = mpsc::channel(1);
        self.checkpoints = closed;
        let mut failure = None;
        while let Some(ended) = self.worker_tasks.join_next().await {
            if let Some(error) = failed(ended) {
                failure.get_or_insert(error);
            }
        }
        let tally = (&mut self.committer.0)
            .await
            .map_err(|_| WriteError::Stopped)?;
        match failure {
            Some(error) => Err(error),
            None => tally,
        }
    }

    /// The committer ended while there was still something to read.
    async fn ended_early(
        &mut self,
        ended: Result<Result<Tally, WriteError>, tokio::task::JoinError>,
    ) -> Result<Tally, WriteError> {
        let tally = ended.map_err(|_| WriteError::Stopped)??;
        if tally.fenced.is_some() {
            return Ok(tally);
        }
        // It gave up because a worker's part never came.
        Err(self.failure().await)
    }

    /// Why a worker is gone.
    async fn failure(&mut self) -> WriteError {
        self.workers.clear();
        while let Some(ended) = self.worker_tasks.join_next().await {
            if let Some(error) = failed(ended) {
                return error;
            }
        }
        WriteError::Stopped
    }
}

fn failed(ended: Result<Result<(), WriteError>, tokio::task::JoinError>) -> Option<WriteError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(WriteError::Stopped),
    }
}

fn worker_error(ended: Result<Result<(), WriteError>, tokio::task::JoinError>) -> WriteError {
    failed(ended).unwrap_or(WriteError::Stopped)
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn arrow_schema_of(table: &LoadedTable) -> Result<SchemaRef, WriteError> {
    schema::arrow_schema(table.metadata.current_schema())
        .map_err(|error| WriteError::unfit(&table.name, &error.to_string()))
}

fn decoder(dataset: &Dataset, schema: &SchemaRef) -> Result<Box<dyn decode::Decoder>, WriteError> {
    Ok(decode::decoder(dataset, schema)?)
}
