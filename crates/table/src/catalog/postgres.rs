//! The PostgreSQL catalog: the tables of Iceberg's JDBC catalog (schema V1) under the catalog name
//! `frazil`, so that PyIceberg's `SqlCatalog` and the Java `JdbcCatalog` open it.
//!
//! Guarantees: an outcome is `Swapped` only by COMMIT's own word, and then flushed to the server's
//! disk (`synchronous_commit` is never `off` in our transactions); a COMMIT that fails, or that does not
//! answer in time, is `Unknown`, unless the server says by name that it rolled back; what fails before it
//! is certainly not done. A transaction sets all that it relies on by itself, so that a pooler which
//! lends out a server's connection for one transaction at a time changes nothing.

mod connections;
mod errors;
mod options;

use async_trait::async_trait;
use frazil_dataset::TableName;
use sqlx::Row;

use super::{
    CatalogError, LoadedTable, Rehearsal,
    pointer::{PointerStore, SwapOutcome},
    sql::{self, Change, Statement},
};
use connections::{Connections, Transaction};
use errors::Failure;
pub use options::PostgresOptions;

/// The advisory lock under which the catalog's tables are made: `CREATE TABLE IF NOT EXISTS` of two at
/// once fails in PostgreSQL. Any number that no other program takes; this is `frazil` in ASCII.
const MAKE_TABLES_LOCK: &str = "SELECT pg_advisory_xact_lock(112615741794668)";

/// The catalog's columns, none where it has no tables, and whether it has namespaces.
const COLUMNS: &str = "SELECT attname::text FROM pg_catalog.pg_attribute \
    WHERE attrelid = to_regclass('iceberg_tables') AND attnum > 0 AND NOT attisdropped";
const NAMESPACES: &str = "SELECT 1 WHERE to_regclass('iceberg_namespace_properties') IS NOT NULL";

/// Whether the server may lose what it confirmed, whatever it is asked for.
const FORGETS: &str = "SELECT 1 WHERE current_setting('fsync') = 'off'";

/// Whether this user may move and make pointers, whether the server keeps what it confirmed, and its clock.
const RIGHTS: &str = "SELECT has_table_privilege('iceberg_tables', 'UPDATE') \
    AND has_table_privilege('iceberg_tables', 'INSERT'), current_setting('fsync') <> 'off', \
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Pointers in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresPointers {
    connections: Connections,
}

impl PostgresPointers {
    /// Connects, and makes the catalog's tables where there are none.
    ///
    /// # Errors
    /// An address that is none, a server that cannot be reached, no rights.
    pub async fn open(options: PostgresOptions) -> Result<Self, CatalogError> {
        let pointers = Self {
            connections: Connections::new(options)?,
        };
        pointers
            .make_tables()
            .await
            .map_err(|failure| pointers.error(&failure))?;
        Ok(pointers)
    }

    async fn make_tables(&self) -> Result<(), Failure> {
        let mut transaction = self.connections.begin().await?;
        if !transaction.fetch(&plain(FORGETS)).await?.is_empty() {
            tracing::warn!(
                catalog = self.connections.address(),
                "the server runs with fsync=off: a crash of its machine may undo commits"
            );
        }
        if Lacks::of(&mut transaction).await?.nothing() {
            transaction.give_up().await;
            return Ok(());
        }
        transaction.execute(&plain(MAKE_TABLES_LOCK)).await?;
        let lacks = Lacks::of(&mut transaction).await?;
        if lacks.tables {
            transaction.execute(&plain(sql::CREATE_TABLES)).await?;
        } else if lacks.type_column {
            transaction.execute(&plain(sql::ADD_TYPE)).await?;
        }
        if lacks.namespaces {
            transaction.execute(&plain(sql::CREATE_NAMESPACES)).await?;
        }
        transaction.commit().await
    }

    /// Runs one change in a transaction of its own, and commits it.
    async fn change(&self, change: Change<'_>) -> SwapOutcome {
        let mut transaction = match self.connections.begin().await {
            Ok(transaction) => transaction,
            Err(failure) => return self.not_done(&failure, change),
        };
        match transaction.execute(&change.statement()).await {
            Ok(1) => {}
            Ok(_) => {
                transaction.give_up().await;
                return change.conflict();
            }
            Err(failure) => {
                // Without COMMIT nothing is done, whatever becomes of the connection.
                transaction.give_up().await;
                return self.not_done(&failure, change);
            }
        }
        match transaction.commit().await {
            Ok(()) => SwapOutcome::Swapped,
            Err(failure) if failure.certainly_rolled_back() => self.not_done(&failure, change),
            Err(failure) => SwapOutcome::Unknown(format!(
                "{} did not say whether it committed: {failure}",
                self.describe()
            )),
        }
    }

    fn not_done(&self, failure: &Failure, change: Change<'_>) -> SwapOutcome {
        if failure.another_was_first() {
            return change.conflict();
        }
        match self.error(failure) {
            error @ CatalogError::Rejected { .. } => {
                SwapOutcome::Rejected(format!("failed to {error}"))
            }
            error => SwapOutcome::NotSent(format!("failed to {error}")),
        }
    }

    fn error(&self, failure: &Failure) -> CatalogError {
        failure.for_catalog(self.connections.address())
    }

    /// Reads in a transaction of its own.
    async fn read(
        &self,
        statement: &Statement,
    ) -> Result<Vec<sqlx::postgres::PgRow>, CatalogError> {
        let read = async {
            let mut transaction = self.connections.begin().await?;
            let rows = transaction.fetch(statement).await?;
            transaction.give_up().await;
            Ok(rows)
        };
        read.await.map_err(|failure: Failure| self.error(&failure))
    }
}

/// A statement without arguments.
fn plain(text: &'static str) -> Statement {
    Statement {
        text,
        arguments: Vec::new(),
    }
}

/// What of the catalog's tables is not there.
struct Lacks {
    tables: bool,
    type_column: bool,
    namespaces: bool,
}

impl Lacks {
    async fn of(transaction: &mut Transaction<'_>) -> Result<Self, Failure> {
        let columns: Vec<String> = transaction
            .fetch(&plain(COLUMNS))
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, sqlx::Error>>()?;
        let namespaces = transaction.fetch(&plain(NAMESPACES)).await?;
        Ok(Self {
            tables: columns.is_empty(),
            type_column: !columns.iter().any(|column| column == sql::TYPE_COLUMN),
            namespaces: namespaces.is_empty(),
        })
    }

    fn nothing(&self) -> bool {
        !self.tables && !self.type_column && !self.namespaces
    }
}

#[async_trait]
impl PointerStore for PostgresPointers {
    fn describe(&self) -> String {
        self.connections.address().to_owned()
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        let rows = self.read(&sql::get(name)).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let location: Option<String> = row.try_get(0).map_err(|e| self.error(&e.into()))?;
        match location {
            Some(location) => Ok(Some(location)),
            None => Err(CatalogError::Rejected {
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
        let create = async {
            let mut transaction = self.connections.begin().await?;
            transaction
                .execute(&sql::create_namespace(namespace))
                .await?;
            transaction.commit().await
        };
        create
            .await
            .map_err(|failure: Failure| self.error(&failure))
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let rows = self.read(&sql::list()).await?;
        rows.iter()
            .map(|row| Ok(sql::listed(row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|e| self.error(&e.into()))
    }

    async fn rehearse(&self, _: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        let tried = async {
            let mut transaction = self.connections.begin().await?;
            transaction.execute(&sql::rehearsal()).await?;
            let rows = transaction.fetch(&plain(RIGHTS)).await?;
            transaction.give_up().await;
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        let (may_swap, keeps, clock_ms): (bool, bool, i64) = tried
            .await
            .map_err(|failure: Failure| self.error(&failure))?;
        if !may_swap {
            return Err(CatalogError::Rejected {
                catalog: self.describe(),
                reason: "this user may not change the table iceberg_tables; grant INSERT and UPDATE on it".to_owned(),
            });
        }
        let forgets = "the server runs with fsync=off: a crash of its machine may undo commits; turn fsync on";
        Ok(Rehearsal {
            shown: vec![
                "a change was made, and given up; this user may change pointers".to_owned(),
            ],
            warnings: (!keeps).then(|| forgets.to_owned()).into_iter().collect(),
            clock_ms: Some(clock_ms),
        })
    }
}
