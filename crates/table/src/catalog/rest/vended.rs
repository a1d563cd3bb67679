//! Storages of a REST catalog's tables, with the credentials that the server lends for them.
//!
//! A table has one storage for as long as anyone holds it: each load gives it the newest credentials, so that
//! whoever got it earlier goes on with them, too. Where nobody loads, credentials are renewed before they
//! expire, by the call that needs them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_dataset::TableName;
use frazil_service::clock::Clock;

use super::{storage::StorageFactory, wire::StorageCredential};
use crate::{
    catalog::CatalogError,
    storage::{FileStat, Storage, StorageError, StorageErrorKind, StorageWriter},
};

/// Credentials are renewed so long before they expire, or after three quarters of what is left of
/// their life where that is short. A file takes no longer to be written.
const RENEW_BEFORE_MS: i64 = 5 * 60 * 1_000;

/// Credentials of which the server does not say when they expire are renewed so long after they came.
const RENEW_UNTOLD_MS: i64 = 10 * 60 * 1_000;

/// Properties that say when credentials expire, in milliseconds since the epoch. The last is followed
/// by an account's name.
const EXPIRY_KEYS: [&str; 3] = [
    "s3.session-token-expires-at-ms",
    "gcs.oauth2.token-expires-at",
    "expiration-time",
];
const EXPIRY_KEY_PREFIX: &str = "adls.sas-token-expires-at-ms.";

/// The beginnings of properties that are lent credentials.
const CREDENTIAL_KEYS: [&str; 4] = [
    "s3.session-token",
    "s3.secret-access-key",
    "gcs.oauth2.token",
    "adls.sas-token",
];

/// What a server says of a table's files. No `Debug`: it holds secrets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// The table's `config`.
    pub(super) properties: HashMap<String, String>,
    /// Its `storage-credentials`.
    pub(super) credentials: Vec<StorageCredential>,
}

impl Grant {
    /// Whether it lends anything that expires.
    fn lends(&self) -> bool {
        self.all().any(|properties| {
            properties
                .keys()
                .any(|key| CREDENTIAL_KEYS.iter().any(|known| key.starts_with(known)))
        })
    }

    /// When the first of its credentials expires, if it says.
    fn expires_at_ms(&self) -> Option<i64> {
        self.all()
            .flat_map(HashMap::iter)
            .filter(|(key, _)| {
                EXPIRY_KEYS.contains(&key.as_str()) || key.starts_with(EXPIRY_KEY_PREFIX)
            })
            .filter_map(|(_, value)| value.parse().ok())
            .min()
    }

    fn all(&self) -> impl Iterator<Item = &HashMap<String, String>> {
        let lent = self.credentials.iter().map(|credential| &credential.config);
        std::iter::once(&self.properties).chain(lent)
    }
}

/// Where new credentials come from.
#[async_trait]
pub(super) trait GrantSource: std::fmt::Debug + Send + Sync {
    /// What the server says of the table's files now.
    async fn grant(
        &self,
        name: &TableName,
        location: &str,
        last: &Grant,
    ) -> Result<Grant, CatalogError>;
}

/// Properties of the catalog as a whole, secrets perhaps among them.
#[derive(Clone)]
struct CatalogProperties(Arc<HashMap<String, String>>);

impl std::fmt::Debug for CatalogProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CatalogProperties(…)")
    }
}

/// The storages of a catalog's tables.
#[derive(Debug)]
pub(super) struct Storages {
    factory: Arc<dyn StorageFactory>,
    properties: CatalogProperties,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<(TableName, String), Weak<TableStorage>>>,
}

impl Storages {
    pub(super) fn new(
        factory: Arc<dyn StorageFactory>,
        properties: HashMap<String, String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            factory,
            properties: CatalogProperties(Arc::new(properties)),
            clock,
            held: Mutex::default(),
        }
    }

    /// The table's storage, with what was just granted for it.
    pub(super) fn of(
        &self,
        source: Arc<dyn GrantSource>,
        name: &TableName,
        location: &str,
        grant: Grant,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let key = (name.clone(), location.to_owned());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = held.get(&key).and_then(Weak::upgrade) {
            storage.take(grant)?;
            return Ok(storage);
        }
        let storage = TableStorage {
            source,
            factory: Arc::clone(&self.factory),
            catalog_properties: self.properties.clone(),
            clock: Arc::clone(&self.clock),
            name: name.clone(),
            location: location.to_owned(),
            access: Mutex::new(None),
            renewing: tokio::sync::Mutex::default(),
        };
        storage.take(grant)?;
        let storage = Arc::new(storage);
        held.retain(|_, storage| storage.strong_count() > 0);
        held.insert(key, Arc::downgrade(&storage));
        Ok(storage)
    }
}

/// A table's storage, whose credentials are renewed.
#[derive(Debug)]
struct TableStorage {
    source: Arc<dyn GrantSource>,
    factory: Arc<dyn StorageFactory>,
    catalog_properties: CatalogProperties,
    clock: Arc<dyn Clock>,
    name: TableName,
    location: String,
    /// `None` only before the first.
    access: Mutex<Option<Arc<Access>>>,
    renewing: tokio::sync::Mutex<()>,
}

/// Storages and the prefixes of the paths that they are for, the longest first.
type ByPrefix = Vec<(String, Arc<dyn Storage>)>;

/// Storages made of one grant.
struct Access {
    grant: Grant,
    storages: ByPrefix,
    renew_at_ms: Option<i64>,
    expires_at_ms: Option<i64>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("renew_at_ms", &self.renew_at_ms)
            .finish_non_exhaustive()
    }
}

impl Access {
    fn renew_is_due(&self, now_ms: i64) -> bool {
        self.renew_at_ms.is_some_and(|renew| now_ms >= renew)
    }

    fn for_path(&self, path: &str) -> Option<&Arc<dyn Storage>> {
        let path = plain_scheme(path);
        self.storages
            .iter()
            .find(|(prefix, _)| path.starts_with(prefix))
            .map(|(_, storage)| storage)
    }
}

/// A path with the scheme that its others are aliases of.
fn plain_scheme(path: &str) -> String {
    match path.split_once("://") {
        Some(("s3a" | "s3n", rest)) => format!("s3://{rest}"),
        _ => path.to_owned(),
    }
}

impl TableStorage {
    fn current(&self) -> Option<Arc<Access>> {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        access.clone()
    }

    /// Goes on with that grant.
    fn take(&self, grant: Grant) -> Result<(), StorageError> {
        let storages = match self.current() {
            Some(access) if access.grant == grant => access.storages.clone(),
            _ => self.storages_by(&grant)?,
        };
        let now_ms = self.clock.now_millis();
        let expires_at_ms = grant.expires_at_ms();
        let renew_at_ms = match expires_at_ms {
            Some(expires) => {
                let left_ms = expires.saturating_sub(now_ms);
                Some(now_ms.saturating_add((left_ms - RENEW_BEFORE_MS).max(left_ms / 4 * 3)))
            }
            None if grant.lends() => Some(now_ms.saturating_add(RENEW_UNTOLD_MS)),
            None => None,
        };
        let access = Arc::new(Access {
            grant,
            storages,
            renew_at_ms,
            expires_at_ms,
        });
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Some(access);
        Ok(())
    }

    fn storages_by(&self, grant: &Grant) -> Result<ByPrefix, StorageError> {
        let mut properties = HashMap::clone(&self.catalog_properties.0);
        properties.extend(grant.properties.clone());
        let mut storages = Vec::new();
        for credential in &grant.credentials {
            let mut properties = properties.clone();
            properties.extend(credential.config.clone());
            let storage = self.factory.for_table(&self.location, &properties)?;
            storages.push((plain_scheme(&credential.prefix), storage));
        }
        storages.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if storages.is_empty() {
            let storage = self.factory.for_table(&self.location, &properties)?;
            storages.push((String::new(), storage));
        }
        Ok(storages)
    }

    /// The storage for a path, with credentials that still hold.
    async fn at(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let failed = |kind, reason: String| StorageError {
            operation,
            path: path.to_owned(),
            kind,
            reason,
        };
        let mut access = self.current().expect("it is made with a grant");
        if access.renew_is_due(self.clock.now_millis()) {
            access = self.renewed().await.map_err(|error| {
                let kind = match &error {
                    CatalogError::Rejected { .. } => StorageErrorKind::Denied,
                    _ => StorageErrorKind::Other,
                };
                failed(
                    kind,
                    format!("its credentials expired and could not be renewed: failed to {error}"),
                )
            })?;
        }
        access.for_path(path).map(Arc::clone).ok_or_else(|| {
            failed(
                StorageErrorKind::Denied,
                "the catalog lends no credentials for this place".to_owned(),
            )
        })
    }

    /// Renews the credentials, once for all who wait for it. Those that still hold are used where that fails.
    async fn renewed(&self) -> Result<Arc<Access>, CatalogError> {
        let _one = self.renewing.lock().await;
        let access = self.current().expect("it is made with a grant");
        let now_ms = self.clock.now_millis();
        if !access.renew_is_due(now_ms) {
            return Ok(access);
        }
        let granted = self
            .source
            .grant(&self.name, &self.location, &access.grant)
            .await
            .and_then(|grant| self.take(grant).map_err(CatalogError::from));
        match granted {
            Ok(()) => Ok(self.current().expect("it was just taken")),
            Err(error) if access.expires_at_ms.is_none_or(|expires| now_ms < expires) => {
                tracing::warn!(table = %self.name, %error, "the credentials of a table's files could not be renewed; they still hold");
                Ok(access)
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Storage for TableStorage {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        self.at("read", path).await?.read(path).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.at("read", path).await?.read_range(path, range).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.at("write", path).await?.write(path, bytes).await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        self.at("write", path).await?.writer(path).await
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        self.at("look at", path).await?.stat(path).await
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        self.at("delete", path).await?.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        self.at("list", prefix).await?.list(prefix).await
    }
}

#[cfg(test)]
mod tests;
