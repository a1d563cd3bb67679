//! Messages of one partition become blocks.
//!
//! A block's range is of offsets to seek to: it starts where reading was told to start, or where the block before it
//! ended, and ends behind its last message. So gaps (of compaction, of aborted transactions) belong to the block
//! behind them, and blocks tile the partition.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use frazil_table::state::{KafkaIdentity, SourceIdentity};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

use super::Message;
use crate::{
    record::{HeaderSpan, MessageSpan, Messages, Oversize, RecordBlock, RecordSpan, SourceInfo},
    source::{BlockOptions, OVERSIZE_PREFIX_BYTES, blocks::Pool},
};

/// Gathers the messages of a partition, from one start on.
#[derive(Debug)]
pub(super) struct PartitionBlocks {
    info: Arc<SourceInfo>,
    identity: KafkaIdentity,
    options: BlockOptions,
    pool: Pool,
    /// The offset that the block starts at.
    start: u64,
    /// The next offset that is expected: earlier ones are from before the start.
    next: u64,
    leader_epoch: Option<i32>,
    filling: Option<Filling>,
}

/// A block on its way.
#[derive(Debug)]
struct Filling {
    /// Values, each with a line end after it.
    values: Vec<u8>,
    filled: usize,
    records: Vec<RecordSpan>,
    oversize: Vec<Oversize>,
    messages: Messages,
    /// Keys and headers.
    parts: Vec<u8>,
    since: Instant,
}

impl PartitionBlocks {
    pub(super) fn new(
        info: Arc<SourceInfo>,
        identity: KafkaIdentity,
        start: u64,
        options: BlockOptions,
        pool: Pool,
    ) -> Self {
        Self {
            info,
            leader_epoch: identity.leader_epoch,
            identity,
            options,
            pool,
            start,
            next: start,
            filling: None,
        }
    }

    /// The next offset that is expected.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Since when there is something that no block was made of.
    pub(super) fn since(&self) -> Option<Instant> {
        self.filling.as_ref().map(|filling| filling.since)
    }

    /// Takes a message. A block that it completes is given back, without it if it had no room left.
    pub(super) fn message(&mut self, message: Message<'_>) -> Option<RecordBlock> {
        if message.offset < self.next {
            return None;
        }
        let length = message.value.map_or(0, <[u8]>::len);
        let has_room = self
            .filling
            .as_ref()
            .is_none_or(|filling| filling.has_room(length));
        let full = if has_room { None } else { self.take() };
        self.add(message);
        full
    }

    /// The partition ends here: offsets before it that held no message are passed.
    pub(super) fn end(&mut self, offset: u64) {
        if offset > self.next {
            self.next = offset;
            // Of what was passed nobody told the leader's epoch.
            self.leader_epoch = None;
        }
    }

    /// A block of all that was passed since the last one.
    pub(super) fn take(&mut self) -> Option<RecordBlock> {
        if self.next == self.start {
            return None;
        }
        let range = self.start..self.next;
        self.start = self.next;
        let identity = SourceIdentity::Kafka(KafkaIdentity {
            leader_epoch: self.leader_epoch,
            ..self.identity.clone()
        });
        let source = Arc::clone(&self.info);
        let Some(filling) = self.filling.take() else {
            return Some(RecordBlock {
                source,
                range,
                bytes: Bytes::new(),
                records: Vec::new(),
                oversize: Vec::new(),
                messages: Some(Box::default()),
                header: None,
                identity,
            });
        };
        Some(RecordBlock {
            source,
            range,
            bytes: self.pool.bytes(filling.values, filling.filled),
            records: filling.records,
            oversize: filling.oversize,
            messages: Some(Box::new(Messages {
                parts: filling.parts.into(),
                ..filling.messages
            })),
            header: None,
            identity,
        })
    }

    fn add(&mut self, message: Message<'_>) {
        self.next = message.offset + 1;
        self.leader_epoch = message.leader_epoch.or(self.leader_epoch);
        let length = message.value.map_or(0, <[u8]>::len);
        let filling = self
            .filling
            .get_or_insert_with(|| Filling::new(self.pool.take_for(length + 1)));
        let Some(value) = message.value else {
            filling.messages.tombstones += 1;
            return;
        };
        let limit = self.options.record_bytes_max;
        let kept = if length > limit {
            filling.oversize.push(Oversize {
                record: filling.records.len() as u32,
                length: length as u64,
                hash: xxh3_128(value),
            });
            &value[..OVERSIZE_PREFIX_BYTES.min(limit)]
        } else {
            value
        };
        filling.records.push(RecordSpan {
            start: filling.filled as u32,
            length: kept.len() as u32,
            position: message.offset,
        });
        let end = filling.filled + kept.len();
        filling.values[filling.filled..end].copy_from_slice(kept);
        filling.values[end] = b'\n';
        filling.filled = end + 1;
        filling.add_parts(&message);
    }
}

impl Filling {
    fn new(values: Vec<u8>) -> Self {
        Self {
            values,
            filled: 0,
            records: Vec::new(),
            oversize: Vec::new(),
            messages: Messages::default(),
            parts: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Whether a value of this length, with a line end, still fits. Keys and headers may take as much again.
    fn has_room(&self, length: usize) -> bool {
        self.filled + length < self.values.len() && self.parts.len() < self.values.len()
    }

    fn add_parts(&mut self, message: &Message<'_>) {
        let key = message.key.map(|key| self.part(key));
        let first = self.messages.headers.len() as u32;
        for (name, value) in message.headers {
            let name = self.part(name);
            let value = value.map(|value| self.part(value));
            self.messages.headers.push(HeaderSpan { name, value });
        }
        self.messages.of_records.push(MessageSpan {
            timestamp_ms: message.timestamp_ms,
            key,
            headers: first..self.messages.headers.len() as u32,
        });
    }

    fn part(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.parts.len() as u32;
        self.parts.extend_from_slice(bytes);
        start..self.parts.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use frazil_table::state::KafkaTopic;

    use super::*;

    fn blocks(start: u64, block_bytes: usize, record_bytes_max: usize) -> PartitionBlocks {
        let info = SourceInfo {
            id: 1,
            name: "web".into(),
            partition: 0,
        };
        let identity = KafkaIdentity {
            topic: KafkaTopic {
                cluster_id: "c".to_owned(),
                topic_id: None,
                name: "web".to_owned(),
            },
            partition: 0,
            leader_epoch: None,
        };
        let options = BlockOptions {
            block_bytes,
            record_bytes_max,
            leaves_open_line: false,
        };
        PartitionBlocks::new(
            info.into(),
            identity,
            start,
            options,
            Pool::new(block_bytes),
        )
    }

    fn message(offset: u64, value: Option<&[u8]>) -> Message<'_> {
        Message {
            offset,
            leader_epoch: Some(2),
            value,
            key: None,
            timestamp_ms: Some(5),
            headers: &[],
        }
    }

    #[test]
    fn blocks_tile_and_gaps_belong_to_the_block_behind_them() {
        let mut blocks = blocks(10, 8, 8);
        assert!(blocks.message(message(9, Some(b"old"))).is_none());
        assert!(blocks.message(message(12, Some(b"abc"))).is_none());
        let first = blocks.message(message(15, Some(b"defgh"))).unwrap();
        assert_eq!(first.range, 10..13);
        assert_eq!(&first.bytes[..], b"abc\n");
        blocks.end(20);
        let second = blocks.take().unwrap();
        assert_eq!(second.range, 13..20);
        assert_eq!(second.records[0].position, 15);
        assert!(blocks.take().is_none());
        blocks.end(19);
        assert!(blocks.take().is_none());
    }

    #[test]
    fn tombstones_are_counted_and_long_values_kept_as_prefixes() {
        let mut blocks = blocks(0, 64, 4);
        blocks.message(message(0, None));
        blocks.message(message(1, Some(b"123456")));
        blocks.message(message(2, Some(b"")));
        let block = blocks.take().unwrap();
        assert_eq!(block.range, 0..3);
        let messages = block.messages.unwrap();
        assert_eq!((messages.tombstones, messages.of_records.len()), (1, 2));
        assert_eq!(block.oversize[0].length, 6);
        assert_eq!(block.records.len(), 2);
        assert_eq!(block.records[1].length, 0);
    }

    #[test]
    fn keys_and_headers_are_beside_the_values() {
        let mut blocks = blocks(0, 64, 64);
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"b", None)];
        blocks.message(Message {
            key: Some(b"key"),
            headers: &headers,
            ..message(0, Some(b"v"))
        });
        let messages = blocks.take().unwrap().messages.unwrap();
        assert_eq!(messages.key(0).unwrap(), b"key");
        let headers: Vec<_> = messages.headers_of(0).collect();
        assert_eq!(headers, [(&b"a"[..], Some(&b"1"[..])), (b"b", None)]);
    }

    #[test]
    fn a_value_longer_than_a_block_has_one_of_its_own() {
        let mut blocks = blocks(0, 8, 64);
        blocks.message(message(0, Some(b"a")));
        let first = blocks.message(message(1, Some(&[b'x'; 40]))).unwrap();
        assert_eq!(first.range, 0..1);
        let second = blocks.message(message(2, Some(b"b"))).unwrap();
        assert_eq!((second.range, second.bytes.len()), (1..2, 41));
    }
}
