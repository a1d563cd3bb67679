//! The contract of catalogs. Every implementation runs [`contract`].

use std::sync::Arc;

use frazil_dataset::TableName;
use frazil_service::clock::{Ids, RandomIds};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError, LoadedTable,
        pointer::{PointerCatalog, PointerStore, SwapOutcome},
    },
    storage::{Storage, local::LocalStorage},
};
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{
        FormatVersion, MAIN_BRANCH, Operation, Snapshot, SnapshotReference, SnapshotRetention,
        Summary,
    },
};

use crate::{
    on::{On, on_each_catalog},
    support::{Lake, TestClock, creation, name},
};

on_each_catalog! {
    the_contract_is_kept,
    of_racing_writers_one_wins_each_round,
    tables_of_nested_namespaces_are_listed,
    a_rehearsal_leaves_all_as_it_is,
}

fn set(key: &str, value: &str) -> TableUpdate {
    TableUpdate::SetProperties {
        updates: [(key.to_string(), value.to_string())].into(),
    }
}

async fn a_rehearsal_leaves_all_as_it_is(on: On) {
    let lake = Lake::new(on).await;
    let catalog = lake.catalog.as_ref();
    catalog.rehearse(None).await.unwrap();
    assert!(catalog.list().await.unwrap().is_empty());
    let made = catalog.create(&name(), creation(&[])).await.unwrap();
    let rehearsal = catalog.rehearse(Some(&made)).await.unwrap();
    assert!(!rehearsal.shown.is_empty(), "{rehearsal:?}");
    let has = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
    let (compares, does_not) = match on {
        On::Hive4 => (true, false),
        On::Hive2 | On::Hive3 => (false, true),
        On::Sqlite | On::Postgres | On::Rest => (false, false),
    };
    assert_eq!(
        has(&rehearsal.shown, "compares what a commit expects"),
        compares
    );
    assert_eq!(
        has(&rehearsal.warnings, "does not compare"),
        does_not,
        "{rehearsal:?}"
    );
    assert_eq!(rehearsal.clock_ms.is_some(), on == On::Postgres);
    let now = catalog.load(&name()).await.unwrap().unwrap();
    assert_eq!(now.metadata_location, made.metadata_location);
    let changed = catalog.commit(&now, Vec::new(), vec![set("a", "1")]).await;
    changed.unwrap();
    // A writer that is at work does not matter.
    catalog.rehearse(Some(&made)).await.unwrap();
}

/// What every catalog must do, on an empty one.
async fn the_contract_is_kept(on: On) {
    let lake = Lake::new(on).await;
    let catalog = lake.catalog.as_ref();
    assert!(catalog.load(&name()).await.unwrap().is_none());
    assert!(catalog.list().await.unwrap().is_empty());
    let made = catalog
        .create(&name(), creation(&[("a", "1")]))
        .await
        .unwrap();
    assert_eq!(catalog.list().await.unwrap(), [name()]);
    assert!(matches!(
        catalog.create(&name(), creation(&[])).await,
        Err(CommitError::Conflict(_))
    ));
    let loaded = catalog.load(&name()).await.unwrap().unwrap();
    assert_eq!(loaded.metadata, made.metadata);
    assert_eq!(loaded.metadata_location, made.metadata_location);
    assert_eq!(loaded.metadata.format_version(), FormatVersion::V2);
    assert_eq!(loaded.metadata.properties()["a"], "1");
    assert!(loaded.metadata.location().ends_with("/logs/web"));
    assert!(loaded.metadata.location().contains(":/"), "an absolute URI");

    let uuid = |uuid| vec![TableRequirement::UuidMatch { uuid }];
    let ours = uuid(loaded.metadata.uuid());
    let changed = catalog
        .commit(&loaded, ours.clone(), vec![set("a", "2")])
        .await
        .unwrap();
    assert_eq!(changed.metadata.properties()["a"], "2");
    assert_ne!(changed.metadata_location, loaded.metadata_location);
    let again = catalog.load(&name()).await.unwrap().unwrap();
    assert_eq!(again.metadata, changed.metadata);
    assert_eq!(again.metadata_location, changed.metadata_location);
    assert!(again.metadata.last_updated_ms() >= loaded.metadata.last_updated_ms());
    // A table that a commit gave back has its files as one that was loaded has.
    let file = changed.storage.stat(&changed.metadata_location).await;
    assert!(file.unwrap().is_some());

    // The base is no longer current, though the requirements hold.
    if on.swaps_exactly() {
        let stale = catalog
            .commit(&loaded, ours.clone(), vec![set("a", "3")])
            .await;
        assert!(matches!(stale, Err(CommitError::Conflict(_))), "{stale:?}");
    }
    // The base is current, and a requirement fails.
    let foreign = catalog
        .commit(&again, uuid(RandomIds.uuid()), vec![set("a", "3")])
        .await;
    assert!(
        matches!(foreign, Err(CommitError::Conflict(_))),
        "{foreign:?}"
    );
    // An update that no base takes.
    let unknown = TableUpdate::SetCurrentSchema { schema_id: 77 };
    let invalid = catalog.commit(&again, ours.clone(), vec![unknown]).await;
    assert!(
        matches!(invalid, Err(CommitError::Rejected(_))),
        "{invalid:?}"
    );
    let now = catalog.load(&name()).await.unwrap().unwrap();
    assert_eq!(now.metadata, changed.metadata);
    // The refused commits left no metadata file behind.
    assert_eq!(lake.files().await.len(), 2, "{:?}", lake.files().await);

    lake.drop_table(&name()).await;
    assert!(catalog.load(&name()).await.unwrap().is_none());
    assert!(catalog.list().await.unwrap().is_empty());
    let gone = catalog.commit(&now, ours, vec![set("a", "3")]).await;
    assert!(matches!(gone, Err(CommitError::Conflict(_))), "{gone:?}");
}

/// A snapshot on `main` without any file, which no other snapshot may have come before.
pub(crate) fn snapshot_on(
    base: &LoadedTable,
    id: i64,
) -> (Vec<TableRequirement>, Vec<TableUpdate>) {
    let metadata = &base.metadata;
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(metadata.next_sequence_number())
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(format!("{}/metadata/none-{id}", metadata.location()))
        .with_summary(Summary {
            operation: Operation::Append,
            additional_properties: [].into(),
        })
        .build();
    let retention = SnapshotRetention::branch(None, None, None);
    let requirements = vec![
        TableRequirement::UuidMatch {
            uuid: metadata.uuid(),
        },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.to_string(),
            snapshot_id: metadata.current_snapshot_id(),
        },
    ];
    let updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_string(),
            reference: SnapshotReference::new(id, retention),
        },
    ];
    (requirements, updates)
}

const RIVALS: i64 = 8;
const ROUNDS: i64 = 20;

async fn of_racing_writers_one_wins_each_round(on: On) {
    let lake = Lake::with_table(on, &[]).await;
    let mut rivals = Vec::new();
    for _ in 0..RIVALS {
        rivals.push(lake.connect().await);
    }
    for round in 0..ROUNDS {
        let base = lake.load().await;
        let start = tokio::sync::Barrier::new(rivals.len());
        let commits = rivals.iter().zip(1..).map(|(rival, number)| {
            let (base, start) = (&base, &start);
            async move {
                let id = round * 100 + number;
                let (requirements, updates) = snapshot_on(base, id);
                start.wait().await;
                (id, rival.commit(base, requirements, updates).await)
            }
        });
        let ended = futures::future::join_all(commits).await;
        let now = lake.load().await.metadata;
        let winner = now.current_snapshot_id().unwrap();
        assert_eq!(now.snapshots().len() as i64, round + 1);
        for (id, end) in &ended {
            match end {
                Ok(table) => {
                    assert_eq!(*id, winner, "{ended:?}");
                    assert_eq!(table.metadata.current_snapshot_id(), Some(*id));
                }
                Err(CommitError::Conflict(_)) => assert_ne!(*id, winner, "{ended:?}"),
                // A server over SQLite that is busy says nothing better.
                Err(CommitError::Unknown(_)) if on == On::Rest => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(
            now.current_snapshot().unwrap().parent_snapshot_id(),
            base.metadata.current_snapshot_id()
        );
    }
}

async fn tables_of_nested_namespaces_are_listed(on: On) {
    let lake = Lake::new(on).await;
    let table = |namespace: &[&str], table: &str| TableName {
        namespace: namespace.iter().map(|level| (*level).to_string()).collect(),
        table: table.to_string(),
    };
    let tables = [
        table(&["a"], "one"),
        table(&["a"], "two"),
        table(&["a", "b"], "one"),
        table(&["a-b_c"], "three-_4"),
    ];
    let tables: Vec<TableName> = tables
        .into_iter()
        .filter(|name| on.nests() || name.namespace == ["a"])
        .collect();
    for name in &tables {
        lake.catalog.create(name, creation(&[])).await.unwrap();
    }
    let mut listed = lake.catalog.list().await.unwrap();
    listed.sort_by_key(|name| (name.namespace.clone(), name.table.clone()));
    assert_eq!(listed, tables);
    for name in &tables {
        let loaded = lake.catalog.load(name).await.unwrap().unwrap();
        assert_eq!(loaded.name, *name);
    }
    if on.nests() {
        let none = lake.catalog.load(&table(&["a", "c"], "one")).await;
        assert!(none.unwrap().is_none());
    }
    assert!(
        lake.catalog
            .load(&table(&["a"], "three"))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn old_metadata_files_are_trimmed_only_where_asked() {
    for (asked, left) in [("true", 3), ("false", 7)] {
        let lake = Lake::new(On::Sqlite).await;
        let properties = [
            ("write.metadata.previous-versions-max", "2"),
            ("write.metadata.delete-after-commit.enabled", asked),
        ];
        let mut table = lake
            .catalog
            .create(&name(), creation(&properties))
            .await
            .unwrap();
        for number in 0..6 {
            table = lake
                .foreign(&table, vec![set("a", &number.to_string())])
                .await;
            assert!(table.metadata.metadata_log().len() <= 2);
        }
        let files = lake.files().await;
        assert_eq!(files.len(), left, "{files:?}");
        assert!(files.contains(&table.metadata_location));
        for log in table.metadata.metadata_log() {
            assert!(files.contains(&log.metadata_file));
        }
    }
}

#[tokio::test]
async fn names_count_up_and_foreign_names_are_taken() {
    let lake = Lake::with_table(On::Sqlite, &[]).await;
    let table = lake.load().await;
    let file = |location: &str| location.rsplit('/').next().unwrap().to_string();
    assert!(file(&table.metadata_location).starts_with("00000-"));
    let foreign = format!("{}/metadata/v41.metadata.json", table.metadata.location());
    let bytes = lake.storage.read(&table.metadata_location).await.unwrap();
    lake.storage.write(&foreign, bytes).await.unwrap();
    lake.rewind(&name(), &foreign).await;
    let table = lake.foreign(&lake.load().await, vec![set("a", "1")]).await;
    assert!(file(&table.metadata_location).starts_with("00042-"));
    assert_eq!(
        table.metadata.metadata_log().last().unwrap().metadata_file,
        foreign
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_wedges_nobody() {
    let lake = Lake::new(On::Sqlite).await;
    // A year, and a century, ahead.
    for ahead_ms in [36_000_000_000, 3_155_760_000_000] {
        lake.clock.advance_ms(ahead_ms);
        let before = lake.catalog.create(&name(), creation(&[])).await.unwrap();
        lake.clock.advance_ms(-2 * ahead_ms);
        let after = lake.foreign(&before, vec![set("a", "1")]).await;
        assert!(after.metadata.last_updated_ms() > before.metadata.last_updated_ms());
        let logged = after.metadata.metadata_log()[0].timestamp_ms;
        assert_eq!(logged, before.metadata.last_updated_ms());
        lake.drop_table(&name()).await;
    }
}

#[tokio::test]
async fn metadata_that_is_damaged_or_gone_is_said() {
    let lake = Lake::with_table(On::Sqlite, &[]).await;
    let table = lake.load().await;
    let path = &table.metadata_location;
    lake.storage.write(path, "{".into()).await.unwrap();
    let error = lake.catalog.load(&name()).await.unwrap_err();
    assert!(matches!(&error, CatalogError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains(path), "{error}");
    lake.storage.delete(path).await.unwrap();
    let error = lake.catalog.load(&name()).await.unwrap_err();
    assert!(matches!(&error, CatalogError::Storage(_)), "{error}");
}

/// Pointers whose swaps end as they are told to.
#[derive(Debug)]
struct Scripted(SwapOutcome);

#[async_trait::async_trait]
impl PointerStore for Scripted {
    fn describe(&self) -> String {
        "scripted".to_string()
    }
    async fn get(&self, _: &TableName) -> Result<Option<String>, CatalogError> {
        Ok(None)
    }
    async fn swap(&self, _: &TableName, _: &str, _: &str) -> SwapOutcome {
        self.0.clone()
    }
    async fn insert(&self, _: &TableName, _: &str) -> SwapOutcome {
        SwapOutcome::Swapped
    }
    async fn create_namespace(&self, _: &[String]) -> Result<(), CatalogError> {
        Ok(())
    }
    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn only_what_is_certainly_lost_is_deleted() {
    let reason = || "r".to_string();
    for (outcome, left) in [
        (SwapOutcome::Swapped, 2),
        (SwapOutcome::Unknown(reason()), 2),
        (SwapOutcome::Conflict(reason()), 1),
        (SwapOutcome::Rejected(reason()), 1),
        (SwapOutcome::NotSent(reason()), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new());
        let root = LocalStorage::uri(folder.path()).unwrap();
        let catalog = PointerCatalog::new(
            Scripted(outcome.clone()),
            Arc::clone(&storage),
            &root,
            TestClock::new(),
            Arc::new(RandomIds),
        );
        let table = catalog.create(&name(), creation(&[])).await.unwrap();
        let ended = catalog.commit(&table, vec![], vec![set("a", "1")]).await;
        match (&outcome, &ended) {
            (SwapOutcome::Swapped, Ok(_))
            | (SwapOutcome::Unknown(_), Err(CommitError::Unknown(_)))
            | (SwapOutcome::Conflict(_), Err(CommitError::Conflict(_)))
            | (SwapOutcome::Rejected(_), Err(CommitError::Rejected(_)))
            | (SwapOutcome::NotSent(_), Err(CommitError::NotSent(_))) => {}
            _ => panic!("{outcome:?} became {ended:?}"),
        }
        assert_eq!(
            storage.list(&format!("{root}/")).await.unwrap().len(),
            left,
            "{outcome:?}"
        );
    }
}
