//! `frazil.state`: the positions up to which a table holds its sources, in the table itself.
//!
//! The state is a table property, so that it is committed in the same metadata update as the rows
//! that it describes, and survives the expiry of snapshots and other engines' rewrites. How it is
//! written is in [`wire`]. Sources that were read to their end move to a file that it names
//! ([`finished`]), so that it does not grow with every file that was ever read.

pub mod complete;
pub mod finished;
pub mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{complete::Complete, finished::FinishedFile};

/// All that frazil must remember, committed together with the rows that it describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The table's own uuid: a state copied to another table is not that table's.
    pub table_uuid: Uuid,
    /// Raised by each operator action; a checkpoint begun under another epoch is fenced.
    pub epoch: u64,
    /// Our last commit.
    pub last_commit: Option<LastCommit>,
    /// Raised whenever a source is added; adding one requires it unchanged.
    pub sources_version: u64,
    /// The sources by their id, which is the `sources_version` that adding them made. Where one is
    /// in the file of finished sources, too, what is said here counts.
    pub sources: BTreeMap<u64, SourceState>,
    /// The file that holds the sources that were read to their end, once there were many.
    #[serde(default)]
    pub finished: Option<FinishedFile>,
    /// Up to which event time the table is complete; `None` where its dataset does not ask for it.
    #[serde(default)]
    pub complete: Option<Complete>,
    /// The dead-letter table, and what it has still to take.
    pub dead_letters: DeadLetterState,
    /// The last operator action, for people.
    #[serde(default)]
    pub last_action: Option<OperatorAction>,
}

impl State {
    /// The state of a table that holds nothing yet.
    pub fn new(table_uuid: Uuid) -> Self {
        Self {
            table_uuid,
            epoch: 0,
            last_commit: None,
            sources_version: 0,
            sources: BTreeMap::new(),
            finished: None,
            complete: None,
            dead_letters: DeadLetterState {
                table_uuid: None,
                next: 1,
                outbox: BTreeMap::new(),
            },
            last_action: None,
        }
    }
}

/// What an operator did to the positions: who, when, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAction {
    /// Its id, by which it is found again after a lost reply.
    pub id: Uuid,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// By whom.
    pub who: String,
    /// Their reason.
    pub why: String,
}

/// Why a state could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer frazil wrote it.
    #[error(
        "its state has version {version} and this frazil knows up to {}; use the newer frazil that wrote it",
        wire::VERSION
    )]
    Newer {
        /// The state's version.
        version: u64,
    },
    /// It is incomplete or changed.
    #[error(
        "its state (the properties {}*) is damaged: {reason}; restore these properties from an older \
         metadata file, or begin without with `frazil offsets set DATASET --accept-history`: what is read \
         then is read again",
        wire::KEY
    )]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
}

/// Our last commit, to be found again in the table's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    /// Its id, chosen by its writer.
    pub id: Uuid,
    /// The snapshot that it made.
    pub snapshot_id: i64,
    /// That snapshot's sequence number.
    pub sequence_number: i64,
}

/// One source partition's committed position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// What it is.
    pub identity: SourceIdentity,
    /// The next position to read.
    pub position: u64,
    /// The commit that set it.
    pub commit: Uuid,
}

/// What a source partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceIdentity {
    /// A file, known by its content.
    File(FileIdentity),
    /// One run's standard input, which cannot be read again.
    StandardInput,
    /// A partition of a Kafka topic.
    Kafka(KafkaIdentity),
}

/// A partition of a Kafka topic. Names alone would take a topic that was deleted and made again for the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaIdentity {
    /// The topic.
    pub topic: KafkaTopic,
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch of the last record before the position; `None` where the broker tells none. A leader that
    /// was elected without all records uses offsets again, under another epoch.
    pub leader_epoch: Option<i32>,
}

/// A Kafka topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KafkaTopic {
    /// The cluster's id.
    pub cluster_id: String,
    /// The topic's id; `None` from brokers before 2.8, which have none.
    pub topic_id: Option<Uuid>,
    /// Its name.
    pub name: String,
}

/// A file known by the content up to the committed position (in decompressed bytes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Where it was last seen: a hint, never proof.
    pub path: String,
    /// How many bytes `head_hash` covers: the first 4 KiB, or all that was read of a shorter file.
    pub head_length: u64,
    /// 128-bit XXH3 of the first `head_length` bytes, as 32 hex digits.
    pub head_hash: String,
    /// 128-bit XXH3 of the last 4 KiB before the position (or of all, when fewer), as 32 hex digits.
    pub tail_hash: String,
    /// Whether it was read to its end when last seen. A file may still grow.
    pub at_end: bool,
}

/// The dead-letter table, and what it has still to take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterState {
    /// The dead-letter table's uuid; `None` before there is one.
    pub table_uuid: Option<Uuid>,
    /// The number that the next outbox entry gets, from 1.
    pub next: u64,
    /// Manifests that the dead-letter table has not yet been seen to hold, by number.
    pub outbox: BTreeMap<u64, String>,
}
