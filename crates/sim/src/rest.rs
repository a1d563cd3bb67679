//! A REST catalog: it checks what is asserted, on whatever is current, and applies the updates to that.
//!
//! Unlike a pointer catalog it does not know which base the caller's updates were computed from.

use std::sync::Arc;

use async_trait::async_trait;
use frazil_dataset::TableName;
use frazil_service::clock::Ids;
use frazil_table::{
    catalog::{Catalog, CatalogError, CommitError, Creation, LoadedTable},
    storage::Storage,
};
use iceberg::{
    TableRequirement, TableUpdate,
    spec::{FormatVersion, TableMetadata, TableMetadataBuilder},
};
use uuid::Uuid;

use crate::{
    durable::{Actor, Durable, Swap},
    fault::CallClass,
    reading,
    world::{Process, Reply},
};

/// One process's connection to a REST catalog.
#[derive(Debug, Clone)]
pub struct SimRestCatalog {
    process: Process,
    warehouse: String,
}

impl SimRestCatalog {
    /// A connection of that process.
    pub fn new(process: Process, warehouse: &str) -> Self {
        Self {
            process,
            warehouse: warehouse.to_owned(),
        }
    }

    fn loaded(&self, name: &TableName, location: String, metadata: TableMetadata) -> LoadedTable {
        let storage: Arc<dyn Storage> = self.process.storage();
        LoadedTable {
            name: name.clone(),
            metadata: Arc::new(metadata),
            metadata_location: location,
            storage,
        }
    }

    fn unavailable(&self) -> CatalogError {
        CatalogError::Unavailable {
            catalog: self.describe(),
            reason: "it did not answer; trying again may help".to_owned(),
        }
    }
}

/// What the server answers to a commit.
type Answer = Result<(String, TableMetadata), CommitError>;

fn answer(reply: Reply<Answer>) -> Answer {
    match reply {
        Reply::Done(answer) => answer,
        Reply::Failed => Err(CommitError::NotSent(
            "the server could not be reached".to_owned(),
        )),
        Reply::Lost => Err(CommitError::Unknown("the server did not answer".to_owned())),
    }
}

#[async_trait]
impl Catalog for SimRestCatalog {
    fn describe(&self) -> String {
        "simulated REST catalog".to_owned()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        let table = name.clone();
        let load = move |durable: &mut Durable, context: crate::world::CallContext| {
            let location = if context.stale {
                durable.stale_pointer(&table)
            } else {
                durable.pointer(&table)
            };
            location.map(|location| {
                let metadata = reading::metadata(durable, &location)
                    .expect("the server wrote this metadata file itself");
                (location, metadata)
            })
        };
        let subject = name.to_string();
        match self
            .process
            .call(CallClass::PointerRead, "load", &subject, load)
            .await
        {
            Reply::Done(found) => {
                Ok(found.map(|(location, metadata)| self.loaded(name, location, metadata)))
            }
            Reply::Failed | Reply::Lost => Err(self.unavailable()),
        }
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        let (table, id) = (name.clone(), self.process.ids().uuid());
        let location = format!(
            "{}/{}/{}",
            self.warehouse,
            name.namespace.join("/"),
            name.table
        );
        let create = move |durable: &mut Durable, context: crate::world::CallContext| {
            let built = TableMetadataBuilder::new(
                creation.schema,
                creation.partition_spec,
                creation.sort_order,
                location,
                FormatVersion::V2,
                creation.properties.into_iter().collect(),
            )
            .and_then(|builder| builder.assign_uuid(id).build())
            .map_err(|error| CommitError::Rejected(error.to_string()))?;
            put(durable, &table, None, built.metadata, context.process, id)
        };
        let subject = name.to_string();
        let reply = self
            .process
            .call(CallClass::Swap, "create", &subject, create)
            .await;
        let (location, metadata) = answer(reply)?;
        Ok(self.loaded(name, location, metadata))
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let (name, id) = (base.name.clone(), self.process.ids().uuid());
        let commit = move |durable: &mut Durable, context: crate::world::CallContext| {
            commit(durable, &name, requirements, updates, context.process, id)
        };
        let subject = base.name.to_string();
        let reply = self
            .process
            .call(CallClass::Swap, "commit", &subject, commit)
            .await;
        let (location, metadata) = answer(reply)?;
        Ok(self.loaded(&base.name, location, metadata))
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        Err(CatalogError::Rejected {
            catalog: self.describe(),
            reason: "it does not list tables".to_owned(),
        })
    }
}

fn commit(
    durable: &mut Durable,
    name: &TableName,
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
    process: u32,
    id: Uuid,
) -> Answer {
    let Some(current) = durable.pointer(name) else {
        return Err(CommitError::Conflict("there is no such table".to_owned()));
    };
    let metadata =
        reading::metadata(durable, &current).expect("the server wrote this metadata file itself");
    for requirement in requirements {
        requirement
            .check(Some(&metadata))
            .map_err(|error| CommitError::Conflict(error.to_string()))?;
    }
    let mut builder = metadata.into_builder(Some(current.clone()));
    for update in updates {
        builder = update
            .apply(builder)
            .map_err(|error| CommitError::Rejected(error.to_string()))?;
    }
    let built = builder
        .build()
        .map_err(|error| CommitError::Rejected(error.to_string()))?;
    put(durable, name, Some(&current), built.metadata, process, id)
}

fn put(
    durable: &mut Durable,
    name: &TableName,
    current: Option<&str>,
    metadata: TableMetadata,
    process: u32,
    id: Uuid,
) -> Answer {
    let mut json = serde_json::to_value(&metadata).expect("table metadata is valid JSON");
    // The builder takes the machine's clock where no snapshot is added.
    let snapshot_ms = metadata
        .current_snapshot()
        .map_or(0, |snapshot| snapshot.timestamp_ms());
    json["last-updated-ms"] = durable.now_millis.max(snapshot_ms).into();
    let version = durable.history(name).len();
    let location = format!(
        "{}/metadata/{version:05}-{id}.metadata.json",
        metadata.location()
    );
    let bytes = serde_json::to_vec(&json).expect("a JSON value can be written");
    if durable.swap(
        name,
        current,
        Some(location.clone()),
        Actor::Process(process),
    ) == Swap::Stale
    {
        return Err(CommitError::Conflict(
            "there is such a table already".to_owned(),
        ));
    }
    durable.write(&location, bytes.into());
    Ok((location, metadata))
}
