//! Which snapshots go.

use serde_json::{Value, json};

use super::*;

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 100 * DAY_MS;

/// A table whose snapshots are so many days old, each the child of the one before unless it names another.
fn table(days_old: &[(i64, i64, Option<i64>)], refs: Value, properties: Value) -> TableMetadata {
    let snapshots: Vec<Value> = days_old
        .iter()
        .enumerate()
        .map(|(index, (id, days, parent))| {
            let mut snapshot = json!({
                "snapshot-id": id, "sequence-number": index + 1, "timestamp-ms": NOW_MS - days * DAY_MS,
                "manifest-list": format!("file:///t/{id}.avro"), "summary": {"operation": "append"}, "schema-id": 0,
            });
            if let Some(parent) = parent {
                snapshot["parent-snapshot-id"] = (*parent).into();
            }
            snapshot
        })
        .collect();
    let current = refs["main"]["snapshot-id"].clone();
    let metadata = json!({
        "format-version": 2, "table-uuid": uuid::Uuid::nil(), "location": "file:///t",
        "last-sequence-number": days_old.len(), "last-updated-ms": NOW_MS, "last-column-id": 1,
        "schemas": [{"type": "struct", "schema-id": 0, "fields":
            [{"id": 1, "name": "n", "required": false, "type": "long"}]}],
        "current-schema-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0, "last-partition-id": 999,
        "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
        "current-snapshot-id": current, "refs": refs, "snapshots": snapshots, "properties": properties,
    });
    serde_json::from_value(metadata).unwrap()
}

/// Snapshots 1 to 5, of which 3 has a second child, 6, and 7 stands alone.
fn history() -> Vec<(i64, i64, Option<i64>)> {
    vec![
        (1, 9, None),
        (2, 8, Some(1)),
        (3, 7, Some(2)),
        (4, 3, Some(3)),
        (5, 1, Some(4)),
        (6, 6, Some(3)),
        (7, 6, None),
    ]
}

fn going(metadata: &TableMetadata, wishes: SnapshotWishes) -> (Vec<i64>, Vec<String>) {
    let policy = SnapshotPolicy::of(metadata, wishes, NOW_MS);
    let plan = plan(metadata, &policy, NOW_MS);
    (
        plan.snapshots.into_iter().collect(),
        plan.refs.into_iter().collect(),
    )
}

fn days(older_than: i64, retain_last: usize) -> SnapshotWishes {
    SnapshotWishes {
        older_than_ms: Some(NOW_MS - older_than * DAY_MS),
        retain_last: Some(retain_last),
    }
}

#[test]
fn age_and_number_keep_snapshots_of_main() {
    let main = json!({"main": {"snapshot-id": 5, "type": "branch"}});
    let metadata = table(&history(), main, json!({}));
    for (wishes, expected) in [
        (days(5, 1), vec![1, 2, 3, 6, 7]),
        (days(0, 1), vec![1, 2, 3, 4, 6, 7]),
        (days(0, 4), vec![1, 6, 7]),
        (days(0, 99), vec![6, 7]),
        (days(7, 1), vec![1, 2]),
        (days(99, 1), vec![]),
        // Iceberg's own: five days, and one.
        (SnapshotWishes::default(), vec![1, 2, 3, 6, 7]),
    ] {
        assert_eq!(going(&metadata, wishes), (expected, vec![]), "{wishes:?}");
    }
}

#[test]
fn refs_keep_theirs_until_they_are_too_old() {
    let refs = json!({
        "main": {"snapshot-id": 5, "type": "branch", "max-ref-age-ms": 1},
        "fork": {"snapshot-id": 6, "type": "branch", "min-snapshots-to-keep": 2},
        "tag": {"snapshot-id": 1, "type": "tag"},
        "loose": {"snapshot-id": 7, "type": "tag", "max-ref-age-ms": DAY_MS},
    });
    let metadata = table(&history(), refs.clone(), json!({}));
    let expected = (vec![2, 4, 7], vec!["loose".to_owned()]);
    assert_eq!(going(&metadata, days(0, 1)), expected);
    let properties = json!({"history.expire.max-ref-age-ms": (8 * DAY_MS).to_string()});
    let metadata = table(&history(), refs, properties);
    let expected = (vec![1, 2, 4, 7], vec!["loose".to_owned(), "tag".to_owned()]);
    assert_eq!(going(&metadata, days(0, 1)), expected);
}

#[test]
fn a_branchs_own_age_counts() {
    let refs = json!({
        "main": {"snapshot-id": 5, "type": "branch", "max-snapshot-age-ms": 8 * DAY_MS, "min-snapshots-to-keep": 1},
    });
    let metadata = table(&history(), refs, json!({}));
    assert_eq!(going(&metadata, days(0, 1)), (vec![1, 6, 7], vec![]));
}

#[test]
fn tables_properties_count_where_nothing_is_asked_for() {
    let main = json!({"main": {"snapshot-id": 5, "type": "branch"}});
    for (key, value, expected) in [
        (
            "history.expire.min-snapshots-to-keep",
            "3",
            vec![1, 2, 6, 7],
        ),
        (
            "history.expire.min-snapshots-to-keep",
            "many",
            vec![1, 2, 3, 6, 7],
        ),
        (
            "history.expire.max-snapshot-age-ms",
            "172800000",
            vec![1, 2, 3, 4, 6, 7],
        ),
    ] {
        let metadata = table(&history(), main.clone(), json!({ key: value }));
        let gone = going(&metadata, SnapshotWishes::default()).0;
        assert_eq!(gone, expected, "{key} {value}");
    }
}

#[test]
fn a_table_without_snapshots_has_nothing_to_expire() {
    let metadata = table(&[], json!({}), json!({}));
    assert!(going(&metadata, days(0, 1)).0.is_empty());
}
