//! What is found wrong with a table is named, and nothing is committed on it.

use std::sync::Arc;

use frazil_table::{
    commit::{Outcome, PositionChanges},
    error::{Remedy, TableErrorKind},
    state::wire,
};
use iceberg::{
    TableUpdate,
    spec::{FormatVersion, MAIN_BRANCH, SnapshotReference, SnapshotRetention},
};

use crate::on::{On, on_each_catalog};
use crate::support::{Lake, Writer, counted, creation, name, numbers, set_to, write};

on_each_catalog! {
    a_table_made_again_or_dropped_stops_its_writer,
    another_table_s_state_stops,
    a_rolled_back_table_stops_until_an_operator_decides,
    expired_snapshots_stop_nobody,
    a_state_that_is_missing_newer_or_damaged_stops,
    formats_that_are_not_written_are_refused_by_name,
    rows_of_a_dropped_column_must_be_encoded_again,
}

async fn a_table_made_again_or_dropped_stops_its_writer(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let writer = Writer::start(lake.committer()).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    lake.drop_table(&name()).await;
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::Gone, Remedy::Stop)
    );
    lake.catalog.create(&name(), creation(&[])).await.unwrap();
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::Recreated, Remedy::Stop)
    );
    assert!(lake.load().await.metadata.current_snapshot().is_none());
}

async fn another_table_s_state_stops(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let properties = lake.load().await.metadata.properties().clone();
    lake.drop_table(&name()).await;
    let clone = lake.catalog.create(&name(), creation(&[])).await.unwrap();
    lake.foreign(
        &clone,
        vec![TableUpdate::SetProperties {
            updates: properties,
        }],
    )
    .await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::Recreated, Remedy::Stop)
    );
    assert!(error.to_string().contains("logs.web"), "{error}");
    assert!(error.to_string().contains("frazil offsets set"), "{error}");
}

async fn a_rolled_back_table_stops_until_an_operator_decides(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10, 20, 30]).await;
    let table = lake.load().await;
    let first = table.metadata.history()[0].snapshot_id;
    let reference = SnapshotReference::new(first, SnapshotRetention::branch(None, None, None));
    let ref_name = MAIN_BRANCH.to_string();
    lake.foreign(
        &table,
        vec![TableUpdate::SetSnapshotRef {
            ref_name,
            reference,
        }],
    )
    .await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::HistoryRewritten, Remedy::Stop)
    );
    let committer = lake.committer();
    let error = committer
        .set_positions(&name(), &set_to(1, 10))
        .await
        .unwrap_err();
    assert_eq!(error.kind, TableErrorKind::HistoryRewritten);
    let accepted = PositionChanges {
        accept_history: true,
        ..set_to(1, 10)
    };
    committer.set_positions(&name(), &accepted).await.unwrap();
    write(&lake, &[30]).await;
    assert_eq!(numbers(&lake.load().await).await, counted(0..30));
}

async fn expired_snapshots_stop_nobody(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10, 20]).await;
    // A foreign snapshot on top, and all below it expired, ours among them.
    let table = lake.load().await;
    let ours = table.metadata.current_snapshot().unwrap().as_ref().clone();
    let top = iceberg::spec::Snapshot::builder()
        .with_snapshot_id(77)
        .with_parent_snapshot_id(Some(ours.snapshot_id()))
        .with_sequence_number(ours.sequence_number() + 1)
        .with_timestamp_ms(ours.timestamp_ms() + 1)
        .with_manifest_list(ours.manifest_list())
        .with_summary(iceberg::spec::Summary {
            operation: iceberg::spec::Operation::Replace,
            additional_properties: [].into(),
        })
        .build();
    let retention = SnapshotRetention::branch(None, None, None);
    let top = vec![
        TableUpdate::AddSnapshot { snapshot: top },
        TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_string(),
            reference: SnapshotReference::new(77, retention),
        },
    ];
    let table = lake.foreign(&table, top).await;
    let snapshot_ids = table
        .metadata
        .snapshots()
        .map(|s| s.snapshot_id())
        .filter(|id| *id != 77)
        .collect();
    lake.foreign(&table, vec![TableUpdate::RemoveSnapshots { snapshot_ids }])
        .await;
    assert_eq!(lake.state().await.sources[&1].position, 20);
    write(&lake, &[30]).await;
    assert_eq!(numbers(&lake.load().await).await, counted(0..30));
}

async fn a_state_that_is_missing_newer_or_damaged_stops(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let table = lake.load().await;
    let set = |key: &str, value: &str| TableUpdate::SetProperties {
        updates: [(key.to_string(), value.to_string())].into(),
    };
    let newer = lake
        .foreign(&table, vec![set(wire::KEY, r#"{"version":9}"#)])
        .await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::StateNewer, Remedy::Stop)
    );
    let damaged = lake.foreign(&newer, vec![set(wire::KEY, "{}")]).await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::StateDamaged, Remedy::Stop)
    );
    let removals = vec![wire::KEY.to_string(), format!("{}.0", wire::KEY)];
    lake.foreign(&damaged, vec![TableUpdate::RemoveProperties { removals }])
        .await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::StateMissing, Remedy::Stop)
    );
    let accepted = PositionChanges {
        changes: vec![],
        accept_history: true,
        ..set_to(1, 0)
    };
    lake.committer()
        .set_positions(&name(), &accepted)
        .await
        .unwrap();
    let state = lake.state().await;
    assert!(state.sources.is_empty());
    assert!(
        state.epoch > 1_000_000,
        "past every epoch that may have been"
    );
}

async fn formats_that_are_not_written_are_refused_by_name(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let upgrade = TableUpdate::UpgradeFormatVersion {
        format_version: FormatVersion::V3,
    };
    lake.foreign(&lake.load().await, vec![upgrade]).await;
    let error = lake.committer().open(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::FormatVersion, Remedy::Stop)
    );
    assert!(error.to_string().contains("version 3"), "{error}");
}

async fn rows_of_a_dropped_column_must_be_encoded_again(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let writer = Writer::start(lake.committer()).await;
    let checkpoint = writer.checkpoint(1, 10).await;
    let table = lake.load().await;
    let schema = iceberg::spec::Schema::builder()
        .with_fields([Arc::clone(
            &table.metadata.current_schema().as_struct().fields()[0],
        )])
        .build()
        .unwrap();
    let drop_m = vec![
        TableUpdate::AddSchema { schema },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    lake.foreign(&table, drop_m).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Fenced { reason } if reason.contains("column m")),
        "{outcome:?}"
    );
}
