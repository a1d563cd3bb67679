//! Kafka: the partitions that the consumer group gives us, each read from the table's position.
//!
//! The group only shares out partitions. Where reading starts is told by the table alone; the group's offsets are
//! stored after each commit for whoever watches the lag, and never decide anything.
//!
//! [`Consumer`] and [`Cluster`] are the seam: [`client`] implements them by librdkafka. Above it stand the matching of
//! topics with the table's sources ([`match_topics`]), and a [`reader`] that makes blocks of messages and obeys the
//! session: it tells of partitions that come and go, and waits to be told where to start and when to let go.

mod blocks;
mod client;
mod consumer;
mod error;
mod matching;
mod native;
mod reader;
mod stops;

pub use client::{ClientOptions, Token, Tokens, ask, connect};
pub use consumer::{
    Assignment, Cluster, Connection, Consumer, GroupPosition, Message, Partition, Seek, Sink,
    Topic, Topics,
};
pub use error::{KafkaError, KafkaErrorKind};
pub use matching::{Matched, MatchedPartition, match_topics};
pub use reader::{Command, KafkaReader, ReaderOptions, ReaderSeen, Start};
pub use stops::{all_there, may_begin, within};
