//! When a checkpoint is due, and what it covers.
//!
//! Guarantees that a checkpoint's range of each source starts where the one before it ended, and
//! that it covers exactly the blocks that were handed to the workers between two barriers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use frazil_dataset::CheckpointPolicy;
use frazil_table::commit::Advance;
use tokio::time::Instant;

use crate::record::{RecordBlock, SourceInfo};

/// An interval longer than any deadline the clock can hold is cut to this.
const INTERVAL_MAX: Duration = Duration::from_hours(365 * 24);

/// What has been read since the last checkpoint.
#[derive(Debug)]
pub struct Accumulated {
    policy: CheckpointPolicy,
    /// Raised by each source that a checkpoint adds, as the table's own will be.
    sources_version: u64,
    /// Sources that the table does not hold yet, by the id that they were planned under.
    planned: BTreeSet<u64>,
    /// The ids that planned sources got when their first block came: the table counts additions in order.
    assigned: BTreeMap<u64, Arc<SourceInfo>>,
    /// Added by the checkpoint that is being gathered.
    added: BTreeSet<u64>,
    advances: BTreeMap<u64, Advance>,
    bytes: u64,
    records: u64,
    since: Option<Instant>,
}

/// What a checkpoint moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    /// The `sources_version` that the table must have where sources are added.
    pub sources_version: u64,
    /// The ranges, by source id.
    pub advances: Vec<Advance>,
}

impl Accumulated {
    /// Nothing read yet, on a table of this `sources_version` that does not hold the `planned` sources.
    pub fn new(
        policy: CheckpointPolicy,
        sources_version: u64,
        planned: impl IntoIterator<Item = u64>,
    ) -> Self {
        Self {
            policy,
            sources_version,
            planned: planned.into_iter().collect(),
            assigned: BTreeMap::new(),
            added: BTreeSet::new(),
            advances: BTreeMap::new(),
            bytes: 0,
            records: 0,
            since: None,
        }
    }

    /// Takes a block in, before it goes to a worker, and gives its source the id that the table will know.
    ///
    /// # Panics
    /// Where the block does not start at the end of the one before it: going on would commit a gap.
    pub fn add(&mut self, block: &mut RecordBlock) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += block.bytes_read();
        self.records += block.records.len() as u64;
        self.assign_id(block);
        let id = block.source.id;
        let advance = self.advances.entry(id).or_insert_with(|| Advance {
            source: id,
            new: self.added.contains(&id),
            identity: block.identity.clone(),
            start: block.range.start,
            end: block.range.start,
        });
        assert_eq!(
            advance.end, block.range.start,
            "blocks of {} must be contiguous",
            block.source.name
        );
        advance.end = block.range.end;
        advance.identity = block.identity.clone();
    }

    fn assign_id(&mut self, block: &mut RecordBlock) {
        let planned = block.source.id;
        if !self.planned.contains(&planned) {
            return;
        }
        let next = self.sources_version + self.added.len() as u64 + 1;
        let source = self.assigned.entry(planned).or_insert_with(|| {
            self.added.insert(next);
            Arc::new(SourceInfo {
                id: next,
                ..(*block.source).clone()
            })
        });
        block.source = Arc::clone(source);
    }

    /// Whether nothing has been read since the last checkpoint.
    pub fn is_empty(&self) -> bool {
        self.advances.is_empty()
    }

    /// Whether enough bytes or records were read.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.policy.bytes || self.records >= self.policy.records
    }

    /// When the checkpoint is due by time; `None` while there is nothing to commit.
    pub fn due(&self) -> Option<Instant> {
        let interval = self.policy.interval.min(INTERVAL_MAX);
        self.since.map(|since| since + interval)
    }

    /// Ends the checkpoint and begins the next, as if this one will be committed.
    pub fn take(&mut self) -> Moves {
        self.bytes = 0;
        self.records = 0;
        self.since = None;
        let moves = Moves {
            sources_version: self.sources_version,
            advances: std::mem::take(&mut self.advances).into_values().collect(),
        };
        self.sources_version += self.added.len() as u64;
        self.added.clear();
        moves
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use frazil_table::state::SourceIdentity;

    use super::*;

    fn block(id: u64, range: std::ops::Range<u64>) -> RecordBlock {
        RecordBlock {
            source: Arc::new(SourceInfo {
                id,
                name: "x".into(),
                partition: 0,
            }),
            range,
            bytes: Bytes::new(),
            records: Vec::new(),
            oversize: Vec::new(),
            messages: None,
            identity: SourceIdentity::StandardInput,
        }
    }

    fn policy() -> CheckpointPolicy {
        CheckpointPolicy {
            interval: Duration::MAX,
            bytes: 100,
            records: u64::MAX,
        }
    }

    #[tokio::test]
    async fn new_sources_get_ids_in_the_order_of_their_first_blocks() {
        let mut gathered = Accumulated::new(policy(), 7, [8, 9, 10]);
        let mut third = block(10, 0..5);
        gathered.add(&mut third);
        assert_eq!(third.source.id, 8);
        let mut known = block(3, 40..50);
        gathered.add(&mut known);
        assert_eq!(known.source.id, 3);
        let first = gathered.take();
        assert_eq!(first.sources_version, 7);
        let new: Vec<_> = first.advances.iter().map(|a| (a.source, a.new)).collect();
        assert_eq!(new, [(3, false), (8, true)]);

        let mut again = block(10, 5..9);
        gathered.add(&mut again);
        let mut other = block(8, 0..2);
        gathered.add(&mut other);
        assert_eq!((again.source.id, other.source.id), (8, 9));
        let second = gathered.take();
        assert_eq!(second.sources_version, 8);
        let new: Vec<_> = second.advances.iter().map(|a| (a.source, a.new)).collect();
        assert_eq!(new, [(8, false), (9, true)]);
    }

    #[tokio::test]
    async fn is_due_by_bytes_and_never_while_empty() {
        let mut gathered = Accumulated::new(policy(), 0, [1]);
        assert!(gathered.is_empty() && gathered.due().is_none());
        gathered.add(&mut block(1, 0..60));
        assert!(!gathered.is_full() && gathered.due().is_some());
        gathered.add(&mut block(1, 60..100));
        assert!(gathered.is_full());
        assert_eq!(gathered.take().advances[0].end, 100);
        assert!(!gathered.is_full() && gathered.is_empty());
    }

    #[tokio::test]
    #[should_panic(expected = "contiguous")]
    async fn refuses_a_gap() {
        let mut gathered = Accumulated::new(policy(), 0, []);
        gathered.add(&mut block(1, 0..10));
        gathered.add(&mut block(1, 11..20));
    }
}
