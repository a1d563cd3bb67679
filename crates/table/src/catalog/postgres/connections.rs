//! Connections to PostgreSQL, few and each with a deadline for all that it does.
//!
//! Why no pool of sqlx's: it tries a refused connection again until its time is up and then says
//! only that it is, it knows one password for good, and it returns a connection that was given up in the
//! middle of a statement. Here a connection is used again only after its transaction ended by
//! the server's word.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Executor as _, Postgres,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode},
    query::Query,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{errors::Failure, options::PostgresOptions};
use crate::catalog::{CatalogError, sql::Statement};

/// A connection that was not used for so long is not used again: firewalls and poolers forget it silently.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// A connection is not used for longer, so that new passwords, certificates and addresses are taken up.
const AGE_MAX: Duration = Duration::from_mins(30);

/// How much longer than the server's own limit is waited at most before the server is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Connections to one database.
pub(super) struct Connections {
    options: PostgresOptions,
    target: PgConnectOptions,
    address: String,
    begin: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Pooled>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").field(&self.address).finish()
    }
}

struct Pooled {
    connection: PgConnection,
    made: Instant,
    used: Instant,
}

impl Connections {
    pub(super) fn new(options: PostgresOptions) -> Result<Self, CatalogError> {
        let target = target(&options)?;
        Ok(Self {
            address: address(&target),
            begin: begin(&options),
            permits: Arc::new(Semaphore::new(options.connections_max.max(1) as usize)),
            idle: Mutex::new(Vec::new()),
            target,
            options,
        })
    }

    /// `postgresql://user@host:port/database`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Begins a transaction, on a connection that is there or on a new one.
    pub(super) async fn begin(&self) -> Result<Transaction<'_>, Failure> {
        let permit = timeout(
            self.options.acquire_timeout,
            Arc::clone(&self.permits).acquire_owned(),
        )
        .await
        .map_err(|_| Failure::Busy(self.options.acquire_timeout))?
        .expect("the semaphore is never closed");
        while let Some(pooled) = self.take_idle() {
            match self.begin_on(pooled).await {
                Ok(pooled) => return Ok(self.transaction(pooled, permit)),
                Err(failure) if failure.is_answer() => return Err(failure),
                // Nothing was asked of it yet.
                Err(failure) => tracing::debug!(%failure, "a connection was lost while idle"),
            }
        }
        let connection = self.connect().await?;
        let now = Instant::now();
        let pooled = Pooled {
            connection,
            made: now,
            used: now,
        };
        let pooled = self.begin_on(pooled).await?;
        Ok(self.transaction(pooled, permit))
    }

    fn transaction(&self, pooled: Pooled, permit: OwnedSemaphorePermit) -> Transaction<'_> {
        Transaction {
            connections: self,
            pooled,
            answered: true,
            _permit: permit,
        }
    }

    fn take_idle(&self) -> Option<Pooled> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(pooled) = idle.pop() {
            if pooled.used.elapsed() < IDLE_MAX && pooled.made.elapsed() < AGE_MAX {
                return Some(pooled);
            }
        }
        None
    }

    fn put_idle(&self, mut pooled: Pooled) {
        pooled.used = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(pooled);
    }

    async fn begin_on(&self, mut pooled: Pooled) -> Result<Pooled, Failure> {
        let begin = pooled.connection.execute(sqlx::raw_sql(&self.begin));
        self.in_time(begin).await?;
        Ok(pooled)
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        let mut target = self.target.clone();
        if let Some(password) = &self.options.password {
            target = target.password(password.read()?.expose());
        }
        if let Some(key) = &self.options.tls.key {
            target = target.ssl_client_key_from_pem(key.read()?.expose());
        }
        let connection = timeout(self.options.connect_timeout, target.connect());
        Ok(connection
            .await
            .map_err(|_| Failure::Late(self.options.connect_timeout))??)
    }

    /// The server ends a statement by itself; one that does not answer at all is given up a little later.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        let own = self.options.statement_timeout;
        let longest = own + own.min(GRACE);
        Ok(timeout(longest, work)
            .await
            .map_err(|_| Failure::Late(longest))??)
    }
}

/// A transaction. Dropped without its end it closes its connection, which rolls it back.
pub(super) struct Transaction<'a> {
    connections: &'a Connections,
    pooled: Pooled,
    /// Whether all that was asked so far was answered: else the connection is of no more use.
    answered: bool,
    _permit: OwnedSemaphorePermit,
}

impl Transaction<'_> {
    /// Runs a statement: how many rows it changed.
    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<u64, Failure> {
        let done = query(statement).execute(&mut self.pooled.connection);
        let done = self.connections.in_time(done).await;
        Ok(self.noted(done)?.rows_affected())
    }

    /// Runs a statement: the rows that it found.
    pub(super) async fn fetch(&mut self, statement: &Statement) -> Result<Vec<PgRow>, Failure> {
        let rows = query(statement).fetch_all(&mut self.pooled.connection);
        let rows = self.connections.in_time(rows).await;
        self.noted(rows)
    }

    fn noted<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.answered &= result.as_ref().err().is_none_or(Failure::is_answer);
        result
    }

    /// Commits. What an error means, it says itself.
    pub(super) async fn commit(self) -> Result<(), Failure> {
        self.end("COMMIT").await
    }

    /// Ends it without effect.
    pub(super) async fn give_up(self) {
        if !self.answered {
            return;
        }
        if let Err(error) = self.end("ROLLBACK").await {
            tracing::debug!(%error, "rollback failed; closing the connection does it");
        }
    }

    async fn end(mut self, how: &'static str) -> Result<(), Failure> {
        let end = self.pooled.connection.execute(sqlx::raw_sql(how));
        self.connections.in_time(end).await?;
        self.connections.put_idle(self.pooled);
        Ok(())
    }
}

/// Without a name on the server's side, which a pooler between us would not know again.
fn query(statement: &Statement) -> Query<'_, Postgres, PgArguments> {
    let query = sqlx::query(statement.text).persistent(false);
    statement.arguments.iter().fold(query, Query::bind)
}

/// What begins each transaction, in one message. A setting of more than `on` (`remote_apply`) stays.
fn begin(options: &PostgresOptions) -> String {
    let ms = |limit: Duration| limit.as_millis().clamp(1, i32::MAX as u128);
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; \
         SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = {}; \
         SELECT set_config('synchronous_commit', 'on', true) \
         WHERE current_setting('synchronous_commit') = 'off'",
        ms(options.statement_timeout),
        ms(options.lock_timeout),
        ms(options.idle_in_transaction_timeout),
    )
}

fn target(options: &PostgresOptions) -> Result<PgConnectOptions, CatalogError> {
    let refuse = |reason: String| CatalogError::Rejected {
        catalog: "PostgreSQL".to_owned(),
        reason,
    };
    if has_password(&options.uri) {
        return Err(refuse(
            "its address holds a password; take it out, and name the variable or file that holds it".to_owned(),
        ));
    }
    let mut target: PgConnectOptions = options
        .uri
        .parse()
        .map_err(|e: sqlx::Error| refuse(format!("its address is not valid: {e}")))?;
    let tls = &options.tls;
    if let Some(path) = &tls.ca_file {
        target = target.ssl_root_cert(path);
        if !matches!(
            target.get_ssl_mode(),
            PgSslMode::VerifyCa | PgSslMode::VerifyFull
        ) {
            target = target.ssl_mode(PgSslMode::VerifyCa);
        }
    }
    match (&tls.certificate_file, &tls.key) {
        (Some(path), Some(_)) => target = target.ssl_client_cert(path),
        (None, None) => {}
        _ => {
            return Err(refuse(
                "a client's certificate and its key must be given together".to_owned(),
            ));
        }
    }
    Ok(target
        .application_name("frazil")
        .disable_statement_logging())
}

/// Whether a URI has a password, as its user's or as a parameter.
fn has_password(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

fn address(target: &PgConnectOptions) -> String {
    let host = match target.get_socket() {
        Some(socket) => PathBuf::from(socket).display().to_string(),
        None => target.get_host().to_owned(),
    };
    format!(
        "postgresql://{}@{host}:{}/{}",
        target.get_username(),
        target.get_port(),
        target.get_database().unwrap_or(target.get_username())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_refused_and_none_is_shown() {
        for uri in [
            "postgresql://u:hush@h/d",
            "postgresql://u@x:hush@h:5432/d",
            "postgresql://h/d?sslmode=disable&password=hush",
            "postgresql://:hush@h",
        ] {
            let error = Connections::new(PostgresOptions::new(uri)).unwrap_err();
            assert!(matches!(error, CatalogError::Rejected { .. }));
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let connections = Connections::new(PostgresOptions::new(
            "postgresql://u@h:5433/d?sslmode=require",
        ))
        .unwrap();
        assert_eq!(connections.address(), "postgresql://u@h:5433/d");
        for uri in ["postgresql://[::1]:5432/d", "postgresql:///d?host=/run/pg"] {
            Connections::new(PostgresOptions::new(uri)).unwrap();
        }
        let error = Connections::new(PostgresOptions::new("not an address")).unwrap_err();
        assert!(error.to_string().contains("not valid"), "{error}");
    }

    #[test]
    fn a_certificate_authority_is_used() {
        for (mode, expected) in [
            ("disable", "VerifyCa"),
            ("prefer", "VerifyCa"),
            ("require", "VerifyCa"),
            ("verify-ca", "VerifyCa"),
            ("verify-full", "VerifyFull"),
        ] {
            let mut options = PostgresOptions::new(format!("postgresql://h/d?sslmode={mode}"));
            options.tls.ca_file = Some(PathBuf::from("/ca.pem"));
            let target = target(&options).unwrap();
            assert_eq!(format!("{:?}", target.get_ssl_mode()), expected, "{mode}");
        }
        let mut options = PostgresOptions::new("postgresql://h/d");
        options.tls.certificate_file = Some(PathBuf::from("/c.pem"));
        assert!(target(&options).is_err());
    }
}
