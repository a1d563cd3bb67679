//! The seam: what is asked of a Kafka client.

use std::{sync::Arc, time::Duration};

use frazil_table::state::KafkaTopic;

use super::KafkaError;

/// A partition of a topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

/// The topics that a dataset reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// By name.
    Names(Vec<String>),
    /// All whose whole name matches a regular expression.
    Pattern(String),
}

/// A topic as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// What it is.
    pub topic: KafkaTopic,
    /// Its partitions' numbers, ascending.
    pub partitions: Vec<i32>,
}

/// Which offsets of partitions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The first that is there.
    Earliest,
    /// The next that will be written; under `read_committed` the first of an open transaction.
    Latest,
    /// The first record at or after this time, in milliseconds since the epoch; [`Seek::Latest`] where there is none.
    Time(i64),
}

/// What the group has stored for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPosition {
    /// The next offset to read.
    pub offset: u64,
    /// The text stored with it.
    pub metadata: String,
}

/// What can be asked of a cluster from any thread. Calls wait for the network.
pub trait Cluster: std::fmt::Debug + Send + Sync {
    /// The topics of these that exist.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn topics(&self, topics: &Topics) -> Result<Vec<Topic>, KafkaError>;

    /// One offset a partition, in their order.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn offsets(&self, partitions: &[Partition], seek: Seek) -> Result<Vec<u64>, KafkaError>;

    /// The offsets of what comes next, in the partitions' order: whatever is open or will be passed over is before them.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn ends(&self, partitions: &[Partition]) -> Result<Vec<u64>, KafkaError>;

    /// What the group has stored, in the partitions' order.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn group_positions(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<GroupPosition>>, KafkaError>;

    /// How many members the group has now, as far as the brokers tell of groups of its kind.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn group_members(&self) -> Result<usize, KafkaError>;
}

/// A message, as it lies in the client's memory.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its offset.
    pub offset: u64,
    /// The epoch of the leader that it came from.
    pub leader_epoch: Option<i32>,
    /// Its value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its time in milliseconds since the epoch, the broker's or the producer's.
    pub timestamp_ms: Option<i64>,
    /// Its headers, in order.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Takes what a consumer delivers.
pub trait Sink {
    /// A message.
    fn message(&mut self, partition: &Partition, message: Message<'_>);
    /// The partition's end was reached: the next message will have this offset or a later one.
    fn end(&mut self, partition: &Partition, offset: u64);
    /// The broker says that it does not have the offset that is next.
    fn out_of_range(&mut self, partition: &Partition);
}

/// What the group says of our share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// These are ours now, once [`Consumer::start`] says where they start.
    Given(Vec<Partition>),
    /// These are to go; ours until [`Consumer::release`].
    Taken(Vec<Partition>),
    /// These are another's already.
    Lost(Vec<Partition>),
}

/// A member of a consumer group. One thread's.
pub trait Consumer: std::fmt::Debug + Send {
    /// Serves the group, and delivers messages where they are wanted: at most a batch, after at most `wait`.
    ///
    /// # Errors
    /// What a person must look at. Lost connections are none: the client makes them again.
    fn poll(
        &mut self,
        wait: Duration,
        messages: Option<&mut dyn Sink>,
    ) -> Result<Vec<Assignment>, KafkaError>;

    /// Starts partitions that were given, or that are being read, at these offsets; each with the leader epoch of
    /// the record before, so that a log that was cut is found out. Messages from before are not delivered any more.
    ///
    /// # Errors
    /// A client that refuses.
    fn start(&mut self, starts: &[(Partition, u64, Option<i32>)]) -> Result<(), KafkaError>;

    /// Lets partitions go.
    ///
    /// # Errors
    /// A client that refuses.
    fn release(&mut self, partitions: &[Partition]) -> Result<(), KafkaError>;

    /// The first offset that is there, and that of what comes next. Waits for the network.
    ///
    /// # Errors
    /// A cluster that does not answer or refuses.
    fn bounds(&self, partition: &Partition) -> Result<(u64, u64), KafkaError>;

    /// As [`Self::bounds`], as the client last heard of a partition that is being read. Does not wait.
    fn held_offsets(&self, partition: &Partition) -> Option<(u64, u64)>;

    /// Stores the group's positions, for whoever watches it. Failures are logged only.
    fn store(&mut self, positions: &[(Partition, u64)], metadata: &str);
}

/// A connection to a cluster, as a member of a group.
#[derive(Debug)]
pub struct Connection {
    /// To ask.
    pub cluster: Arc<dyn Cluster>,
    /// To read.
    pub consumer: Box<dyn Consumer>,
}
