//! The catalogs that the suite runs over.

use std::{collections::HashMap, path::Path, sync::Arc, sync::OnceLock};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids, RandomIds};
use frazil_table::{
    catalog::{
        Catalog, CatalogError, CommitError, Creation, LoadedTable, Rehearsal,
        pointer::{PointerCatalog, PointerStore},
        postgres::{PostgresOptions, PostgresPointers},
        rest::{RestCatalog, RestOptions, StorageFactory},
        sqlite::SqlitePointers,
    },
    storage::{Storage, StorageError, local::LocalStorage},
};
use iceberg::{TableRequirement, TableUpdate};

use crate::{hive::HiveLake, stack::Stack};

/// Which catalog a test runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
    Rest,
    Hive2,
    Hive3,
    Hive4,
}

impl On {
    /// Whether it has namespaces in namespaces, and any names of them.
    pub(crate) fn nests(self) -> bool {
        !matches!(self, Self::Hive2 | Self::Hive3 | Self::Hive4)
    }

    /// Whether a commit is made on exactly the base that it names, whatever it asserts.
    pub(crate) fn swaps_exactly(self) -> bool {
        self != Self::Rest
    }
}

/// Makes a test of each function over each catalog. A function takes the [`On`] that it is to run over.
macro_rules! on_each_catalog {
    ($($test:ident,)+) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Sqlite).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Postgres).await; })+
        }
        mod rest {
            $(#[tokio::test] async fn $test() { super::$test($crate::on::On::Rest).await; })+
        }
        $crate::hive::on_each_hive! { $($test,)+ }
    };
}
pub(crate) use on_each_catalog;

/// PostgreSQL, started by the first test that asks.
pub(crate) fn postgres() -> &'static Stack {
    static SERVER: OnceLock<Stack> = OnceLock::new();
    SERVER.get_or_init(|| Stack::start("postgres", &["--standby"]))
}

/// Iceberg's REST fixture, started by the first test that asks.
pub(crate) fn rest() -> &'static Stack {
    static SERVER: OnceLock<Stack> = OnceLock::new();
    SERVER.get_or_init(|| Stack::start("rest", &[]))
}

/// A name that no other test has.
pub(crate) fn unique() -> String {
    format!("t{}", RandomIds.uuid().simple())
}

/// One lake's part of a catalog.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// A file of its own.
    Sqlite {
        file: std::path::PathBuf,
        root: String,
    },
    /// A schema of its own.
    Postgres { uri: String, root: String },
    /// Databases of its own.
    Hive(HiveLake),
    /// A namespace of its own.
    Rest {
        uri: String,
        namespace: String,
        root: String,
    },
}

impl Address {
    pub(crate) async fn new(on: On, folder: &Path) -> Self {
        let root = LocalStorage::uri(&folder.join("warehouse")).unwrap();
        match on {
            On::Sqlite => Self::Sqlite {
                file: folder.join("catalog.db"),
                root,
            },
            On::Postgres => Self::Postgres {
                uri: schema(postgres().address("uri")).await,
                root,
            },
            On::Hive2 | On::Hive3 | On::Hive4 => Self::Hive(HiveLake::new(on, root)),
            On::Rest => {
                let namespace = unique();
                Self::Rest {
                    uri: rest().address("uri").to_owned(),
                    root: format!("{}/{namespace}", rest().address("warehouse")),
                    namespace,
                }
            }
        }
    }

    /// Where the files of its tables are.
    pub(crate) fn root(&self) -> &str {
        match self {
            Self::Sqlite { root, .. } | Self::Postgres { root, .. } | Self::Rest { root, .. } => {
                root
            }
            Self::Hive(lake) => &lake.root,
        }
    }

    /// Its pointers, where it is a catalog of them.
    pub(crate) async fn pointers(&self) -> Option<Arc<dyn PointerStore>> {
        match self {
            Self::Sqlite { file, .. } => Some(Arc::new(SqlitePointers::open(file).await.unwrap())),
            Self::Postgres { uri, .. } => {
                let options = PostgresOptions::new(uri.clone());
                Some(Arc::new(PostgresPointers::open(options).await.unwrap()))
            }
            Self::Hive(lake) => Some(Arc::new(lake.pointers())),
            Self::Rest { .. } => None,
        }
    }

    /// A connection of its own, as another process has.
    pub(crate) async fn connect(&self, clock: Arc<dyn Clock>) -> Arc<dyn Catalog> {
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        match self {
            Self::Sqlite { file, root } => {
                let pointers = SqlitePointers::open(file).await.unwrap();
                Arc::new(PointerCatalog::new(pointers, storage, root, clock, ids))
            }
            Self::Postgres { uri, root } => {
                let options = PostgresOptions::new(uri.clone());
                let pointers = PostgresPointers::open(options).await.unwrap();
                Arc::new(PointerCatalog::new(pointers, storage, root, clock, ids))
            }
            Self::Hive(lake) => {
                let pointers = lake.pointers();
                Arc::new(PointerCatalog::new(
                    pointers, storage, &lake.root, clock, ids,
                ))
            }
            Self::Rest { uri, namespace, .. } => {
                let options = RestOptions::new(uri.clone());
                let catalog = RestCatalog::open(options, Arc::new(LocalStorages), clock, ids);
                Arc::new(Within {
                    catalog: catalog.await.unwrap(),
                    namespace: namespace.clone(),
                })
            }
        }
    }

    /// The port of its server, which is on this machine.
    pub(crate) fn port(&self) -> u16 {
        let port = match self {
            Self::Sqlite { .. } => panic!("a file has no port"),
            Self::Postgres { .. } => postgres().number("port"),
            Self::Hive(lake) => lake.port,
            Self::Rest { uri, .. } => uri.rsplit(':').next().unwrap().parse().unwrap(),
        };
        u16::try_from(port).unwrap()
    }

    /// A connection by way of another port; `None` where the server does not answer there.
    pub(crate) async fn through(
        &self,
        port: u16,
        clock: Arc<dyn Clock>,
    ) -> Option<Arc<dyn Catalog>> {
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new());
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        let by_port = |uri: &str| uri.replace(&format!(":{}", self.port()), &format!(":{port}"));
        match self {
            Self::Sqlite { .. } => panic!("a file has no port"),
            Self::Postgres { uri, root } => {
                // By TLS nobody on the way knows one message from another.
                let options = PostgresOptions::new(format!("{}&sslmode=disable", by_port(uri)));
                let pointers = PostgresPointers::open(options).await.ok()?;
                let catalog = PointerCatalog::new(pointers, storage, root, clock, ids);
                Some(Arc::new(catalog))
            }
            Self::Hive(lake) => Some(lake.through_port(port)),
            Self::Rest { uri, namespace, .. } => {
                let options = RestOptions::new(by_port(uri));
                let catalog = RestCatalog::open(options, Arc::new(LocalStorages), clock, ids);
                Some(Arc::new(Within {
                    catalog: catalog.await.ok()?,
                    namespace: namespace.clone(),
                }))
            }
        }
    }

    /// How many locks there are on the usual table.
    pub(crate) async fn locks(&self) -> usize {
        match self {
            Self::Hive(lake) => lake.locks().await.len(),
            _ => 0,
        }
    }

    /// Takes a table out of the catalog.
    pub(crate) async fn drop_table(&self, name: &TableName) {
        match self {
            Self::Sqlite { file, .. } => {
                let uri = format!("sqlite:{}", file.display());
                let pool = sqlx::SqlitePool::connect(&uri).await.unwrap();
                let delete = sqlx::query("DELETE FROM iceberg_tables WHERE table_name = ?");
                delete.bind(&name.table).execute(&pool).await.unwrap();
            }
            Self::Postgres { uri, .. } => {
                let pool = sqlx::PgPool::connect(uri).await.unwrap();
                let delete = sqlx::query("DELETE FROM iceberg_tables WHERE table_name = $1");
                delete.bind(&name.table).execute(&pool).await.unwrap();
            }
            Self::Hive(lake) => lake.drop_table(name).await,
            Self::Rest { .. } => {
                let tables = self.tables_url(name);
                let delete = reqwest::Client::new().delete(format!("{tables}/{}", name.table));
                let answer = delete
                    .query(&[("purgeRequested", "false")])
                    .send()
                    .await
                    .unwrap();
                assert!(answer.status().is_success(), "{answer:?}");
            }
        }
    }

    /// Points the catalog at that metadata file, as a restored backup would.
    pub(crate) async fn rewind(&self, name: &TableName, location: &str) {
        if let Some(pointers) = self.pointers().await {
            let now = pointers.get(name).await.unwrap().unwrap();
            let outcome = pointers.swap(name, &now, location).await;
            assert_eq!(
                outcome,
                frazil_table::catalog::pointer::SwapOutcome::Swapped
            );
            return;
        }
        self.drop_table(name).await;
        let url = self.tables_url(name).replace("/tables", "/register");
        let table = serde_json::json!({"name": name.table, "metadata-location": location});
        let answer = reqwest::Client::new()
            .post(url)
            .json(&table)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    fn tables_url(&self, name: &TableName) -> String {
        let Self::Rest { uri, namespace, .. } = self else {
            panic!("{self:?} has no addresses of tables");
        };
        format!(
            "{uri}/v1/namespaces/{namespace}%2E{}/tables",
            name.namespace.join("%2E")
        )
    }
}

/// The server's address with a new schema as the only one.
pub(crate) async fn schema(uri: &str) -> String {
    let schema = unique();
    let pool = sqlx::PgPool::connect(uri).await.unwrap();
    sqlx::query(&format!("CREATE SCHEMA {schema}"))
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query(&format!("GRANT ALL ON SCHEMA {schema} TO PUBLIC"))
        .execute(&pool)
        .await
        .unwrap();
    format!("{uri}?options=-c%20search_path%3D{schema}")
}

/// Storages that are all the machine's own.
#[derive(Debug)]
pub(crate) struct LocalStorages;

impl StorageFactory for LocalStorages {
    fn for_table(
        &self,
        _: &str,
        _: &HashMap<String, String>,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        Ok(Arc::new(LocalStorage::new()))
    }
}

/// A namespace of a shared server, as if it were a whole catalog.
#[derive(Debug)]
struct Within {
    catalog: RestCatalog,
    namespace: String,
}

impl Within {
    fn inner(&self, name: &TableName) -> TableName {
        let mut inner = name.clone();
        inner.namespace.insert(0, self.namespace.clone());
        inner
    }

    fn outer(&self, mut name: TableName) -> TableName {
        assert_eq!(name.namespace.remove(0), self.namespace);
        name
    }

    fn loaded(&self, mut table: LoadedTable) -> LoadedTable {
        table.name = self.outer(table.name);
        table
    }
}

#[async_trait]
impl Catalog for Within {
    fn describe(&self) -> String {
        self.catalog.describe()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        let table = self.catalog.load(&self.inner(name)).await?;
        Ok(table.map(|table| self.loaded(table)))
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        let table = self.catalog.create(&self.inner(name), creation).await?;
        Ok(self.loaded(table))
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let mut base = base.clone();
        base.name = self.inner(&base.name);
        let table = self.catalog.commit(&base, requirements, updates).await?;
        Ok(self.loaded(table))
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let tables = self.catalog.list().await?.into_iter();
        Ok(tables
            .filter(|name| name.namespace[0] == self.namespace)
            .map(|name| self.outer(name))
            .collect())
    }

    async fn rehearse(&self, table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        let table = table.map(|table| LoadedTable {
            name: self.inner(&table.name),
            ..table.clone()
        });
        self.catalog.rehearse(table.as_ref()).await
    }
}
