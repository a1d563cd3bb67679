//! The Hive Metastore, in its three lines.

mod faults;
mod proxy;
mod races;
mod tables;
mod wire;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{RandomIds, SystemClock};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError, LoadedTable, Rehearsal,
        hive::{HiveAddress, HiveOptions, HivePointers},
        pointer::{PointerCatalog, PointerStore, SwapOutcome},
    },
    storage::local::LocalStorage,
};
use iceberg::{TableUpdate, spec::TableMetadata};

use self::{proxy::Proxy, wire::Client};
use crate::{
    on::{On, unique},
    stack::Stack,
    support::{creation, name},
};

/// Makes a test of each function over each line of the metastore.
macro_rules! on_each_hive {
    ($($test:ident,)+) => {
        mod hive2 {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Hive2).await; })+
        }
        mod hive3 {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Hive3).await; })+
        }
        mod hive4 {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Hive4).await; })+
        }
    };
}
pub(crate) use on_each_hive;

fn script(on: On) -> &'static str {
    match on {
        On::Hive2 => "hive2",
        On::Hive3 => "hive3",
        On::Hive4 => "hive4",
        other => panic!("{other:?} is no metastore"),
    }
}

/// A metastore that tests share, started by the first that asks.
pub(crate) fn server(on: On) -> &'static Stack {
    static SERVERS: [OnceLock<Stack>; 3] = [const { OnceLock::new() }; 3];
    let index = match on {
        On::Hive2 => 0,
        On::Hive3 => 1,
        _ => 2,
    };
    SERVERS[index].get_or_init(|| Stack::start(script(on), &[]))
}

/// Whether the metastore compares expected values.
fn enforces(on: On) -> bool {
    on == On::Hive4
}

/// Databases of one lake's own in a metastore.
#[derive(Debug, Clone)]
pub(crate) struct HiveLake {
    pub(crate) port: u64,
    prefix: String,
    pub(crate) root: String,
}

impl HiveLake {
    /// In the server that tests share.
    pub(crate) fn new(on: On, root: String) -> Self {
        Self::in_server(server(on), root)
    }

    fn in_server(server: &Stack, root: String) -> Self {
        Self {
            port: server.number("port"),
            prefix: unique(),
            root,
        }
    }

    fn address(&self) -> HiveAddress {
        HiveAddress {
            host: "127.0.0.1".to_owned(),
            port: self.port as u16,
        }
    }

    fn options(&self) -> HiveOptions {
        HiveOptions::new(vec![self.address()])
    }

    pub(crate) fn pointers(&self) -> Databases {
        self.pointers_with(self.options())
    }

    fn pointers_with(&self, options: HiveOptions) -> Databases {
        Databases {
            pointers: HivePointers::new(options, Arc::new(SystemClock), Arc::new(RandomIds)),
            prefix: self.prefix.clone(),
        }
    }

    /// A process of its own with those options.
    fn catalog(&self, options: HiveOptions) -> Arc<dyn Catalog> {
        Arc::new(PointerCatalog::new(
            self.pointers_with(options),
            Arc::new(LocalStorage::new()),
            &self.root,
            Arc::new(SystemClock),
            Arc::new(RandomIds),
        ))
    }

    /// One that speaks by way of the proxy.
    #[allow(
        clippy::unused_self,
        reason = "it reads as the other makers of options do"
    )]
    fn through(&self, proxy: &Proxy) -> HiveOptions {
        HiveOptions::new(vec![proxy.address.clone()])
    }

    /// A process of its own that speaks by way of another port, and does not wait for long.
    pub(crate) fn through_port(&self, port: u16) -> Arc<dyn Catalog> {
        let address = HiveAddress {
            port,
            ..self.address()
        };
        self.catalog(HiveOptions {
            lock_wait_max: Duration::from_millis(300),
            late_alter_wait_max: Duration::from_secs(2),
            ..HiveOptions::new(vec![address])
        })
    }

    /// A database's name in the metastore.
    fn database(&self) -> String {
        format!("{}_logs", self.prefix)
    }

    async fn client(&self) -> Client {
        Client::connect(self.port).await
    }

    /// Makes the usual table.
    async fn make(&self) -> LoadedTable {
        let catalog = self.catalog(self.options());
        catalog.create(&name(), creation(&[])).await.unwrap()
    }

    async fn load(&self) -> LoadedTable {
        let catalog = self.catalog(self.options());
        catalog.load(&name()).await.unwrap().unwrap()
    }

    pub(crate) async fn drop_table(&self, name: &TableName) {
        let database = format!("{}_{}", self.prefix, name.namespace.join("."));
        self.client().await.drop_table(&database, &name.table).await;
    }

    pub(crate) async fn locks(&self) -> Vec<i64> {
        self.client().await.locks(&self.database(), "web").await
    }
}

/// A folder, and a lake of which it is the warehouse.
fn lake(on: On) -> (tempfile::TempDir, HiveLake) {
    lake_in(server(on))
}

fn lake_in(server: &Stack) -> (tempfile::TempDir, HiveLake) {
    let folder = tempfile::tempdir().unwrap();
    let root = LocalStorage::uri(folder.path()).unwrap();
    let lake = HiveLake::in_server(server, root);
    (folder, lake)
}

fn set(key: &str, value: &str) -> Vec<TableUpdate> {
    vec![TableUpdate::SetProperties {
        updates: [(key.to_owned(), value.to_owned())].into(),
    }]
}

/// Commits a property.
async fn put(
    catalog: &dyn Catalog,
    base: &LoadedTable,
    value: &str,
) -> Result<LoadedTable, CommitError> {
    catalog.commit(base, vec![], set("put", value)).await
}

/// The pointers of some databases, as if they were a whole catalog.
#[derive(Debug)]
pub(crate) struct Databases {
    pointers: HivePointers,
    prefix: String,
}

impl Databases {
    fn database(&self, namespace: &[String]) -> Vec<String> {
        let mut inner = namespace.to_vec();
        inner[0] = format!("{}_{}", self.prefix, inner[0]);
        inner
    }

    fn inner(&self, name: &TableName) -> TableName {
        TableName {
            namespace: self.database(&name.namespace),
            table: name.table.clone(),
        }
    }

    fn base(&self, base: &LoadedTable) -> LoadedTable {
        LoadedTable {
            name: self.inner(&base.name),
            ..base.clone()
        }
    }
}

#[async_trait]
impl PointerStore for Databases {
    fn describe(&self) -> String {
        self.pointers.describe()
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        self.pointers.get(&self.inner(name)).await
    }

    async fn swap(&self, name: &TableName, expected: &str, new: &str) -> SwapOutcome {
        self.pointers.swap(&self.inner(name), expected, new).await
    }

    async fn swap_shown(
        &self,
        base: &LoadedTable,
        new: &str,
        metadata: &TableMetadata,
    ) -> SwapOutcome {
        let base = self.base(base);
        self.pointers.swap_shown(&base, new, metadata).await
    }

    async fn insert(&self, name: &TableName, new: &str) -> SwapOutcome {
        self.pointers.insert(&self.inner(name), new).await
    }

    async fn insert_shown(
        &self,
        name: &TableName,
        new: &str,
        metadata: &TableMetadata,
    ) -> SwapOutcome {
        let name = self.inner(name);
        self.pointers.insert_shown(&name, new, metadata).await
    }

    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CatalogError> {
        let database = self.database(namespace);
        self.pointers.create_namespace(&database).await
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let all = self.pointers.list().await?.into_iter();
        let prefix = format!("{}_", self.prefix);
        let ours = all.filter_map(|name| {
            let namespace = name.namespace[0].strip_prefix(&prefix)?.to_owned();
            Some(TableName {
                namespace: vec![namespace],
                table: name.table,
            })
        });
        Ok(ours.collect())
    }

    async fn rehearse(&self, table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        let table = table.map(|table| self.base(table));
        self.pointers.rehearse(table.as_ref()).await
    }
}
