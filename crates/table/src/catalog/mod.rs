//! Catalogs: which metadata file is a table's current one, and its compare-and-swap.
//!
//! A [`Catalog`] takes requirements and updates, as Iceberg's REST specification words them.
//! Catalogs that only hold a pointer (SQL, Hive) implement [`pointer::PointerStore`], and
//! [`pointer::PointerCatalog`] does the rest; a REST server takes the two as they are.

pub mod hive;
pub mod metadata_file;
pub mod pointer;
pub mod postgres;
pub mod rest;
mod sql;
pub mod sqlite;
pub mod tls;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use frazil_dataset::TableName;
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec},
};

use crate::storage::{Storage, StorageError};

/// A catalog of tables.
#[async_trait]
pub trait Catalog: Debug + Send + Sync + 'static {
    /// Which catalog this is, for people, without secrets: `sqlite:/data/catalog.db`.
    fn describe(&self) -> String;

    /// The table as it is now; `None` where there is none.
    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError>;

    /// Makes a table, and its namespace where that is missing. Another's table of that name,
    /// made meanwhile, is [`CommitError::Conflict`].
    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError>;

    /// False where `base` is certainly no longer the table's present metadata, as far as that costs next to
    /// nothing to ask: a swap from it need not be tried. True says nothing.
    async fn may_be_current(&self, _base: &LoadedTable) -> bool {
        true
    }

    /// One compare-and-swap: `updates` on exactly `base`, if `requirements` hold on it. Never retries.
    /// A REST server knows no base: there it is `updates` on whatever is current, if `requirements` hold
    /// on that. So whatever was decided on must be among them.
    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError>;

    /// The names of all tables.
    async fn list(&self) -> Result<Vec<TableName>, CatalogError>;

    /// Does what a commit needs and leaves every table as it is: for whoever wants to know before the first one
    /// whether it will be let in. Some catalogs can tell more where there is a `table`.
    ///
    /// # Errors
    /// A commit would fail, too.
    async fn rehearse(&self, _table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        Ok(Rehearsal::default())
    }
}

/// What trying to commit has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// What was tried, and what keeps writers apart, for people; empty where nothing can be tried.
    pub shown: Vec<String>,
    /// What may go wrong all the same, and what to do.
    pub warnings: Vec<String>,
    /// The server's clock in milliseconds since the epoch, where it tells.
    pub clock_ms: Option<i64>,
}

/// A table's metadata as a catalog gave it.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    /// Its name.
    pub name: TableName,
    /// The metadata.
    pub metadata: Arc<TableMetadata>,
    /// Where the metadata file lies.
    pub metadata_location: String,
    /// Where its files lie (with a REST catalog's vended credentials, one of its own).
    pub storage: Arc<dyn Storage>,
}

/// What a new table is to be.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its columns.
    pub schema: Schema,
    /// Its partitioning.
    pub partition_spec: UnboundPartitionSpec,
    /// The order of rows in its files.
    pub sort_order: SortOrder,
    /// Its properties.
    pub properties: Vec<(String, String)>,
}

/// Why a catalog could not answer. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Trying again may help.
    #[error("reach catalog {catalog}: {reason}")]
    Unavailable {
        /// Which catalog.
        catalog: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// Trying again will not help.
    #[error("use catalog {catalog}: {reason}")]
    Rejected {
        /// Which catalog.
        catalog: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// A file of the table could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How a compare-and-swap that did not certainly succeed ended.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Certainly not committed: the base is no longer current, or a requirement fails. Load again.
    #[error("commit: {0}")]
    Conflict(String),
    /// Certainly not committed, and the same request will not be either.
    #[error("commit: {0}")]
    Rejected(String),
    /// Certainly not committed: what was needed before the swap failed; trying again may help.
    #[error("commit: {0}")]
    NotSent(String),
    /// Perhaps committed. Only reading the table can tell; delete nothing.
    #[error("commit: the outcome is unknown: {0}")]
    Unknown(String),
}
