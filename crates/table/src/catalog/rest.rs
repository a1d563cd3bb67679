//! REST catalogs: Iceberg's REST catalog specification, by a client of our own.
//!
//! Guarantees: a changing request is made once, and its outcome is what the server said of it; where it
//! said nothing, or something that others on the way may have said, the outcome is unknown. A load is
//! never answered by a cache of ours, and asks those on the way not to. Secrets are read at each use and
//! shown nowhere. Every answer has a limit in bytes, and every request one in time.
//!
//! What is assumed: a server checks the requirements of a commit and applies its updates in one step. It
//! checks nothing but them, so a commit may be applied to a later base than the one that it was computed
//! from: whatever a decision was made on must be asserted.

mod authorization;
mod client;
mod http;
mod oauth2;
mod options;
mod outcome;
mod paths;
mod sigv4;
mod storage;
mod vended;
mod wire;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_dataset::TableName;
use frazil_service::clock::{Clock, Ids};
use iceberg::{TableRequirement, TableUpdate};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Catalog, CatalogError, CommitError, Creation, LoadedTable, Rehearsal};
use client::{Client, Read, Refused, SMALL_BYTES_MAX};
pub use options::{
    AccessDelegation, Authorization, HeaderText, OAuth2Options, RestOptions, SigV4Keys,
    SigV4Options,
};
use paths::Paths;
pub use storage::StorageFactory;
use vended::{Grant, GrantSource, Storages};
use wire::{
    CommitAnswer, CommitRequest, CreateNamespaceRequest, CreateTableRequest, CredentialsAnswer,
    Identifier, NamespacesAnswer, TableAnswer, TablesAnswer,
};

/// Pages of a list. More would be a server that never ends.
const PAGES_MAX: usize = 10_000;

/// The property by which a server is told the format version of a new table.
const FORMAT_VERSION: (&str, &str) = ("format-version", "2");

/// A REST catalog.
#[derive(Debug)]
pub struct RestCatalog {
    server: Arc<Server>,
    storages: Storages,
}

/// What tables' storages need of the catalog, too.
#[derive(Debug)]
struct Server {
    client: Client,
    paths: Paths,
    metadata_bytes_max: u64,
}

impl RestCatalog {
    /// Asks the server for its configuration. `storages` makes the storages of its tables.
    ///
    /// # Errors
    /// Options that are not valid; a server that cannot be reached, or is no REST catalog.
    pub async fn open(
        options: RestOptions,
        storages: Arc<dyn StorageFactory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, CatalogError> {
        let (warehouse, prefix) = (options.warehouse.clone(), options.prefix.clone());
        let metadata_bytes_max = options.metadata_bytes_max;
        let client = Client::new(options, Arc::clone(&clock), ids)?;
        let url = paths::config(&client.base, warehouse.as_deref());
        let config = client.get(url, SMALL_BYTES_MAX).await?;
        let (paths, properties) =
            Paths::new(&client.base, prefix.as_deref(), config).map_err(|reason| {
                CatalogError::Rejected {
                    catalog: client.address.clone(),
                    reason,
                }
            })?;
        Ok(Self {
            server: Arc::new(Server {
                client,
                paths,
                metadata_bytes_max,
            }),
            storages: Storages::new(storages, properties, clock),
        })
    }

    fn loaded(&self, name: &TableName, answer: TableAnswer) -> Result<LoadedTable, CatalogError> {
        let (metadata_location, grant, metadata) = self.server.opened(name, answer)?;
        let source: Arc<dyn GrantSource> = Arc::clone(&self.server) as _;
        let storage = self.storages.of(source, name, metadata.location(), grant)?;
        Ok(LoadedTable {
            name: name.clone(),
            metadata: Arc::new(metadata),
            metadata_location,
            storage,
        })
    }

    /// Makes the namespace and those that it lies in, where they are missing.
    async fn create_namespace(&self, namespace: &[String]) -> Result<(), CommitError> {
        let client = &self.server.client;
        let found = client
            .read(self.server.paths.namespace(namespace), SMALL_BYTES_MAX)
            .await
            .map_err(not_made)?;
        match found {
            Read::Success(_) => return Ok(()),
            Read::Refused(answer) if answer.status == StatusCode::NOT_FOUND => {}
            Read::Refused(answer) => return Err(not_made(client.refusal(&answer))),
        }
        for depth in 1..=namespace.len() {
            let request = CreateNamespaceRequest {
                namespace: &namespace[..depth],
                properties: HashMap::new(),
            };
            let made = client
                .change(self.server.paths.namespaces(), &request, SMALL_BYTES_MAX)
                .await;
            match made {
                // There already: made meanwhile, or a level above.
                Ok(_)
                | Err(Refused {
                    error: CommitError::Conflict(_),
                    ..
                }) => {}
                // A level above that may not be made may be there all the same.
                Err(Refused {
                    answer: Some(answer),
                    ..
                }) if answer.status == StatusCode::FORBIDDEN && depth < namespace.len() => {}
                Err(Refused {
                    error: CommitError::Unknown(reason),
                    ..
                }) => return Err(CommitError::NotSent(reason)),
                Err(refused) => return Err(refused.error),
            }
        }
        Ok(())
    }

    /// A commit that the server refused as a conflict. If something on the way sent it twice, the first
    /// one is in, and its files must not be deleted: its snapshot is in the table then. The second
    /// cannot get in later, since the first, or another's, moved what it asserts.
    async fn conflict(
        &self,
        name: &TableName,
        snapshot_id: i64,
        reason: String,
    ) -> Result<LoadedTable, CommitError> {
        match self.load(name).await {
            Ok(Some(table)) if table.metadata.snapshot_by_id(snapshot_id).is_some() => Ok(table),
            Ok(_) => Err(CommitError::Conflict(reason)),
            Err(error) => Err(CommitError::Unknown(format!(
                "{reason}; then failed to {error}"
            ))),
        }
    }

    /// All pages of a list. `more`: what is next, if the server said so.
    async fn pages<T: DeserializeOwned>(
        &self,
        first: Url,
        more: impl Fn(&T) -> Option<String>,
    ) -> Result<Result<Vec<T>, http::Answer>, CatalogError> {
        let client = &self.server.client;
        let mut pages = Vec::new();
        let mut token = String::new();
        while pages.len() < PAGES_MAX {
            let mut url = first.clone();
            url.query_pairs_mut().append_pair("pageToken", &token);
            let page: T = match client.read(url, SMALL_BYTES_MAX).await? {
                Read::Success(body) => client.parsed(&body)?,
                Read::Refused(answer) => return Ok(Err(answer)),
            };
            let next = more(&page).filter(|next| !next.is_empty() && *next != token);
            pages.push(page);
            match next {
                Some(next) => token = next,
                None => return Ok(Ok(pages)),
            }
        }
        Err(CatalogError::Rejected {
            catalog: self.describe(),
            reason: format!("a list of it has more than {PAGES_MAX} pages"),
        })
    }

    async fn namespaces_in(&self, parent: &[String]) -> Result<Vec<Vec<String>>, CatalogError> {
        let url = self.server.paths.children(parent);
        let pages = self
            .pages(url, |page: &NamespacesAnswer| page.next_page_token.clone())
            .await?;
        match pages {
            Ok(pages) => Ok(pages.into_iter().flat_map(|page| page.namespaces).collect()),
            // Servers whose namespaces have one level refuse to look within them, each in its way.
            Err(answer) if !parent.is_empty() && is_no_parent(answer.status) => Ok(Vec::new()),
            Err(answer) => Err(self.server.client.refusal(&answer)),
        }
    }

    async fn tables_in(&self, namespace: &[String]) -> Result<Vec<TableName>, CatalogError> {
        let url = self.server.paths.tables(namespace);
        let pages = self
            .pages(url, |page: &TablesAnswer| page.next_page_token.clone())
            .await?;
        match pages {
            Ok(pages) => Ok(pages
                .into_iter()
                .flat_map(|page| page.identifiers)
                .map(|table| TableName {
                    namespace: table.namespace,
                    table: table.name,
                })
                .collect()),
            // It was dropped since it was listed.
            Err(answer) if outcome::says_gone(&answer) => Ok(Vec::new()),
            Err(answer) => Err(self.server.client.refusal(&answer)),
        }
    }
}

fn is_no_parent(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// Of what is needed before a table can be made.
fn not_made(error: CatalogError) -> CommitError {
    match error {
        CatalogError::Rejected { .. } => CommitError::Rejected(format!("failed to {error}")),
        error => CommitError::NotSent(format!("failed to {error}")),
    }
}

impl Server {
    /// The parts of an answer with a table.
    fn opened(
        &self,
        name: &TableName,
        answer: TableAnswer,
    ) -> Result<(String, Grant, iceberg::spec::TableMetadata), CatalogError> {
        let location = answer
            .metadata_location
            .ok_or_else(|| CatalogError::Rejected {
                catalog: self.client.address.clone(),
                reason: format!("it names no metadata file for table {name}"),
            })?;
        let grant = Grant {
            properties: answer.config.unwrap_or_default(),
            credentials: answer.storage_credentials.unwrap_or_default(),
        };
        Ok((location, grant, answer.metadata))
    }

    async fn table(&self, name: &TableName) -> Result<Option<TableAnswer>, CatalogError> {
        let mut url = self.paths.table(name);
        url.set_query(Some("snapshots=all"));
        match self.client.read(url, self.metadata_bytes_max).await? {
            Read::Success(body) => self.client.parsed(&body).map(Some),
            Read::Refused(answer) if outcome::says_gone(&answer) => Ok(None),
            Read::Refused(answer) => Err(self.client.refusal(&answer)),
        }
    }
}

#[async_trait]
impl GrantSource for Server {
    async fn grant(
        &self,
        name: &TableName,
        location: &str,
        last: &Grant,
    ) -> Result<Grant, CatalogError> {
        if self.paths.gives_credentials && !last.credentials.is_empty() {
            let url = self.paths.credentials(name);
            let answer: CredentialsAnswer = self.client.get(url, SMALL_BYTES_MAX).await?;
            return Ok(Grant {
                properties: last.properties.clone(),
                credentials: answer.storage_credentials,
            });
        }
        let gone = || CatalogError::Rejected {
            catalog: self.client.address.clone(),
            reason: format!("table {name} is gone, or is another one than before"),
        };
        let answer = self.table(name).await?.ok_or_else(gone)?;
        let (_, grant, metadata) = self.opened(name, answer)?;
        if metadata.location() != location {
            return Err(gone());
        }
        Ok(grant)
    }
}

/// An answer to a change that was made: what it says, or that this cannot be told.
fn made<T: DeserializeOwned>(catalog: &str, body: &Bytes) -> Result<T, CommitError> {
    serde_json::from_slice(body).map_err(|e| {
        CommitError::Unknown(format!(
            "{catalog} answers with success, and not what a REST catalog answers: {e}"
        ))
    })
}

#[async_trait]
impl Catalog for RestCatalog {
    fn describe(&self) -> String {
        self.server.client.address.clone()
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogError> {
        match self.server.table(name).await? {
            Some(answer) => self.loaded(name, answer).map(Some),
            None => Ok(None),
        }
    }

    async fn create(
        &self,
        name: &TableName,
        creation: Creation,
    ) -> Result<LoadedTable, CommitError> {
        self.create_namespace(&name.namespace).await?;
        let mut properties: HashMap<String, String> = creation.properties.into_iter().collect();
        properties.insert(FORMAT_VERSION.0.to_owned(), FORMAT_VERSION.1.to_owned());
        let request = CreateTableRequest {
            name: &name.table,
            schema: &creation.schema,
            partition_spec: &creation.partition_spec.with_spec_id(0),
            write_order: &creation.sort_order,
            stage_create: false,
            properties,
        };
        let client = &self.server.client;
        let url = self.server.paths.tables(&name.namespace);
        let body = client
            .change(url, &request, self.server.metadata_bytes_max)
            .await
            .map_err(|refused| refused.error)?;
        let answer = made(&client.address, &body)?;
        // It is made: what is wrong with its storage shows again when it is loaded.
        self.loaded(name, answer)
            .map_err(|error| CommitError::Unknown(format!("failed to {error}")))
    }

    async fn commit(
        &self,
        base: &LoadedTable,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<LoadedTable, CommitError> {
        let added = updates.iter().find_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => Some(snapshot.snapshot_id()),
            _ => None,
        });
        let request = CommitRequest {
            identifier: Identifier {
                namespace: &base.name.namespace,
                name: &base.name.table,
            },
            requirements,
            updates,
        };
        let client = &self.server.client;
        let url = self.server.paths.table(&base.name);
        let sent = client
            .change(url, &request, self.server.metadata_bytes_max)
            .await;
        let body = match (sent.map_err(|refused| refused.error), added) {
            (Ok(body), _) => body,
            (Err(CommitError::Conflict(reason)), Some(added)) => {
                return self.conflict(&base.name, added, reason).await;
            }
            (Err(error), _) => return Err(error),
        };
        let answer: CommitAnswer = made(&client.address, &body)?;
        Ok(LoadedTable {
            name: base.name.clone(),
            metadata: Arc::new(answer.metadata),
            metadata_location: answer.metadata_location,
            storage: Arc::clone(&base.storage),
        })
    }

    async fn list(&self) -> Result<Vec<TableName>, CatalogError> {
        let mut waiting: VecDeque<Vec<String>> = self.namespaces_in(&[]).await?.into();
        let mut seen = BTreeSet::new();
        let mut tables = BTreeSet::new();
        while let Some(namespace) = waiting.pop_front() {
            if !seen.insert(namespace.clone()) {
                continue;
            }
            for table in self.tables_in(&namespace).await? {
                tables.insert((table.namespace, table.table));
            }
            waiting.extend(self.namespaces_in(&namespace).await?);
        }
        Ok(tables
            .into_iter()
            .map(|(namespace, table)| TableName { namespace, table })
            .collect())
    }

    /// Asks for what no table fulfils: who is let in so far is told of a conflict, and nothing is changed.
    async fn rehearse(&self, table: Option<&LoadedTable>) -> Result<Rehearsal, CatalogError> {
        let Some(table) = table else {
            return Ok(Rehearsal::default());
        };
        let catalog = self.describe();
        let impossible = TableRequirement::UuidMatch { uuid: Uuid::nil() };
        match self.commit(table, vec![impossible], Vec::new()).await {
            Err(CommitError::Conflict(_)) => Ok(Rehearsal {
                shown: vec![format!(
                    "a commit to {} whose requirements cannot hold was let in and refused as a conflict",
                    table.name
                )],
                ..Rehearsal::default()
            }),
            Ok(_) => Err(CatalogError::Rejected {
                catalog,
                reason: "it accepts a commit whose requirements do not hold, so that writers would overwrite each \
                         other; use a server that checks them"
                    .to_owned(),
            }),
            Err(CommitError::Rejected(reason)) => Err(CatalogError::Rejected { catalog, reason }),
            Err(CommitError::NotSent(reason) | CommitError::Unknown(reason)) => {
                Err(CatalogError::Unavailable { catalog, reason })
            }
        }
    }
}
