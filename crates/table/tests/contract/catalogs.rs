//! The contract of catalogs. Every implementation runs [`contract`].

use std::sync::Arc;

use frazil_dataset::TableName;
use frazil_service::clock::{Ids, RandomIds};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError,
        pointer::{PointerCatalog, PointerStore, SwapOutcome},
    },
    storage::{Storage, local::LocalStorage},
};
use iceberg::{TableRequirement, TableUpdate};

use crate::support::{Lake, TestClock, creation, name};

fn set(key: &str, value: &str) -> TableUpdate {
    TableUpdate::SetProperties {
        updates: [(key.to_string(), value.to_string())].into(),
    }
}

/// What every catalog must do, on an empty one.
pub(crate) async fn contract(catalog: &dyn Catalog) {
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
    let again = catalog.load(&name()).await.unwrap().unwrap();
    assert_eq!(again.metadata, changed.metadata);
    assert!(again.metadata.last_updated_ms() > loaded.metadata.last_updated_ms());

    // The base is no longer current, though the requirements hold.
    let stale = catalog
        .commit(&loaded, ours.clone(), vec![set("a", "3")])
        .await;
    assert!(matches!(stale, Err(CommitError::Conflict(_))), "{stale:?}");
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
    let invalid = catalog.commit(&again, ours, vec![unknown]).await;
    assert!(
        matches!(invalid, Err(CommitError::Rejected(_))),
        "{invalid:?}"
    );
    assert_eq!(
        catalog.load(&name()).await.unwrap().unwrap().metadata,
        changed.metadata
    );
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let lake = Lake::new().await;
    contract(lake.catalog.as_ref()).await;
    // The two refused commits left no metadata file behind.
    assert_eq!(lake.files().await.len(), 2, "{:?}", lake.files().await);
}

#[tokio::test]
async fn two_processes_on_one_file_swap_once() {
    let lake = Lake::with_table(&[]).await;
    let base = lake.load().await;
    let rivals = futures::future::join_all((0..8).map(|number| {
        let base = &base;
        let lake = &lake;
        async move {
            let pointers = frazil_table::catalog::sqlite::SqlitePointers::open(
                &lake.folder.path().join("catalog.db"),
            )
            .await
            .unwrap();
            let ids: Arc<dyn Ids> = Arc::new(RandomIds);
            let catalog = PointerCatalog::new(
                pointers,
                Arc::clone(&lake.storage),
                &lake.root,
                lake.clock.clone(),
                ids,
            );
            catalog
                .commit(base, vec![], vec![set("winner", &number.to_string())])
                .await
        }
    }))
    .await;
    let won: Vec<_> = rivals.iter().filter(|rival| rival.is_ok()).collect();
    assert_eq!(won.len(), 1, "{rivals:?}");
    let lost = rivals
        .iter()
        .filter(|r| matches!(r, Err(CommitError::Conflict(_))))
        .count();
    assert_eq!(lost, 7, "{rivals:?}");
}

#[tokio::test]
async fn old_metadata_files_are_trimmed_only_where_asked() {
    for (asked, left) in [("true", 3), ("false", 7)] {
        let lake = Lake::new().await;
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
    let lake = Lake::with_table(&[]).await;
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
    let lake = Lake::new().await;
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
    let lake = Lake::with_table(&[]).await;
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
