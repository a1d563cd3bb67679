//! The summary of a snapshot: what it added, and what the table then holds.

use std::collections::{HashMap, HashSet};

use iceberg::spec::Summary;

use super::SnapshotChange;
use crate::catalog::LoadedTable;

/// Total, and what adds to it. Appends take nothing away.
const TOTALS: [(&str, Option<&str>); 6] = [
    ("total-data-files", Some("added-data-files")),
    ("total-records", Some("added-records")),
    ("total-files-size", Some("added-files-size")),
    ("total-delete-files", None),
    ("total-position-deletes", None),
    ("total-equality-deletes", None),
];

/// The summary of `change` on that base. A total that the previous snapshot does not tell is left
/// out rather than guessed, as other implementations do.
pub(super) fn summarise(base: &LoadedTable, change: &SnapshotChange) -> Summary {
    let mut properties: HashMap<String, String> = change.summary.clone().into_iter().collect();
    let mut added = HashMap::from([
        ("added-data-files", change.added.len() as u64),
        ("added-records", 0),
        ("added-files-size", 0),
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
    for (total, adds) in TOTALS {
        let before = match previous {
            None => Some(0),
            Some(summary) => summary
                .additional_properties
                .get(total)
                .and_then(|value| value.parse::<u64>().ok()),
        };
        if let Some(before) = before {
            let more = adds.and_then(|key| added.get(key)).copied().unwrap_or(0);
            properties.insert(total.to_string(), before.saturating_add(more).to_string());
        }
    }
    Summary {
        operation: change.operation.clone(),
        additional_properties: properties,
    }
}
