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
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use super::{
    CatalogError, LoadedTable, Rehearsal,
    pointer::{PointerStore, SwapOutcome},
    sql::{self, Change, Statement},
};
use crate::storage::local::create_folder_durably;

/// How long a statement waits for another process's lock. Longer hides a stuck process; shorter
/// gives up on a busy one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of one process. SQLite has one writer at a time; more would only wait.
const CONNECTIONS_MAX: u32 = 4;

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
        if columns.iter().any(|c| c == sql::TYPE_COLUMN) && namespaces.is_some() {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(sql::CREATE_TABLES)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(sql::CREATE_NAMESPACES)
            .execute(&mut *transaction)
            .await?;
        if !columns.is_empty() && !columns.iter().any(|c| c == sql::TYPE_COLUMN) {
            sqlx::query(sql::ADD_TYPE)
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
        let statement = change.statement();
        match query(&statement).execute(&mut *transaction).await {
            Ok(done) if done.rows_affected() == 1 => {}
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

/// The statement with its arguments.
fn query(statement: &Statement) -> Query<'_, Sqlite, SqliteArguments<'_>> {
    let query = sqlx::query(statement.text);
    statement.arguments.iter().fold(query, Query::bind)
}

#[async_trait]
impl PointerStore for SqlitePointers {
    fn describe(&self) -> String {
        describe(&self.path)
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        let statement = sql::get(name);
        let found: Option<Option<String>> = query(&statement)
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.map(|row| row.try_get(0)).transpose())
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
        query(&sql::create_namespace(namespace))
            .execute(&self.pool)
            .await
            .map_err(|e| self.error(&e))?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let rows = query(&sql::list())
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.error(&e))?;
        rows.iter()
            .map(|row| Ok(sql::listed(row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|e| self.error(&e))
    }

    async fn rehearse(&self, _: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        let tried = async {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let changed = query(&sql::rehearsal()).execute(&mut *transaction).await;
            transaction.rollback().await?;
            changed
        };
        tried.await.map_err(|e| self.error(&e))?;
        Ok(Rehearsal {
            shown: vec![
                "its file was locked for writing, changed, and the change given up".to_owned(),
            ],
            ..Rehearsal::default()
        })
    }
}

fn describe(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[cfg(test)]
mod tests;
