//! `expire-snapshots`.

use std::{collections::BTreeSet, iter::once, num::NonZero, time::Duration};

use frazil_maintenance::{
    expire_snapshots::{Expiry, SnapshotWishes, expire_snapshots},
    report::Report,
    rewrite_data_files::{Rewriting, rewrite_data_files},
};
use frazil_table::{
    catalog::pointer::{PointerStore as _, SwapOutcome},
    error::{Remedy, TableError},
    maintenance::Maintenance,
    storage::Storage as _,
};
use iceberg::{
    TableUpdate,
    spec::{Snapshot, SnapshotReference, SnapshotRetention},
};

use crate::lake::{Lake, ranges};

const GRACE: Duration = Duration::from_mins(1);

/// All but so many of the newest go, their files after a minute.
fn all_but(retain_last: usize) -> Expiry {
    Expiry {
        wishes: SnapshotWishes {
            older_than_ms: Some(i64::MAX),
            retain_last: Some(retain_last),
        },
        grace: GRACE,
        dry_run: false,
    }
}

async fn try_expire(lake: &Lake, expiry: &Expiry) -> Result<Report, TableError> {
    expire_snapshots(&lake.maintainer(), &lake.target(), expiry).await
}

async fn expire(lake: &Lake, expiry: &Expiry) -> Report {
    try_expire(lake, expiry).await.unwrap()
}

/// Ten checkpoints, whose files are then rewritten into one.
async fn rewritten() -> Lake {
    let lake = Lake::new("").await;
    lake.write(ranges(10, 20)).await;
    let rewriting = Rewriting {
        target_bytes: None,
        min_input_files: 2,
        hot_for_ms: 0,
        groups_at_a_time: NonZero::new(1),
        dry_run: false,
    };
    let report = rewrite_data_files(&lake.maintainer(), &lake.target(), &rewriting).await;
    assert_eq!(report.unwrap().files_after, 1);
    lake
}

fn data(files: &[String]) -> BTreeSet<&String> {
    files
        .iter()
        .filter(|path| path.ends_with(".parquet"))
        .collect()
}

#[tokio::test]
async fn files_go_when_a_later_run_finds_the_commit_still_standing() {
    let lake = rewritten().await;
    let (rows, state) = (lake.rows().await, lake.state().await);
    let before = lake.files().await;
    let first = expire(&lake, &all_but(1)).await;
    assert!(first.committed);
    assert_eq!(
        (
            first.details["snapshots_expired"].as_u64(),
            first.files_deleted
        ),
        (Some(10), 0)
    );
    assert!(first.details["files_pending"].as_u64().unwrap() > 20);
    let listed = lake.files().await;
    assert!(before.iter().all(|path| listed.contains(path)));
    // Too early.
    let second = expire(&lake, &all_but(1)).await;
    assert!(!second.committed && second.files_deleted == 0);
    lake.clock.advance_ms(61_000);
    let third = expire(&lake, &all_but(1)).await;
    assert_eq!(
        third.files_deleted,
        first.details["files_pending"].as_u64().unwrap()
    );
    assert_eq!(third.details["files_pending"], 0);
    assert_eq!(data(&lake.files().await).len(), 1);
    assert!(
        !lake
            .files()
            .await
            .iter()
            .any(|path| path.contains("/deletes-"))
    );
    assert_eq!((lake.rows().await, lake.state().await), (rows, state));
    assert_eq!(
        (third.files_before, third.files_after, third.rows_after),
        (1, 1, 200)
    );
    let location = lake.table().await.metadata_location;
    let fourth = expire(&lake, &all_but(1)).await;
    assert!(!fourth.committed);
    assert_eq!(lake.table().await.metadata_location, location, "M4");
    lake.write(once(200..210)).await;
    assert_eq!(lake.rows().await.len(), 210);
}

#[tokio::test]
async fn without_grace_it_is_one_step() {
    let lake = rewritten().await;
    let expiry = Expiry {
        grace: Duration::ZERO,
        ..all_but(3)
    };
    let dry = Expiry {
        dry_run: true,
        ..expiry.clone()
    };
    let files = lake.files().await;
    let would = expire(&lake, &dry).await;
    assert!(!would.committed);
    assert_eq!(lake.files().await, files);
    let report = expire(&lake, &expiry).await;
    assert_eq!(report.files_deleted, would.files_deleted);
    assert_eq!(
        report.details["snapshots_expired"],
        would.details["snapshots_expired"]
    );
    assert_eq!(report.details["snapshots_after"], 3);
    assert_eq!(report.details["files_pending"], 0);
    // Those of the two snapshots before the rewrite are still whole.
    lake.read_all_snapshots().await;
    assert_eq!(data(&lake.files().await).len(), 11);
    assert!(
        lake.table()
            .await
            .metadata
            .properties()
            .contains_key("frazil.maintenance")
    );
}

#[tokio::test]
async fn a_catalog_that_goes_back_in_time_loses_nothing() {
    let lake = rewritten().await;
    let old = lake.table().await.metadata_location;
    expire(&lake, &all_but(1)).await;
    let new = lake.table().await.metadata_location;
    let name = &lake.dataset.table;
    let outcome = lake.pointers.swap(name, &new, &old).await;
    assert_eq!(outcome, SwapOutcome::Swapped);
    lake.clock.advance_ms(3_600_000);
    // It has forgotten the list: nothing is due, and the snapshots expire once more.
    let report = expire(&lake, &all_but(20)).await;
    assert_eq!(report.files_deleted, 0);
    assert_eq!(lake.table().await.metadata.snapshots().len(), 11);
    lake.read_all_snapshots().await;
    let report = expire(&lake, &all_but(1)).await;
    assert_eq!(report.files_deleted, 0);
    lake.clock.advance_ms(3_600_000);
    assert!(expire(&lake, &all_but(1)).await.files_deleted > 20);
    lake.read_all_snapshots().await;
}

#[tokio::test]
async fn what_is_needed_again_is_not_deleted() {
    let lake = rewritten().await;
    let tagged = lake.table().await;
    let first = tagged
        .metadata
        .snapshots()
        .min_by_key(|one| one.sequence_number())
        .unwrap();
    let (first, list) = (first.clone(), first.manifest_list().to_owned());
    expire(&lake, &all_but(1)).await;
    // Someone brings a snapshot back from an older metadata file.
    let table = lake.table().await;
    let snapshot = Snapshot::builder()
        .with_snapshot_id(first.snapshot_id())
        .with_sequence_number(table.metadata.next_sequence_number())
        .with_timestamp_ms(table.metadata.last_updated_ms() + 1)
        .with_manifest_list(list.clone())
        .with_summary(first.summary().clone())
        .with_schema_id(0)
        .build();
    let updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name: "back".to_owned(),
            reference: SnapshotReference::new(
                first.snapshot_id(),
                SnapshotRetention::Tag {
                    max_ref_age_ms: None,
                },
            ),
        },
    ];
    lake.catalog
        .commit(&table, Vec::new(), updates)
        .await
        .unwrap();
    lake.clock.advance_ms(61_000);
    let report = expire(&lake, &all_but(1)).await;
    assert!(report.files_deleted > 0);
    assert_eq!(report.left_alone, ["3 files: the table needs them again"]);
    assert!(lake.storage.stat(&list).await.unwrap().is_some());
    assert_eq!(lake.rows_of(first.snapshot_id()).await.len(), 20);
}

#[tokio::test]
async fn branches_and_tags_keep_theirs() {
    let lake = rewritten().await;
    let table = lake.table().await;
    let mut ids: Vec<_> = table.metadata.snapshots().collect();
    ids.sort_by_key(|one| one.sequence_number());
    let ids: Vec<i64> = ids.iter().map(|one| one.snapshot_id()).collect();
    let set = |name: &str, id: i64, retention| TableUpdate::SetSnapshotRef {
        ref_name: name.to_owned(),
        reference: SnapshotReference::new(id, retention),
    };
    let updates = vec![
        set(
            "tag",
            ids[2],
            SnapshotRetention::Tag {
                max_ref_age_ms: None,
            },
        ),
        set(
            "old",
            ids[0],
            SnapshotRetention::Tag {
                max_ref_age_ms: Some(1),
            },
        ),
        set(
            "branch",
            ids[6],
            SnapshotRetention::branch(Some(2), None, None),
        ),
    ];
    lake.catalog
        .commit(&table, Vec::new(), updates)
        .await
        .unwrap();
    lake.clock.advance_ms(10_000);
    let expiry = Expiry {
        grace: Duration::ZERO,
        ..all_but(1)
    };
    let report = expire(&lake, &expiry).await;
    assert_eq!(report.details["refs_removed"], 1);
    let table = lake.table().await;
    let kept: BTreeSet<i64> = table
        .metadata
        .snapshots()
        .map(|one| one.snapshot_id())
        .collect();
    assert_eq!(kept, BTreeSet::from([ids[2], ids[5], ids[6], ids[10]]));
    assert_eq!(lake.rows_of(ids[2]).await.len(), 60);
    assert_eq!(lake.rows_of(ids[6]).await.len(), 140);
    lake.read_all_snapshots().await;
}

#[tokio::test]
async fn a_table_that_forbids_it_is_refused() {
    // Java takes for false whatever is not true.
    for value in ["false", "no"] {
        let lake = Lake::new(&format!("\n[properties]\n\"gc.enabled\" = \"{value}\"")).await;
        lake.write(ranges(3, 10)).await;
        let error = try_expire(&lake, &all_but(1)).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Usage);
        assert!(error.reason.contains("gc.enabled is not true"), "{error}");
        assert_eq!(lake.table().await.metadata.snapshots().len(), 3);
    }
}

#[tokio::test]
async fn a_list_that_is_gone_is_told_of_and_forgotten() {
    let lake = rewritten().await;
    expire(&lake, &all_but(1)).await;
    let list = Maintenance::of(&lake.table().await).unwrap().deletes[0]
        .list
        .clone();
    lake.storage.delete(&list).await.unwrap();
    lake.clock.advance_ms(61_000);
    let report = expire(&lake, &all_but(1)).await;
    assert_eq!(report.files_deleted, 0);
    assert!(report.left_alone[0].contains("is gone"), "{report:?}");
    assert!(
        Maintenance::of(&lake.table().await)
            .unwrap()
            .deletes
            .is_empty()
    );
}

#[tokio::test]
async fn the_tables_own_properties_count() {
    let lake = Lake::new(
        "\n[properties]\n\"history.expire.min-snapshots-to-keep\" = \"4\"\n\"history.expire.max-snapshot-age-ms\" = \"1000\"",
    )
    .await;
    lake.write(ranges(8, 10)).await;
    let by_properties = Expiry {
        wishes: SnapshotWishes::default(),
        grace: GRACE,
        dry_run: false,
    };
    assert!(!expire(&lake, &by_properties).await.committed);
    lake.clock.advance_ms(2_000);
    let report = expire(&lake, &by_properties).await;
    assert_eq!(report.details["snapshots_after"], 4);
    // Of appends no data file goes: the newest snapshot has them all.
    lake.clock.advance_ms(61_000);
    expire(&lake, &by_properties).await;
    assert_eq!(data(&lake.files().await).len(), 8);
    lake.read_all_snapshots().await;
}
