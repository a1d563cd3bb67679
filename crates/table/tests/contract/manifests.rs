//! Manifests stay bounded, and what they list stays readable.

use std::sync::Arc;

use frazil_table::{commit::Outcome, snapshot, storage::iceberg_io::file_io};
use iceberg::{
    TableUpdate,
    spec::{
        DataContentType, DataFileBuilder, DataFileFormat, Literal, MAIN_BRANCH,
        ManifestContentType, ManifestListWriter, ManifestStatus, ManifestWriterBuilder, Operation,
        Snapshot, SnapshotReference, SnapshotRetention, Struct, Summary, Transform,
        UnboundPartitionSpec,
    },
};

use crate::on::On;
use crate::support::{Lake, Writer, counted, name, numbers};

async fn write(lake: &Lake, count: u64, step: u64) {
    for _ in 0..count {
        let writer = Writer::start(lake.committer()).await;
        let end = writer.position(1) + step;
        let checkpoint = writer.checkpoint(1, end).await;
        let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn merged_manifests_are_few_and_lose_nothing() {
    let lake = Lake::with_table(On::Sqlite, &[("commit.manifest.min-count-to-merge", "5")]).await;
    for _ in 0..23 {
        write(&lake, 1, 3).await;
        let manifests = snapshot::manifests(&lake.load().await).await.unwrap();
        // Up to four of one to four entries, up to four of five to twenty-four, and the new one.
        assert!(manifests.len() <= 9, "{}", manifests.len());
    }
    let table = lake.load().await;
    assert_eq!(numbers(&table).await, counted(0..69));
    let io = file_io(Arc::clone(&table.storage));
    let mut sequence_numbers = Vec::new();
    for manifest in snapshot::manifests(&table).await.unwrap() {
        for entry in manifest.load_manifest(&io).await.unwrap().entries() {
            assert_ne!(entry.status(), ManifestStatus::Deleted);
            // Data and file sequence numbers are those of the snapshot that added the file.
            let added = entry.snapshot_id().unwrap();
            let added = table
                .metadata
                .snapshot_by_id(added)
                .unwrap()
                .sequence_number();
            assert_eq!(entry.sequence_number(), Some(added));
            assert_eq!(entry.file_sequence_number, Some(added));
            sequence_numbers.push(added);
        }
    }
    sequence_numbers.sort_unstable();
    sequence_numbers.dedup();
    assert_eq!(
        sequence_numbers,
        counted(1..24),
        "each commit's files keep their own number"
    );
}

#[tokio::test]
async fn full_manifests_are_left_alone_and_merging_can_be_turned_off() {
    let tiny = [
        ("commit.manifest.min-count-to-merge", "3"),
        ("commit.manifest.target-size-bytes", "1"),
    ];
    let lake = Lake::with_table(On::Sqlite, &tiny).await;
    write(&lake, 6, 2).await;
    assert_eq!(
        snapshot::manifests(&lake.load().await).await.unwrap().len(),
        6
    );
    let off = [
        ("commit.manifest.min-count-to-merge", "3"),
        ("commit.manifest-merge.enabled", "false"),
    ];
    let lake = Lake::with_table(On::Sqlite, &off).await;
    write(&lake, 6, 2).await;
    assert_eq!(
        snapshot::manifests(&lake.load().await).await.unwrap().len(),
        6
    );
    assert_eq!(numbers(&lake.load().await).await, counted(0..12));
}

#[tokio::test]
async fn partition_specs_keep_manifests_of_their_own() {
    let lake = Lake::with_table(On::Sqlite, &[("commit.manifest.min-count-to-merge", "3")]).await;
    write(&lake, 4, 2).await;
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "m_trunc", Transform::Truncate(10))
        .unwrap()
        .build();
    let evolve = vec![
        TableUpdate::AddSpec { spec },
        TableUpdate::SetDefaultSpec { spec_id: -1 },
    ];
    // Rows encoded under the old spec are still welcome.
    let early = Writer::start(lake.committer()).await;
    let checkpoint = early.checkpoint(1, 10).await;
    lake.foreign(&lake.load().await, evolve).await;
    early.committer.commit(&name(), &checkpoint).await.unwrap();
    write(&lake, 6, 2).await;
    let table = lake.load().await;
    let manifests = snapshot::manifests(&table).await.unwrap();
    let of = |spec| {
        manifests
            .iter()
            .filter(|m| m.partition_spec_id == spec)
            .count()
    };
    // Of five and six.
    assert!((1..=3).contains(&of(0)), "{}", of(0));
    assert!((1..=4).contains(&of(1)), "{}", of(1));
    assert_eq!(numbers(&table).await, counted(0..22));
}

/// Another engine adds a manifest of deletes; appends and merges carry it as it is.
#[tokio::test]
async fn delete_manifests_are_carried() {
    let lake = Lake::with_table(On::Sqlite, &[("commit.manifest.min-count-to-merge", "3")]).await;
    write(&lake, 2, 2).await;
    let table = lake.load().await;
    let io = file_io(Arc::clone(&table.storage));
    let folder = format!("{}/metadata", table.metadata.location());
    let path = format!("{folder}/deletes.avro");
    let spec = table.metadata.default_partition_spec().as_ref().clone();
    let schema = Arc::clone(table.metadata.current_schema());
    let mut writer =
        ManifestWriterBuilder::new(io.new_output(&path).unwrap(), Some(77), schema, spec)
            .build_v2_deletes();
    let delete_file = DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(format!(
            "{}/data/deletes.parquet",
            table.metadata.location()
        ))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::long(0))]))
        .record_count(1)
        .file_size_in_bytes(1)
        .build()
        .unwrap();
    writer.add_file(delete_file, -1).unwrap();
    let deletes = writer.write_manifest_file().await.unwrap();
    let list_path = format!("{folder}/snap-77.avro");
    let before = table.metadata.current_snapshot().unwrap();
    let number = before.sequence_number() + 1;
    let output = io.new_output(&list_path).unwrap().writer().await.unwrap();
    let mut list = ManifestListWriter::v2(output, 77, Some(before.snapshot_id()), number);
    let manifests = snapshot::manifests(&table).await.unwrap();
    list.add_manifests(std::iter::once(deletes).chain(manifests))
        .unwrap();
    list.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(77)
        .with_parent_snapshot_id(Some(before.snapshot_id()))
        .with_sequence_number(number)
        .with_timestamp_ms(before.timestamp_ms() + 1)
        .with_manifest_list(list_path)
        .with_summary(Summary {
            operation: Operation::Delete,
            additional_properties: [("total-delete-files".to_string(), "1".to_string())].into(),
        })
        .build();
    let retention = SnapshotRetention::branch(None, None, None);
    let updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_string(),
            reference: SnapshotReference::new(77, retention),
        },
    ];
    lake.foreign(&table, updates).await;
    write(&lake, 7, 2).await;
    let table = lake.load().await;
    let manifests = snapshot::manifests(&table).await.unwrap();
    let deletes: Vec<_> = manifests
        .iter()
        .filter(|m| m.content == ManifestContentType::Deletes)
        .collect();
    assert_eq!(deletes.len(), 1);
    assert_eq!(
        (
            deletes[0].manifest_path.as_str(),
            deletes[0].sequence_number
        ),
        (path.as_str(), number)
    );
    // Of ten.
    assert!(manifests.len() <= 6, "{}", manifests.len());
    let summary = &table
        .metadata
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["total-delete-files"], "1");
    // The foreign snapshot told no total of records, so none is made up.
    assert!(!summary.contains_key("total-records"));
}
