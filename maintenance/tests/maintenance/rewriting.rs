//! `rewrite-data-files`.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::once,
    num::NonZero,
    sync::Arc,
};

use frazil_maintenance::{
    report::Report,
    rewrite_data_files::{Rewriting, rewrite_data_files},
};
use frazil_service::clock::{Ids as _, RandomIds};
use frazil_table::{
    commit::{Rewrite, RewriteGroup},
    maintenance::Maintenance,
    snapshot,
    storage::{Storage as _, iceberg_io},
};
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{
        DataContentType, DataFileBuilder, DataFileFormat, MAIN_BRANCH, ManifestListWriter,
        ManifestWriterBuilder, NestedField, Operation, PrimitiveLiteral, PrimitiveType, Schema,
        Snapshot, SnapshotReference, SnapshotRetention, Struct, Summary, Type,
    },
};

use crate::lake::{Lake, ranges, write_files};

fn all() -> Rewriting {
    Rewriting {
        target_bytes: None,
        min_input_files: 2,
        hot_for_ms: 0,
        groups_at_a_time: NonZero::new(2),
        dry_run: false,
    }
}

async fn rewrite(lake: &Lake, rewriting: &Rewriting) -> Report {
    let report = rewrite_data_files(&lake.maintainer(), &lake.target(), rewriting).await;
    report.unwrap()
}

/// Rewrites, and looks at all that must stay as it is: rows, the writers' state, snapshots; and that nothing is left to do.
async fn rewrite_and_look(lake: &Lake, rewriting: &Rewriting) -> Report {
    let (rows, state) = (lake.rows().await, lake.state().await);
    let before = lake.live().await.totals();
    let old = lake.table().await.metadata.current_snapshot_id().unwrap();
    let report = rewrite(lake, rewriting).await;
    assert_eq!(lake.rows().await, rows, "M1");
    assert_eq!(lake.state().await, state, "M2");
    assert_eq!(lake.rows_of(old).await, rows, "the snapshot before");
    let after = lake.live().await.totals();
    assert_eq!(
        (report.files_before, report.bytes_before, report.rows_before),
        (before.files, before.bytes, before.rows)
    );
    assert_eq!(
        (report.files_after, report.bytes_after, report.rows_after),
        (after.files, after.bytes, after.rows)
    );
    check_totals(lake).await;
    let location = lake.table().await.metadata_location;
    let again = rewrite(lake, rewriting).await;
    assert!(!again.committed, "M4: {again:?}");
    assert_eq!(lake.table().await.metadata_location, location, "M4");
    report
}

/// The current snapshot's summary tells what is there.
async fn check_totals(lake: &Lake) {
    let table = lake.table().await;
    let totals = lake.live().await.totals();
    let summary = table.metadata.current_snapshot().unwrap().summary().clone();
    for (key, expected) in [
        ("total-data-files", totals.files),
        ("total-files-size", totals.bytes),
        ("total-records", totals.rows),
    ] {
        let told = &summary.additional_properties[key];
        assert_eq!(*told, expected.to_string(), "{key}");
    }
}

#[tokio::test]
async fn many_small_files_become_one() {
    let lake = Lake::new("").await;
    lake.write(ranges(12, 100)).await;
    let sequence_number = lake.table().await.metadata.last_sequence_number();
    let report = rewrite_and_look(&lake, &all()).await;
    assert!(report.committed);
    assert_eq!((report.files_before, report.files_after), (12, 1));
    assert_eq!(report.rows_after, 1_200);
    let table = lake.table().await;
    let current = table.metadata.current_snapshot().unwrap();
    assert_eq!(current.summary().operation, Operation::Replace);
    assert_eq!(
        current.summary().additional_properties["deleted-data-files"],
        "12"
    );
    assert_eq!(
        current.summary().additional_properties["deleted-records"],
        "1200"
    );
    let live = lake.live().await;
    // What was deleted by equality since it was read would be of it, and nothing before.
    assert_eq!(live.data[0].sequence_number, sequence_number);
    assert!(
        live.data[0].path.contains("/data/m1-"),
        "{}",
        live.data[0].path
    );
    // Its bounds are of all rows.
    let manifests = snapshot::manifests(&table).await.unwrap();
    let mut files = Vec::new();
    for manifest in &manifests {
        let loaded = snapshot::load_manifest(&table, manifest).await.unwrap();
        let alive = loaded.entries().iter().filter(|entry| entry.is_alive());
        files.extend(alive.map(|entry| entry.data_file().clone()));
    }
    let bound = |datum: &iceberg::spec::Datum| datum.literal().clone();
    assert_eq!(
        bound(&files[0].lower_bounds()[&1]),
        PrimitiveLiteral::Long(0)
    );
    assert_eq!(
        bound(&files[0].upper_bounds()[&1]),
        PrimitiveLiteral::Long(1_199)
    );
    // Writers go on, and their files are small ones again.
    lake.write(once(1_200..1_300)).await;
    assert_eq!(lake.rows().await.len(), 1_300);
    check_totals(&lake).await;
}

#[tokio::test]
async fn partitions_stay_apart() {
    let lake = Lake::new("partition_by = [\"day(time)\", \"bucket(2, host)\"]").await;
    lake.write(ranges(10, 60)).await;
    let partitions: BTreeSet<String> = lake
        .live()
        .await
        .data
        .iter()
        .map(|file| format!("{:?}", file.partition))
        .collect();
    let report = rewrite_and_look(&lake, &all()).await;
    let live = lake.live().await;
    assert_eq!(report.files_after as usize, partitions.len());
    let after: BTreeSet<String> = live
        .data
        .iter()
        .map(|file| format!("{:?}", file.partition))
        .collect();
    assert_eq!(after, partitions);
    assert!(
        live.data
            .iter()
            .all(|file| file.path.contains("/time_day=2026-01-0"))
    );
}

#[tokio::test]
async fn sorted_files_stay_sorted_however_many_there_are() {
    let lake = Lake::new("sort_by = [\"host\", \"number desc\"]").await;
    // More than are merged at a time.
    lake.write(ranges(70, 30)).await;
    let order = lake.table().await.metadata.default_sort_order_id();
    assert_ne!(order, 0);
    let report = rewrite_and_look(&lake, &all()).await;
    assert_eq!(report.files_after, 1);
    let live = lake.live().await;
    assert_eq!(live.data[0].sort_order_id.map(i64::from), Some(order));
    let bytes = lake.storage.read(&live.data[0].path).await.unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 4_096);
    let mut keys = Vec::new();
    for batch in reader.unwrap() {
        use arrow_array::{cast::AsArray as _, types::Int64Type};
        let batch = batch.unwrap();
        let (numbers, hosts) = (
            batch.column(0).as_primitive::<Int64Type>(),
            batch.column(1).as_string::<i32>(),
        );
        for (host, number) in hosts.iter().zip(numbers) {
            keys.push((host.map(str::to_owned), -number.unwrap()));
        }
    }
    assert_eq!(keys.len(), 2_100);
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn files_come_out_at_the_target_size() {
    let lake = Lake::new("").await;
    lake.write(ranges(40, 500)).await;
    // Together they compress better.
    let target = lake.live().await.totals().bytes / 16;
    let rewriting = Rewriting {
        target_bytes: Some(target),
        ..all()
    };
    rewrite_and_look(&lake, &rewriting).await;
    let live = lake.live().await;
    let small = live.data.iter().filter(|file| file.bytes * 4 < target * 3);
    assert!(small.count() <= 1, "{:?}", sizes(&live));
    assert!((3..=9).contains(&live.data.len()), "{:?}", sizes(&live));
}

fn sizes(live: &frazil_maintenance::files::LiveFiles) -> Vec<u64> {
    live.data.iter().map(|file| file.bytes).collect()
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let lake = Lake::new("").await;
    lake.write(ranges(6, 10)).await;
    let (location, files) = (lake.table().await.metadata_location, lake.files().await);
    let dry = Rewriting {
        dry_run: true,
        ..all()
    };
    let report = rewrite(&lake, &dry).await;
    assert_eq!(report.details["files_rewritten"], 6);
    assert!(!report.committed);
    assert_eq!(lake.table().await.metadata_location, location);
    assert_eq!(lake.files().await, files);
}

#[tokio::test]
async fn partitions_that_are_being_written_to_are_left_until_they_cool() {
    let lake = Lake::new("partition_by = [\"day(time)\"]").await;
    lake.write(ranges(5, 30)).await;
    let cautious = Rewriting {
        hot_for_ms: 60_000,
        ..all()
    };
    let report = rewrite(&lake, &cautious).await;
    assert!(!report.committed);
    assert_eq!(
        report.left_alone,
        ["15 small files: their partition is still being written to"]
    );
    lake.clock.advance_ms(61_000);
    let report = rewrite_and_look(&lake, &cautious).await;
    assert_eq!((report.files_before, report.files_after), (15, 3));
    // With very many files it pays at once.
    lake.write(ranges(70, 3)).await;
    let report = rewrite_and_look(&lake, &cautious).await;
    assert_eq!(report.files_after, 3);
}

#[tokio::test]
async fn rows_are_read_by_the_columns_that_the_table_has_now() {
    let lake = Lake::new("").await;
    lake.write(ranges(3, 20)).await;
    add_column(&lake).await;
    lake.write(once(60..80)).await;
    let report = rewrite_and_look(&lake, &all()).await;
    assert_eq!(report.files_after, 1);
}

async fn add_column(lake: &Lake) {
    let table = lake.table().await;
    let fields = table
        .metadata
        .current_schema()
        .as_struct()
        .fields()
        .to_vec();
    let id = table.metadata.last_column_id() + 1;
    let added = NestedField::optional(id, "added", Type::Primitive(PrimitiveType::Int));
    let schema = Schema::builder()
        .with_schema_id(table.metadata.current_schema_id() + 1)
        .with_fields(fields.into_iter().chain([Arc::new(added)]))
        .build()
        .unwrap();
    let updates = vec![
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    lake.catalog
        .commit(&table, Vec::new(), updates)
        .await
        .unwrap();
}

/// Another engine commits a delete file for all of the table's one partition, or for one of its data files.
async fn delete_rows(lake: &Lake, content: DataContentType, data_file: Option<&str>) {
    let table = lake.table().await;
    let metadata = &table.metadata;
    let folder = format!("{}/metadata", metadata.location());
    let io = iceberg_io::file_io(Arc::clone(&table.storage));
    let (id, number) = (RandomIds.snapshot_id(), metadata.next_sequence_number());
    let mut file = DataFileBuilder::default();
    file.content(content)
        .file_path(format!("{}/data/deletes-{id}.parquet", metadata.location()))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(1)
        .file_size_in_bytes(100);
    if content == DataContentType::EqualityDeletes {
        file.equality_ids(Some(vec![1]));
    }
    if let Some(path) = data_file {
        file.referenced_data_file(Some(path.to_owned()));
    }
    let manifest = io
        .new_output(format!("{folder}/deletes-{id}.avro"))
        .unwrap();
    let mut writer = ManifestWriterBuilder::new(
        manifest,
        Some(id),
        Arc::clone(metadata.current_schema()),
        metadata.default_partition_spec().as_ref().clone(),
    )
    .build_v2_deletes();
    writer.add_file(file.build().unwrap(), number).unwrap();
    let manifest = writer.write_manifest_file().await.unwrap();
    let path = format!("{folder}/snap-deletes-{id}.avro");
    let output = io.new_output(&path).unwrap().writer().await.unwrap();
    let parent = metadata.current_snapshot_id();
    let mut list = ManifestListWriter::v2(output, id, parent, number);
    let existing = snapshot::manifests(&table).await.unwrap();
    list.add_manifests(existing.into_iter().chain([manifest]))
        .unwrap();
    list.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(parent)
        .with_sequence_number(number)
        .with_timestamp_ms(metadata.last_updated_ms() + 5)
        .with_manifest_list(path)
        .with_summary(Summary {
            operation: Operation::Delete,
            additional_properties: [].into(),
        })
        .with_schema_id(metadata.current_schema_id())
        .build();
    let retention = SnapshotRetention::branch(None, None, None);
    let updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_owned(),
            reference: SnapshotReference::new(id, retention),
        },
    ];
    lake.catalog
        .commit(&table, Vec::new(), updates)
        .await
        .unwrap();
}

#[tokio::test]
async fn files_that_rows_were_deleted_from_are_left_alone() {
    for content in [
        DataContentType::PositionDeletes,
        DataContentType::EqualityDeletes,
    ] {
        let lake = Lake::new("").await;
        lake.write(ranges(4, 10)).await;
        delete_rows(&lake, content, None).await;
        let old: BTreeSet<_> = lake
            .live()
            .await
            .data
            .into_iter()
            .map(|file| file.path)
            .collect();
        lake.write([40..50, 50..60, 60..70]).await;
        let report = rewrite(&lake, &all()).await;
        assert_eq!(
            (report.files_before, report.files_after),
            (7, 5),
            "{content:?}"
        );
        assert_eq!(
            report.left_alone[0],
            "4 small files: rows of them may be deleted by delete files, which are not applied"
        );
        let live = lake.live().await;
        assert!(
            old.iter()
                .all(|path| live.data.iter().any(|file| file.path == *path))
        );
        let new = live
            .data
            .iter()
            .find(|file| !old.contains(&file.path))
            .unwrap();
        assert!(!live.deletes[0].may_apply_to(new), "{content:?}");
        assert!(!rewrite(&lake, &all()).await.committed);
    }
}

/// What of a group is committed after something happened between its reading and its commit.
async fn after(lake: &Lake, happens: impl AsyncFnOnce(&[String])) -> (Option<String>, bool) {
    let table = lake.table().await;
    let inputs: Vec<_> = lake
        .live()
        .await
        .data
        .into_iter()
        .map(|file| file.path)
        .collect();
    let outputs = write_files(&table, 0..40).await;
    let rewrite = Rewrite {
        id: RandomIds.uuid(),
        table_uuid: table.metadata.uuid(),
        epoch: Maintenance::of(&table).unwrap().epoch,
        operation: Operation::Replace,
        sequence_number: table.metadata.current_snapshot().unwrap().sequence_number(),
        groups: vec![RewriteGroup {
            inputs: inputs.iter().cloned().collect(),
            outputs,
        }],
    };
    happens(&inputs).await;
    let name = &lake.dataset.table;
    let rewritten = lake.committer().rewrite(name, &rewrite).await.unwrap();
    (
        rewritten.left_out[0].clone(),
        rewritten.snapshot_id.is_some(),
    )
}

#[tokio::test]
async fn a_group_whose_files_changed_meanwhile_is_given_up() {
    let four = async || {
        let lake = Lake::new("").await;
        lake.write(ranges(4, 10)).await;
        lake
    };
    let lake = four().await;
    assert_eq!(
        after(&lake, async |_| lake.write(once(40..50)).await).await,
        (None, true)
    );
    assert_eq!(lake.rows().await.len(), 50);

    let lake = four().await;
    let other = async |_: &[String]| assert!(rewrite(&lake, &all()).await.committed);
    let (left_out, committed) = after(&lake, other).await;
    assert_eq!(left_out.unwrap(), "4 of its 4 files are no longer live");
    assert!(!committed);
    assert_eq!(lake.rows().await.len(), 40);

    let lake = four().await;
    let deletes = async |inputs: &[String]| {
        delete_rows(&lake, DataContentType::PositionDeletes, Some(&inputs[2])).await;
    };
    let (left_out, committed) = after(&lake, deletes).await;
    assert_eq!(left_out.unwrap(), "rows of it were deleted meanwhile");
    assert!(!committed);

    // Deletes by value hold for what takes the place of older files, too.
    let lake = four().await;
    let deletes = async |_: &[String]| {
        delete_rows(&lake, DataContentType::EqualityDeletes, None).await;
    };
    assert_eq!(after(&lake, deletes).await, (None, true));
    let live = lake.live().await;
    assert!(live.deletes[0].may_apply_to(&live.data[0]));
}

#[tokio::test]
async fn a_file_that_a_position_delete_does_not_name_is_rewritten() {
    let lake = Lake::new("").await;
    lake.write(ranges(4, 10)).await;
    let named = lake.live().await.data[0].path.clone();
    delete_rows(&lake, DataContentType::PositionDeletes, Some(&named)).await;
    let report = rewrite(&lake, &all()).await;
    assert_eq!(report.files_after, 2);
    assert!(lake.live().await.data.iter().any(|file| file.path == named));
}

#[tokio::test]
async fn history_and_rest_of_metadata_stay() {
    let lake = Lake::new("\n[properties]\n\"commit.manifest.min-count-to-merge\" = \"3\"").await;
    lake.write(ranges(9, 10)).await;
    let before = lake.table().await;
    rewrite_and_look(&lake, &all()).await;
    let after = lake.table().await;
    assert_eq!(before.metadata.properties(), after.metadata.properties());
    assert_eq!(
        after.metadata.snapshots().len(),
        before.metadata.snapshots().len() + 1
    );
    let by_status = counts(&lake).await;
    assert_eq!(by_status, BTreeMap::from([("Added", 1), ("Deleted", 9)]));
    // A requirement of the very base: a stale swap is refused.
    let stale = vec![TableRequirement::RefSnapshotIdMatch {
        r#ref: MAIN_BRANCH.to_owned(),
        snapshot_id: before.metadata.current_snapshot_id(),
    }];
    assert!(
        lake.catalog
            .commit(&after, stale, Vec::new())
            .await
            .is_err()
    );
}

async fn counts(lake: &Lake) -> BTreeMap<&'static str, usize> {
    use iceberg::spec::ManifestStatus;
    let table = lake.table().await;
    let mut counts = BTreeMap::new();
    for manifest in snapshot::manifests(&table).await.unwrap() {
        let loaded = snapshot::load_manifest(&table, &manifest).await.unwrap();
        for entry in loaded.entries() {
            let status = match entry.status() {
                ManifestStatus::Added => "Added",
                ManifestStatus::Existing => "Existing",
                ManifestStatus::Deleted => "Deleted",
            };
            *counts.entry(status).or_default() += 1;
        }
    }
    counts
}
