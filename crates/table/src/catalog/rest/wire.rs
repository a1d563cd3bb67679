//! What a REST catalog and its clients say to each other.
//!
//! Iceberg's REST catalog specification (`rest-catalog-open-api.yaml`); requirements, updates and
//! metadata are the crate's own.

use std::collections::HashMap;

use iceberg::{
    TableRequirement, TableUpdate,
    spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec},
};
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/config`. It may hold secrets, and has no `Debug`.
#[derive(Deserialize)]
pub(super) struct ConfigAnswer {
    #[serde(default)]
    pub(super) defaults: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) overrides: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) endpoints: Option<Vec<String>>,
}

/// Answer to a load or a creation of a table. Its `Debug` would show secrets: it has none.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TableAnswer {
    pub(super) metadata_location: Option<String>,
    pub(super) metadata: TableMetadata,
    #[serde(default)]
    pub(super) config: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) storage_credentials: Option<Vec<StorageCredential>>,
}

/// Answer of `GET …/credentials`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CredentialsAnswer {
    pub(super) storage_credentials: Vec<StorageCredential>,
}

/// Credentials for the files under a prefix. No `Debug`, either.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(super) struct StorageCredential {
    pub(super) prefix: String,
    pub(super) config: HashMap<String, String>,
}

/// Answer to a commit.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CommitAnswer {
    pub(super) metadata_location: String,
    pub(super) metadata: TableMetadata,
}

/// A commit.
#[derive(Serialize)]
pub(super) struct CommitRequest<'a> {
    pub(super) identifier: Identifier<'a>,
    pub(super) requirements: Vec<TableRequirement>,
    pub(super) updates: Vec<TableUpdate>,
}

/// A table's name.
#[derive(Serialize)]
pub(super) struct Identifier<'a> {
    pub(super) namespace: &'a [String],
    pub(super) name: &'a str,
}

/// A table to be made.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CreateTableRequest<'a> {
    pub(super) name: &'a str,
    pub(super) schema: &'a Schema,
    pub(super) partition_spec: &'a UnboundPartitionSpec,
    pub(super) write_order: &'a SortOrder,
    pub(super) stage_create: bool,
    pub(super) properties: HashMap<String, String>,
}

/// A namespace to be made.
#[derive(Serialize)]
pub(super) struct CreateNamespaceRequest<'a> {
    pub(super) namespace: &'a [String],
    pub(super) properties: HashMap<String, String>,
}

/// A page of namespaces.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NamespacesAnswer {
    #[serde(default)]
    pub(super) namespaces: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

/// A page of tables.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TablesAnswer {
    #[serde(default)]
    pub(super) identifiers: Vec<ListedTable>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

/// A table's name in a page.
#[derive(Deserialize)]
pub(super) struct ListedTable {
    pub(super) namespace: Vec<String>,
    pub(super) name: String,
}

/// What an answer that is no success says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) error: ErrorModel,
}

/// Iceberg's error.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorModel {
    #[serde(default)]
    pub(super) message: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
}

/// A token (RFC 6749, section 5.1). No `Debug`.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) token_type: String,
    #[serde(default)]
    pub(super) expires_in: Option<i64>,
}

/// Why there is no token (RFC 6749, section 5.2).
#[derive(Deserialize)]
pub(super) struct TokenRefusal {
    pub(super) error: String,
    #[serde(default)]
    pub(super) error_description: Option<String>,
}
