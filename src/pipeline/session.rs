//! A session: from the table's positions to the end of the input, or to the next fence.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow_schema::SchemaRef;
use frazil_dataset::Dataset;
use frazil_service::shutdown::Shutdown;
use frazil_table::{
    catalog::LoadedTable,
    commit::{Committer, Layout, OpenTable},
    error::{Remedy, TableError},
    schema,
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};

use super::{
    Input, Progress, READER_QUEUE_BLOCKS, Remembered, Services, WORKER_QUEUE_BLOCKS, WriteError,
    WriteJob, WriteReport,
    committer::{CheckpointCommitter, Ending, Gathered, Job},
    complete::Completeness,
    dead_letter_limit::DeadLetterLimit,
    input::{self, GivenInput, Readers},
    kafka::{GroupOffsets, Kafka, partition_of},
    quiet::Look,
    tables,
    worker::{Work, Worker},
};
use crate::{
    checkpoint::Accumulated,
    decode,
    dedup::Dedup,
    record::RecordBlock,
    source::{Known, Read, kafka::Assignment},
};

/// How a session ended, other than by an error.
#[derive(Debug)]
pub(super) enum End {
    /// All of the input is committed, or a signal ended it.
    Done,
    /// The table's columns, partitions or order were changed; all that was read before is committed.
    Altered,
    /// The table moved under it.
    Fenced { reason: String },
    /// Something that may mend itself.
    Failed { error: WriteError },
}

/// How long the group waits for what was read of partitions that it takes away: well under librdkafka's
/// `max.poll.interval.ms` of five minutes, after which it would give them to others without asking.
const HAND_OVER_MAX: Duration = Duration::from_mins(1);

/// How often a stream says that it moves, and one with an end looks whether others have reached theirs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a stream without records looks whether somebody moved the table's positions, at most: a commit would tell,
/// and there is none.
const LOOK_AT_TABLE_EVERY: Duration = Duration::from_secs(10);

/// Runs one session and adds what it committed to the report.
pub(super) async fn run(
    services: &Services,
    job: &WriteJob,
    shutdown: &Shutdown,
    progress: &watch::Sender<Progress>,
    mut kafka: Option<&mut Kafka>,
    remembered: &mut Remembered,
    report: &mut WriteReport,
) -> Result<End, WriteError> {
    progress.send_modify(|progress| progress.session_begins(services.clock.now_micros()));
    let committer = Committer::new(
        Arc::clone(&services.catalog),
        Arc::clone(&services.clock),
        Arc::clone(&services.ids),
    );
    let committer = Arc::new(committer.with_finished_sources_max(job.finished_sources_max));
    let mut open = tables::prepare(&committer, &job.dataset, remembered.table_uuid).await?;
    remembered.table_uuid = Some(open.table.metadata.uuid());
    let sources_before = *remembered
        .sources_before
        .get_or_insert(open.state.sources_version);
    let mut new_sources = Vec::new();
    let also = std::mem::take(&mut remembered.rotated);
    let given = match &job.input {
        Input::Kafka(_) => None,
        Input::Files {
            paths,
            as_new_source,
            follow,
        } => Some(GivenInput::Files {
            paths,
            also: &also,
            as_new_source: *as_new_source,
            follow: *follow,
            may_be_absent: remembered.has_ended,
            settled: &remembered.settled,
        }),
        Input::StandardInput => Some(GivenInput::StandardInput),
    };
    let reads = match (given, kafka.as_deref_mut()) {
        (Some(given), _) => {
            let Some(sources) = committer.sources(&open).await? else {
                let reason = "another writer moved on while its sources were looked at".to_owned();
                return Ok(End::Fenced { reason });
            };
            let known = Known {
                sources: &sources,
                sources_version: open.state.sources_version,
            };
            let plan = input::plan(services, job, given, known, sources_before).await?;
            report.notes = plan.notes;
            report.rotated = plan.found;
            new_sources = plan.new_sources;
            progress.send_modify(|progress| progress.bytes_total = plan.bytes_total);
            Reads::of(plan.readers)
        }
        (None, Some(kafka)) => {
            let (registered, reads) = kafka.attach(services, &committer, open).await?;
            open = registered;
            Reads {
                reads,
                reading: JoinSet::new(),
            }
        }
        (None, None) => return Err(WriteError::Stopped),
    };
    let mut gathered = Accumulated::new(
        job.dataset.checkpoint,
        open.state.sources_version,
        new_sources,
    );
    if let Some(kafka) = &kafka {
        gathered.set_gone(kafka.gone());
    }
    let dedup = dedup(services, job, &open, remembered).await?;
    let epoch = open.state.epoch;
    let layout = Layout::of(&open.table);
    let group_offsets = kafka.as_ref().map(|kafka| kafka.group_offsets(&open));
    let limit = remembered.limit(job);
    let start = Session::start(
        services,
        job,
        &committer,
        open,
        Shared {
            group_offsets,
            limit,
            dedup,
        },
        progress,
    );
    let session = start.await?;
    let context = Context {
        services,
        committer: &committer,
        kafka,
        progress,
        job,
        epoch,
        layout,
        looked: Instant::now(),
    };
    let ending = session
        .run(reads, gathered, context, shutdown.clone())
        .await?;
    report.stopped = shutdown.is_requested();
    report.failed_sources = ending.failed_sources;
    if let Some(error) = ending.kafka_failed {
        return Err(error.into());
    }
    if let Some(reason) = ending.fenced {
        return Ok(End::Fenced { reason });
    }
    if ending.is_altered && !shutdown.is_requested() {
        return Ok(End::Altered);
    }
    remembered.has_ended = true;
    committer.apply_outbox(&job.dataset.table).await?;
    if let Some(open) = committer.open(&job.dataset.table).await? {
        report.metadata_location = Some(open.table.metadata_location);
    }
    Ok(End::Done)
}

/// The session's window of deduplication, with the keys of the table that its positions are of.
async fn dedup(
    services: &Services,
    job: &WriteJob,
    open: &OpenTable,
    remembered: &mut Remembered,
) -> Result<Option<Arc<Dedup>>, WriteError> {
    let Some(policy) = &job.dataset.dedup else {
        return Ok(None);
    };
    if matches!(job.input, Input::Kafka(_)) {
        tracing::info!(
            table = %job.dataset.table,
            "[dedup] among several processes holds for records whose key decides their partition; \
             other duplicates are for `frazil-maintenance dedup`"
        );
    }
    if let Some(kept) = &remembered.dedup {
        kept.begin_again();
        return Ok(Some(Arc::clone(kept)));
    }
    let schema = arrow_schema_of(&open.table)?;
    let (name, guards) = (&job.dataset.table, job.dedup_guards);
    let secret = services.ids.uuid().into_bytes();
    let dedup = Arc::new(Dedup::new(name, policy, schema, secret, guards));
    dedup.fill(&open.table, services.clock.now_micros()).await?;
    if !guards.forgets {
        remembered.dedup = Some(Arc::clone(&dedup));
    }
    Ok(Some(dedup))
}

/// What a session reads.
struct Reads {
    reads: mpsc::Receiver<Read>,
    /// Tasks that end with it.
    reading: JoinSet<()>,
}

impl Reads {
    fn of(readers: Readers) -> Self {
        let (sender, reads) = mpsc::channel(READER_QUEUE_BLOCKS);
        let mut reading = JoinSet::new();
        reading.spawn(readers.run(sender));
        Self { reads, reading }
    }
}

/// What a session asks while it runs.
struct Context<'a> {
    services: &'a Services,
    committer: &'a Committer,
    kafka: Option<&'a mut Kafka>,
    progress: &'a watch::Sender<Progress>,
    job: &'a WriteJob,
    /// The table's epoch: an operator raises it.
    epoch: u64,
    /// How the table was laid out when the session began.
    layout: Layout,
    /// When the table was last looked at, while there was nothing to commit.
    looked: Instant,
}

impl Context<'_> {
    /// Whether the session must start again, where nothing was committed that would have told.
    async fn moved_on(&mut self) -> Result<Moved, WriteError> {
        let every = LOOK_AT_TABLE_EVERY.max(self.job.dataset.checkpoint.interval);
        if self.looked.elapsed() < every {
            return Ok(Moved::No);
        }
        self.looked = Instant::now();
        match self.committer.open(&self.job.dataset.table).await {
            Ok(Some(open)) if open.state.epoch != self.epoch => {
                Ok(Moved::Lost("an operator moved its positions".to_owned()))
            }
            Ok(Some(open)) if Layout::of(&open.table) != self.layout => Ok(Moved::Altered),
            Ok(Some(_)) => Ok(Moved::No),
            Ok(None) => Err(TableError::gone(&self.job.dataset.table).into()),
            Err(error) if error.remedy() == Remedy::Retry => {
                tracing::debug!(%error, "the table was not looked at");
                Ok(Moved::No)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whoever watches what was read.
    fn tell(&self, block: &RecordBlock, begins_checkpoint: bool) {
        let now = self.services.clock.now_micros();
        let first_ms = block.messages.as_deref().and_then(|messages| {
            let mut times = messages.of_records.iter().map(|one| one.timestamp_ms);
            times.next().flatten()
        });
        self.progress.send_modify(|progress| {
            progress.read(block.records.len() as u64, begins_checkpoint, now);
            progress.queue_bytes += block.bytes_read();
            if let (Some(first_ms), Some(partition)) = (first_ms, partition_of(&block.identity))
                && let Some(at) = progress.partitions.get_mut(&partition)
            {
                at.newest_ms.get_or_insert(first_ms);
            }
        });
    }

    fn moved(&self) {
        let now = self.services.clock.now_micros();
        self.progress
            .send_modify(|progress| progress.session_moved_micros = Some(now));
    }

    /// How far a source was read.
    fn passed(&mut self, block: &RecordBlock) {
        if let Some(kafka) = &mut self.kafka {
            kafka.read(block);
            let remaining = &mut kafka.remaining;
            if remaining
                .get(&block.source.id)
                .is_some_and(|end| block.range.end >= *end)
            {
                remaining.remove(&block.source.id);
            }
        }
    }

    /// For a run with an end: how far others have read.
    async fn look_again(&mut self) -> Result<(), WriteError> {
        match &mut self.kafka {
            Some(kafka) => kafka.look_again(self.committer).await,
            None => Ok(()),
        }
    }
}

/// Waits for what the cluster says of quiet partitions.
async fn looked(kafka: &mut Option<&mut Kafka>) -> Look {
    match kafka {
        Some(kafka) => kafka.looked().await,
        None => std::future::pending().await,
    }
}

/// What became of the table while there was nothing to commit.
enum Moved {
    No,
    /// Others have its columns, partitions or order changed.
    Altered,
    /// What was read is to be thrown away.
    Lost(String),
}

/// What came of a change of our share.
enum Share {
    Settled,
    /// The session cannot go on.
    Lost(String),
    /// The committer ended.
    Ended,
}

/// What a session's parts are given to share.
struct Shared {
    group_offsets: Option<GroupOffsets>,
    limit: Arc<Mutex<DeadLetterLimit>>,
    dedup: Option<Arc<Dedup>>,
}

/// The running parts of a session. Dropping it stops them.
struct Session {
    workers: Vec<mpsc::Sender<Work>>,
    worker_tasks: JoinSet<Result<(), WriteError>>,
    checkpoints: mpsc::Sender<Job>,
    committer: AbortOnDrop<Result<Ending, WriteError>>,
    /// Told once the table is laid out otherwise than when the session began.
    altered: Arc<Notify>,
    /// The time of each source's newest record since the last checkpoint.
    newest_ms: BTreeMap<u64, i64>,
    dedup: Option<Arc<Dedup>>,
    /// Blocks that were handed out.
    blocks: u64,
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
        shared: Shared,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self, WriteError> {
        let Shared {
            group_offsets,
            limit,
            dedup,
        } = shared;
        let dead_letters = committer.dead_letter_table(&job.dataset.table).await?;
        let arrow = arrow_schema_of(&open.table)?;
        let dead_letter_schema = arrow_schema_of(&dead_letters)?;
        let policy = job.dataset.complete.as_ref();
        let completeness = policy.map(|policy| Completeness::new(policy, &open.state));
        let mut worker_tasks = JoinSet::new();
        let mut workers = Vec::new();
        for number in 0..job.workers.max(1) {
            let (sender, queue) = mpsc::channel(WORKER_QUEUE_BLOCKS);
            let worker = Worker {
                decoder: decoder(&job.dataset, &arrow)?,
                event_times: completeness
                    .as_ref()
                    .map(|completeness| completeness.event_times(&arrow))
                    .transpose()
                    .map_err(|error| WriteError::unfit(&open.table.name, &error.to_string()))?,
                dedup: dedup
                    .as_ref()
                    .map(|dedup| dedup.worker(job.dataset.rescued.as_deref()))
                    .transpose()
                    .map_err(|error| WriteError::unfit(&open.table.name, &error.to_string()))?,
                table: open.table.clone(),
                dead_letters: dead_letters.clone(),
                dead_letter_schema: Arc::clone(&dead_letter_schema),
                epoch: open.state.epoch,
                clock: Arc::clone(&services.clock),
                ids: Arc::clone(&services.ids),
                memory: Arc::clone(&job.memory),
                number,
                progress: progress.clone(),
            };
            worker_tasks.spawn(worker.run(queue));
            workers.push(sender);
        }
        let through = completeness.as_ref().and_then(Completeness::through_micros);
        // One checkpoint may wait while another is committed; then reading waits too.
        let (checkpoints, queue) = mpsc::channel(1);
        let altered = Arc::new(Notify::new());
        let checkpoint_committer = CheckpointCommitter {
            committer: Arc::clone(committer),
            table: job.dataset.table.clone(),
            table_uuid: open.table.metadata.uuid(),
            epoch: open.state.epoch,
            layout: Layout::of(&open.table),
            altered: Arc::clone(&altered),
            dead_letters,
            clock: Arc::clone(&services.clock),
            ids: Arc::clone(&services.ids),
            limit,
            progress: progress.clone(),
            group_offsets,
            completeness,
        };
        progress.send_modify(|progress| {
            progress.complete_through_micros = through;
            progress.session_runs(job.workers.max(1), services.clock.now_micros());
        });
        let committer = AbortOnDrop(tokio::spawn(checkpoint_committer.run(queue)));
        Ok(Self {
            workers,
            worker_tasks,
            checkpoints,
            committer,
            altered,
            newest_ms: BTreeMap::new(),
            dedup,
            blocks: 0,
        })
    }

    /// Reads, hands out, takes checkpoints; to the end of the input, a signal, or a fence.
    async fn run(
        mut self,
        mut input: Reads,
        mut gathered: Accumulated,
        mut context: Context<'_>,
        mut shutdown: Shutdown,
    ) -> Result<Ending, WriteError> {
        let is_stream = context.kafka.is_some();
        let is_once = context.kafka.as_ref().is_some_and(|kafka| kafka.is_once());
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost = None;
        let mut is_altered = false;
        let altered = Arc::clone(&self.altered);
        let can_read_again = !matches!(context.job.input, Input::StandardInput);
        let mut kafka_failed = None;
        // What was read of a source before it failed is committed, and the others are read on.
        let mut failed_sources = Vec::new();
        loop {
            if is_once
                && context
                    .kafka
                    .as_ref()
                    .is_some_and(|kafka| kafka.remaining.is_empty())
            {
                if let Some(kafka) = &mut context.kafka {
                    kafka.settle_once(&mut gathered);
                }
                break;
            }
            let due = gathered.due();
            tokio::select! {
                biased;
                ended = &mut self.committer.0 => return self.ended_early(ended).await,
                Some(ended) = self.worker_tasks.join_next() => {
                    return Err(match failed(ended) {
                        Some(error) => error,
                        // It waited for one that failed.
                        None => self.failure().await,
                    });
                }
                () = shutdown.requested() => break,
                // What a pipe has given cannot be had again: it is written to its end by what the session began with.
                () = altered.notified(), if can_read_again => {
                    is_altered = true;
                    break;
                }
                _ = look.tick(), if is_stream => {
                    context.moved();
                    if is_once {
                        context.look_again().await?;
                    } else if gathered.is_empty() {
                        match context.moved_on().await? {
                            Moved::No => {}
                            Moved::Altered => {
                                is_altered = true;
                                break;
                            }
                            Moved::Lost(reason) => {
                                lost = Some(reason);
                                break;
                            }
                        }
                    }
                }
                () = wait_until(due), if due.is_some() => self.checkpoint(&mut gathered).await?,
                look = looked(&mut context.kafka) => {
                    if let Some(kafka) = &mut context.kafka
                        && kafka.settle(look, &mut gathered)
                    {
                        self.checkpoint(&mut gathered).await?;
                    }
                }
                read = input.reads.recv() => match read {
                    None => break,
                    Some(Read::Block(mut block)) => {
                        context.passed(&block);
                        context.tell(&block, !gathered.has_blocks());
                        gathered.add(&mut block);
                        self.remember_newest(&block);
                        self.hand_out(block).await?;
                        if gathered.is_full() {
                            self.checkpoint(&mut gathered).await?;
                        }
                    }
                    Some(Read::Failed(error)) => failed_sources.push(error),
                    Some(Read::KafkaFailed(error)) => {
                        kafka_failed = Some(error);
                        break;
                    }
                    Some(Read::Group(assignment)) => {
                        match self.share(assignment, &mut gathered, &mut context).await? {
                            Share::Settled => {}
                            Share::Lost(reason) => {
                                lost = Some(reason);
                                break;
                            }
                            Share::Ended => {
                                let ended = (&mut self.committer.0).await;
                                return self.ended_early(ended).await;
                            }
                        }
                    }
                },
            }
        }
        input.reading.abort_all();
        drop(input.reads);
        if lost.is_none() {
            self.checkpoint(&mut gathered).await?;
        }
        let mut ending = self.finish().await?;
        ending.failed_sources = failed_sources;
        ending.is_altered = is_altered;
        ending.fenced = ending.fenced.or(lost);
        ending.kafka_failed = kafka_failed;
        Ok(ending)
    }

    /// The group changed our share: new partitions start where the table stands, and of those that go everything
    /// that was read is committed before others have them.
    async fn share(
        &mut self,
        assignment: Assignment,
        gathered: &mut Accumulated,
        context: &mut Context<'_>,
    ) -> Result<Share, WriteError> {
        let Some(kafka) = context.kafka.as_deref_mut() else {
            return Ok(Share::Settled);
        };
        match assignment {
            Assignment::Given(partitions) => {
                kafka
                    .given(
                        context.services,
                        context.committer,
                        &partitions,
                        context.progress,
                    )
                    .await?;
                // Another may have written of them since the window was filled.
                if let Some(dedup) = &self.dedup
                    && let Some(open) = context.committer.open(&context.job.dataset.table).await?
                {
                    let now = context.services.clock.now_micros();
                    dedup.fill(&open.table, now).await?;
                }
                Ok(Share::Settled)
            }
            Assignment::Taken(partitions) => {
                let committed = async {
                    self.checkpoint(gathered).await?;
                    let (done, waiting) = oneshot::channel();
                    let sent = self.checkpoints.send(Job::Flush(done)).await;
                    Ok::<_, WriteError>(sent.is_ok() && waiting.await.is_ok())
                };
                let committed = tokio::time::timeout(HAND_OVER_MAX, committed).await;
                context.progress.send_modify(|progress| {
                    for partition in &partitions {
                        progress.partitions.remove(partition);
                    }
                });
                kafka.release(partitions)?;
                match committed {
                    Ok(Ok(true)) => Ok(Share::Settled),
                    Ok(Ok(false)) => Ok(Share::Ended),
                    Ok(Err(error)) => Err(error),
                    Err(_) => Err(WriteError::HandOver),
                }
            }
            Assignment::Lost(_) => Ok(Share::Lost(
                "the group gave partitions of ours to another member".to_owned(),
            )),
        }
    }

    fn remember_newest(&mut self, block: &RecordBlock) {
        let Some(messages) = &block.messages else {
            return;
        };
        let newest = messages
            .of_records
            .iter()
            .filter_map(|one| one.timestamp_ms);
        if let Some(newest) = newest.max() {
            let so_far = self.newest_ms.entry(block.source.id).or_insert(newest);
            *so_far = newest.max(*so_far);
        }
    }

    /// Gives a block to the first worker that has room, so that little input makes few files.
    async fn hand_out(&mut self, block: RecordBlock) -> Result<(), WriteError> {
        let mut work = Work::Block(Box::new(block), self.blocks);
        self.blocks += 1;
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
            .send(Job::Checkpoint(Gathered {
                moves: gathered.take(),
                written,
                newest_ms: std::mem::take(&mut self.newest_ms),
            }))
            .await;
        Ok(())
    }

    /// Waits for the checkpoints on their way.
    async fn finish(mut self) -> Result<Ending, WriteError> {
        self.workers.clear();
        let (closed, _) = mpsc::channel(1);
        self.checkpoints = closed;
        let mut failure = None;
        while let Some(ended) = self.worker_tasks.join_next().await {
            if let Some(error) = failed(ended) {
                failure.get_or_insert(error);
            }
        }
        let ending = (&mut self.committer.0)
            .await
            .map_err(|_| WriteError::Stopped)?;
        match failure {
            Some(error) => Err(error),
            None => ending,
        }
    }

    /// The committer ended while there was still something to read.
    async fn ended_early(
        &mut self,
        ended: Result<Result<Ending, WriteError>, tokio::task::JoinError>,
    ) -> Result<Ending, WriteError> {
        let ending = ended.map_err(|_| WriteError::Stopped)??;
        if ending.fenced.is_some() {
            return Ok(ending);
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
