//! The file of finished sources over each catalog: what keeps it, and whose it is.

use std::collections::BTreeMap;

use frazil_table::{
    commit::{Committer, Outcome, PositionChanges},
    snapshot::KEPT_TAG,
    state::{FileIdentity, SourceIdentity},
};
use iceberg::TableUpdate;

use crate::on::{On, on_each_catalog};
use crate::support::{Lake, Writer, counted, name, numbers, set_to};

on_each_catalog! {
    what_keeps_the_file_is_made_again_where_another_engine_took_it_away,
    a_file_in_another_folder_is_copied_into_the_table_s_own,
}

/// A committer that moves each finished source to the file at once.
fn moving(lake: &Lake) -> Committer {
    lake.committer().with_finished_sources_max(0)
}

/// A writer that knows the finished sources, too.
async fn writer(committer: Committer) -> Writer {
    let mut writer = Writer::start(committer).await;
    let sources = writer.committer.sources(&writer.open).await.unwrap();
    writer.open.state.sources = sources.expect("nobody else writes");
    writer
}

/// Commits the records of a file up to its end.
async fn finish(committer: Committer, source: u64, end: u64) {
    let writer = writer(committer).await;
    let mut checkpoint = writer.checkpoint(source, end).await;
    checkpoint.advances[0].identity = SourceIdentity::File(FileIdentity {
        path: format!("/var/log/{source}.log"),
        head_length: end,
        head_hash: format!("{source:032x}"),
        tail_hash: format!("{end:032x}"),
        at_end: true,
    });
    let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

/// The positions of all sources, by their ids.
async fn positions(lake: &Lake) -> BTreeMap<u64, u64> {
    let sources = writer(lake.committer()).await.open.state.sources;
    sources
        .into_iter()
        .map(|(id, source)| (id, source.position))
        .collect()
}

/// The path of the file that the state names.
async fn named(lake: &Lake) -> String {
    lake.state().await.finished.expect("there are some").path
}

/// The snapshot that the tag holds, whose statistics file is the state's file.
async fn kept_by(lake: &Lake) -> i64 {
    let metadata = lake.load().await.metadata;
    let tagged = metadata.snapshot_for_ref(KEPT_TAG).expect("the tag");
    let tagged = tagged.snapshot_id();
    let statistics = metadata.statistics_for_snapshot(tagged);
    let statistics = statistics.expect("the tagged snapshot has statistics");
    assert_eq!(statistics.statistics_path, named(lake).await);
    tagged
}

async fn what_keeps_the_file_is_made_again_where_another_engine_took_it_away(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    finish(moving(&lake), 1, 10).await;
    finish(moving(&lake), 2, 20).await;
    assert_eq!(lake.state().await.finished.unwrap().sources, 2);
    let mut end = 0;
    for takes in [[true, true], [true, false], [false, true]] {
        let tagged = kept_by(&lake).await;
        let updates = [
            TableUpdate::RemoveSnapshotRef {
                ref_name: KEPT_TAG.to_string(),
            },
            TableUpdate::RemoveStatistics {
                snapshot_id: tagged,
            },
        ];
        let taken = updates.into_iter().zip(takes).filter(|(_, takes)| *takes);
        let taken = taken.map(|(update, _)| update).collect();
        let table = lake.foreign(&lake.load().await, taken).await;
        let has_tag = table.metadata.snapshot_for_ref(KEPT_TAG).is_some();
        let has_statistics = table.metadata.statistics_for_snapshot(tagged).is_some();
        assert_eq!([!has_tag, !has_statistics], takes);
        end += 10;
        finish(lake.committer(), 3, end).await;
        assert_ne!(kept_by(&lake).await, tagged);
        assert_eq!(positions(&lake).await, [(1, 10), (2, 20), (3, end)].into());
    }
}

async fn a_file_in_another_folder_is_copied_into_the_table_s_own(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    finish(moving(&lake), 1, 10).await;
    finish(moving(&lake), 2, 20).await;
    let before = named(&lake).await;
    let folder = format!("{}/elsewhere", lake.load().await.metadata.location());
    let elsewhere = TableUpdate::SetProperties {
        updates: [("write.metadata.path".to_string(), folder.clone())].into(),
    };
    lake.foreign(&lake.load().await, vec![elsewhere]).await;
    let accepted = PositionChanges {
        changes: vec![],
        accept_history: true,
        ..set_to(1, 0)
    };
    let committer = lake.committer();
    committer.set_positions(&name(), &accepted).await.unwrap();
    let copy = named(&lake).await;
    assert!(copy.starts_with(&format!("{folder}/")), "{copy}");
    kept_by(&lake).await;
    let bytes = lake.storage.read(&before).await.unwrap();
    assert_eq!(lake.storage.read(&copy).await.unwrap(), bytes);
    // The other table cleans up.
    lake.storage.delete(&before).await.unwrap();
    assert_eq!(positions(&lake).await, [(1, 10), (2, 20)].into());
    finish(moving(&lake), 1, 15).await;
    let after = named(&lake).await;
    assert!(after.starts_with(&format!("{folder}/")), "{after}");
    assert_eq!(positions(&lake).await, [(1, 15), (2, 20)].into());
    let rows = [counted(0..15), counted(1_000_000..1_000_020)].concat();
    assert_eq!(numbers(&lake.load().await).await, rows);
}
