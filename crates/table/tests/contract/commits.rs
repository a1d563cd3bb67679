//! The commit protocol over each catalog and real files.

use std::sync::Arc;

use frazil_table::{
    commit::{Guards, Outcome, PositionChange, PositionChanges},
    error::{Remedy, TableErrorKind},
    snapshot,
};
use iceberg::{
    TableUpdate,
    spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention},
};

use crate::on::{On, on_each_catalog};
use crate::support::{
    Fault, Lake, Writer, counted, name, numbers, set_to, uuid_of, write, write_rows,
};

on_each_catalog! {
    rows_and_positions_are_committed_together,
    a_zombie_is_fenced_or_superseded,
    a_lost_reply_is_found_out,
    a_lost_request_is_made_again_and_deletes_nothing,
    a_lost_reply_is_found_in_the_history_once_others_went_on,
    a_conflict_is_decided_anew_and_its_files_go,
    writers_of_different_sources_all_get_in,
    a_catalog_that_cannot_be_asked_is_an_error_to_try_again,
    an_outcome_that_stays_unknown_is_an_error_and_deletes_nothing,
    an_operator_moves_positions_and_fences_what_was_begun,
    main_keeps_its_retention_settings_and_time_goes_on,
    files_that_do_not_fit_are_refused_before_anything_is_left_behind,
    deleting_while_the_outcome_is_unknown_would_break_the_table,
}

async fn rows_and_positions_are_committed_together(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[25, 25, 60]).await;
    let table = lake.load().await;
    assert_eq!(numbers(&table).await, counted(0..60));
    let state = lake.state().await;
    assert_eq!(state.sources[&1].position, 60);
    assert_eq!(state.sources_version, 1);
    assert_eq!(state.table_uuid, uuid_of(&table));
    assert_eq!(
        state.dead_letters.table_uuid,
        Some(uuid_of(&lake.dead_letters().await))
    );
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(
        state.last_commit.unwrap().snapshot_id,
        snapshot.snapshot_id()
    );
    let summary = &snapshot.summary().additional_properties;
    assert_eq!(summary["added-records"], "35");
    assert_eq!(summary["total-records"], "60");
    assert_eq!(summary["total-data-files"], "7");
    assert_eq!(summary["frazil.ranges"], "[[1,25,60]]");
    assert!(summary["frazil.counts"].contains("\"records_read\":35"));
    // The checkpoint without rows moved main, too.
    assert_eq!(table.metadata.snapshots().len(), 3);
}

async fn a_zombie_is_fenced_or_superseded(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let zombie = Writer::start(lake.committer()).await;
    let same = zombie.checkpoint(1, 20).await;
    let longer = zombie.checkpoint(1, 30).await;
    write(&lake, &[20]).await;
    let before = lake.load().await.metadata_location;
    let outcome = zombie.committer.commit(&name(), &same).await.unwrap();
    assert_eq!(outcome, Outcome::Superseded);
    let outcome = zombie.committer.commit(&name(), &longer).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Fenced { reason } if reason.contains("source 1")),
        "{outcome:?}"
    );
    assert_eq!(lake.load().await.metadata_location, before);
    assert_eq!(numbers(&lake.load().await).await, counted(0..20));
    // Without the guard its rows would be there twice.
    let unguarded = zombie.committer.clone().with_guards(Guards {
        position: false,
        ..Guards::default()
    });
    unguarded.commit(&name(), &same).await.unwrap();
    assert_eq!(numbers(&lake.load().await).await.len(), 30);
}

async fn a_lost_reply_is_found_out(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let writer = Writer::start(lake.committer_on(lake.faulty([Fault::LostReply]))).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    let current = lake.load().await.metadata.current_snapshot_id();
    assert_eq!(
        outcome,
        Outcome::AlreadyCommitted {
            snapshot_id: current
        }
    );
    assert_eq!(numbers(&lake.load().await).await, counted(0..20));
    // The same again by a process that remembers nothing of it.
    let outcome = lake.committer().commit(&name(), &checkpoint).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::AlreadyCommitted {
            snapshot_id: current
        }
    );
}

async fn a_lost_request_is_made_again_and_deletes_nothing(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let writer = Writer::start(lake.committer_on(lake.faulty([Fault::LostRequest]))).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
    assert_eq!(numbers(&lake.load().await).await, counted(0..20));
    let lists = |files: &[String]| files.iter().filter(|f| f.contains("/snap-")).count();
    assert_eq!(
        lists(&lake.files().await),
        2,
        "the list of the attempt that may be in is kept"
    );
}

async fn a_lost_reply_is_found_in_the_history_once_others_went_on(on: On) {
    let lake = Arc::new(Lake::with_table(on, &[]).await);
    let other = Arc::clone(&lake);
    let fault = Fault::lost_reply_then(async move { write(&other, &[30, 40]).await });
    let writer = Writer::start(lake.committer_on(lake.faulty([fault]))).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(
        matches!(
            outcome,
            Outcome::AlreadyCommitted {
                snapshot_id: Some(_)
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(numbers(&lake.load().await).await, counted(0..40));
}

async fn a_conflict_is_decided_anew_and_its_files_go(on: On) {
    let lake = Arc::new(Lake::with_table(on, &[]).await);
    write(&lake, &[10]).await;
    let other = Arc::clone(&lake);
    // Another engine commits first: what it does commutes.
    let foreign = Fault::after(async move {
        let updates = vec![TableUpdate::SetProperties {
            updates: [("comment".to_string(), "x".to_string())].into(),
        }];
        other.foreign(&other.load().await, updates).await;
    });
    let writer = Writer::start(lake.committer_on(lake.faulty([foreign]))).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
    let table = lake.load().await;
    assert_eq!(table.metadata.properties()["comment"], "x");
    assert_eq!(numbers(&table).await, counted(0..20));
    let lists = lake
        .files()
        .await
        .iter()
        .filter(|f| f.contains("/snap-"))
        .count();
    assert_eq!(
        lists, 2,
        "one for each snapshot, none of the attempt that lost"
    );
    let newest = &snapshot::manifests(&table).await.unwrap()[0].manifest_path;
    let (attempt, _) = newest.rsplit_once("-m").unwrap();
    let (_, attempt) = attempt.rsplit_once('/').unwrap();
    let list = table.metadata.current_snapshot().unwrap().manifest_list();
    // A REST server knows no base: there it was no conflict.
    assert_eq!(
        list.contains(attempt),
        matches!(on, On::Rest),
        "the manifest of its files is that of the attempt that lost"
    );
    // Another writer commits first: what it does is ours.
    let other = Arc::clone(&lake);
    let rival = Fault::after(async move { write(&other, &[30]).await });
    let writer = Writer::start(lake.committer_on(lake.faulty([rival]))).await;
    let checkpoint = writer.checkpoint(1, 30).await;
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert_eq!(outcome, Outcome::Superseded);
    assert_eq!(numbers(&lake.load().await).await, counted(0..30));
    let files = lake.files().await;
    let manifests = files.iter().filter(|f| f.ends_with("-m0.avro")).count();
    assert_eq!(manifests, 3, "none of the attempt that lost for good");
}

async fn writers_of_different_sources_all_get_in(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let writers = 6_u64;
    for source in 1..=writers {
        let writer = Writer::start(lake.committer()).await;
        let checkpoint = writer.checkpoint(source, 5).await;
        writer.committer.commit(&name(), &checkpoint).await.unwrap();
    }
    futures::future::join_all((1..=writers).map(|source| {
        let lake = &lake;
        async move {
            for end in [10, 15, 20] {
                let writer = Writer::start(lake.committer()).await;
                let checkpoint = writer.checkpoint(source, end).await;
                let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
                assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
            }
        }
    }))
    .await;
    let found = numbers(&lake.load().await).await;
    let expected: Vec<i64> = (0..writers as i64)
        .flat_map(|source| source * 1_000_000..source * 1_000_000 + 20)
        .collect();
    assert_eq!(found, expected);
}

async fn a_catalog_that_cannot_be_asked_is_an_error_to_try_again(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let faults = [Fault::NotSent, Fault::NotSent, Fault::NotSent];
    let writer = Writer::start(lake.committer_on(lake.faulty(faults))).await;
    let checkpoint = writer.checkpoint(1, 20).await;
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::CatalogUnavailable, Remedy::Retry)
    );
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
}

async fn an_outcome_that_stays_unknown_is_an_error_and_deletes_nothing(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let faults = std::iter::repeat_with(|| Fault::LostRequest).take(2_000);
    let writer = Writer::start(lake.committer_on(lake.faulty(faults))).await;
    let checkpoint = writer.checkpoint(1, 10).await;
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::Unknown, Remedy::Retry)
    );
    assert!(lake.files().await.iter().any(|f| f.contains("/snap-")));
    let outcome = lake.committer().commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }));
    assert_eq!(numbers(&lake.load().await).await, counted(0..10));
}

async fn an_operator_moves_positions_and_fences_what_was_begun(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let writer = Writer::start(lake.committer()).await;
    let begun = writer.checkpoint(1, 20).await;
    let committer = lake.committer_on(lake.faulty([Fault::LostReply]));
    let snapshot_id = committer
        .set_positions(&name(), &set_to(1, 10))
        .await
        .unwrap();
    let table = lake.load().await;
    assert_eq!(table.metadata.current_snapshot_id(), Some(snapshot_id));
    let summary = &table
        .metadata
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["frazil.action.who"], "ana");
    let state = lake.state().await;
    assert_eq!(state.epoch, 1);
    assert_eq!(state.last_action.unwrap().why, "the file was damaged");
    let outcome = writer.committer.commit(&name(), &begun).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Fenced { reason } if reason.contains("operator")),
        "{outcome:?}"
    );
    let error = committer
        .set_positions(&name(), &set_to(9, 10))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.remedy()),
        (TableErrorKind::Usage, Remedy::Usage)
    );
    write(&lake, &[15]).await;
    let forget = PositionChanges {
        changes: vec![PositionChange::Forget { source: 1 }],
        ..set_to(1, 0)
    };
    committer.set_positions(&name(), &forget).await.unwrap();
    assert!(lake.state().await.sources.is_empty());
}

async fn main_keeps_its_retention_settings_and_time_goes_on(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    write(&lake, &[10]).await;
    let table = lake.load().await;
    let retention = SnapshotRetention::branch(Some(7), Some(8), None);
    let head = table.metadata.current_snapshot_id().unwrap();
    let reference = SnapshotReference::new(head, retention.clone());
    let ref_name = MAIN_BRANCH.to_string();
    lake.foreign(
        &table,
        vec![TableUpdate::SetSnapshotRef {
            ref_name,
            reference,
        }],
    )
    .await;
    // And the clock is set back by an hour.
    lake.clock.advance_ms(-3_600_000);
    write(&lake, &[20]).await;
    let table = lake.load().await;
    let json = serde_json::to_value(table.metadata.as_ref()).unwrap();
    let main: SnapshotReference = serde_json::from_value(json["refs"]["main"].clone()).unwrap();
    assert_eq!(main.retention, retention);
    let times: Vec<i64> = table
        .metadata
        .history()
        .iter()
        .map(|log| log.timestamp_ms)
        .collect();
    assert!(times.is_sorted_by(|a, b| a <= b), "{times:?}");
    let last = *times.last().unwrap();
    if on == On::Rest {
        // The server has a clock of its own.
        assert!(last <= table.metadata.last_updated_ms());
    } else {
        assert_eq!(last, table.metadata.last_updated_ms());
    }
}

async fn files_that_do_not_fit_are_refused_before_anything_is_left_behind(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let writer = Writer::start(lake.committer()).await;
    let mut files = write_rows(&writer.open.table, 0..5).await;
    files[0].partition_spec_id = 9;
    let before = lake.files().await;
    let checkpoint = writer.without_rows(1, 5, files.clone());
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Fenced { .. }));
    files[0].partition_spec_id = 0;
    files[0].data_file = iceberg::spec::DataFileBuilder::default()
        .content(iceberg::spec::DataContentType::Data)
        .file_path("file:///x".to_string())
        .file_format(iceberg::spec::DataFileFormat::Parquet)
        .record_count(1)
        .file_size_in_bytes(1)
        .build()
        .unwrap();
    let checkpoint = writer.without_rows(1, 5, files);
    let error = writer
        .committer
        .commit(&name(), &checkpoint)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("partition values"), "{error}");
    assert_eq!(lake.files().await, before);
}

/// The negative control: who deletes while the outcome is not known deletes what is committed.
async fn deleting_while_the_outcome_is_unknown_would_break_the_table(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let committer = lake.committer_on(lake.faulty([Fault::LostReply]));
    let writer = Writer::start(committer.with_guards(Guards {
        unknown_deletes_nothing: false,
        ..Guards::default()
    }))
    .await;
    let checkpoint = writer.checkpoint(1, 20).await;
    writer.committer.commit(&name(), &checkpoint).await.unwrap();
    let table = lake.load().await;
    let list = table.metadata.current_snapshot().unwrap().manifest_list();
    assert_eq!(lake.storage.stat(list).await.unwrap(), None);
}
