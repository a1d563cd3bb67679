//! What librdkafka calls back, and what its errors mean.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::Tokens;
use crate::source::kafka::{Assignment, KafkaError, KafkaErrorKind, Partition};

/// How often one error that mends itself is told: a cluster that is away is told of with every connection that fails.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// What librdkafka calls back.
pub(super) struct Context {
    pub(super) cluster: String,
    pub(super) assignments: Mutex<Vec<Assignment>>,
    pub(super) failure: Mutex<Option<KafkaError>>,
    /// The last of them, for whoever gets no answer to a question.
    pub(super) last_failure: Mutex<Option<KafkaError>>,
    /// When each error that mends itself was last told.
    told: Mutex<HashMap<i32, Instant>>,
    pub(super) tokens: Option<Arc<dyn Tokens>>,
    /// Whether the group waits for our answer to what it gave or took.
    pub(super) is_owed: AtomicBool,
    /// Whether a change was answered while closing.
    pub(super) is_answered: AtomicBool,
    /// Set when the client is dropped: nobody will answer any more.
    pub(super) closing: AtomicBool,
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
    pub(super) fn new(cluster: String, tokens: Option<Arc<dyn Tokens>>) -> Self {
        Self {
            cluster,
            assignments: Mutex::default(),
            failure: Mutex::default(),
            last_failure: Mutex::default(),
            told: Mutex::default(),
            tokens,
            is_owed: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Whether an error of this kind was not told for a while.
    fn is_due(&self, code: RDKafkaErrorCode, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told
            .get(&(code as i32))
            .is_none_or(|at| now.duration_since(*at) >= TELL_EVERY);
        if is_due {
            told.insert(code as i32, now);
        }
        is_due
    }

    /// Keeps what a person must look at; the rest mends itself, and is logged.
    pub(super) fn failed(&self, code: RDKafkaErrorCode, reason: &str) {
        let Some(kind) = kind_of(code) else {
            if code != RDKafkaErrorCode::PartitionEOF && self.is_due(code, Instant::now()) {
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
pub(super) fn kind_of(code: RDKafkaErrorCode) -> Option<KafkaErrorKind> {
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
pub(super) fn is_moving(error: &ClientError) -> bool {
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

/// Whether a partition has no leader yet, as after its topic was made, or another one by now.
pub(super) fn has_no_leader(error: &ClientError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
        )
    )
}

pub(super) fn next_step(kind: KafkaErrorKind) -> &'static str {
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
pub(super) fn without_name(error: &ClientError) -> String {
    match (error, error.rdkafka_error_code()) {
        // Without the value, which may be a secret.
        (ClientError::ClientConfig(_, reason, key, _), _) => format!("{key}: {reason}"),
        (_, Some(code)) => code.to_string(),
        (_, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_mends_itself_is_told_now_and_then() {
        use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
        let context = Context::new("main".to_owned(), None);
        let begun = Instant::now();
        let later = begun + TELL_EVERY;
        let told = [
            (AllBrokersDown, begun),
            (AllBrokersDown, begun),
            (BrokerTransportFailure, begun),
            (AllBrokersDown, later),
            (AllBrokersDown, later),
        ]
        .map(|(code, now)| context.is_due(code, now));
        assert_eq!(told, [true, false, true, true, false]);
    }
}
