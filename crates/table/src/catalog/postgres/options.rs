//! Where a PostgreSQL catalog is, and how long is waited for it.

use std::time::Duration;

use frazil_service::secret::Secret;

use crate::catalog::tls::TlsOptions;

/// A PostgreSQL catalog.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgresql://user@host:port/database?sslmode=verify-full`. A password in it is refused:
    /// name where it is in [`Self::password`]. `sslmode` is as in libpq; without it TLS is used
    /// where the server offers it, and proves nothing of who it is. `options=-c search_path=…`
    /// puts the catalog's tables in a schema.
    pub uri: String,
    /// The password, read at each new connection.
    pub password: Option<Secret>,
    /// Certificates. A CA that is named here is used: an `sslmode` that would not, becomes `verify-ca`.
    pub tls: TlsOptions,
    /// How long a connection may take to be made, with TLS and password.
    pub connect_timeout: Duration,
    /// How long a call waits for one of the connections while all are in use.
    pub acquire_timeout: Duration,
    /// How long a statement may take. The server is told, and not believed: a little later the connection is given up.
    pub statement_timeout: Duration,
    /// How long a statement waits for another's lock. Less than `statement_timeout`.
    pub lock_timeout: Duration,
    /// How long the server keeps a transaction, and its locks, of a process that hangs or is gone.
    pub idle_in_transaction_timeout: Duration,
    /// Connections of one process. A dataset needs one at each commit; more wait for the server's limit.
    pub connections_max: u32,
}

impl PostgresOptions {
    /// The catalog at that address, everything else by default.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            password: None,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(10),
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_mins(1),
            connections_max: 4,
        }
    }
}
