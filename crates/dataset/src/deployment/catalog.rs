//! A deployment's catalogs.

use std::{fmt, time::Duration};

use super::{HeaderText, SecretReference, storage::AccessKeys};

/// One catalog of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSettings {
    /// How it is reached.
    pub connection: Connection,
    /// Where its tables lie: a path relative to the working folder, or an absolute URI; of a REST catalog, whatever the
    /// server calls its warehouse. `None` is the server's own for REST catalogs, and else the embedded
    /// default's, which only the environment can leave it.
    pub warehouse: Option<String>,
}

/// How a catalog is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// A SQLite file.
    Sqlite(SqliteSettings),
    /// A PostgreSQL database.
    Postgres(PostgresSettings),
    /// A Hive Metastore.
    Hive(HiveSettings),
    /// A server of Iceberg's REST protocol.
    Rest(Box<RestSettings>),
}

impl Connection {
    /// Which kind of catalog it is.
    pub fn kind(&self) -> CatalogKind {
        match self {
            Self::Sqlite(_) => CatalogKind::Sqlite,
            Self::Postgres(_) => CatalogKind::Postgres,
            Self::Hive(_) => CatalogKind::Hive,
            Self::Rest(_) => CatalogKind::Rest,
        }
    }

    /// Its address, which holds no secret.
    pub fn uri(&self) -> String {
        match self {
            Self::Sqlite(sqlite) => format!("sqlite:{}", sqlite.path),
            Self::Postgres(postgres) => postgres.uri.clone(),
            Self::Hive(hive) => hive.addresses.join(","),
            Self::Rest(rest) => rest.uri.clone(),
        }
    }
}

/// The kinds of catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogKind {
    /// SQLite with the tables of Iceberg's JDBC catalog: `type = "sql"`, `sqlite:`.
    Sqlite,
    /// PostgreSQL with the same tables: `type = "sql"`, `postgresql:`.
    Postgres,
    /// Hive Metastore: `type = "hive"`, `thrift:`.
    Hive,
    /// Iceberg's REST protocol: `type = "rest"`, `https:`.
    Rest,
}

impl fmt::Display for CatalogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Hive => "Hive",
            Self::Rest => "REST",
        })
    }
}

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Its path, relative to the working folder where it is relative.
    pub path: String,
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostgresSettings {
    /// Its address with the user in it: `postgresql://frazil@db:5432/lake?sslmode=verify-full`.
    pub uri: String,
    /// The password.
    pub credential: Option<SecretReference>,
    /// Certificates.
    pub tls: TlsSettings,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Duration>,
    /// How long a call waits for a free connection.
    pub acquire_timeout: Option<Duration>,
    /// How long a statement may take.
    pub statement_timeout: Option<Duration>,
    /// How long a statement waits for another's lock.
    pub lock_timeout: Option<Duration>,
    /// How long the server keeps the transaction of a process that hangs.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Connections of one process.
    pub connections_max: Option<u32>,
}

/// A Hive Metastore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HiveSettings {
    /// `thrift://host:port` of each server, in the order in which they are tried.
    pub addresses: Vec<String>,
    /// Whether a commit holds the table's lock.
    pub lock: Option<bool>,
    /// Whether the server is known to compare the expected value of a parameter.
    pub enforces_expected_value: Option<bool>,
    /// Who we are.
    pub user: Option<String>,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Duration>,
    /// How long a call may take.
    pub call_timeout: Option<Duration>,
    /// How long is waited for a table's lock.
    pub lock_wait_max: Option<Duration>,
    /// How long a commit may be under way after the lock was last confirmed.
    pub lock_hold_max: Option<Duration>,
    /// How long a commit of unknown outcome is looked for, the lock still held.
    pub late_alter_wait_max: Option<Duration>,
    /// The longest value that is copied from the table's properties to the metastore, in characters.
    pub parameter_value_chars_max: Option<u32>,
}

/// A server of Iceberg's REST protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestSettings {
    /// The address that `/v1/config` is under.
    pub uri: String,
    /// The prefix of all paths, where the server's configuration names none.
    pub prefix: Option<String>,
    /// Who we are.
    pub authorization: Authorization,
    /// Headers of each request.
    pub headers: Vec<(String, HeaderText)>,
    /// Certificates.
    pub tls: TlsSettings,
    /// Whether the server is asked to lend credentials for a table's files.
    pub vended_credentials: Option<bool>,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Duration>,
    /// How long a reading request may take.
    pub read_timeout: Option<Duration>,
    /// How long a changing request may take.
    pub commit_timeout: Option<Duration>,
    /// How often a reading request is made before giving up.
    pub read_attempts_max: Option<u32>,
    /// The longest answer with a table's metadata that is taken.
    pub metadata_bytes_max: Option<u64>,
}

/// Who we are to a REST catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authorization {
    /// Nobody; or a proxy, a certificate or headers say.
    #[default]
    None,
    /// `token`.
    Bearer(SecretReference),
    /// `credential`, and `[catalog.oauth2]`.
    OAuth2(OAuth2Settings),
    /// `[catalog.sigv4]`.
    SigV4(SigV4Settings),
}

/// OAuth2 client credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Settings {
    /// `client-id:client-secret`, or the secret alone.
    pub credential: SecretReference,
    /// Where tokens are given out; `None`: by the catalog.
    pub server_uri: Option<String>,
    /// The scope that is asked for.
    pub scope: Option<String>,
    /// The audience that is asked for.
    pub audience: Option<String>,
    /// The resource that is asked for.
    pub resource: Option<String>,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigV4Settings {
    /// The region.
    pub region: String,
    /// The service's signing name.
    pub name: String,
    /// The keys; `None`: those that AWS's own tools find.
    pub keys: Option<AccessKeys>,
}

/// Certificates, beside the system's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// A PEM file of the authorities that sign the server's certificate.
    pub ca: Option<String>,
    /// A PEM file of our own certificate with its chain.
    pub certificate: Option<String>,
    /// Its private key, in PEM.
    pub key: Option<SecretReference>,
}
