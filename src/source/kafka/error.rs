//! What can go wrong with Kafka, and what to do about it.

use super::super::Remedy;

/// Why Kafka could not be read. Reads after "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {reason}")]
pub struct KafkaError {
    /// What was tried: `read topic web of cluster main (kafka:9092)`.
    pub action: String,
    /// Of which kind it is.
    pub kind: KafkaErrorKind,
    /// Why it failed, and the next step.
    pub reason: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaErrorKind {
    /// No answer, or one that may change by itself.
    Unreachable,
    /// Wrong credentials or missing rights.
    Denied,
    /// A topic that is not there, settings that the client refuses.
    Usage,
    /// The topic was deleted, or made again under its name, or is another cluster's.
    TopicChanged,
    /// The positions are no longer in the topic: retention took them, or a leader was elected that lacks them.
    PositionsLost,
    /// The table has no position where the group has one.
    PositionsMissing,
}

impl KafkaError {
    /// An error of a kind.
    pub fn new(action: impl Into<String>, kind: KafkaErrorKind, reason: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            kind,
            reason: reason.into(),
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self.kind {
            KafkaErrorKind::Unreachable => Remedy::Retry,
            KafkaErrorKind::Denied | KafkaErrorKind::Usage => Remedy::Usage,
            KafkaErrorKind::TopicChanged
            | KafkaErrorKind::PositionsLost
            | KafkaErrorKind::PositionsMissing => Remedy::Stop,
        }
    }
}
