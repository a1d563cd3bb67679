//! The seam by librdkafka.

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use frazil_table::state::KafkaTopic;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{
    Assignment, Cluster, Connection, Consumer, GroupPosition, KafkaError, KafkaErrorKind,
    Partition, Seek, Sink, Topic, Topics,
    native::{self, Delivered, MessageQueue},
};

/// How long a question to the cluster may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How a client is made.
#[derive(Clone)]
pub struct ClientOptions {
    /// What people call the cluster: its name and brokers.
    pub name: String,
    /// What librdkafka is told: brokers, TLS, SASL, and what the deployment sets beside. May hold secrets.
    pub properties: Vec<(String, String)>,
    /// The consumer group.
    pub group: String,
    /// Whether records of aborted and open transactions are passed over.
    pub read_committed: bool,
    /// What to subscribe to.
    pub topics: Topics,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("name", &self.name)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// Joins the group and subscribes. Does not wait for an answer.
///
/// # Errors
/// Settings that librdkafka refuses.
pub fn connect(options: &ClientOptions) -> Result<Connection, KafkaError> {
    let action = format!("connect to Kafka cluster {}", options.name);
    let refused =
        |error: ClientError| KafkaError::new(&action, KafkaErrorKind::Usage, without_name(&error));
    let mut config = ClientConfig::new();
    // Below the deployment's own properties: what suits most.
    config
        .set("client.id", "frazil")
        // Enough for a core's worth of decoding while the network has a pause.
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.wait.max.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "30000");
    for (key, value) in &options.properties {
        config.set(key, value);
    }
    let isolation = if options.read_committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    // Above them: what exactly-once rests on.
    config
        .set("group.id", &options.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("allow.auto.create.topics", "false");
    config.set_log_level(match config.get("debug") {
        Some(_) => RDKafkaLogLevel::Debug,
        None => RDKafkaLogLevel::Warning,
    });
    let context = Context {
        cluster: options.name.clone(),
        assignments: Mutex::default(),
        failure: Mutex::default(),
        closing: AtomicBool::new(false),
    };
    let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(refused)?;
    let subscribed = match &options.topics {
        Topics::Names(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            consumer.subscribe(&names)
        }
        Topics::Pattern(pattern) => consumer.subscribe(&[&format!("^({pattern})$")]),
    };
    subscribed.map_err(refused)?;
    let consumer = Arc::new(consumer);
    Ok(Connection {
        cluster: Arc::new(RdCluster {
            consumer: Arc::clone(&consumer),
            name: options.name.clone(),
        }),
        consumer: Box::new(RdConsumer {
            queue: MessageQueue::new(Arc::clone(&consumer)),
            started: HashSet::new(),
            given: HashSet::new(),
            taken: HashSet::new(),
            names: HashMap::new(),
            name: options.name.clone(),
            consumer,
        }),
    })
}

/// What librdkafka calls back.
struct Context {
    cluster: String,
    assignments: Mutex<Vec<Assignment>>,
    failure: Mutex<Option<KafkaError>>,
    /// Set when the client is dropped: nobody will answer any more.
    closing: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(cluster = self.cluster, facility, "{message}");
            }
            // A connection that fails is told as an error, too, and once by us. The group's offsets, which only tell
            // of lag, cannot be stored while the group changes.
            _ if ["FAIL", "COMMITFAIL"].contains(&facility) => {
                tracing::debug!(cluster = self.cluster, facility, "{message}");
            }
            _ => tracing::warn!(cluster = self.cluster, facility, "{message}"),
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        self.failed(code, reason);
    }
}

impl Context {
    /// Keeps what a person must look at; the rest mends itself, and is logged.
    fn failed(&self, code: RDKafkaErrorCode, reason: &str) {
        let Some(kind) = kind_of(code) else {
            if code != RDKafkaErrorCode::PartitionEOF {
                tracing::warn!(cluster = self.cluster, "Kafka: {reason}");
            }
            return;
        };
        let action = format!("read Kafka cluster {}", self.cluster);
        let error = KafkaError::new(action, kind, format!("{reason}{}", next_step(kind)));
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_given = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let _ = if is_given {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            return;
        }
        let listed = partitions
            .elements()
            .iter()
            .map(|one| Partition {
                topic: one.topic().into(),
                number: one.partition(),
            })
            .collect();
        let assignment = match (is_given, consumer.assignment_lost()) {
            (true, _) => Assignment::Given(listed),
            (false, false) => Assignment::Taken(listed),
            (false, true) => Assignment::Lost(listed),
        };
        self.assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(assignment);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(
                cluster = self.cluster,
                "the group's offsets, which only tell of lag, were not stored: {}",
                without_name(&error)
            );
        }
    }
}

/// What to do about an error; `None` where the client goes on by itself.
fn kind_of(code: RDKafkaErrorCode) -> Option<KafkaErrorKind> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange => {
            KafkaErrorKind::PositionsLost
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedSASLMechanism => KafkaErrorKind::Denied,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            KafkaErrorKind::TopicChanged
        }
        Code::FencedInstanceId | Code::InconsistentGroupProtocol | Code::Fatal => {
            KafkaErrorKind::Usage
        }
        _ => return None,
    })
}

fn next_step(kind: KafkaErrorKind) -> &'static str {
    match kind {
        KafkaErrorKind::PositionsLost => {
            "; the records between the table's position and what the topic still holds are gone from it: \
             `frazil offsets show DATASET` shows both, `frazil offsets set DATASET --source ID --position OFFSET` goes \
             on without them"
        }
        KafkaErrorKind::Denied => "; check the credentials and this user's rights",
        KafkaErrorKind::TopicChanged => {
            "; the topic is gone: make the dataset's `topics` fit, or start again once it is there"
        }
        KafkaErrorKind::Usage | KafkaErrorKind::Unreachable | KafkaErrorKind::PositionsMissing => {
            ""
        }
    }
}

/// The client's errors begin with the names of its calls, which mean nothing to people.
fn without_name(error: &ClientError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

/// Asks.
struct RdCluster {
    consumer: Arc<BaseConsumer<Context>>,
    name: String,
}

impl fmt::Debug for RdCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdCluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl RdCluster {
    fn failed(&self, what: &str, error: &ClientError) -> KafkaError {
        let code = error.rdkafka_error_code();
        let kind = code
            .and_then(kind_of)
            .unwrap_or(KafkaErrorKind::Unreachable);
        let told = self
            .consumer
            .context()
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match told {
            // Why nobody answers is told by the client's own connections.
            Some(told) if kind == KafkaErrorKind::Unreachable => told,
            _ => self.error(what, kind, &without_name(error)),
        }
    }

    fn error(&self, what: &str, kind: KafkaErrorKind, reason: &str) -> KafkaError {
        KafkaError::new(
            format!("{what} of Kafka cluster {}", self.name),
            kind,
            format!("{reason}{}", next_step(kind)),
        )
    }

    fn names(&self, topics: &Topics) -> Result<Vec<String>, KafkaError> {
        let pattern = match topics {
            Topics::Names(names) => return Ok(names.clone()),
            Topics::Pattern(pattern) => pattern,
        };
        let whole = regex::Regex::new(&format!("^({pattern})$")).map_err(|error| {
            let reason = format!("topics_pattern is no regular expression: {error}");
            self.error("find topics", KafkaErrorKind::Usage, &reason)
        })?;
        let metadata = self
            .consumer
            .fetch_metadata(None, ANSWER_TIMEOUT)
            .map_err(|error| self.failed("list the topics", &error))?;
        let names = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| whole.is_match(name)).collect())
    }
}

impl Cluster for RdCluster {
    fn topics(&self, topics: &Topics) -> Result<Vec<Topic>, KafkaError> {
        let names = self.names(topics)?;
        let cluster_id = self
            .consumer
            .client()
            .fetch_cluster_id(ANSWER_TIMEOUT)
            .ok_or_else(|| {
                self.failed(
                    "learn the id",
                    &ClientError::Global(RDKafkaErrorCode::OperationTimedOut),
                )
            })?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let ids = match native::topic_ids(&self.consumer, &names, ANSWER_TIMEOUT) {
            Ok(ids) => ids,
            Err(RDKafkaErrorCode::UnsupportedFeature) => vec![Ok(None); names.len()],
            Err(code) => {
                return Err(self.failed("describe the topics", &ClientError::Global(code)));
            }
        };
        let mut found = Vec::new();
        for (name, id) in names.into_iter().zip(ids) {
            let topic_id = match id {
                Ok(id) => id,
                Err(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    continue;
                }
                Err(code) => {
                    let what = format!("describe topic {name}");
                    return Err(self.failed(&what, &ClientError::Global(code)));
                }
            };
            let metadata = self
                .consumer
                .fetch_metadata(Some(&name), ANSWER_TIMEOUT)
                .map_err(|error| self.failed(&format!("look at topic {name}"), &error))?;
            let mut partitions: Vec<i32> = metadata
                .topics()
                .iter()
                .filter(|topic| topic.name() == name)
                .flat_map(|topic| topic.partitions())
                .map(|partition| partition.id())
                .collect();
            partitions.sort_unstable();
            found.push(Topic {
                topic: KafkaTopic {
                    cluster_id: cluster_id.clone(),
                    topic_id,
                    name,
                },
                partitions,
            });
        }
        Ok(found)
    }

    fn offsets(&self, partitions: &[Partition], seek: Seek) -> Result<Vec<u64>, KafkaError> {
        let ends = || -> Result<Vec<(i64, i64)>, KafkaError> {
            partitions
                .iter()
                .map(|one| {
                    self.consumer
                        .fetch_watermarks(&one.topic, one.number, ANSWER_TIMEOUT)
                        .map_err(|error| self.failed(&format!("ask for offsets of {one}"), &error))
                })
                .collect()
        };
        let offset = |raw: i64| u64::try_from(raw).unwrap_or(0);
        match seek {
            Seek::Earliest => Ok(ends()?.into_iter().map(|(low, _)| offset(low)).collect()),
            Seek::Latest => Ok(ends()?.into_iter().map(|(_, high)| offset(high)).collect()),
            Seek::Time(at_ms) => {
                let mut asked = TopicPartitionList::with_capacity(partitions.len());
                for one in partitions {
                    let _ =
                        asked.add_partition_offset(&one.topic, one.number, Offset::Offset(at_ms));
                }
                let told = self
                    .consumer
                    .offsets_for_times(asked, ANSWER_TIMEOUT)
                    .map_err(|error| self.failed("ask for offsets by time", &error))?;
                let ends = ends()?;
                let found = partitions.iter().zip(ends).map(|(one, (_, high))| {
                    match told
                        .find_partition(&one.topic, one.number)
                        .map(|one| one.offset())
                    {
                        Some(Offset::Offset(at)) => offset(at),
                        _ => offset(high),
                    }
                });
                Ok(found.collect())
            }
        }
    }

    fn group_positions(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<GroupPosition>>, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            asked.add_partition(&one.topic, one.number);
        }
        let told = self
            .consumer
            .committed_offsets(asked, ANSWER_TIMEOUT)
            .map_err(|error| self.failed("ask for the group's offsets", &error))?;
        let found = partitions.iter().map(|one| {
            let told = told.find_partition(&one.topic, one.number)?;
            match told.offset() {
                Offset::Offset(at) => Some(GroupPosition {
                    offset: u64::try_from(at).ok()?,
                    metadata: told.metadata().to_owned(),
                }),
                _ => None,
            }
        });
        Ok(found.collect())
    }
}

type Answer = fn(&BaseConsumer<Context>, &TopicPartitionList) -> KafkaResult<()>;

/// Reads.
struct RdConsumer {
    queue: MessageQueue<Context>,
    /// Those that the client has been told to read.
    started: HashSet<Partition>,
    /// Those that the group waits for us to start.
    given: HashSet<Partition>,
    /// Those that the group waits for us to let go.
    taken: HashSet<Partition>,
    /// Topics' names as they were last delivered, so that a message costs no allocation.
    names: HashMap<CString, Arc<str>>,
    name: String,
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

    /// Keeps in mind what the group waits for.
    fn note(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            match assignment {
                Assignment::Given(partitions) => self.given.extend(partitions.iter().cloned()),
                Assignment::Taken(partitions) | Assignment::Lost(partitions) => {
                    self.taken.extend(partitions.iter().cloned());
                }
            }
        }
    }

    fn take(&mut self, wait: Duration, sink: &mut dyn Sink) {
        let Self {
            queue,
            names,
            consumer,
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
                    let name = match names.get(topic) {
                        Some(name) => Arc::clone(name),
                        None => {
                            let name: Arc<str> = topic.to_string_lossy().into();
                            names.insert(topic.to_owned(), Arc::clone(&name));
                            name
                        }
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
        let first_wait = if messages.is_some() {
            Duration::ZERO
        } else {
            wait
        };
        // Errors come by the context, too, with their reasons.
        let _ = self.consumer.poll(first_wait);
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
        let assignments = self.assignments();
        self.note(&assignments);
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
        if !again.is_empty() {
            // What was fetched before is outdated by it, and never delivered.
            let sought = self
                .consumer
                .seek_partitions(list(&again), ANSWER_TIMEOUT)
                .map_err(|error| self.refused("go back in", &error))?;
            for element in sought.elements() {
                element
                    .error()
                    .map_err(|error| self.refused("go back in", &error))?;
            }
        }
        if !new.is_empty() {
            for (partition, ..) in &new {
                self.queue.lead(&partition.topic, partition.number);
            }
            self.consumer
                .incremental_assign(&list(&new))
                .map_err(|error| self.refused("read partitions of", &error))?;
            for (partition, ..) in new {
                self.given.remove(partition);
                self.started.insert(partition.clone());
            }
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), KafkaError> {
        for partition in partitions {
            self.started.remove(partition);
            self.taken.remove(partition);
        }
        self.consumer
            .incremental_unassign(&listed(partitions))
            .map_err(|error| self.refused("let go partitions of", &error))
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
        let context = self.consumer.context();
        context.closing.store(true, Ordering::Relaxed);
        // What the group waits for is answered, else closing the client would wait for ever.
        let untold = self.assignments();
        self.note(&untold);
        let answers = [
            (&self.taken, BaseConsumer::incremental_unassign as Answer),
            (&self.given, BaseConsumer::incremental_assign as Answer),
        ];
        for (partitions, answer) in answers {
            if !partitions.is_empty()
                && let Err(error) = answer(&self.consumer, &listed(partitions))
            {
                let reason = without_name(&error);
                tracing::debug!(cluster = self.name, "leave the group: {reason}");
            }
        }
    }
}
