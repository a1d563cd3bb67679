//! Catalogs that only hold a pointer: the name of a table's current metadata file.
//!
//! [`PointerCatalog`] does by itself what a REST server would: it checks the requirements on the
//! base, applies the updates, writes the next metadata file and only then swaps the pointer, from
//! exactly the base's file to the new one. So whatever is decided from a base is committed on
//! that base or not at all.
//!
//! Guarantees: a metadata file is durable before the pointer names it; it is deleted again only
//! where the swap certainly did not happen; nothing is retried.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{FormatVersion, MetadataLog, TableMetadata, TableMetadataBuilder},
};

use super::{Catalog, CatalogError, CommitError, Creation, LoadedTable, Rehearsal, metadata_file};
use crate::storage::{Storage, StorageErrorKind};

/// How often a table is looked up again when its metadata file vanished between the look at the
/// pointer and the look at the file (another writer trims old metadata).
const LOAD_ATTEMPTS_MAX: u32 = 5;

/// The property that asks for old metadata files to be deleted.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// Where pointers are kept, with a compare-and-swap. No call retries by itself.
#[async_trait]
pub trait PointerStore: Debug + Send + Sync + 'static {
    /// Which catalog this is, for people, without secrets: `sqlite:/data/catalog.db`.
    fn describe(&self) -> String;

    /// The location of the table's current metadata file; `None` where there is no such table.
    async fn get(&self, name: &TableName) -> Result<Option<String>, CatalogError>;

    /// Moves the table's pointer from exactly `expected` to `new`.
    async fn swap(&self, name: &TableName, expected: &str, new: &str) -> SwapOutcome;

    /// Makes the table's pointer; a table of that name is [`SwapOutcome::Conflict`].
    /// Its namespace exists already.
    async fn insert(&self, name: &TableName, new: &str) -> SwapOutcome;

    /// As [`Self::swap`] from `base`, for stores that show other engines more of a table than its
    /// pointer. What they show decides nothing.
    async fn swap_shown(
        &self,
        base: &LoadedTable,
        new: &str,
        _metadata: &TableMetadata,
    ) -> SwapOutcome {
        self.swap(&base.name, &base.metadata_location, new).await
    }

    /// As [`Self::insert`], for stores that show other engines more of a table than its pointer.
    async fn insert_shown(
        &self,
        name: &TableName,
        new: &str,
        _metadata: &TableMetadata,
    ) -> SwapOutcome {
        self.insert(name, new).await
    }

    /// Makes the namespace; one that exists already is no error.
    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CatalogError>;

    /// The names of all tables.
    async fn list(&self) -> Result<Vec<TableName>, CatalogError>;

    /// Does what a swap needs and leaves every pointer as it is; see [`Catalog::rehearse`].
    async fn rehearse(&self, _table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        Ok(Rehearsal::default())
    }
}

/// How a compare-and-swap of a pointer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapOutcome {
    /// Certainly done, durably.
    Swapped,
    /// Certainly not done: the pointer is another one (or gone; on insert: is there).
    Conflict(String),
    /// Certainly not done, and it will not be: no rights, read-only.
    Rejected(String),
    /// Certainly not done: the store could not be asked. Trying again may help.
    NotSent(String),
    /// Perhaps done: the reply was lost. Only reading can tell.
    Unknown(String),
}

/// A [`Catalog`] over a [`PointerStore`] and a [`Storage`].
#[derive(Debug)]
pub struct PointerCatalog<P> {
    pointers: P,
    storage: Arc<dyn Storage>,
    warehouse: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl<P: PointerStore> PointerCatalog<P> {
    /// A catalog whose new tables lie under `warehouse` (a URI, with or without a last slash).
    pub fn new(
        pointers: P,
        storage: Arc<dyn Storage>,
        warehouse: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            pointers,
            storage,
            warehouse: warehouse.trim_end_matches('/').to_string(),
            clock,
            ids,
        }
    }

    /// The pointers.
    pub fn pointers(&self) -> &P {
        &self.pointers
    }

    fn loaded(
        &self,
        name: &TableName,
        metadata: TableMetadata,
        metadata_location: String,
    ) -> LoadedTable {
        LoadedTable {
            name: name.clone(),
            metadata: Arc::new(metadata),
            metadata_location,
            storage: Arc::clone(&self.storage),
        }
    }

    /// Writes a metadata file, durably. Nothing names it yet.
    async fn write_metadata(
        &self,
        metadata: &TableMetadata,
        location: &str,
    ) -> Result<(), CommitError> {
        let json = metadata_file::to_json(metadata)
            .map_err(|e| CommitError::Rejected(format!("metadata is not writable: {e}")))?;
        let written = self.storage.write(location, json.into()).await;
        if let Err(error) = written {
            // A write that failed may have left a file all the same; nothing can name it.
            self.discard(location).await;
            return Err(CommitError::NotSent(format!("failed to {error}")));
        }
        Ok(())
    }

    /// Deletes a metadata file that certainly nothing names.
    async fn discard(&self, location: &str) {
        if let Err(error) = self.storage.delete(location).await {
            tracing::warn!(%error, "left an unused metadata file behind");
        }
    }

    /// What a swap's outcome means for the file that it would have named.
    async fn settle(&self, outcome: SwapOutcome, location: &str) -> Result<(), CommitError> {
        let error = match outcome {
            SwapOutcome::Swapped => return Ok(()),
            SwapOutcome::Unknown(reason) => return Err(CommitError::Unknown(reason)),
            SwapOutcome::Conflict(reason) => CommitError::Conflict(reason),
            SwapOutcome::Rejected(reason) => CommitError::Rejected(reason),
            SwapOutcome::NotSent(reason) => CommitError::NotSent(reason),
        };
        self.discard(location).await;
        Err(error)
    }

    /// Deletes metadata files that fell out of the log, where the table asks for it.
    async fn trim(&self, metadata: &TableMetadata, expired: &[MetadataLog]) {
        let wanted = metadata
            .properties()
            .get(DELETE_AFTER_COMMIT)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if !wanted {
            return;
        }
        for log in expired {
            if let Err(error) = self.storage.delete(&log.metadata_file).await {
                tracing::warn!(%error, "left an expired metadata file behind");
            }
        }
    }

    fn new_metadata(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<TableMetadata, CommitError> {
        let location = format!(
            "{}/{}/{}",
            self.warehouse,
            name.namespace.join("/"),
            name.table
        );
        let properties: HashMap<String, String> = creation.properties.into_iter().collect();
        let built = TableMetadataBuilder::new(
            creation.schema,
            creation.partition_spec,
            creation.sort_order,
            location,
            FormatVersion::V2,
            properties,
        )
        .and_then(|builder| builder.assign_uuid(self.ids.uuid()).build())
        .map_err(|e| CommitError::Rejected(format!("the table's definition is not valid: {e}")))?;
        metadata_file::as_of(&built.metadata, None, self.clock.now_millis())
            .map_err(|e| CommitError::Rejected(format!("the table's definition is not valid: {e}")))
    }

    /// The metadata that `updates` make of the base, and the metadata files that fall out of its log.
    fn next_metadata(
        &self,
        base: &LoadedTable,
        updates: Vec<TableUpdate>,
    ) -> Result<(TableMetadata, Vec<MetadataLog>), CommitError> {
        let invalid = |e: String| CommitError::Rejected(format!("the update is not valid: {e}"));
        let makes_snapshot = updates
            .iter()
            .any(|update| matches!(update, TableUpdate::AddSnapshot { .. }));
        // A snapshot's own time is the update's; else it is for us to say.
        let start = if makes_snapshot {
            TableMetadata::clone(&base.metadata)
        } else {
            metadata_file::long_ago(&base.metadata).map_err(|e| invalid(e.to_string()))?
        };
        let mut builder = start.into_builder(Some(base.metadata_location.clone()));
        for update in updates {
            builder = update.apply(builder).map_err(|e| invalid(e.to_string()))?;
        }
        let built = builder.build().map_err(|e| invalid(e.to_string()))?;
        let metadata = if makes_snapshot {
            built.metadata
        } else {
            let now_ms = self.clock.now_millis().max(base.metadata.last_updated_ms()) + 1;
            metadata_file::as_of(&built.metadata, Some(&base.metadata), now_ms)
                .map_err(|e| invalid(e.to_string()))?
        };
        Ok((metadata, built.expired_metadata_logs))
    }
}

#[async_trait]
impl<P: PointerStore> Catalog for PointerCatalog<P> {
    fn describe(&self) -> String {
        self.pointers.describe()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        let mut seen: Option<String> = None;
        for _ in 0..LOAD_ATTEMPTS_MAX {
            let Some(location) = self.pointers.get(name).await? else {
                return Ok(None);
            };
            match metadata_file::read(&self.storage, &location).await {
                Ok(Ok(metadata)) => return Ok(Some(self.loaded(name, metadata, location))),
                Ok(Err(reason)) => {
                    return Err(CatalogError::Rejected {
                        catalog: self.describe(),
                        reason: format!(
                            "the metadata file {location} of table {name} cannot be read: {reason}"
                        ),
                    });
                }
                Err(error)
                    if error.kind == StorageErrorKind::NotFound
                        && seen.as_ref() != Some(&location) =>
                {
                    seen = Some(location);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(CatalogError::Unavailable {
            catalog: self.describe(),
            reason: format!(
                "the metadata files of table {name} are replaced faster than they can be read; try again"
            ),
        })
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        let metadata = self.new_metadata(name, creation)?;
        match self.pointers.create_namespace(&name.namespace).await {
            Ok(()) => {}
            Err(error @ CatalogError::Rejected { .. }) => {
                return Err(CommitError::Rejected(format!("failed to {error}")));
            }
            Err(error) => return Err(CommitError::NotSent(format!("failed to {error}"))),
        }
        let location = metadata_file::location(&metadata, 0, self.ids.uuid());
        self.write_metadata(&metadata, &location).await?;
        let outcome = self.pointers.insert_shown(name, &location, &metadata).await;
        self.settle(outcome, &location).await?;
        Ok(self.loaded(name, metadata, location))
    }

    async fn may_be_current(&self, base: &LoadedTable) -> bool {
        match self.pointers.get(&base.name).await {
            Ok(location) => location.as_ref() == Some(&base.metadata_location),
            Err(_) => true,
        }
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        for requirement in &requirements {
            requirement
                .check(Some(&base.metadata))
                .map_err(|e| CommitError::Conflict(e.to_string()))?;
        }
        let (metadata, expired) = self.next_metadata(base, updates)?;
        let version = metadata_file::version(&base.metadata_location) + 1;
        let location = metadata_file::location(&metadata, version, self.ids.uuid());
        self.write_metadata(&metadata, &location).await?;
        let outcome = self.pointers.swap_shown(base, &location, &metadata).await;
        self.settle(outcome, &location).await?;
        self.trim(&metadata, &expired).await;
        Ok(self.loaded(&base.name, metadata, location))
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        self.pointers.list().await
    }

    async fn rehearse(&self, table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        self.pointers.rehearse(table).await
    }
}
