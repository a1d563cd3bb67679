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
use frazil_table::{commit::Advance, state::SourceIdentity};
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
    quiet: BTreeMap<u64, i64>,
    gone: BTreeSet<u64>,
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
    /// Whether blocks were read for it.
    pub has_blocks: bool,
    /// Quiet partitions among them, and through which event time they are complete, in microseconds since the epoch.
    pub quiet: BTreeMap<u64, i64>,
    /// Partitions that no longer count for how complete the table is.
    pub gone: BTreeSet<u64>,
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
            quiet: BTreeMap::new(),
            gone: BTreeSet::new(),
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

    /// Takes in that a partition of which all up to its position was read is quiet, and complete through an event time.
    ///
    /// # Panics
    /// Where the position is not that of the last block: what is said would not hold there.
    pub fn add_quiet(
        &mut self,
        source: u64,
        identity: &SourceIdentity,
        position: u64,
        through_micros: i64,
    ) {
        let advance = self.advances.entry(source).or_insert_with(|| Advance {
            source,
            new: false,
            identity: identity.clone(),
            start: position,
            end: position,
        });
        assert_eq!(advance.end, position, "source {source} was read on");
        self.quiet.insert(source, through_micros);
    }

    /// From now on these partitions no longer count for how complete the table is.
    pub fn set_gone(&mut self, gone: BTreeSet<u64>) {
        self.gone = gone;
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

    /// Whether there are blocks that were read since the last checkpoint.
    pub fn has_blocks(&self) -> bool {
        self.since.is_some()
    }

    /// Whether there is nothing to commit since the last checkpoint.
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
        let moves = Moves {
            has_blocks: self.since.take().is_some(),
            sources_version: self.sources_version,
            advances: std::mem::take(&mut self.advances).into_values().collect(),
            quiet: std::mem::take(&mut self.quiet),
            gone: self.gone.clone(),
        };
        self.sources_version += self.added.len() as u64;
        self.added.clear();
        moves
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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
            header: None,
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
    async fn a_quiet_partition_goes_with_the_checkpoint_and_its_next_block_follows() {
        let mut gathered = Accumulated::new(policy(), 3, []);
        gathered.add_quiet(2, &SourceIdentity::StandardInput, 40, 7);
        assert!(!gathered.is_empty() && gathered.due().is_none() && !gathered.has_blocks());
        gathered.add(&mut block(2, 40..45));
        let moves = gathered.take();
        assert_eq!((moves.advances[0].start, moves.advances[0].end), (40, 45));
        assert_eq!(moves.quiet, BTreeMap::from([(2, 7)]));
        gathered.add(&mut block(2, 45..50));
        gathered.add_quiet(2, &SourceIdentity::StandardInput, 50, 9);
        assert!(gathered.due().is_some());
        assert_eq!(gathered.take().advances[0].end, 50);
        assert!(gathered.is_empty() && gathered.take().quiet.is_empty());
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
