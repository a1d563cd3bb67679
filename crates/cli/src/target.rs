//! What a command works on: settings, a catalog and its storages, a dataset, its table.

mod options;
mod present;

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use frazil_dataset::{Connection, Dataset, StorageSettings, TableName};
use frazil_service::{
    clock::{RandomIds, SystemClock},
    settings::{ResolvedCatalog, Settings, load_dataset},
};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError, Creation, LoadedTable,
        hive::HivePointers,
        pointer::{PointerCatalog, PointerStore},
        postgres::PostgresPointers,
        rest::{RestCatalog, StorageFactory},
        sqlite::SqlitePointers,
    },
    storage::{Storage, StorageError, storages::Storages},
};
use iceberg::{TableRequirement, TableUpdate};

use crate::{Context, exit::Failure};

impl Context {
    /// This deployment's settings.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Settings::load(self.config.as_deref(), self.data_dir.as_deref())
            .context("load the settings")
    }

    /// The dataset of a DATASET argument.
    #[allow(
        clippy::unused_self,
        reason = "it is asked like all else that a command works on"
    )]
    pub fn dataset(&self, argument: &str) -> anyhow::Result<Dataset> {
        load_dataset(argument).with_context(|| format!("load dataset {argument}"))
    }

    /// The catalog of that name (the deployment's own without one), to read from. Where a SQLite
    /// catalog's file is not there yet, one without tables: looking must not make files.
    pub async fn catalog(&self, name: Option<&str>) -> anyhow::Result<Arc<dyn Catalog>> {
        let settings = self.settings()?;
        let resolved = settings.catalog(name).context("find the catalog")?;
        match &resolved.connection {
            Connection::Sqlite(file) if !Path::new(&file.path).exists() => Ok(Arc::new(NotYet {
                uri: resolved.connection.uri(),
            })),
            _ => open_catalog(&resolved, &settings.deployment.storage).await,
        }
    }

    /// The table of a dataset, which must be there.
    pub async fn table(
        &self,
        catalog: &dyn Catalog,
        dataset: &str,
        name: &TableName,
    ) -> anyhow::Result<LoadedTable> {
        let table = catalog
            .load(name)
            .await
            .with_context(|| format!("load table {name}"))?;
        table.ok_or_else(|| {
            Failure::usage(format!(
                "find table {name} in catalog {}",
                catalog.describe()
            ))
            .next(format!(
                "`frazil write {dataset} --from FILE` makes it; `frazil ls` shows what is there"
            ))
            .into()
        })
    }
}

/// Opens a catalog with the deployment's storages, making the catalog's own tables where there are none.
pub async fn open_catalog(
    resolved: &ResolvedCatalog,
    storage: &StorageSettings,
) -> anyhow::Result<Arc<dyn Catalog>> {
    present::check(resolved, storage)?;
    let storages = Arc::new(storages(storage));
    let opened: Result<Arc<dyn Catalog>, CatalogError> = match &resolved.connection {
        Connection::Sqlite(file) => SqlitePointers::open(Path::new(&file.path))
            .await
            .map(|pointers| over(pointers, storages, resolved)),
        Connection::Postgres(server) => PostgresPointers::open(options::postgres(server))
            .await
            .map(|pointers| over(pointers, storages, resolved)),
        Connection::Hive(servers) => {
            let options = options::hive(servers).map_err(Failure::usage)?;
            let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
            let pointers = HivePointers::new(options, clock, ids);
            Ok(over(pointers, storages, resolved))
        }
        Connection::Rest(server) => RestCatalog::open(
            options::rest(server, resolved.warehouse.as_deref()),
            Arc::new(TableStorages(storages)),
            Arc::new(SystemClock),
            Arc::new(RandomIds),
        )
        .await
        .map(|catalog| Arc::new(catalog) as _),
    };
    opened.context("open the catalog")
}

/// The deployment's storages. Connects to nobody yet.
pub fn storages(storage: &StorageSettings) -> Storages {
    Storages::new(options::storage(storage), Arc::new(RandomIds))
}

/// A catalog of pointers, whose new tables lie in the deployment's warehouse.
fn over<P: PointerStore>(
    pointers: P,
    storages: Arc<Storages>,
    resolved: &ResolvedCatalog,
) -> Arc<dyn Catalog> {
    let warehouse = resolved.warehouse.as_deref().unwrap_or_default();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    Arc::new(PointerCatalog::new(
        pointers, storages, warehouse, clock, ids,
    ))
}

/// The deployment's storages, with what a REST catalog says of a table.
#[derive(Debug)]
struct TableStorages(Arc<Storages>);

impl StorageFactory for TableStorages {
    fn for_table(
        &self,
        _location: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let of_storage = |name: &String| {
            ["s3.", "gcs.", "adls.", "client."]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        // Without any, tables share the connections.
        if !properties.keys().any(of_storage) {
            return Ok(Arc::clone(&self.0) as _);
        }
        Ok(Arc::new(self.0.with_properties(properties)?))
    }
}

/// A catalog whose file nobody has made yet.
#[derive(Debug)]
struct NotYet {
    uri: String,
}

#[async_trait]
impl Catalog for NotYet {
    fn describe(&self) -> String {
        self.uri.clone()
    }

    async fn load(&self, _: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        Ok(None)
    }

    async fn create(&self, _: &TableName, _: Creation) -> Result<LoadedTable, CommitError> {
        Err(CommitError::Rejected(
            "this catalog is for reading".to_owned(),
        ))
    }

    async fn commit(
        &self,
        _: &LoadedTable,
        _: Vec<TableRequirement>,
        _: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        Err(CommitError::Rejected(
            "this catalog is for reading".to_owned(),
        ))
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        Ok(Vec::new())
    }
}
