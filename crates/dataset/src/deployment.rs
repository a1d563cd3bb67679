//! A deployment file's values: where this deployment's catalogs, storages and Kafka clusters are.
//!
//! What is left out of the file is `None` here: defaults are those of the part that acts on a value.

mod catalog;
mod kafka;
mod storage;

use std::fmt;

pub use catalog::{
    Authorization, CatalogKind, CatalogSettings, Connection, HiveSettings, OAuth2Settings,
    PostgresSettings, RestSettings, SigV4Settings, SqliteSettings, TlsSettings,
};
pub use kafka::{KafkaCluster, KafkaClusterError, KafkaPasswordMechanism, KafkaSasl, KafkaTls};
pub use storage::{
    AccessKeys, AzureCredentials, AzureSettings, GcsCredentials, GcsSettings, HdfsSettings,
    S3Checksum, S3Credentials, S3Encryption, S3Settings, StorageSettings, TransferSettings,
};

/// A deployment: its catalogs, storages and Kafka clusters. Without a file, the embedded default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// `[catalog]`; `None` is the embedded default under the data folder.
    pub catalog: Option<CatalogSettings>,
    /// `[catalogs.<name>]`, in the file's order.
    pub catalogs: Vec<(String, CatalogSettings)>,
    /// `[storage]`.
    pub storage: StorageSettings,
    /// `[kafka.<name>]`, in the file's order.
    pub kafka: Vec<(String, KafkaCluster)>,
}

/// Where a secret is: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// `{ env = "X" }`: in that environment variable.
    Variable(String),
    /// `{ file = "…" }`: the content of that file, read again when it changes.
    File(String),
}

/// The text of an HTTP header.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderText {
    /// This.
    Plain(String),
    /// A secret.
    Secret(SecretReference),
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What a person wrote in plain may be a secret all the same.
            Self::Plain(_) => f.write_str("Plain(…)"),
            Self::Secret(secret) => f.debug_tuple("Secret").field(secret).finish(),
        }
    }
}
