//! The Hive Metastore: pointers as parameters of its tables, as Iceberg's Java library and Trino keep
//! them (`table_type = ICEBERG`, `metadata_location`).
//!
//! Two clients speak to it. The `hive_metastore` crate makes all calls of which nothing is lost:
//! lists, databases, locks, new tables ([`server`]). A table that is there already is read and
//! replaced whole, and the crate's table has Hive 2.3's fields: through it a commit would set the
//! owner's type of a role back to a user, and drop the description of the serde and all that newer
//! versions add. So `get_table_req` and `alter_table_with_environment_context` go by [`raw`], which
//! carries fields that it does not know; it also sees exceptions that the crate takes for success,
//! and knows whether a request was sent. Both connect by [`dial`].
//!
//! Guarantees: a swap is made under the table's lock *and* with the expected value ([`swap`]); what
//! is not certain is `Unknown`; nothing is retried. On servers that do not compare the expected value
//! (2.3, 3.1) the lock is all there is, and it has no fence: `docs/hive.md` says what can be lost.

mod alter;
mod capabilities;
mod columns;
mod create;
mod dial;
mod lock;
mod metastore;
mod mirror;
mod options;
mod raw;
mod rehearse;
mod server;
mod swap;
mod table;
mod thrift;

use std::sync::Arc;

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use futures::FutureExt as _;
use iceberg::spec::TableMetadata;

pub use options::{Enforcement, HiveAddress, HiveOptions};

use self::{
    metastore::{Metastore, Target, database},
    mirror::Mirror,
    server::{Failure, Made},
    swap::{Swap, refusal},
};
use super::{
    CatalogError, LoadedTable, Rehearsal,
    pointer::{PointerStore, SwapOutcome},
};

/// Pointers in a Hive Metastore.
#[derive(Debug, Clone)]
pub struct HivePointers {
    metastore: Arc<Metastore>,
}

impl HivePointers {
    /// The metastore with those options. Connects to nothing yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime: connections are kept by a task.
    pub fn new(options: HiveOptions, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            metastore: Arc::new(Metastore::new(options, clock, ids)),
        }
    }

    fn unavailable(&self, reason: &str) -> CatalogError {
        CatalogError::Unavailable {
            catalog: self.describe(),
            reason: reason.to_string(),
        }
    }

    fn rejected(&self, reason: impl Into<String>) -> CatalogError {
        CatalogError::Rejected {
            catalog: self.describe(),
            reason: reason.into(),
        }
    }

    fn error(&self, failure: &Failure) -> CatalogError {
        match failure {
            Failure::Lost(reason) => self.unavailable(reason),
            Failure::Refused(message) => match refusal(message, false) {
                SwapOutcome::Rejected(reason) => self.rejected(reason),
                _ => self.unavailable(message),
            },
        }
    }

    async fn run(&self, swap: Result<Swap, String>) -> SwapOutcome {
        let swap = match swap {
            Ok(swap) => swap,
            Err(reason) => return SwapOutcome::Rejected(reason),
        };
        // As a task of its own: whoever waits for it may stop waiting, and the lock is given back.
        match tokio::spawn(swap.run()).await {
            Ok(outcome) => outcome,
            Err(error) => SwapOutcome::Unknown(format!("the swap did not end: {error}")),
        }
    }

    async fn make(
        &self,
        name: &TableName,
        new: &str,
        metadata: Option<&TableMetadata>,
    ) -> SwapOutcome {
        match Target::new(name) {
            Ok(target) => create::create(&self.metastore, &target, new, metadata).await,
            Err(reason) => SwapOutcome::Rejected(reason),
        }
    }
}

#[async_trait]
impl PointerStore for HivePointers {
    fn describe(&self) -> String {
        self.metastore.describe()
    }

    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError> {
        let target = Target::new(name).map_err(|reason| self.rejected(reason))?;
        let read = self.metastore.read(&target).await;
        let Some(table) = read.map_err(|failure| self.error(&failure))?.table else {
            return Ok(None);
        };
        if !table.is_iceberg() {
            return Err(self.rejected(format!(
                "{name} is a table or view of Hive's, not of Iceberg's; name another, or convert it"
            )));
        }
        match table.pointer() {
            Some(location) => Ok(Some(location.to_string())),
            None => Err(self.rejected(format!("it names no metadata file for table {name}"))),
        }
    }

    async fn swap(&self, name: &TableName, expected: &str, new: &str) -> SwapOutcome {
        let swap = Target::new(name).map(|target| Swap {
            metastore: Arc::clone(&self.metastore),
            target,
            expected: expected.to_string(),
            new: new.to_string(),
            mirror: None,
            locks_are_off: false,
        });
        self.run(swap).await
    }

    async fn swap_shown(
        &self,
        base: &LoadedTable,
        new: &str,
        metadata: &TableMetadata,
    ) -> SwapOutcome {
        let chars_max = self.metastore.options.parameter_value_chars_max;
        let swap = Target::new(&base.name).map(|target| Swap {
            metastore: Arc::clone(&self.metastore),
            target,
            expected: base.metadata_location.clone(),
            new: new.to_string(),
            mirror: Some(Mirror::new(Some(&base.metadata), metadata, chars_max)),
            locks_are_off: mirror::locks_are_off(&base.metadata),
        });
        self.run(swap).await
    }

    async fn insert(&self, name: &TableName, new: &str) -> SwapOutcome {
        self.make(name, new, None).await
    }

    async fn insert_shown(
        &self,
        name: &TableName,
        new: &str,
        metadata: &TableMetadata,
    ) -> SwapOutcome {
        self.make(name, new, Some(metadata)).await
    }

    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CatalogError> {
        let name = database(namespace).map_err(|reason| self.rejected(reason))?;
        let first = self.metastore.preferred();
        let there = self
            .metastore
            .ask(first, |server| server.databases().boxed())
            .await
            .map_err(|failure| self.error(&failure))?;
        if there.contains(&name) {
            return Ok(());
        }
        let made = self
            .metastore
            .ask(first, |server| {
                let name = name.clone();
                async move { server.create_database(&name).await }.boxed()
            })
            .await;
        match made {
            Ok(Made::Made | Made::Exists) => Ok(()),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let first = self.metastore.preferred();
        let databases = self
            .metastore
            .ask(first, |server| server.databases().boxed())
            .await
            .map_err(|failure| self.error(&failure))?;
        let mut names = Vec::new();
        for database in databases {
            let tables = self
                .metastore
                .ask(first, |server| {
                    let database = database.clone();
                    async move { server.iceberg_tables(&database).await }.boxed()
                })
                .await
                .map_err(|failure| self.error(&failure))?;
            names.extend(tables.into_iter().map(|table| TableName {
                namespace: vec![database.clone()],
                table,
            }));
        }
        names.sort();
        Ok(names)
    }

    async fn rehearse(&self, table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        match rehearse::rehearse(&self.metastore, table).await {
            Ok(rehearsal) => Ok(rehearsal),
            Err(SwapOutcome::Rejected(reason)) => Err(self.rejected(reason)),
            Err(outcome) => Err(self.unavailable(rehearse::reason(&outcome))),
        }
    }
}
