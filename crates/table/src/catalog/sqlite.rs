//! The SQLite catalog: one file, with the tables of Iceberg's JDBC catalog (schema V1) under the
//! catalog name `frazil`, so that PyIceberg's `SqlCatalog` and the Java `JdbcCatalog` open it.
//!
//! Guarantees: an outcome is `Swapped` only by COMMIT's own word, and then on the disk
//! (`synchronous=FULL`, rollback journal: a write-ahead log does not work on network file
//! systems); a COMMIT that fails is `Unknown`; what fails before it is certainly not done.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use frazil_dataset::TableName;
use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    CatalogError,
    pointer::{PointerStore, SwapOutcome},
};
use crate::storage::local::create_folder_durably;

/// The catalog's name within its tables.
const CATALOG: &str = "frazil";

/// How long a statement waits for another process's lock. Longer hides a stuck process; shorter
/// gives up on a busy one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of one process. SQLite has one writer at a time; more would only wait.
const CONNECTIONS_MAX: u32 = 4;

const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (\
    catalog_name VARCHAR(255) NOT NULL, \
    table_namespace VARCHAR(255) NOT NULL, \
    table_name VARCHAR(255) NOT NULL, \
    metadata_location VARCHAR(1000), \
    previous_metadata_location VARCHAR(1000), \
    iceberg_type VARCHAR(5), \
    PRIMARY KEY (catalog_name, table_namespace, table_name))";

const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (\
    catalog_name VARCHAR(255) NOT NULL, \
    namespace VARCHAR(255) NOT NULL, \
    property_key VARCHAR(255), \
    property_value VARCHAR(1000), \
    PRIMARY KEY (catalog_name, namespace, property_key))";

/// Tables, not views: V0 catalogs leave the type null.
const IS_TABLE: &str = "(iceberg_type = 'TABLE' OR iceberg_type IS NULL)";

/// Pointers in a SQLite file.
#[derive(Debug, Clone)]
pub struct SqlitePointers {
    pool: SqlitePool,
    path: PathBuf,
}

impl SqlitePointers {
    /// Opens the catalog file; makes it, and the folders above it, where there is none.
    ///
    /// # Errors
    /// No rights, a file that is not a SQLite database, another process's lock.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let folder = path.parent().map(Path::to_path_buf);
        let made = tokio::task::spawn_blocking(move || match folder {
            Some(folder) if !folder.as_os_str().is_empty() => {
                create_folder_durably(&folder, &|_| false)
            }
            _ => Ok(()),
        })
        .await
        .map_err(std::io::Error::other)
        .and_then(|made| made);
        made.map_err(|error| CatalogError::Unavailable {
            catalog: describe(path),
            reason: format!("its folder cannot be made: {error}"),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect_lazy_with(options);
        let pointers = Self {
            pool,
            path: path.to_path_buf(),
        };
        pointers
            .make_tables()
            .await
            .map_err(|e| pointers.error(&e))?;
        Ok(pointers)
    }

    async fn make_tables(&self) -> Result<(), sqlx::Error> {
        let columns = self.columns().await?;
        let namespaces: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'iceberg_namespace_properties'",
        )
        .fetch_optional(&self.pool)
        .await?;
        if columns.iter().any(|c| c == "iceberg_type") && namespaces.is_some() {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(CREATE_TABLES)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(CREATE_NAMESPACES)
            .execute(&mut *transaction)
            .await?;
        if !columns.is_empty() && !columns.iter().any(|c| c == "iceberg_type") {
            // A V0 catalog, as older Java and PyIceberg make it; this is Java's own upgrade.
            sqlx::query("ALTER TABLE iceberg_tables ADD COLUMN iceberg_type VARCHAR(5)")
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    async fn columns(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT name FROM pragma_table_info('iceberg_tables')")
            .fetch_all(&self.pool)
            .await
    }

    /// Runs one change in a transaction of its own, and commits it.
    async fn change(&self, change: Change<'_>) -> SwapOutcome {
        let mut transaction = match self.pool.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction,
            Err(error) => return self.not_done(&error),
        };
        match change.run(&mut transaction).await {
            Ok(1) => {}
            Ok(_) => return self.give_up(transaction, change.conflict()).await,
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                return self.give_up(transaction, change.conflict()).await;
            }
            Err(error) => {
                let outcome = self.not_done(&error);
                return self.give_up(transaction, outcome).await;
            }
        }
        match transaction.commit().await {
            Ok(()) => SwapOutcome::Swapped,
            Err(error) => SwapOutcome::Unknown(format!(
                "{} did not say whether it committed: {error}",
                self.describe()
            )),
        }
    }

    async fn give_up(
        &self,
        transaction: Transaction<'_, Sqlite>,
        outcome: SwapOutcome,
    ) -> SwapOutcome {
        // Without COMMIT nothing is done, whatever becomes of the rollback.
        if let Err(error) = transaction.rollback().await {
            tracing::debug!(%error, "rollback failed; closing the connection does it");
        }
        outcome
    }

    fn not_done(&self, error: &sqlx::Error) -> SwapOutcome {
        match self.error(error) {
            CatalogError::Rejected { .. } => {
                SwapOutcome::Rejected(format!("failed to {}", self.error(error)))
            }
            error => SwapOutcome::NotSent(format!("failed to {error}")),
        }
    }

    fn error(&self, error: &sqlx::Error) -> CatalogError {
        let catalog = self.describe();
        let code = match error {
            sqlx::Error::Database(error) => error
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                // The low byte is the primary result code, the rest tells details.
                .map(|code| code & 0xff),
            _ => None,
        };
        let unavailable = |reason: String| CatalogError::Unavailable {
            catalog: describe(&self.path),
            reason,
        };
        match code {
            Some(5 | 6) => unavailable(
                "the catalog is locked by another process; wait until it ends, then start again"
                    .to_string(),
            ),
            Some(13) => {
                unavailable("the disk is full; free space on it, then start again".to_string())
            }
            Some(26 | 11) => CatalogError::Rejected {
                catalog,
                reason: format!(
                    "the file is not a SQLite database, or a damaged one ({error}); name another, or restore it"
                ),
            },
            Some(3 | 8 | 23) => CatalogError::Rejected {
                catalog,
                reason: format!(
                    "this user may not write to the file or its folder ({error}); give it the right to"
                ),
            },
            Some(14) => CatalogError::Rejected {
                catalog,
                reason: format!(
                    "the file cannot be opened ({error}); see that it is a file, in a folder that this user may write to"
                ),
            },
            _ => unavailable(error.to_string()),
        }
    }
}

/// One change of a pointer. It is done if it touches one row.
enum Change<'a> {
    Swap {
        name: &'a TableName,
        expected: &'a str,
        new: &'a str,
    },
    Insert {
        name: &'a TableName,
        new: &'a str,
    },
}

impl Change<'_> {
    async fn run(&self, transaction: &mut Transaction<'_, Sqlite>) -> Result<u64, sqlx::Error> {
        let result = match self {
            Change::Swap {
                name,
                expected,
                new,
            } => {
                let statement = format!(
                    "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? \
                     WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? \
                     AND metadata_location = ? AND {IS_TABLE}"
                );
                sqlx::query(&statement)
                    .bind(new)
                    .bind(expected)
                    .bind(CATALOG)
                    .bind(name.namespace.join("."))
                    .bind(&name.table)
                    .bind(expected)
                    .execute(&mut **transaction)
                    .await?
            }
            Change::Insert { name, new } => {
                sqlx::query(
                    "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, \
                     metadata_location, previous_metadata_location, iceberg_type) \
                     VALUES (?, ?, ?, ?, NULL, 'TABLE')",
                )
                .bind(CATALOG)
                .bind(name.namespace.join("."))
                .bind(&name.table)
                .bind(new)
                .execute(&mut **transaction)
                .await?
            }
        };
        Ok(result.rows_affected())
    }

    fn conflict(&self) -> SwapOutcome {
        SwapOutcome::Conflict(match self {
            Change::Swap { name, .. } => format!("table {name} was changed meanwhile"),
            Change::Insert { name, .. } => format!("table {name} was made meanwhile"),
        })
    }
}

#[async_trait]
impl PointerStore for SqlitePointers {
    fn describe(&self) -> String {
        describe(&self.path)
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        let statement = format!(
            "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? \
             AND table_namespace = ? AND table_name = ? AND {IS_TABLE}"
        );
        let found: Option<Option<String>> = sqlx::query_scalar(&statement)
            .bind(CATALOG)
            .bind(name.namespace.join("."))
            .bind(&name.table)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.error(&e))?;
        match found {
            None => Ok(None),
            Some(Some(location)) => Ok(Some(location)),
            Some(None) => Err(CatalogError::Rejected {
                catalog: self.describe(),
                reason: format!("it names no metadata file for table {name}"),
            }),
        }
    }

    async fn swap(&self, name: &TableName, expected: &str, new: &str) -> SwapOutcome {
        self.change(Change::Swap {
            name,
            expected,
            new,
        })
        .await
    }

    async fn insert(&self, name: &TableName, new: &str) -> SwapOutcome {
        self.change(Change::Insert { name, new }).await
    }

    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT OR IGNORE INTO iceberg_namespace_properties \
             (catalog_name, namespace, property_key, property_value) VALUES (?, ?, 'exists', 'true')",
        )
        .bind(CATALOG)
        .bind(namespace.join("."))
        .execute(&self.pool)
        .await
        .map_err(|e| self.error(&e))?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let statement = format!(
            "SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = ? \
             AND {IS_TABLE} ORDER BY table_namespace, table_name"
        );
        let rows = sqlx::query(&statement)
            .bind(CATALOG)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.error(&e))?;
        rows.iter()
            .map(|row| {
                let namespace: String = row.try_get(0)?;
                Ok(TableName {
                    namespace: namespace.split('.').map(str::to_string).collect(),
                    table: row.try_get(1)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|e| self.error(&e))
    }
}

fn describe(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[cfg(test)]
mod tests;
