//! Kafka as a job's input, over all of its sessions.
//!
//! Every partition is put into the table's state, with the position that it begins at, before anything of it is read:
//! `start = "latest"` is then asked once, and two writers that share a topic agree on its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc as commands},
    thread::JoinHandle,
    time::Duration,
};

use frazil_dataset::TableName;
use frazil_table::{
    commit::{Advance, Checkpoint, Committer, Counts, OpenTable},
    error::{Remedy, TableError},
    state::{KafkaIdentity, SourceIdentity},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Progress, READER_QUEUE_BLOCKS, Services, WriteError, WriteJob,
    progress::PartitionProgress,
    quiet::{Look, Quiet},
};
use crate::{
    checkpoint::Accumulated,
    record::RecordBlock,
    source::{
        BlockOptions, Read,
        kafka::{
            Cluster, Command, Connection, KafkaError, KafkaErrorKind, KafkaReader,
            MatchedPartition, Partition, ReaderOptions, Seek, Start, Topics, all_there,
            match_topics, may_begin,
        },
    },
};

/// After this a block is handed on though it is not full: a part of how long a record takes to the table.
const LINGER: Duration = Duration::from_millis(100);

/// How long leaving the group may take.
const CLOSE_MAX: Duration = Duration::from_mins(1);

/// Attempts to put partitions into the table's state, each lost to another writer.
const REGISTER_ATTEMPTS_MAX: u32 = 32;

/// Makes connections to a Kafka cluster.
pub trait Connect: std::fmt::Debug + Send + Sync {
    /// A new member of the group.
    ///
    /// # Errors
    /// Settings that the client refuses.
    fn connect(&self) -> Result<Connection, KafkaError>;

    /// A client that asks, and is no member of the group.
    ///
    /// # Errors
    /// Settings that the client refuses.
    fn ask(&self) -> Result<Arc<dyn Cluster>, KafkaError>;
}

/// Topics of a Kafka cluster, to be read as a member of a group.
#[derive(Debug, Clone)]
pub struct KafkaInput {
    /// The cluster.
    pub connect: Arc<dyn Connect>,
    /// The topics.
    pub topics: Topics,
    /// The consumer group.
    pub group: String,
    /// Where partitions begin that the table has no position of.
    pub start: Seek,
    /// End at the ends that the partitions have when the run begins.
    pub once: bool,
}

/// A member of the group, alive as long as the run.
#[derive(Debug)]
pub(super) struct Kafka {
    input: KafkaInput,
    cluster: Option<Arc<dyn Cluster>>,
    commands: commands::Sender<Command>,
    thread: JoinHandle<()>,
    /// Told when the thread is done.
    stopped: oneshot::Receiver<()>,
    table: TableName,
    /// Whether it was told that brokers know no topic ids.
    is_warned: bool,
    /// Whether a session was ever attached.
    has_begun: bool,
    /// Where the run ends, if it does.
    ends: Option<BTreeMap<Partition, u64>>,
    /// Sources that are not yet read up to there.
    pub(super) remaining: BTreeMap<u64, u64>,
    /// Where it is told how complete the table is.
    quiet: Option<Quiet>,
    /// For `once`: what was at its end when the run began, and where the session began.
    quiet_once: Option<Look>,
    known: BTreeMap<Partition, MatchedPartition>,
}

/// Tells the group what is committed.
#[derive(Debug, Clone)]
pub(super) struct GroupOffsets {
    commands: commands::Sender<Command>,
    metadata: String,
}

impl GroupOffsets {
    /// After a commit.
    pub(super) fn store(&self, advances: &[Advance]) {
        let positions: Vec<_> = advances
            .iter()
            .filter_map(|advance| Some((partition_of(&advance.identity)?, advance.end)))
            .collect();
        if !positions.is_empty() {
            // Gone with the run.
            let _ = self.commands.send(Command::Store {
                positions,
                metadata: self.metadata.clone(),
            });
        }
    }
}

fn start(partition: &Partition, found: &MatchedPartition) -> Start {
    Start {
        partition: partition.clone(),
        source: found.source,
        position: found.position,
        identity: found.identity.clone(),
    }
}

/// A source's partition, where it is Kafka's.
pub(super) fn partition_of(identity: &SourceIdentity) -> Option<Partition> {
    match identity {
        SourceIdentity::Kafka(kafka) => Some(Partition {
            topic: kafka.topic.name.as_str().into(),
            number: kafka.partition,
        }),
        SourceIdentity::File(_) | SourceIdentity::StandardInput => None,
    }
}

impl Kafka {
    /// Joins the group. Nothing is read before a session is attached.
    pub(super) fn open(
        input: &KafkaInput,
        job: &WriteJob,
        services: &Services,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self, WriteError> {
        let Connection { cluster, consumer } = input.connect.connect()?;
        let blocks = BlockOptions {
            record_bytes_max: usize::try_from(job.dataset.limits.record_bytes_max)
                .unwrap_or(usize::MAX),
            block_bytes: job.block_bytes,
            leaves_open_line: false,
        };
        let reader = KafkaReader::new(
            consumer,
            ReaderOptions {
                blocks,
                linger: LINGER.min(job.dataset.checkpoint.interval / 4),
            },
        );
        let seen = reader.seen();
        progress.send_modify(|progress| progress.reader = Some(seen));
        let (commands, queue) = commands::channel();
        let (told, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || {
                reader.run(&queue);
                // Gone with the run.
                let _ = told.send(());
            })
            .map_err(|_| WriteError::Stopped)?;
        Ok(Self {
            input: input.clone(),
            cluster: Some(cluster),
            commands,
            thread,
            stopped,
            table: job.dataset.table.clone(),
            is_warned: false,
            has_begun: false,
            ends: None,
            remaining: BTreeMap::new(),
            quiet: job.dataset.complete.as_ref().map(|policy| {
                let interval = job.dataset.checkpoint.interval;
                Quiet::new(policy, interval, &input.topics, &services.clock)
            }),
            quiet_once: None,
            known: BTreeMap::new(),
        })
    }

    /// Leaves the group, once all that was asked is done.
    pub(super) async fn close(mut self) {
        // The last one of the client's owners closes it: that must be the thread.
        self.cluster = None;
        let closed = async {
            if let Some(quiet) = self.quiet {
                quiet.close().await;
            }
            let _ = self.commands.send(Command::Stop);
            let _ = self.stopped.await;
        };
        if tokio::time::timeout(CLOSE_MAX, closed).await.is_err() {
            tracing::warn!(
                "the group was not left in time; it will miss this member when its session ends"
            );
        }
    }

    /// What a session's committer tells the group by.
    pub(super) fn group_offsets(&self, open: &OpenTable) -> GroupOffsets {
        GroupOffsets {
            commands: self.commands.clone(),
            metadata: open.table.metadata.uuid().to_string(),
        }
    }

    /// Begins a session: all partitions are in the table's state, and what is read comes by the queue.
    pub(super) async fn attach(
        &mut self,
        services: &Services,
        committer: &Committer,
        open: OpenTable,
    ) -> Result<(OpenTable, mpsc::Receiver<Read>), WriteError> {
        let (open, known) = self.register(services, committer, open).await?;
        if let Some(quiet) = &mut self.quiet {
            quiet.begin(&open.state);
        }
        if self.input.once {
            if self.quiet.is_some() && self.quiet_once.is_none() {
                self.quiet_once = Some(self.look_once(services, &known).await?);
            }
            if self.ends.is_none() {
                let partitions: Vec<Partition> = known.keys().cloned().collect();
                let asked = partitions.clone();
                let ends = self
                    .ask(move |cluster| cluster.offsets(&asked, Seek::Latest))
                    .await?;
                self.ends = Some(partitions.into_iter().zip(ends).collect());
            }
            self.remaining = self.remaining(&known);
            self.known.clone_from(&known);
        }
        let (sender, reads) = mpsc::channel(READER_QUEUE_BLOCKS);
        self.send(Command::Attach(sender))?;
        self.has_begun = true;
        Ok((open, reads))
    }

    /// The group gave us partitions: each is read from where the table stands now.
    pub(super) async fn given(
        &mut self,
        services: &Services,
        committer: &Committer,
        partitions: &[Partition],
        progress: &watch::Sender<Progress>,
    ) -> Result<(), WriteError> {
        let open = self.reopen(committer).await?;
        // Topics and partitions may have come to be meanwhile, or have been made again.
        let (open, known) = self.register(services, committer, open).await?;
        let starts = partitions
            .iter()
            .map(|partition| match known.get(partition) {
                Some(found) => Ok(start(partition, found)),
                // Read by nobody else: it must not be left out.
                None => Err(KafkaError::new(
                    format!("begin reading {partition}"),
                    KafkaErrorKind::Unreachable,
                    "the group gave it to us, and the cluster does not list it",
                )),
            })
            .collect::<Result<Vec<_>, _>>()?;
        progress.send_modify(|progress| {
            for start in &starts {
                let at = PartitionProgress {
                    position: start.position,
                    newest_ms: None,
                };
                progress.partitions.insert(start.partition.clone(), at);
            }
        });
        if let Some(quiet) = &mut self.quiet {
            quiet.given(&starts, &open.state);
        }
        self.send(Command::Start(starts))
    }

    /// What was taken away is committed or given up.
    pub(super) fn release(&mut self, partitions: Vec<Partition>) -> Result<(), WriteError> {
        if let Some(quiet) = &mut self.quiet {
            quiet.let_go(&partitions);
        }
        self.send(Command::Release(partitions))
    }

    /// Looks which of the remaining sources others have read to their end. For `once`.
    pub(super) async fn look_again(&mut self, committer: &Committer) -> Result<(), WriteError> {
        let open = self.reopen(committer).await?;
        let sources = &open.state.sources;
        self.remaining.retain(|source, end| {
            sources
                .get(source)
                .is_none_or(|committed| committed.position < *end)
        });
        Ok(())
    }

    /// A block was read.
    pub(super) fn read(&mut self, block: &RecordBlock) {
        if let Some(quiet) = &mut self.quiet {
            quiet.read(block);
        }
    }

    /// Partitions that no longer count for how complete the table is.
    pub(super) fn gone(&self) -> BTreeSet<u64> {
        self.quiet.as_ref().map(Quiet::gone).unwrap_or_default()
    }

    /// Waits for what the cluster says of quiet partitions, in a run without an end.
    pub(super) async fn looked(&mut self) -> Look {
        match (&mut self.quiet, &self.cluster) {
            (Some(quiet), Some(cluster)) if !self.input.once => quiet.looked(cluster).await,
            _ => std::future::pending().await,
        }
    }

    /// Puts it into the checkpoint that is being gathered. Says whether it must be made for that alone.
    pub(super) fn settle(&mut self, look: Look, gathered: &mut Accumulated) -> bool {
        let quiet = self.quiet.as_mut();
        quiet.is_some_and(|quiet| quiet.settle(look, gathered))
    }

    /// The same at the end of a run, of what was at its end when it began.
    pub(super) fn settle_once(&mut self, gathered: &mut Accumulated) {
        let (Some(quiet), Some(look)) = (&mut self.quiet, self.quiet_once.clone()) else {
            return;
        };
        // There was nothing to read, and the run ends before the group gave us anything.
        if !quiet.was_given() {
            let known = self.known.iter();
            let all: Vec<Start> = known
                .map(|(partition, found)| start(partition, found))
                .collect();
            quiet.add(&all);
        }
        quiet.settle(look, gathered);
    }

    /// The partitions that stand at their ends.
    async fn look_once(
        &self,
        services: &Services,
        known: &BTreeMap<Partition, MatchedPartition>,
    ) -> Result<Look, WriteError> {
        let at_micros = services.clock.now_micros();
        let asked = known
            .iter()
            .map(|(partition, found)| (found.source, partition.clone()));
        let asked = asked.collect();
        let look = self
            .ask(move |cluster| Look::at(cluster, at_micros, asked))
            .await?;
        let positions = known.values().map(|found| (found.source, found.position));
        Ok(look.only_read(&positions.collect()))
    }

    /// Whether the run ends by itself.
    pub(super) fn is_once(&self) -> bool {
        self.input.once
    }

    /// Whether what failed is tried again: it worked once, may mend itself, and the run has no other end.
    pub(super) fn goes_on(&self, error: &WriteError) -> bool {
        // What the client was let do once, it may be let do again: rights and credentials change under it.
        let may_mend = match error {
            WriteError::Kafka(error) if error.kind == KafkaErrorKind::Denied => true,
            error => error.remedy() == Remedy::Retry,
        };
        self.has_begun && !self.input.once && may_mend && !self.thread.is_finished()
    }

    fn remaining(&self, known: &BTreeMap<Partition, MatchedPartition>) -> BTreeMap<u64, u64> {
        let ends = self.ends.iter().flatten();
        ends.filter_map(|(partition, end)| {
            let found = known.get(partition)?;
            (found.position < *end).then_some((found.source, *end))
        })
        .collect()
    }

    /// Puts the partitions that the table does not know into its state.
    async fn register(
        &mut self,
        services: &Services,
        committer: &Committer,
        mut open: OpenTable,
    ) -> Result<(OpenTable, BTreeMap<Partition, MatchedPartition>), WriteError> {
        for _ in 0..REGISTER_ATTEMPTS_MAX {
            let wanted = self.input.topics.clone();
            let topics = self.ask(move |cluster| cluster.topics(&wanted)).await?;
            all_there(&self.input.topics, &topics, &open.state)?;
            let matched = match_topics(&open.state, &topics)?;
            let has_ids = topics.iter().all(|topic| topic.topic.topic_id.is_some());
            if !has_ids && !std::mem::replace(&mut self.is_warned, true) {
                tracing::warn!(
                    "the brokers know no topic ids (Kafka before 2.8): a topic that is deleted and made again cannot be told from the one before"
                );
            }
            if matched.added.is_empty() && matched.of_new_topics.is_empty() {
                return Ok((open, matched.known));
            }
            let all = matched.added.iter().chain(&matched.of_new_topics);
            let partitions: Vec<Partition> = all.map(|(partition, _)| partition.clone()).collect();
            let asked = partitions.clone();
            let stored = self
                .ask(move |cluster| cluster.group_positions(&asked))
                .await?;
            if let Err(error) = may_begin(
                &self.table,
                Some(&open),
                &self.input.group,
                &partitions,
                &stored,
            ) {
                // Another writer may have begun it since the state was read.
                let now = self.reopen(committer).await?;
                if now.state.sources_version == open.state.sources_version {
                    return Err(error.into());
                }
                open = now;
                continue;
            }
            let mut starts = self.starts(matched.of_new_topics, self.input.start).await?;
            starts.extend(self.starts(matched.added, Seek::Earliest).await?);
            let first = open.state.sources_version + 1;
            let completion = self.quiet.as_ref().map(Quiet::nothing_new);
            let checkpoint = Checkpoint {
                id: services.ids.uuid(),
                table_uuid: open.table.metadata.uuid(),
                epoch: open.state.epoch,
                sources_version: open.state.sources_version,
                advances: (first..)
                    .zip(starts)
                    .map(|(source, (identity, position))| Advance {
                        source,
                        new: true,
                        identity: SourceIdentity::Kafka(identity),
                        start: position,
                        end: position,
                    })
                    .collect(),
                data_files: Vec::new(),
                dead_letters: None,
                counts: Counts::default(),
                completion,
            };
            // Whoever was first: the state then holds them.
            committer.commit(&self.table, &checkpoint).await?;
            open = self.reopen(committer).await?;
        }
        Err(WriteError::unfit(
            &self.table,
            "others keep adding sources to it; start again",
        ))
    }

    /// Where partitions begin that the table knows nothing of.
    async fn starts(
        &self,
        new: Vec<(Partition, KafkaIdentity)>,
        seek: Seek,
    ) -> Result<Vec<(KafkaIdentity, u64)>, WriteError> {
        let (partitions, identities): (Vec<Partition>, Vec<KafkaIdentity>) =
            new.into_iter().unzip();
        let positions = self
            .ask(move |cluster| cluster.offsets(&partitions, seek))
            .await?;
        Ok(identities.into_iter().zip(positions).collect())
    }

    async fn reopen(&self, committer: &Committer) -> Result<OpenTable, WriteError> {
        let open = committer.open(&self.table).await?;
        Ok(open.ok_or_else(|| TableError::gone(&self.table))?)
    }

    /// Asks the cluster, off the tasks' threads.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Cluster) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let Some(cluster) = self.cluster.clone() else {
            return Err(WriteError::Stopped);
        };
        let answer = tokio::task::spawn_blocking(move || question(cluster.as_ref()));
        Ok(answer.await.map_err(|_| WriteError::Stopped)??)
    }

    fn send(&self, command: Command) -> Result<(), WriteError> {
        self.commands.send(command).map_err(|_| WriteError::Stopped)
    }
}
