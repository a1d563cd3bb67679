//! What PostgreSQL's errors mean: whether trying again helps, and what a person does about it.
//!
//! Codes are of PostgreSQL's manual, appendix "PostgreSQL Error Codes".

use std::{io, time::Duration};

use frazil_service::secret::SecretError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::catalog::CatalogError;

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    #[error("all of this process's connections to it were in use for {0:?}")]
    Busy(Duration),
    #[error("failed to {0}")]
    Secret(#[from] SecretError),
}

/// What can be done about an error.
enum Remedy {
    Again(String),
    Stop(String),
}

impl Failure {
    fn database(&self) -> Option<&PgDatabaseError> {
        match self {
            Failure::Sql(sqlx::Error::Database(error)) => {
                error.try_downcast_ref::<PgDatabaseError>()
            }
            _ => None,
        }
    }

    fn code(&self) -> Option<&str> {
        self.database().map(PgDatabaseError::code)
    }

    /// The server's own word on a statement, after which the session goes on. Those that end the
    /// session are of another severity.
    pub(super) fn is_answer(&self) -> bool {
        self.database()
            .is_some_and(|error| error.severity() == PgSeverity::Error)
    }

    /// Another transaction changed what this one would: a serialization failure, or the row is there already.
    pub(super) fn another_was_first(&self) -> bool {
        matches!(self.code(), Some("40001" | "23505"))
    }

    /// An error of COMMIT by which the server says that it rolled back. Of all others, a lost
    /// connection and a session that was ended among them, it cannot be told.
    pub(super) fn certainly_rolled_back(&self) -> bool {
        let code = self.code().unwrap_or_default();
        let said = matches!(code, "40001" | "40002" | "40P01") || code.starts_with("23");
        self.is_answer() && said
    }

    /// The error of a call that certainly did nothing.
    pub(super) fn for_catalog(&self, address: &str) -> CatalogError {
        let catalog = address.to_owned();
        match self.remedy() {
            Remedy::Again(reason) => CatalogError::Unavailable { catalog, reason },
            Remedy::Stop(reason) => CatalogError::Rejected { catalog, reason },
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Failure::Sql(sqlx::Error::Database(_)) => self.database_remedy(),
            Failure::Sql(sqlx::Error::Tls(error)) => tls(error.as_ref()),
            // Rustls's refusals come out of the handshake as this.
            Failure::Sql(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                tls(error)
            }
            Failure::Sql(sqlx::Error::Io(error)) => Remedy::Again(format!(
                "{error}; see that the server runs, and that its host and port are right"
            )),
            Failure::Sql(sqlx::Error::Configuration(error)) => Remedy::Stop(format!(
                "its address, certificate or key is not valid: {error}"
            )),
            Failure::Sql(sqlx::Error::ColumnDecode { .. } | sqlx::Error::TypeNotFound { .. }) => {
                Remedy::Stop(format!(
                    "its tables are not those of an Iceberg JDBC catalog: {self}"
                ))
            }
            Failure::Secret(error) => Remedy::Stop(format!("failed to {error}")),
            Failure::Busy(_) => Remedy::Again(format!("{self}; allow more connections")),
            Failure::Sql(_) | Failure::Late(_) => Remedy::Again(self.to_string()),
        }
    }

    fn database_remedy(&self) -> Remedy {
        let code = self.code().unwrap_or_default();
        let said = format!("{self} (SQLSTATE {code})");
        let again = |what: &str| Remedy::Again(format!("{what}: {said}"));
        let stop = |what: &str| Remedy::Stop(format!("{what}: {said}"));
        match code {
            "25006" => stop(
                "the server is read-only (a hot standby, a replica, or default_transaction_read_only=on); name the primary",
            ),
            "40001" | "40P01" => again("another transaction was in the way"),
            "42501" => stop("its user may not do this; grant it the right"),
            "42P01" | "42703" | "42804" => stop(
                "its tables are not those of an Iceberg JDBC catalog; start again to make those that are missing",
            ),
            "22001" => stop("a name or location is longer than the catalog's columns"),
            "3D000" => stop("there is no such database; make it, or name another"),
            "53100" => again("the server's disk is full; free space on it"),
            "53300" => again("the server has no connection left; raise its max_connections"),
            "55P03" => {
                again("another transaction holds the table's row; find who does in pg_locks")
            }
            "57014" => again("the statement took longer than its statement_timeout"),
            "57P03" => again("the server is starting or stopping"),
            _ if code.starts_with("23") => stop("a rule of the database forbids it"),
            _ if code.starts_with("28") => {
                stop("the server does not let this user in; see its user, password and pg_hba.conf")
            }
            _ if code.starts_with("42") || code.starts_with("0A") => {
                stop("the server does not take what an Iceberg JDBC catalog needs")
            }
            _ => Remedy::Again(said),
        }
    }
}

fn tls(error: &dyn std::error::Error) -> Remedy {
    Remedy::Stop(format!(
        "TLS failed: {error}; see its sslmode, the certificate authority and the host's name"
    ))
}
