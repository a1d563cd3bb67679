//! What a command works on: settings, a catalog, a dataset, its table.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use frazil_dataset::{Dataset, TableName};
use frazil_service::{
    clock::{RandomIds, SystemClock},
    settings::{ResolvedCatalog, Settings, load_dataset},
};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError, Creation, LoadedTable, pointer::PointerCatalog,
        sqlite::SqlitePointers,
    },
    storage::local::LocalStorage,
};
use iceberg::{TableRequirement, TableUpdate};

use super::{Context, exit::Failure};

impl Context {
    /// This deployment's settings.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        Settings::load(self.config.as_deref(), self.data_dir.as_deref())
            .context("load the settings")
    }

    /// The dataset of a DATASET argument.
    #[allow(
        clippy::unused_self,
        reason = "it is asked like all else that a command works on"
    )]
    pub(crate) fn dataset(&self, argument: &str) -> anyhow::Result<Dataset> {
        load_dataset(argument).with_context(|| format!("load dataset {argument}"))
    }

    /// The catalog of that name (the deployment's own without one), to read from. Where the embedded
    /// catalog's file is not there yet, one without tables: looking must not make files.
    pub(crate) async fn catalog(&self, name: Option<&str>) -> anyhow::Result<Arc<dyn Catalog>> {
        let resolved = self.settings()?.catalog(name).context("find the catalog")?;
        if sqlite_path(&resolved).exists() {
            open_catalog(&resolved).await
        } else {
            Ok(Arc::new(NotYet { uri: resolved.uri }))
        }
    }

    /// The table of a dataset, which must be there.
    pub(crate) async fn table(
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

fn sqlite_path(resolved: &ResolvedCatalog) -> &Path {
    Path::new(
        resolved
            .uri
            .strip_prefix("sqlite:")
            .unwrap_or(&resolved.uri),
    )
}

/// Opens a catalog, making its file where there is none.
pub(crate) async fn open_catalog(resolved: &ResolvedCatalog) -> anyhow::Result<Arc<dyn Catalog>> {
    let pointers = SqlitePointers::open(sqlite_path(resolved))
        .await
        .context("open the catalog")?;
    let catalog = PointerCatalog::new(
        pointers,
        Arc::new(LocalStorage::new()),
        &resolved.warehouse,
        Arc::new(SystemClock),
        Arc::new(RandomIds),
    );
    Ok(Arc::new(catalog))
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
