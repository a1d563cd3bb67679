//! What a table alone tells: our last commit, and what became of the latest records.

use std::time::Duration;

use frazil_table::{
    commit::{Counts, guard::ancestors},
    state::State,
};
use iceberg::spec::TableMetadata;

use super::report::{LastCommit, Latest};

/// Commits of so long ago say nothing of how the dataset stands.
const LATEST: Duration = Duration::from_hours(24);

/// Snapshots that are looked at: more than checkpoints of ten seconds make in that time.
const SNAPSHOTS_MAX: usize = 10_000;

/// Our last commit, as the state says it.
pub(super) fn last_commit(metadata: &TableMetadata, state: &State) -> Option<LastCommit> {
    let last = state.last_commit.as_ref()?;
    let snapshot = metadata.snapshot_by_id(last.snapshot_id);
    Some(LastCommit {
        snapshot_id: last.snapshot_id,
        at_ms: snapshot.map(|snapshot| snapshot.timestamp_ms()),
    })
}

/// What became of the records of our latest commits, as far as the metadata still has their snapshots.
pub(super) fn latest(metadata: &TableMetadata, now_ms: i64) -> Latest {
    let from_ms = now_ms - LATEST.as_millis() as i64;
    let mut sum = Counts::default();
    let recent = ancestors(metadata)
        .take(SNAPSHOTS_MAX)
        .take_while(|snapshot| snapshot.timestamp_ms() >= from_ms);
    for snapshot in recent {
        let counts = snapshot
            .summary()
            .additional_properties
            .get("frazil.counts");
        let counts = counts.and_then(|text| serde_json::from_str::<Counts>(text).ok());
        sum.add(&counts.unwrap_or_default());
    }
    Latest {
        records_read: sum.records_read,
        dead_letters: sum.dead_letters,
    }
}
