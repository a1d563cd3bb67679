//! The summary of a snapshot: what it added, and what the table then holds.

use std::collections::{HashMap, HashSet};

use iceberg::spec::Summary;

use super::{RemovedFiles, SnapshotChange};
use crate::catalog::LoadedTable;

/// Total, what adds to it, and what takes away from it.
const TOTALS: [(&str, Option<(&str, &str)>); 6] = [
    (
        "total-data-files",
        Some(("added-data-files", "deleted-data-files")),
    ),
    ("total-records", Some(("added-records", "deleted-records"))),
    (
        "total-files-size",
        Some(("added-files-size", "removed-files-size")),
    ),
    ("total-delete-files", None),
    ("total-position-deletes", None),
    ("total-equality-deletes", None),
];

/// The summary of `change` on that base. A total that the previous snapshot does not tell is left
/// out rather than guessed, as other implementations do.
pub(super) fn summarise(
    base: &LoadedTable,
    change: &SnapshotChange,
    removed: &RemovedFiles,
) -> Summary {
    let mut properties: HashMap<String, String> = change.summary.clone().into_iter().collect();
    let mut added = HashMap::from([
        ("added-data-files", change.added.len() as u64),
        ("added-records", 0),
        ("added-files-size", 0),
        ("deleted-data-files", removed.files),
        ("deleted-records", removed.records),
        ("removed-files-size", removed.bytes),
    ]);
    let mut partitions = HashSet::new();
    for file in &change.added {
        *added.entry("added-records").or_default() += file.data_file.record_count();
        *added.entry("added-files-size").or_default() += file.data_file.file_size_in_bytes();
        partitions.insert((file.partition_spec_id, file.data_file.partition()));
    }
    for (key, value) in added.iter().filter(|(_, value)| **value > 0) {
        properties.insert((*key).to_string(), value.to_string());
    }
    properties.insert(
        "changed-partition-count".to_string(),
        partitions.len().to_string(),
    );
    let previous = base.metadata.current_snapshot().map(|s| s.summary());
    for (total, moves) in TOTALS {
        let before = match previous {
            None => Some(0),
            Some(summary) => summary
                .additional_properties
                .get(total)
                .and_then(|value| value.parse::<u64>().ok()),
        };
        if let Some(before) = before {
            let of = |key: &str| added.get(key).copied().unwrap_or(0);
            let (more, less) = moves.map_or((0, 0), |(more, less)| (of(more), of(less)));
            let after = before.saturating_add(more).saturating_sub(less);
            properties.insert(total.to_string(), after.to_string());
        }
    }
    Summary {
        operation: change.operation.clone(),
        additional_properties: properties,
    }
}
