//! The dataset file's values, checked.

use std::{num::NonZero, time::Duration};

use jiff::Timestamp;

use crate::{Column, Format, Multiline, Profile};

/// A dataset: a named log stream and the table that it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Its name: the file's, unless stated.
    pub name: String,
    /// Its table.
    pub table: TableName,
    /// The deployment's catalog that holds the table; `None` is `[catalog]`.
    pub catalog: Option<String>,
    /// A label on metrics, logs and reports.
    pub project: Option<String>,
    /// A label on metrics, logs and reports.
    pub owner: Option<String>,
    /// How a record's bytes become fields.
    pub format: Format,
    /// Where records of several lines begin; `None`: each line is a record, unless the format says otherwise.
    pub multiline: Option<Multiline>,
    /// The table's columns, in the file's order, without the rescued column.
    pub columns: Vec<Column>,
    /// The table's partitioning.
    pub partition_by: Vec<PartitionField>,
    /// The order of rows within a data file.
    pub sort_by: Vec<SortField>,
    /// What becomes of a field that no column takes.
    pub unknown_fields: UnknownFields,
    /// The column for values that found no place; `None` turns it off.
    pub rescued: Option<String>,
    /// The coercion profile of columns that state none.
    pub profile: Profile,
    /// Where records come from, unless `--from` says so.
    pub source: Option<SourceSpec>,
    /// When a checkpoint is made.
    pub checkpoint: CheckpointPolicy,
    /// By what is told how complete the table is; `None`: it is not told.
    pub complete: Option<CompletePolicy>,
    /// Which rows are the same record twice; `None`: all are written.
    pub dedup: Option<DedupPolicy>,
    /// Limits on records and dead letters.
    pub limits: Limits,
    /// Which snapshots maintenance keeps.
    pub snapshots: SnapshotsPolicy,
    /// Handed to Iceberg as table properties, in the file's order.
    pub properties: Vec<(String, String)>,
}

/// A table's name: namespace and table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The namespace's levels; never empty.
    pub namespace: Vec<String>,
    /// The table.
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.namespace.join("."), self.table)
    }
}

impl TableName {
    /// The table of this table's dead letters: `<table>__dead_letters`.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            table: format!("{}__dead_letters", self.table),
        }
    }
}

/// One field of the partitioning: a transform of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionField {
    /// The column's name.
    pub column: String,
    /// The transform.
    pub transform: Transform,
}

/// Iceberg's partition transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// The value itself.
    Identity,
    /// `bucket(n, column)`
    Bucket(u32),
    /// `truncate(width, column)`
    Truncate(u32),
    /// `year(column)`
    Year,
    /// `month(column)`
    Month,
    /// `day(column)`
    Day,
    /// `hour(column)`
    Hour,
    /// `void(column)`: always null
    Void,
}

/// One field of the sort order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    /// The column's name.
    pub column: String,
    /// Ascending puts nulls first, descending last, as Iceberg's defaults do.
    pub direction: SortDirection,
}

/// A sort direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortDirection {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// What becomes of a field that no column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownFields {
    /// It goes to the rescued column, by its leaves.
    #[default]
    Rescue,
    /// It is dropped and counted.
    Ignore,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// Files, folders and globs.
    Files {
        /// As the file has them; relative ones to the working folder.
        paths: Vec<String>,
    },
    /// Topics of a Kafka cluster.
    Kafka(KafkaSourceSpec),
}

/// Which records of a Kafka cluster a dataset is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSourceSpec {
    /// The topics.
    pub topics: KafkaTopics,
    /// The deployment's `[kafka.<name>]`; `None` is the only one that it has.
    pub cluster: Option<String>,
    /// Where partitions begin of which the table holds no position.
    pub start: KafkaStart,
    /// The consumer group, one a dataset: two in one group would get half of the partitions each.
    pub group: String,
    /// What becomes of records of transactions.
    pub isolation: KafkaIsolation,
}

/// Topics of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaTopics {
    /// `topics`; never empty, and none twice.
    Names(Vec<String>),
    /// `topics_pattern`: those whose whole name matches the regular expression, which is not compiled here.
    Pattern(String),
}

/// Where a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KafkaStart {
    /// At the first record that the cluster still has.
    #[default]
    Earliest,
    /// At what comes next.
    Latest,
    /// At the first record of that time or later; not before 1970.
    Time(Timestamp),
}

/// What becomes of records of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KafkaIsolation {
    /// They are read once their transaction is committed; those of aborted ones never are.
    #[default]
    ReadCommitted,
    /// They are read as any others.
    ReadUncommitted,
}

/// When a checkpoint is made: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointPolicy {
    /// Time since the last one (default 1 min).
    pub interval: Duration,
    /// Bytes of records read since the last one (default 512 MiB).
    pub bytes: u64,
    /// Records read since the last one (default: no limit, `u64::MAX`).
    pub records: u64,
}

/// By what is told up to which event time a table is complete, and what is assumed of records that come late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePolicy {
    /// Whose time it is.
    pub time: EventTime,
    /// How much older than the newest record of its partition a record may be (default 1 min).
    pub delay: Duration,
    /// How long a partition of which all is read may be quiet before it no longer holds the table back (default 1 min).
    pub idle: Duration,
}

/// Which rows are the same record twice, and how far apart in time they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupPolicy {
    /// What makes two rows the same record.
    pub key: DedupKey,
    /// The stored column, of type `timestamptz` or `timestamp`, that is the window's clock.
    pub time: String,
    /// How far apart in time two rows may be (default 1 h).
    pub window: Duration,
    /// The memory that the window's keys may take, in bytes (default 256 MiB). With more of them the window narrows.
    pub memory_bytes_max: u64,
}

/// What makes two rows the same record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupKey {
    /// The values of these columns; never empty. A row with a null among them is like no other.
    Columns(Vec<String>),
    /// The values of all columns but these, where nulls are like each other.
    AllBut(Vec<String>),
}

/// A record's event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTime {
    /// `$timestamp`: Kafka's, the producer's or the broker's.
    Message,
    /// The value of a column of type `timestamptz` or `timestamp`, whose wall clock then is UTC's.
    Column(String),
}

impl std::fmt::Display for EventTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Message => "$timestamp",
            Self::Column(name) => name,
        })
    }
}

/// Which snapshots maintenance keeps; what is `None` the table's properties say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotsPolicy {
    /// Those that are younger.
    pub keep_for: Option<Duration>,
    /// So many of each branch, whatever their age.
    pub keep_min: Option<NonZero<u32>>,
}

/// Limits on what a record and a run may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The share of dead letters that is too many (default 50 %).
    pub dead_letters_max: Share,
    /// Over how long it is looked at while writing (default 5 min).
    pub window: Duration,
    /// What becomes of a checkpoint with too many.
    pub then: OverLimit,
    /// The longest record; a longer one becomes a truncated dead letter (default 1 MiB).
    pub record_bytes_max: u64,
}

/// What becomes of a checkpoint with too many dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverLimit {
    /// It is not committed, and writing ends: a person must look.
    #[default]
    Stop,
    /// It is committed, and said.
    Warn,
}

/// A share of a whole, 0.0 to 1.0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);
