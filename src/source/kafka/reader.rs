//! Reads the partitions that the group gives us, for one session after another.
//!
//! The client stays a member of the group while sessions come and go: a session attaches itself, is told which
//! partitions are ours, says where each starts, and is sent blocks. When the group takes partitions away, the session
//! commits what it has of them and then lets them go. Where the session's queue is full, no messages are taken from
//! the client, which then fetches no more; but the group is always served, so that slow storage never costs the
//! membership.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, mpsc},
    time::Duration,
};

use frazil_table::state::KafkaIdentity;
use tokio::{
    sync::{
        mpsc::{Sender, error::TrySendError},
        watch,
    },
    time::Instant,
};

use super::{
    Assignment, Consumer, KafkaError, Message, Partition, Sink, blocks::PartitionBlocks,
    stops::within,
};
use crate::{
    record::SourceInfo,
    source::{BlockOptions, Read, blocks::Pool},
};

/// How long messages are waited for at a time, while none come.
const WAIT: Duration = Duration::from_millis(100);

/// How long to wait before a full queue is tried again.
const WAIT_FULL: Duration = Duration::from_millis(5);

/// How much all partitions' blocks may hold together, as long as each may have [`BLOCK_BYTES_MIN`].
const BLOCKS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The least that a block may hold.
const BLOCK_BYTES_MIN: usize = 64 * 1024;

/// How often it tells whoever watches what it sees.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What the reader sees, for whoever watches.
#[derive(Debug, Clone)]
pub struct ReaderSeen {
    /// The first offset that a partition holds, and that of what comes next, as the client last heard.
    pub offsets: BTreeMap<Partition, (u64, u64)>,
    /// When the client was last served.
    pub polled: Instant,
}

/// How blocks are made.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// How records are cut. Of many partitions, each has smaller blocks.
    pub blocks: BlockOptions,
    /// After this a block is handed on though it is not full.
    pub linger: Duration,
}

/// Where a partition's reading starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The partition.
    pub partition: Partition,
    /// Its source's id in the table's state.
    pub source: u64,
    /// The next offset to read.
    pub position: u64,
    /// What it is, as of the position.
    pub identity: KafkaIdentity,
}

/// What a session asks for.
#[derive(Debug)]
pub enum Command {
    /// A new session, which takes what is read. All before it is forgotten.
    Attach(Sender<Read>),
    /// Read these from there.
    Start(Vec<Start>),
    /// Let these go: what was read of them is committed, or given up.
    Release(Vec<Partition>),
    /// These are committed: let the group know.
    Store {
        /// The positions.
        positions: Vec<(Partition, u64)>,
        /// A text to store with each.
        metadata: String,
    },
    /// Leave the group.
    Stop,
}

/// Obeys commands and sends what it reads.
#[derive(Debug)]
pub struct KafkaReader {
    consumer: Box<dyn Consumer>,
    options: ReaderOptions,
    session: Option<Sender<Read>>,
    /// Ours, whether or not they have been started.
    owned: BTreeSet<Partition>,
    /// To go, as soon as the session says so.
    leaving: BTreeSet<Partition>,
    blocks: Blocks,
    failure: Option<KafkaError>,
    seen: watch::Sender<ReaderSeen>,
}

/// The blocks being gathered, and what waits for a place in the session's queue.
#[derive(Debug)]
struct Blocks {
    reading: HashMap<Partition, PartitionBlocks>,
    waiting: VecDeque<Read>,
    /// Those of which the broker says that it lacks the next offset.
    out_of_range: Vec<Partition>,
}

impl Sink for Blocks {
    fn message(&mut self, partition: &Partition, message: Message<'_>) {
        let Some(blocks) = self.reading.get_mut(partition) else {
            return;
        };
        if let Some(block) = blocks.message(message) {
            self.waiting.push_back(Read::Block(block));
        }
    }

    fn end(&mut self, partition: &Partition, offset: u64) {
        let Some(blocks) = self.reading.get_mut(partition) else {
            return;
        };
        blocks.end(offset);
        self.waiting.extend(blocks.take().map(Read::Block));
    }

    fn out_of_range(&mut self, partition: &Partition) {
        self.out_of_range.push(partition.clone());
    }
}

impl KafkaReader {
    /// A reader without a session.
    pub fn new(consumer: Box<dyn Consumer>, options: ReaderOptions) -> Self {
        Self {
            consumer,
            options,
            session: None,
            owned: BTreeSet::new(),
            leaving: BTreeSet::new(),
            blocks: Blocks {
                reading: HashMap::new(),
                waiting: VecDeque::new(),
                out_of_range: Vec::new(),
            },
            failure: None,
            seen: watch::Sender::new(ReaderSeen {
                offsets: BTreeMap::new(),
                polled: Instant::now(),
            }),
        }
    }

    /// What it sees from now on.
    pub fn seen(&self) -> watch::Receiver<ReaderSeen> {
        self.seen.subscribe()
    }

    /// Reads until told to stop, or until nobody is left to tell it.
    pub fn run(mut self, commands: &mpsc::Receiver<Command>) {
        loop {
            loop {
                match commands.try_recv() {
                    Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                        self.detach();
                        return;
                    }
                    Ok(command) => self.obey(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            self.step(WAIT);
        }
    }

    /// Does as it is told. [`Command::Stop`] is for whoever runs it.
    pub fn obey(&mut self, command: Command) {
        let done = match command {
            Command::Attach(session) => {
                self.detach();
                // It was of a session that is over.
                self.failure = None;
                if !self.owned.is_empty() {
                    let given = Assignment::Given(self.owned.iter().cloned().collect());
                    self.blocks.waiting.push_back(Read::Group(given));
                }
                self.session = Some(session);
                Ok(())
            }
            Command::Start(starts) => self.start(starts),
            Command::Release(partitions) => {
                for partition in &partitions {
                    self.leaving.remove(partition);
                }
                self.consumer.release(&partitions)
            }
            Command::Store {
                positions,
                metadata,
            } => {
                self.consumer.store(&positions, &metadata);
                Ok(())
            }
            Command::Stop => Ok(()),
        };
        if let Err(error) = done {
            self.failure.get_or_insert(error);
        }
    }

    /// One round: hands on what waits, then serves the group and takes messages, waiting for at most `wait`.
    pub fn step(&mut self, wait: Duration) {
        self.send();
        let is_full = !self.blocks.waiting.is_empty();
        let wants = self.session.is_some() && !is_full && !self.blocks.reading.is_empty();
        let wait = if is_full { wait.min(WAIT_FULL) } else { wait };
        let sink = wants.then_some(&mut self.blocks as &mut dyn Sink);
        match self.consumer.poll(wait, sink) {
            Ok(assignments) => assignments.into_iter().for_each(|one| self.assigned(one)),
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
        for partition in std::mem::take(&mut self.blocks.out_of_range) {
            if let Err(error) = self.look_closer(&partition) {
                self.failure.get_or_insert(error);
            }
        }
        let now = Instant::now();
        self.tell(now);
        for blocks in self.blocks.reading.values_mut() {
            let is_due = blocks
                .since()
                .is_some_and(|since| now.duration_since(since) >= self.options.linger);
            if is_due {
                self.blocks.waiting.extend(blocks.take().map(Read::Block));
            }
        }
        self.send();
    }

    fn tell(&self, now: Instant) {
        if now.duration_since(self.seen.borrow().polled) < TELL_EVERY {
            return;
        }
        let reading = self.blocks.reading.keys();
        let offsets = reading
            .filter_map(|one| Some((one.clone(), self.consumer.held_offsets(one)?)))
            .collect();
        self.seen.send_replace(ReaderSeen {
            offsets,
            polled: now,
        });
    }

    /// What a broker says of one fetch is not believed at once: it may be of an earlier one, or of a moment when the
    /// partition moved. Where the offset is there, reading goes on at it.
    fn look_closer(&mut self, partition: &Partition) -> Result<(), KafkaError> {
        let Some(next) = self
            .blocks
            .reading
            .get(partition)
            .map(PartitionBlocks::next)
        else {
            return Ok(());
        };
        let (first, end) = self.consumer.bounds(partition)?;
        within(partition, next, first, end)?;
        tracing::debug!(%partition, next, first, end, "the broker had the offset out of range, and has it");
        self.consumer.start(&[(partition.clone(), next, None)])
    }

    fn assigned(&mut self, assignment: Assignment) {
        match &assignment {
            Assignment::Given(partitions) => self.owned.extend(partitions.iter().cloned()),
            Assignment::Taken(partitions) | Assignment::Lost(partitions) => {
                for partition in partitions {
                    self.owned.remove(partition);
                    self.blocks.reading.remove(partition);
                }
            }
        }
        let gone = match &assignment {
            Assignment::Taken(partitions) if self.session.is_some() => {
                self.leaving.extend(partitions.iter().cloned());
                None
            }
            Assignment::Taken(partitions) | Assignment::Lost(partitions) => Some(partitions),
            Assignment::Given(_) => None,
        };
        if let Some(partitions) = gone
            && let Err(error) = self.consumer.release(partitions)
        {
            self.failure.get_or_insert(error);
        }
        if self.session.is_some() {
            self.blocks.waiting.push_back(Read::Group(assignment));
        }
    }

    fn start(&mut self, starts: Vec<Start>) -> Result<(), KafkaError> {
        // What was taken away since the session was told of it is another's.
        let starts: Vec<Start> = starts
            .into_iter()
            .filter(|start| self.owned.contains(&start.partition))
            .collect();
        let places: Vec<_> = starts
            .iter()
            .map(|start| {
                let epoch = start.identity.leader_epoch;
                (start.partition.clone(), start.position, epoch)
            })
            .collect();
        self.consumer.start(&places)?;
        let options = self.block_options();
        let pool = Pool::new(options.block_bytes);
        for start in starts {
            let info = Arc::new(SourceInfo {
                id: start.source,
                name: Arc::clone(&start.partition.topic),
                partition: start.partition.number,
            });
            let blocks =
                PartitionBlocks::new(info, start.identity, start.position, options, pool.clone());
            self.blocks.reading.insert(start.partition, blocks);
        }
        Ok(())
    }

    fn block_options(&self) -> BlockOptions {
        let share = BLOCKS_BYTES_MAX / self.owned.len().max(1);
        BlockOptions {
            block_bytes: self
                .options
                .blocks
                .block_bytes
                .min(share.max(BLOCK_BYTES_MIN)),
            ..self.options.blocks
        }
    }

    /// Sends what waits, as far as the session has room.
    fn send(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        if let Some(error) = self.failure.take() {
            self.blocks.waiting.push_back(Read::KafkaFailed(error));
        }
        while let Some(read) = self.blocks.waiting.pop_front() {
            match session.try_send(read) {
                Ok(()) => {}
                Err(TrySendError::Full(read)) => {
                    self.blocks.waiting.push_front(read);
                    return;
                }
                Err(TrySendError::Closed(_)) => break,
            }
        }
        if self.session.as_ref().is_some_and(Sender::is_closed) {
            self.detach();
        }
    }

    /// Forgets the session, and lets go what only it held.
    fn detach(&mut self) {
        self.session = None;
        self.blocks.reading.clear();
        self.blocks.waiting.clear();
        let leaving: Vec<Partition> = std::mem::take(&mut self.leaving).into_iter().collect();
        if !leaving.is_empty()
            && let Err(error) = self.consumer.release(&leaving)
        {
            self.failure.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests;
