//! A member of the group, which reads.

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};

use super::{
    ANSWER_TIMEOUT,
    context::{Context, without_name},
};
use crate::source::kafka::{
    Assignment, Consumer, KafkaError, KafkaErrorKind, Partition, Sink,
    native::{self, Delivered, MessageQueue},
};

/// Events that are served before messages are taken.
const EVENTS_MAX: usize = 100;

/// How long a member that ends waits for its group to let it go: a change of the group goes first, which may wait for
/// others. Longer, and whoever stops the process may lose patience; shorter, and the group more often waits for the
/// end of this member's session.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// How long to wait at a time for what the group asks meanwhile.
const LEAVE_WAIT: Duration = Duration::from_millis(20);

/// Reads.
pub(super) struct RdConsumer {
    queue: MessageQueue<Context>,
    /// Those that the client has been told to read.
    started: HashSet<Partition>,
    /// Topics' names as they were last delivered, so that a message costs no allocation.
    names: HashMap<CString, Arc<str>>,
    name: String,
    /// Whether the group keeps our place while we are away.
    is_static: bool,
    consumer: Arc<BaseConsumer<Context>>,
}

impl fmt::Debug for RdConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdConsumer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl RdConsumer {
    pub(super) fn new(consumer: Arc<BaseConsumer<Context>>, name: String, is_static: bool) -> Self {
        Self {
            queue: MessageQueue::new(Arc::clone(&consumer)),
            started: HashSet::new(),
            names: HashMap::new(),
            name,
            is_static,
            consumer,
        }
    }

    fn refused(&self, what: &str, error: &ClientError) -> KafkaError {
        KafkaError::new(
            format!("{what} Kafka cluster {}", self.name),
            KafkaErrorKind::Unreachable,
            without_name(error),
        )
    }

    fn assignments(&self) -> Vec<Assignment> {
        let context = self.consumer.context();
        let mut assignments = context
            .assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut assignments)
    }

    /// Tells the group that we have done what it asked for.
    fn answered(&self) {
        self.consumer
            .context()
            .is_owed
            .store(false, Ordering::Relaxed);
    }

    fn assign(&self, partitions: &TopicPartitionList) -> Result<(), KafkaError> {
        self.consumer
            .incremental_assign(partitions)
            .map_err(|error| self.refused("read partitions of", &error))?;
        self.answered();
        Ok(())
    }

    /// Leaves the group, while the client still lives as usual.
    ///
    /// A client that is closed amid a change of the group says no good-bye, so that the others wait for its session to
    /// end. And where the answer to its SyncGroup request comes as it closes, librdkafka before 2.14.2 crashes: it says
    /// the good-bye then, to a coordinator that it has just forgotten.
    fn leave(&mut self) {
        let begun = Instant::now();
        self.let_all_go();
        // Takes effect when the change of the group is over that goes on now, if one does.
        self.consumer.unsubscribe();
        while native::is_member(&self.consumer) && begun.elapsed() < LEAVE_MAX {
            // Messages go elsewhere, and errors hinder nobody any more.
            let _ = self.consumer.poll(LEAVE_WAIT);
            if self.consumer.context().is_owed.load(Ordering::Relaxed) {
                self.let_all_go();
            }
        }
    }

    /// Answers the group, whichever answer it waits for, by reading nothing any more.
    fn let_all_go(&mut self) {
        // The first is the answer to partitions that are given, the second to those that are taken; each changes
        // nothing where the other one is due.
        let _ = self.consumer.incremental_assign(&TopicPartitionList::new());
        let _ = self.consumer.incremental_unassign(&listed(&self.started));
        self.started.clear();
        self.answered();
    }

    fn take(&mut self, wait: Duration, sink: &mut dyn Sink) {
        let Self {
            queue,
            names,
            consumer,
            started,
            ..
        } = self;
        let mut last: Option<Partition> = None;
        queue.batch(wait, |topic, number, delivered| {
            let partition = match &last {
                Some(last)
                    if last.number == number && last.topic.as_bytes() == topic.to_bytes() =>
                {
                    last
                }
                _ => {
                    let name = if let Some(name) = names.get(topic) {
                        Arc::clone(name)
                    } else {
                        let name: Arc<str> = topic.to_string_lossy().into();
                        names.insert(topic.to_owned(), Arc::clone(&name));
                        name
                    };
                    last.insert(Partition {
                        topic: name,
                        number,
                    })
                }
            };
            match delivered {
                Delivered::Message(message) => sink.message(partition, message),
                Delivered::End(offset) => sink.end(partition, offset),
                Delivered::Error(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                    _,
                ) => sink.out_of_range(partition),
                // What was read before it was let go is nobody's any more.
                Delivered::Error(..) if !started.contains(partition) => {}
                Delivered::Error(code, reason) => {
                    consumer
                        .context()
                        .failed(code, &format!("{partition}: {reason}"));
                }
            }
        });
    }
}

fn listed<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}

impl Consumer for RdConsumer {
    fn poll(
        &mut self,
        wait: Duration,
        messages: Option<&mut dyn Sink>,
    ) -> Result<Vec<Assignment>, KafkaError> {
        let mut event_wait = if messages.is_some() {
            Duration::ZERO
        } else {
            wait
        };
        for _ in 0..EVENTS_MAX {
            // Errors come by the context, too, with their reasons.
            match self.consumer.poll(event_wait) {
                None => break,
                Some(Ok(_)) => {
                    return Err(KafkaError::new(
                        format!("read Kafka cluster {}", self.name),
                        KafkaErrorKind::Unreachable,
                        "a message came by a way that is not looked at",
                    ));
                }
                Some(Err(_)) => event_wait = Duration::ZERO,
            }
        }
        if let Some(sink) = messages {
            self.take(wait, sink);
        }
        let context = self.consumer.context();
        let failure = context
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = failure {
            return Err(error);
        }
        let mut assignments = self.assignments();
        // The group says so where our share stays as it is, and waits for an answer all the same.
        if assignments
            .iter()
            .any(|one| matches!(one, Assignment::Given(partitions) if partitions.is_empty()))
        {
            self.assign(&TopicPartitionList::new())?;
            assignments.retain(
                |one| !matches!(one, Assignment::Given(partitions) if partitions.is_empty()),
            );
        }
        Ok(assignments)
    }

    fn start(&mut self, starts: &[(Partition, u64, Option<i32>)]) -> Result<(), KafkaError> {
        let list = |wanted: &[&(Partition, u64, Option<i32>)]| {
            let mut list = TopicPartitionList::with_capacity(wanted.len());
            for (partition, position, epoch) in wanted {
                let offset = Offset::Offset(i64::try_from(*position).unwrap_or(i64::MAX));
                let _ = list.add_partition_offset(&partition.topic, partition.number, offset);
                if let Some(epoch) = epoch {
                    native::set_leader_epoch(&list, &partition.topic, partition.number, *epoch);
                }
            }
            list
        };
        let (again, new): (Vec<_>, Vec<_>) = starts
            .iter()
            .partition(|(partition, ..)| self.started.contains(partition));
        let mut stuck = Vec::new();
        if !again.is_empty() {
            // What was fetched before is outdated by it, and never delivered.
            let sought = self
                .consumer
                .seek_partitions(list(&again), ANSWER_TIMEOUT)
                .map_err(|error| self.refused("go back in", &error))?;
            for start in again {
                let told = sought.find_partition(&start.0.topic, start.0.number);
                if told.is_none_or(|told| told.error().is_err()) {
                    stuck.push(start);
                }
            }
        }
        if !stuck.is_empty() {
            // One that the client gave up reading is taken out and put in again. The answer to a question in between
            // tells that it is out: only then are its messages led anew.
            if self.consumer.context().is_owed.load(Ordering::Relaxed) {
                return Err(self.refused(
                    "go back in",
                    &ClientError::Global(RDKafkaErrorCode::RebalanceInProgress),
                ));
            }
            self.consumer
                .incremental_unassign(&list(&stuck))
                .and_then(|()| self.consumer.assignment())
                .map_err(|error| self.refused("go back in", &error))?;
        }
        for (partition, ..) in stuck.iter().chain(&new) {
            self.queue
                .lead(&partition.topic, partition.number)
                .map_err(|code| self.refused("read partitions of", &ClientError::Global(code)))?;
        }
        let all: Vec<_> = stuck.into_iter().chain(new).collect();
        if !all.is_empty() {
            self.assign(&list(&all))?;
            self.started
                .extend(all.into_iter().map(|(partition, ..)| partition.clone()));
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), KafkaError> {
        // The client refuses a list with one that it does not have; an empty one is an answer, too.
        let ours: Vec<&Partition> = partitions
            .iter()
            .filter(|partition| self.started.contains(*partition))
            .collect();
        self.consumer
            .incremental_unassign(&listed(ours))
            .map_err(|error| self.refused("let go partitions of", &error))?;
        self.answered();
        for partition in partitions {
            self.started.remove(partition);
        }
        Ok(())
    }

    fn bounds(&self, partition: &Partition) -> Result<(u64, u64), KafkaError> {
        let (first, end) = self
            .consumer
            .fetch_watermarks(&partition.topic, partition.number, ANSWER_TIMEOUT)
            .map_err(|error| self.refused("look at a partition of", &error))?;
        let offset = |raw: i64| u64::try_from(raw).unwrap_or(0);
        Ok((offset(first), offset(end)))
    }

    fn held_offsets(&self, partition: &Partition) -> Option<(u64, u64)> {
        native::held_offsets(&self.consumer, &partition.topic, partition.number)
    }

    fn store(&mut self, positions: &[(Partition, u64)], metadata: &str) {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, position) in positions {
            let mut element = list.add_partition(&partition.topic, partition.number);
            let _ =
                element.set_offset(Offset::Offset(i64::try_from(*position).unwrap_or(i64::MAX)));
            element.set_metadata(metadata);
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(
                cluster = self.name,
                "the group's offsets, which only tell of lag, were not stored: {}",
                without_name(&error)
            );
        }
    }
}

impl Drop for RdConsumer {
    fn drop(&mut self) {
        if !self.is_static {
            self.leave();
        }
        let context = self.consumer.context();
        context.closing.store(true, Ordering::Relaxed);
        // The end goes first: what is answered behind it means that all is let go. What the group waits for must be
        // answered, and only once; without it, dropping the client would wait for ever.
        if self.consumer.close_queue().is_err() {
            return;
        }
        if context.is_owed.swap(false, Ordering::Relaxed) {
            context.is_answered.store(true, Ordering::Relaxed);
            let _ = self
                .consumer
                .incremental_unassign(&TopicPartitionList::new());
        }
    }
}
