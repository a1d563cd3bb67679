//! The dead-letter table follows its table by the outbox, each entry once.

use std::sync::Arc;

use frazil_service::clock::{Ids, RandomIds};
use frazil_table::{
    catalog::LoadedTable,
    commit::{Guards, Outcome, PendingFile},
    dead_letters::{OUTBOX_ENTRIES_MAX, write_manifest},
    error::{Remedy, TableErrorKind},
    snapshot,
    storage::iceberg_io::file_io,
};
use iceberg::{
    TableUpdate,
    spec::{
        DataContentType, DataFileBuilder, DataFileFormat, Literal, MAIN_BRANCH, SnapshotReference,
        SnapshotRetention, Struct,
    },
};

use crate::on::{On, on_each_catalog};
use crate::support::{Fault, Lake, Writer, name, uuid_of};

on_each_catalog! {
    entries_are_applied_once_and_then_dropped,
    lost_replies_and_helpers_change_nothing,
    one_that_is_gone_is_made_again_where_it_stood,
    another_s_table_of_that_name_stops,
    one_that_went_back_in_time_stops,
    a_table_that_went_back_behind_it_stops_before_it_gives_out_a_number_twice,
    a_manifest_that_is_gone_stops_and_too_many_pending_stop,
    a_manifest_is_of_one_spec_and_one_schema,
}

/// A file of dead letters that only its manifest will speak of.
fn rejects(dead_letters: &LoadedTable, file: &str) -> Vec<PendingFile> {
    let data_file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("{}/data/{file}", dead_letters.metadata.location()))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::date(20_000))]))
        .partition_spec_id(0)
        .record_count(3)
        .file_size_in_bytes(10)
        .build()
        .unwrap();
    vec![PendingFile {
        data_file,
        partition_spec_id: 0,
        schema_id: dead_letters.metadata.current_schema_id(),
    }]
}

/// Commits one record that is a dead letter, and leaves it in the outbox.
async fn give(lake: &Lake, file: &str) {
    let writer = Writer::start(lake.committer()).await;
    let dead_letters = writer.committer.dead_letter_table(&name()).await.unwrap();
    let files = rejects(&dead_letters, file);
    let manifest = write_manifest(&dead_letters, &files, RandomIds.uuid())
        .await
        .unwrap();
    let mut checkpoint = writer.without_rows(1, writer.position(1) + 1, Vec::new());
    checkpoint.dead_letters = Some(manifest);
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

async fn apply(lake: &Lake) -> u64 {
    lake.committer().apply_outbox(&name()).await.unwrap()
}

/// The files that the dead-letter table holds, by name.
async fn held(lake: &Lake) -> Vec<String> {
    let table = lake.dead_letters().await;
    let io = file_io(Arc::clone(&table.storage));
    let mut files = Vec::new();
    for manifest in snapshot::manifests(&table).await.unwrap() {
        for entry in manifest.load_manifest(&io).await.unwrap().entries() {
            files.push(entry.file_path().rsplit('/').next().unwrap().to_string());
        }
    }
    files.sort();
    files
}

async fn pending(lake: &Lake) -> Vec<u64> {
    lake.state().await.dead_letters.outbox.into_keys().collect()
}

async fn entries_are_applied_once_and_then_dropped(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    give(&lake, "a").await;
    assert_eq!(pending(&lake).await, [1]);
    assert_eq!(held(&lake).await, [] as [&str; 0]);
    assert_eq!(apply(&lake).await, 1);
    assert_eq!(apply(&lake).await, 0);
    assert_eq!(held(&lake).await, ["a"]);
    // The next commit drops what is applied, and gives out the next number.
    give(&lake, "b").await;
    give(&lake, "c").await;
    assert_eq!(pending(&lake).await, [2, 3]);
    assert_eq!(apply(&lake).await, 2);
    assert_eq!(held(&lake).await, ["a", "b", "c"]);
    let table = lake.dead_letters().await;
    assert_eq!(table.metadata.properties()["frazil.applied"], "3");
    assert_eq!(
        table.metadata.properties()["frazil.dead-letters-of"],
        uuid_of(&lake.load().await).to_string()
    );
    let summary = &table
        .metadata
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["total-records"], "9");
    let writer = Writer::start(lake.committer()).await;
    let checkpoint = writer.without_rows(1, 9, Vec::new());
    writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert_eq!(pending(&lake).await, [] as [u64; 0]);
}

async fn lost_replies_and_helpers_change_nothing(on: On) {
    let lake = Arc::new(Lake::with_table(on, &[]).await);
    give(&lake, "a").await;
    give(&lake, "b").await;
    let helper = Arc::clone(&lake);
    let faults = [
        Fault::LostReply,
        Fault::after(async move {
            apply(&helper).await;
        }),
    ];
    let committer = lake.committer_on(lake.faulty(faults));
    committer.apply_outbox(&name()).await.unwrap();
    assert_eq!(held(&lake).await, ["a", "b"]);
    // The negative control: without counting steps, a lost reply doubles.
    give(&lake, "c").await;
    let faults = [Fault::LostReply];
    let unguarded = lake.committer_on(lake.faulty(faults)).with_guards(Guards {
        outbox_step: false,
        ..Guards::default()
    });
    unguarded.apply_outbox(&name()).await.unwrap();
    assert_eq!(held(&lake).await, ["a", "b", "c", "c"]);
}

async fn one_that_is_gone_is_made_again_where_it_stood(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    give(&lake, "a").await;
    apply(&lake).await;
    give(&lake, "b").await;
    let old = uuid_of(&lake.dead_letters().await);
    lake.drop_table(&name().dead_letters()).await;
    assert_eq!(apply(&lake).await, 1);
    let new = lake.dead_letters().await;
    assert_ne!(uuid_of(&new), old);
    assert_eq!(
        new.metadata.properties()["frazil.replaces"],
        old.to_string()
    );
    assert_eq!(held(&lake).await, ["b"]);
    give(&lake, "c").await;
    assert_eq!(apply(&lake).await, 1);
    assert_eq!(
        lake.state().await.dead_letters.table_uuid,
        Some(uuid_of(&new))
    );
    assert_eq!(held(&lake).await, ["b", "c"]);
}

async fn another_s_table_of_that_name_stops(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    give(&lake, "a").await;
    lake.drop_table(&name()).await;
    lake.catalog
        .create(&name(), crate::support::creation(&[]))
        .await
        .unwrap();
    let error = lake
        .committer()
        .dead_letter_table(&name())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::DeadLetterTable, Remedy::Stop)
    );
    assert!(error.to_string().contains("rename it"), "{error}");
}

async fn one_that_went_back_in_time_stops(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    give(&lake, "a").await;
    let early = lake.dead_letters().await.metadata_location;
    apply(&lake).await;
    give(&lake, "b").await;
    apply(&lake).await;
    give(&lake, "c").await;
    // A rollback of its main branch.
    let table = lake.dead_letters().await;
    let first = table.metadata.history()[0].snapshot_id;
    let retention = SnapshotRetention::branch(None, None, None);
    let reference = SnapshotReference::new(first, retention);
    let ref_name = MAIN_BRANCH.to_string();
    lake.foreign(
        &table,
        vec![TableUpdate::SetSnapshotRef {
            ref_name,
            reference,
        }],
    )
    .await;
    let error = lake.committer().apply_outbox(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::DeadLetterTable, Remedy::Stop)
    );
    assert!(error.to_string().contains("rolled back"), "{error}");
    // A restored backup of its pointer.
    lake.rewind(&name().dead_letters(), &early).await;
    let error = lake.committer().apply_outbox(&name()).await.unwrap_err();
    assert!(error.to_string().contains("went back in time"), "{error}");
}

async fn a_table_that_went_back_behind_it_stops_before_it_gives_out_a_number_twice(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    give(&lake, "a").await;
    apply(&lake).await;
    let writer = Writer::start(lake.committer()).await;
    let drops = writer.without_rows(1, 2, Vec::new());
    writer.committer.commit(&name(), &drops).await.unwrap();
    let early = lake.load().await.metadata_location;
    give(&lake, "b").await;
    apply(&lake).await;
    lake.rewind(&name(), &early).await;
    let writer = Writer::start(lake.committer()).await;
    let dead_letters = lake.dead_letters().await;
    let files = rejects(&dead_letters, "b2");
    let manifest = write_manifest(&dead_letters, &files, RandomIds.uuid())
        .await
        .unwrap();
    let mut checkpoint = writer.without_rows(1, 3, Vec::new());
    checkpoint.dead_letters = Some(manifest);
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::DeadLetterTable, Remedy::Stop)
    );
    assert_eq!(held(&lake).await, ["a", "b"]);
}

async fn a_manifest_that_is_gone_stops_and_too_many_pending_stop(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    for number in 0..OUTBOX_ENTRIES_MAX {
        give(&lake, &number.to_string()).await;
    }
    let writer = Writer::start(lake.committer()).await;
    let mut checkpoint = writer.without_rows(1, 1_000, Vec::new());
    checkpoint.dead_letters = Some("file:///x".to_string());
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::OutboxFull, Remedy::Stop)
    );
    let first = lake.state().await.dead_letters.outbox[&1].clone();
    let bytes = lake.storage.read(&first).await.unwrap();
    lake.storage.delete(&first).await.unwrap();
    let error = lake.committer().apply_outbox(&name()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::DeadLetterTable, Remedy::Stop)
    );
    assert!(error.to_string().contains(&first), "{error}");
    lake.storage.write(&first, bytes).await.unwrap();
    assert_eq!(apply(&lake).await, OUTBOX_ENTRIES_MAX as u64);
    assert_eq!(held(&lake).await.len(), OUTBOX_ENTRIES_MAX);
}

async fn a_manifest_is_of_one_spec_and_one_schema(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let table = lake.dead_letters().await;
    assert!(write_manifest(&table, &[], RandomIds.uuid()).await.is_err());
    let mut files = rejects(&table, "a");
    files.extend(rejects(&table, "b"));
    files[1].schema_id = 9;
    let error = write_manifest(&table, &files, RandomIds.uuid())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("several"), "{error}");
}
