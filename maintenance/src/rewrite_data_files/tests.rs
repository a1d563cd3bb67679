//! What is worth rewriting.

use iceberg::spec::{Literal, Struct};
use serde_json::json;

use super::*;
use crate::files::DeleteFile;

const TARGET: u64 = 1_000;

const POLICY: RewritePolicy = RewritePolicy {
    target_bytes: TARGET,
    min_input_files: 5,
    hot_for_ms: 0,
};

fn table(sorted: bool) -> TableMetadata {
    let fields = if sorted {
        json!([{"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}])
    } else {
        json!([])
    };
    let order = i32::from(sorted);
    let metadata = json!({
        "format-version": 2, "table-uuid": uuid::Uuid::nil(), "location": "file:///t",
        "last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": 1,
        "schemas": [{"type": "struct", "schema-id": 0, "fields":
            [{"id": 1, "name": "n", "required": false, "type": "long"}]}],
        "current-schema-id": 0,
        "partition-specs": [{"spec-id": 0, "fields":
            [{"source-id": 1, "field-id": 1000, "name": "n", "transform": "identity"}]}],
        "default-spec-id": 0, "last-partition-id": 1000,
        "sort-orders": [{"order-id": order, "fields": fields}], "default-sort-order-id": order,
    });
    serde_json::from_value(metadata).unwrap()
}

fn file(name: &str, partition: i64, bytes: u64) -> LiveFile {
    LiveFile {
        path: format!("file:///t/{name}"),
        format: DataFileFormat::Parquet,
        partition: Struct::from_iter([Some(Literal::long(partition))]),
        spec_id: 0,
        bytes,
        rows: bytes,
        sequence_number: 5,
        sort_order_id: None,
        is_encrypted: false,
        written_ms: None,
    }
}

fn files(count: usize, partition: i64, bytes: u64) -> Vec<LiveFile> {
    (0..count)
        .map(|index| file(&format!("{partition}-{index:03}"), partition, bytes))
        .collect()
}

fn planned(data: Vec<LiveFile>, policy: &RewritePolicy) -> (Vec<usize>, Vec<String>) {
    let live = LiveFiles {
        data,
        deletes: Vec::new(),
    };
    let plan = plan(&table(false), &live, policy, 0);
    let counts = plan.groups.iter().map(|group| group.files.len()).collect();
    (counts, plan.left_alone)
}

#[test]
fn small_files_of_a_partition_are_put_together_where_it_pays() {
    let few = "too few of them in their partition to be worth it";
    for (data, groups, left) in [
        (files(5, 1, 10), vec![5], vec![]),
        (
            files(4, 1, 10),
            vec![],
            vec![format!("4 small files: {few}")],
        ),
        // They fill a file.
        (files(2, 1, 600), vec![2], vec![]),
        // Not small.
        (files(9, 1, 750), vec![], vec![]),
        (
            [files(6, 1, 10), files(8, 2, 10)].concat(),
            vec![8, 6],
            vec![],
        ),
        (
            [files(3, 1, 10), files(3, 2, 10)].concat(),
            vec![],
            vec![format!("6 small files: {few}")],
        ),
        // Eight targets a group.
        (files(20, 1, 700), vec![11, 9], vec![]),
        (vec![], vec![], vec![]),
    ] {
        let what = data.len();
        assert_eq!(planned(data, &POLICY), (groups, left), "{what}");
    }
}

#[test]
fn what_cannot_be_rewritten_is_told() {
    let mut data = files(8, 1, 10);
    data[0].format = DataFileFormat::Avro;
    data[1].is_encrypted = true;
    data[2].spec_id = 7;
    let (groups, left) = planned(data, &POLICY);
    assert_eq!(groups, [5]);
    assert_eq!(
        left,
        [
            "1 small files: they are of an earlier partition spec",
            "1 small files: they are encrypted",
            "1 small files: they are not Parquet",
        ]
    );
}

#[test]
fn sorted_files_are_kept_apart_and_merged_a_few_at_a_time() {
    let mut data = files(150, 1, 10);
    for file in &mut data[..140] {
        file.sort_order_id = Some(1);
    }
    let live = LiveFiles {
        data,
        deletes: Vec::new(),
    };
    let plan = plan(&table(true), &live, &POLICY, 0);
    let groups: Vec<_> = plan
        .groups
        .iter()
        .map(|group| (group.is_sorted, group.files.len()))
        .collect();
    assert_eq!(groups, [(true, 64), (true, 64), (true, 12), (false, 10)]);
}

#[test]
fn hot_partitions_are_left_unless_it_pays() {
    let policy = RewritePolicy {
        hot_for_ms: 1_000,
        ..POLICY
    };
    let at = |count: usize, bytes: u64, written_ms: i64| {
        let mut data = files(count, 1, bytes);
        data[0].written_ms = Some(written_ms);
        planned(data, &policy).0
    };
    assert_eq!(at(9, 10, -999), Vec::<usize>::new());
    assert_eq!(at(9, 10, -1_000), [9]);
    assert_eq!(at(64, 10, 0), [64]);
    assert_eq!(at(9, 200, 0), [9]);
}

#[test]
fn deletes_apply_as_iceberg_says() {
    let data = file("a", 1, 10);
    let delete = |is_positional: bool, number: i64, partition: i64| DeleteFile {
        is_positional,
        partition: Struct::from_iter([Some(Literal::long(partition))]),
        spec_id: 0,
        is_global: false,
        sequence_number: number,
        data_file: None,
    };
    // The file's number is 5. By position those of its own commit apply, by value only later ones.
    for (is_positional, number, partition, expected) in [
        (true, 5, 1, true),
        (true, 4, 1, false),
        (true, 6, 2, false),
        (false, 5, 1, false),
        (false, 6, 1, true),
        (false, 6, 2, false),
    ] {
        let delete = delete(is_positional, number, partition);
        assert_eq!(delete.may_apply_to(&data), expected, "{delete:?}");
    }
    let global = DeleteFile {
        is_global: true,
        spec_id: 9,
        ..delete(false, 6, 2)
    };
    assert!(global.may_apply_to(&data));
    let named = |path: &str| DeleteFile {
        data_file: Some(path.to_owned()),
        ..delete(true, 6, 2)
    };
    assert!(named("file:///t/a").may_apply_to(&data));
    assert!(!named("file:///t/b").may_apply_to(&data));
}
