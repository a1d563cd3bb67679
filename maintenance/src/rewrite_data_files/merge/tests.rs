//! Merging against sorting all at once.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, cast::AsArray as _, types::Int64Type};
use futures::stream;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use super::*;

fn keys() -> RowKeys {
    let metadata = json!({
        "format-version": 2, "table-uuid": uuid::Uuid::nil(), "location": "file:///t",
        "last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": 2,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "key", "required": false, "type": "long"},
            {"id": 2, "name": "run", "required": true, "type": "long"}]}],
        "current-schema-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0, "last-partition-id": 999,
        "sort-orders": [{"order-id": 1, "fields":
            [{"source-id": 1, "transform": "identity", "direction": "desc", "null-order": "nulls-last"}]}],
        "default-sort-order-id": 1,
    });
    RowKeys::new(&serde_json::from_value(metadata).unwrap())
        .unwrap()
        .unwrap()
}

fn batch(rows: &[(Option<i64>, i64)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>());
    let runs: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([("key", keys, true), ("run", runs, false)]).unwrap()
}

/// A run in batches of the given lengths.
fn run(rows: &[(Option<i64>, i64)], lengths: impl FnMut() -> usize) -> Rows {
    let mut lengths = lengths;
    let mut batches = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(lengths().min(rest.len()));
        batches.push(Ok(batch(now)));
        rest = later;
    }
    stream::iter(batches).boxed()
}

async fn merged(runs: Vec<Rows>) -> Result<Vec<(Option<i64>, i64)>, RewriteError> {
    let named = runs.into_iter().enumerate();
    let named = named
        .map(|(index, run)| (format!("run {index}"), run))
        .collect();
    let mut merge = Merge::new(keys(), named).await?;
    let mut rows = Vec::new();
    while let Some(batch) = merge.next().await? {
        assert!(batch.num_rows() > 0);
        let (keys, runs) = (
            batch.column(0).as_primitive::<Int64Type>(),
            batch.column(1).as_primitive::<Int64Type>(),
        );
        rows.extend(keys.iter().zip(runs.values().iter().copied()));
    }
    Ok(rows)
}

/// Largest first, nulls last.
fn order(row: &(Option<i64>, i64)) -> (bool, std::cmp::Reverse<Option<i64>>) {
    (row.0.is_none(), std::cmp::Reverse(row.0))
}

#[tokio::test]
async fn it_is_as_if_all_were_sorted_at_once() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut all = Vec::new();
        let mut runs = Vec::new();
        for index in 0..random.random_range(0..9) {
            let length = random.random_range(0..6_000);
            let mut rows: Vec<(Option<i64>, i64)> = (0..length)
                .map(|_| {
                    let key = random.random_range(0..500);
                    ((key > 0).then_some(key), index)
                })
                .collect();
            rows.sort_by_key(order);
            let mut lengths = StdRng::seed_from_u64(seed + 1_000);
            runs.push(run(&rows, move || lengths.random_range(0..900)));
            all.extend(rows);
        }
        // Stable: rows that are equal come in the order of the runs.
        all.sort_by_key(order);
        assert_eq!(merged(runs).await.unwrap(), all, "seed {seed}");
    }
}

#[tokio::test]
async fn a_run_that_is_not_sorted_is_named() {
    let rising = [(Some(5), 0), (Some(1), 0), (Some(3), 0)];
    for length in [1, 3] {
        let runs = vec![run(&[(Some(9), 0)], || 1), run(&rising, move || length)];
        let error = merged(runs).await.unwrap_err();
        assert!(
            matches!(&error, RewriteError::NotSorted(name) if name == "run 1"),
            "{error:?}"
        );
    }
}
