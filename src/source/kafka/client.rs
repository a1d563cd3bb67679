//! The seam by librdkafka.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    ffi::CString,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use frazil_table::state::KafkaTopic;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    client::OAuthToken,
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

/// How long to wait before a question is asked again that the brokers could not answer yet.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Events that are served before messages are taken.
const EVENTS_MAX: usize = 100;

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
    /// Who gives tokens out, for SASL's OAUTHBEARER.
    pub tokens: Option<Arc<dyn Tokens>>,
}

/// Gives out tokens for SASL's OAUTHBEARER.
pub trait Tokens: Send + Sync {
    /// A fresh token. Waits for the network.
    ///
    /// # Errors
    /// Why there is none; holds no secret.
    fn token(&self) -> Result<Token, String>;
}

/// A token for SASL's OAUTHBEARER.
pub struct Token {
    /// The token itself: a secret.
    pub text: String,
    /// Who it is of.
    pub principal: String,
    /// Until when it holds, in milliseconds since the epoch.
    pub expires_at_ms: i64,
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
    let consumer = client(options)?;
    let subscribed = match &options.topics {
        Topics::Names(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            consumer.subscribe(&names)
        }
        Topics::Pattern(pattern) => consumer.subscribe(&[&format!("^({pattern})$")]),
    };
    subscribed.map_err(|error| refused(options, &error))?;
    let consumer = Arc::new(consumer);
    Ok(Connection {
        cluster: Arc::new(RdCluster {
            consumer: Arc::clone(&consumer),
            name: options.name.clone(),
        }),
        consumer: Box::new(RdConsumer {
            queue: MessageQueue::new(Arc::clone(&consumer)),
            started: HashSet::new(),
            names: HashMap::new(),
            name: options.name.clone(),
            consumer,
        }),
    })
}

/// To ask, without joining the group. Does not wait for an answer.
///
/// # Errors
/// Settings that librdkafka refuses.
pub fn ask(options: &ClientOptions) -> Result<Arc<dyn Cluster>, KafkaError> {
    let consumer = client(options)?;
    if options.tokens.is_some() {
        // The client asks for its token by an event.
        let _ = consumer.poll(ASK_AGAIN);
    }
    Ok(Arc::new(RdCluster {
        consumer: Arc::new(consumer),
        name: options.name.clone(),
    }))
}

fn refused(options: &ClientOptions, error: &ClientError) -> KafkaError {
    KafkaError::new(
        format!("connect to Kafka cluster {}", options.name),
        KafkaErrorKind::Usage,
        without_name(error),
    )
}

fn client(options: &ClientOptions) -> Result<BaseConsumer<Context>, KafkaError> {
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
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true");
    config.set_log_level(match config.get("debug") {
        Some(_) => RDKafkaLogLevel::Debug,
        None => RDKafkaLogLevel::Warning,
    });
    let context = Context {
        cluster: options.name.clone(),
        assignments: Mutex::default(),
        failure: Mutex::default(),
        last_failure: Mutex::default(),
        tokens: options.tokens.clone(),
        is_owed: AtomicBool::new(false),
        is_answered: AtomicBool::new(false),
        closing: AtomicBool::new(false),
    };
    config
        .create_with_context(context)
        .map_err(|error| refused(options, &error))
}

/// What librdkafka calls back.
struct Context {
    cluster: String,
    assignments: Mutex<Vec<Assignment>>,
    failure: Mutex<Option<KafkaError>>,
    /// The last of them, for whoever gets no answer to a question.
    last_failure: Mutex<Option<KafkaError>>,
    tokens: Option<Arc<dyn Tokens>>,
    /// Whether the group waits for our answer to what it gave or took.
    is_owed: AtomicBool,
    /// Whether a change was answered while closing.
    is_answered: AtomicBool,
    /// Set when the client is dropped: nobody will answer any more.
    closing: AtomicBool,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.tokens.as_ref().ok_or("no server gives out tokens")?;
        let token = tokens.token().inspect_err(|reason| {
            tracing::warn!(cluster = self.cluster, "get a token for Kafka: {reason}");
        })?;
        Ok(OAuthToken {
            token: token.text,
            principal_name: token.principal,
            lifetime_ms: token.expires_at_ms,
        })
    }

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
        let keep = |place: &Mutex<Option<KafkaError>>, error: KafkaError| {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        };
        keep(&self.last_failure, error.clone());
        keep(&self.failure, error);
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
            // Once: an answer that comes after the client's end would be waited for without end.
            if !self.is_answered.swap(true, Ordering::Relaxed) {
                let _ = consumer.incremental_unassign(partitions);
            }
            return;
        }
        self.is_owed.store(true, Ordering::Relaxed);
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
        Code::LogTruncation => KafkaErrorKind::PositionsLost,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedSASLMechanism => KafkaErrorKind::Denied,
        // A topic that is gone is told by name when the session begins again; a broker that was just started may say so.
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            KafkaErrorKind::Unreachable
        }
        Code::FencedInstanceId | Code::InconsistentGroupProtocol | Code::Fatal => {
            KafkaErrorKind::Usage
        }
        _ => return None,
    })
}

/// Whether the group has no coordinator yet, as after a broker's start, or another one by now.
fn is_moving(error: &ClientError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::WaitingForCoordinator
        )
    )
}

fn next_step(kind: KafkaErrorKind) -> &'static str {
    match kind {
        KafkaErrorKind::PositionsLost => {
            "; the records between the table's position and what the topic still holds are gone from it: \
             `frazil offsets show DATASET` shows both, `frazil offsets set DATASET --source ID --position OFFSET` goes \
             on without them"
        }
        KafkaErrorKind::Denied => "; check the credentials and this user's rights",
        KafkaErrorKind::Usage
        | KafkaErrorKind::Unreachable
        | KafkaErrorKind::TopicChanged
        | KafkaErrorKind::PositionsMissing => "",
    }
}

/// The client's errors begin with the names of its calls, which mean nothing to people.
fn without_name(error: &ClientError) -> String {
    match (error, error.rdkafka_error_code()) {
        // Without the value, which may be a secret.
        (ClientError::ClientConfig(_, reason, key, _), _) => format!("{key}: {reason}"),
        (_, Some(code)) => code.to_string(),
        (_, None) => error.to_string(),
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
            .last_failure
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
                .flat_map(rdkafka::metadata::MetadataTopic::partitions)
                .map(rdkafka::metadata::MetadataPartition::id)
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
        let begun = Instant::now();
        let told = loop {
            match self
                .consumer
                .committed_offsets(asked.clone(), ANSWER_TIMEOUT)
            {
                Ok(told) => break told,
                Err(error) if is_moving(&error) && begun.elapsed() < ANSWER_TIMEOUT => {
                    std::thread::sleep(ASK_AGAIN);
                }
                Err(error) => return Err(self.failed("ask for the group's offsets", &error)),
            }
        };
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

/// Reads.
struct RdConsumer {
    queue: MessageQueue<Context>,
    /// Those that the client has been told to read.
    started: HashSet<Partition>,
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
