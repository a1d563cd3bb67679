//! Snapshots that are too old go from the metadata, and then the files that only they needed.
//!
//! In two steps: a commit takes the snapshots out and names a file that lists what is no longer needed; a later
//! run deletes it, once the commit has stood for a grace period. A catalog that goes back in time meanwhile, as
//! after a fail-over, brings the snapshots back and forgets the list: their files are still there. What is on a list is
//! looked up again in all that the table then needs before it goes.

mod carry_out;
mod deletes;

pub use carry_out::{Expiry, expire_snapshots};

use std::collections::BTreeSet;

use frazil_table::snapshot::refs;
use iceberg::spec::{MAIN_BRANCH, SnapshotRetention, TableMetadata};

/// Iceberg's defaults.
const MAX_SNAPSHOT_AGE_MS: i64 = 5 * 24 * 3_600_000;
const MIN_SNAPSHOTS_TO_KEEP: usize = 1;

/// Which snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Younger ones do, by their time in milliseconds since the epoch.
    pub older_than_ms: i64,
    /// So many of each branch do, whatever their age.
    pub retain_last: usize,
    /// Branches and tags whose snapshot is older go, in milliseconds. Never `main`.
    pub ref_age_max_ms: i64,
}

/// What is asked for; what is not is for the table's properties to say, or Iceberg's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotWishes {
    /// Snapshots before that time go, in milliseconds since the epoch.
    pub older_than_ms: Option<i64>,
    /// So many of each branch stay.
    pub retain_last: Option<usize>,
}

impl SnapshotPolicy {
    /// What holds of a table at that time. Properties that are no numbers are left aside.
    pub fn of(metadata: &TableMetadata, wishes: SnapshotWishes, now_ms: i64) -> Self {
        let number = |key: &str| -> Option<i64> {
            let value = metadata.properties().get(key)?.trim().parse().ok();
            value.filter(|number| *number > 0)
        };
        let age_ms = number("history.expire.max-snapshot-age-ms").unwrap_or(MAX_SNAPSHOT_AGE_MS);
        let keep = number("history.expire.min-snapshots-to-keep")
            .and_then(|number| usize::try_from(number).ok());
        Self {
            older_than_ms: wishes
                .older_than_ms
                .unwrap_or_else(|| now_ms.saturating_sub(age_ms)),
            retain_last: wishes
                .retain_last
                .or(keep)
                .unwrap_or(MIN_SNAPSHOTS_TO_KEEP)
                .max(1),
            ref_age_max_ms: number("history.expire.max-ref-age-ms").unwrap_or(i64::MAX),
        }
    }
}

/// What goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The ids of snapshots.
    pub snapshots: BTreeSet<i64>,
    /// The names of branches and tags.
    pub refs: BTreeSet<String>,
}

impl Plan {
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.refs.is_empty()
    }
}

/// What goes of a table at that time, as Iceberg's own expiry would have it: each branch and tag keeps its
/// snapshot, each branch its newest, and a snapshot without any is kept while it is young.
pub fn plan(metadata: &TableMetadata, policy: &SnapshotPolicy, now_ms: i64) -> Plan {
    let mut plan = Plan::default();
    let mut kept = BTreeSet::new();
    let mut in_branches = BTreeSet::new();
    // Without them nothing is known to be needed by nobody.
    let Ok(refs) = refs(metadata) else {
        return plan;
    };
    for (name, reference) in refs {
        let Some(head) = metadata.snapshot_by_id(reference.snapshot_id) else {
            continue;
        };
        let age_max_ms = ref_age_max_ms(&reference.retention).unwrap_or(policy.ref_age_max_ms);
        let age_ms = now_ms.saturating_sub(head.timestamp_ms());
        if name != MAIN_BRANCH && age_ms > age_max_ms {
            plan.refs.insert(name);
            continue;
        }
        kept.insert(reference.snapshot_id);
        let SnapshotRetention::Branch {
            min_snapshots_to_keep,
            max_snapshot_age_ms,
            ..
        } = reference.retention
        else {
            in_branches.insert(reference.snapshot_id);
            continue;
        };
        let own = min_snapshots_to_keep.and_then(|number| usize::try_from(number).ok());
        let retain_last = own.unwrap_or(policy.retain_last);
        let older_than_ms = max_snapshot_age_ms
            .map_or(policy.older_than_ms, |age_ms| now_ms.saturating_sub(age_ms));
        let mut is_kept = true;
        for (index, id) in ancestors(metadata, reference.snapshot_id).enumerate() {
            in_branches.insert(id);
            let time = metadata.snapshot_by_id(id).map(|one| one.timestamp_ms());
            // A history with a hole would be one that nobody can walk.
            is_kept &= index < retain_last || time.is_some_and(|time| time >= older_than_ms);
            if is_kept {
                kept.insert(id);
            }
        }
    }
    for snapshot in metadata.snapshots() {
        let id = snapshot.snapshot_id();
        let is_loose = !in_branches.contains(&id);
        let is_young = snapshot.timestamp_ms() >= policy.older_than_ms;
        if !(kept.contains(&id) || is_loose && is_young) {
            plan.snapshots.insert(id);
        }
    }
    plan
}

fn ref_age_max_ms(retention: &SnapshotRetention) -> Option<i64> {
    match retention {
        SnapshotRetention::Branch { max_ref_age_ms, .. }
        | SnapshotRetention::Tag { max_ref_age_ms } => *max_ref_age_ms,
    }
}

/// The snapshot and those before it, as far as the metadata knows them.
fn ancestors(metadata: &TableMetadata, id: i64) -> impl Iterator<Item = i64> {
    let known = metadata.snapshots().len();
    std::iter::successors(metadata.snapshot_by_id(id), |snapshot| {
        metadata.snapshot_by_id(snapshot.parent_snapshot_id()?)
    })
    .map(|snapshot| snapshot.snapshot_id())
    // Metadata that is damaged could name a circle.
    .take(known)
}

#[cfg(test)]
mod tests;
