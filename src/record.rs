//! The types that are handed from stage to stage, each carrying its position range.

use std::{ops::Range, sync::Arc};

use arrow_array::RecordBatch;
use bytes::Bytes;
use frazil_table::{commit::Counts, state::SourceIdentity};

/// A source partition, as all of its blocks name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// Its id in the table's state.
    pub id: u64,
    /// What people call it: a file's path, `-`, a topic.
    pub name: Arc<str>,
    /// Its partition; 0 for files.
    pub partition: i32,
}

/// Consecutive records of one source partition, as read: source → decode.
#[derive(Debug, Clone)]
pub struct RecordBlock {
    /// Where they are from.
    pub source: Arc<SourceInfo>,
    /// The positions that the block covers: `end` is where the next block of this source starts.
    pub range: Range<u64>,
    /// The bytes that `records` point into.
    pub bytes: Bytes,
    /// The records, in order, without their line ends.
    pub records: Vec<RecordSpan>,
    /// Those of `records` that are longer than the limit, in order: `bytes` holds a prefix of each.
    pub oversize: Vec<Oversize>,
    /// What Kafka tells of the records beside their values; `None` for files and standard input.
    pub messages: Option<Box<Messages>>,
    /// The source's first record, where that is no record but names the cells of all others.
    pub header: Option<Bytes>,
    /// What the source is once this block's end is committed.
    pub identity: SourceIdentity,
}

/// One record's place in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSpan {
    /// Where it starts in the block's bytes.
    pub start: u32,
    /// How long it is there.
    pub length: u32,
    /// Its position in the source: a file's byte offset in the decompressed content, Kafka's offset.
    pub position: u64,
}

/// A record over the limit, of which only a prefix was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Its index in the block's records.
    pub record: u32,
    /// Its whole length in bytes.
    pub length: u64,
    /// The 128-bit XXH3 of the whole of it.
    pub hash: u128,
}

/// What Kafka tells of a block's records beside their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    /// One a record.
    pub of_records: Vec<MessageSpan>,
    /// The records' headers, one record's after another's.
    pub headers: Vec<HeaderSpan>,
    /// The bytes that keys and headers point into.
    pub parts: Bytes,
    /// Messages without a value: they are no records, and counted as filtered.
    pub tombstones: u64,
}

/// What Kafka tells of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSpan {
    /// Its time, the broker's or the producer's, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Its key's place.
    pub key: Option<Range<u32>>,
    /// Its headers among the block's.
    pub headers: Range<u32>,
}

/// One header's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSpan {
    /// Its name's.
    pub name: Range<u32>,
    /// Its value's; `None` where it is null.
    pub value: Option<Range<u32>>,
}

impl Messages {
    fn part(&self, place: &Range<u32>) -> &[u8] {
        &self.parts[place.start as usize..place.end as usize]
    }

    /// A record's key.
    pub fn key(&self, record: usize) -> Option<&[u8]> {
        let key = self.of_records[record].key.as_ref();
        key.map(|place| self.part(place))
    }

    /// A record's headers, names and values, in order.
    pub fn headers_of(
        &self,
        record: usize,
    ) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        let place = &self.of_records[record].headers;
        self.headers[place.start as usize..place.end as usize]
            .iter()
            .map(|header| {
                let value = header.value.as_ref();
                (self.part(&header.name), value.map(|place| self.part(place)))
            })
    }
}

impl RecordBlock {
    /// How many bytes of the source it took. (A file's positions are bytes, Kafka's are not.)
    pub fn bytes_read(&self) -> u64 {
        match &self.messages {
            Some(messages) => (self.bytes.len() + messages.parts.len()) as u64,
            None => self.range.end - self.range.start,
        }
    }

    /// A record's bytes.
    pub fn record(&self, span: &RecordSpan) -> &[u8] {
        &self.bytes[span.start as usize..(span.start + span.length) as usize]
    }
}

/// A block's rows and rejects: decode and coerce → partition.
#[derive(Debug)]
pub struct RowBlock {
    /// Where they are from.
    pub source: Arc<SourceInfo>,
    /// The positions that it covers.
    pub range: Range<u64>,
    /// The source as of the range's end.
    pub identity: SourceIdentity,
    /// The rows, in the table's schema.
    pub rows: RecordBatch,
    /// The records that cannot be rows.
    pub rejects: Vec<Reject>,
    /// What became of the records.
    pub counts: Counts,
    /// Reasons of dead letters and of rescued values, with how often each occurred.
    pub reasons: Reasons,
}

/// A record that cannot be a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its position in the source.
    pub position: u64,
    /// Its index within the line or message.
    pub index: u32,
    /// Why, as a stable word: `invalid_json`, `too_long`, ….
    pub reason: &'static str,
    /// Why, for people: the column, what was found, where. Holds no more of the record than needed.
    pub detail: String,
    /// Its bytes (a prefix, where it is over the limit).
    pub record: Bytes,
    /// Its whole length in bytes.
    pub record_length: u64,
    /// Whether `record` is only a prefix.
    pub truncated: bool,
    /// What Kafka told of it.
    pub message: Option<Box<RejectedMessage>>,
}

/// What Kafka told of a record that cannot be a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedMessage {
    /// Its time in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// How often each reason occurred, by `(reason, column or path)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Dead letters, by reason.
    pub dead: std::collections::BTreeMap<&'static str, u64>,
    /// Rescued values, by reason.
    pub rescued: std::collections::BTreeMap<&'static str, u64>,
    /// Fields that `unknown_fields = "ignore"` dropped.
    pub ignored_fields: u64,
    /// Times of which digits finer than a microsecond were cut.
    pub cut_times: u64,
}

impl Reasons {
    /// Adds another block's.
    pub fn add(&mut self, other: &Self) {
        for (reason, count) in &other.dead {
            *self.dead.entry(reason).or_default() += count;
        }
        for (reason, count) in &other.rescued {
            *self.rescued.entry(reason).or_default() += count;
        }
        self.ignored_fields += other.ignored_fields;
        self.cut_times += other.cut_times;
    }
}
