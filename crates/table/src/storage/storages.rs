//! All storages of a deployment behind one: each file is found by its URI's scheme and bucket.
//!
//! A table's files may lie in several places, as after a migration. There is one client for each bucket,
//! container or name service, made when it is first needed and kept; it is made anew when a secret that it
//! was made with has changed.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use frazil_service::clock::Ids;

use super::{
    FileStat, Storage, StorageError, StorageErrorKind, StorageWriter,
    hdfs::{self, HdfsClient},
    local::LocalStorage,
    location::{Location, Root},
    object::{self, File, ObjectClient, ObjectSettings},
    options::{StorageLimits, StorageOptions},
    vended::Vended,
};

/// How long a client is used before its secrets are read again. Longer, and a secret that was replaced is
/// used for longer; shorter, and more small files are read.
const SECRETS_AGE_MAX: Duration = Duration::from_secs(10);
/// Clients that are kept. A deployment has a handful of buckets; more than these are made again when needed.
const CLIENTS_MAX: usize = 256;

/// All storages of a deployment.
#[derive(Debug)]
pub struct Storages {
    options: Arc<StorageOptions>,
    vended: Vec<Vended>,
    local: LocalStorage,
    ids: Arc<dyn Ids>,
    http: Arc<OnceLock<Result<reqwest_opendal::Client, String>>>,
    /// By root, and which of `vended` they are made with.
    clients: Mutex<HashMap<(Root, Option<usize>), Kept>>,
}

/// A client, and what it was made with.
#[derive(Debug)]
struct Kept {
    client: Client,
    settings: Option<ObjectSettings>,
    checked: Instant,
}

#[derive(Debug, Clone)]
enum Client {
    Object(ObjectClient),
    Hdfs(HdfsClient),
}

/// Where a file is.
enum Place<'a> {
    Local,
    Object(ObjectClient, File<'a>),
    Hdfs(HdfsClient, File<'a>),
}

impl Storages {
    /// The storages that the options describe. Connects to nobody yet.
    pub fn new(options: StorageOptions, ids: Arc<dyn Ids>) -> Self {
        Self {
            options: Arc::new(options),
            vended: Vec::new(),
            local: LocalStorage::new(),
            ids,
            http: Arc::default(),
            clients: Mutex::default(),
        }
    }

    /// These storages with what a REST catalog said of a table (the `config` of its answer): credentials,
    /// endpoint and region, by the names of Iceberg's REST specification. Other properties are left alone.
    ///
    /// # Errors
    /// A property has a value that it cannot have.
    pub fn with_properties(
        &self,
        properties: &HashMap<String, String>,
    ) -> Result<Self, StorageError> {
        self.with_credentials("", properties)
    }

    /// As [`Self::with_properties`], for URIs that begin with `prefix` only: one of the answer's
    /// `storage-credentials`. Of several that fit a URI, the longest prefix counts.
    ///
    /// # Errors
    /// A property has a value that it cannot have.
    pub fn with_credentials(
        &self,
        prefix: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Self, StorageError> {
        let mut vended = self.vended.clone();
        vended.retain(|known| known.prefix != prefix);
        vended.push(Vended::parse(prefix, properties)?);
        Ok(Self {
            options: Arc::clone(&self.options),
            vended,
            local: self.local.clone(),
            ids: Arc::clone(&self.ids),
            http: Arc::clone(&self.http),
            clients: Mutex::default(),
        })
    }

    /// Where the file is, and the client for it.
    fn place<'a>(&self, operation: &'static str, uri: &'a str) -> Result<Place<'a>, StorageError> {
        match Location::parse(operation, uri)? {
            Location::Remote { key, .. } if key.is_empty() || key.ends_with('/') => {
                Err(failed(operation, uri, "it names no file".to_owned()))
            }
            location => self.reached(operation, uri, location),
        }
    }

    fn reached<'a>(
        &self,
        operation: &'static str,
        uri: &'a str,
        location: Location<'a>,
    ) -> Result<Place<'a>, StorageError> {
        let Location::Remote { root, key } = location else {
            return Ok(Place::Local);
        };
        let file = File { uri, key };
        match self.client(root, self.vended_for(uri)) {
            Ok(Client::Object(client)) => Ok(Place::Object(client, file)),
            Ok(Client::Hdfs(client)) => Ok(Place::Hdfs(client, file)),
            Err(reason) => Err(failed(operation, uri, reason)),
        }
    }

    /// Which of the catalog's credentials are for that URI. Spellings of a scheme are one.
    fn vended_for(&self, uri: &str) -> Option<usize> {
        let uri = one_spelling(uri);
        let fits = |vended: &Vended| uri.starts_with(one_spelling(&vended.prefix).as_str());
        (0..self.vended.len())
            .filter(|index| fits(&self.vended[*index]))
            .max_by_key(|index| self.vended[*index].prefix.len())
    }

    /// The root's client: the one that is there, or a new one where the secrets have changed.
    fn client(&self, root: Root, vended: Option<usize>) -> Result<Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (root, vended);
        let known = clients.get_mut(&key);
        if let Some(kept) = &known
            && kept.checked.elapsed() < SECRETS_AGE_MAX
        {
            return Ok(kept.client.clone());
        }
        let vended = vended.and_then(|index| self.vended.get(index));
        let settings = ObjectSettings::of(&key.0, &self.options, vended).transpose()?;
        if let Some(kept) = known
            && kept.settings == settings
        {
            kept.checked = Instant::now();
            return Ok(kept.client.clone());
        }
        let client = self.connect(&key.0, settings.as_ref())?;
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let kept = Kept {
            client: client.clone(),
            settings,
            checked: Instant::now(),
        };
        clients.insert(key, kept);
        Ok(client)
    }

    fn connect(&self, root: &Root, settings: Option<&ObjectSettings>) -> Result<Client, String> {
        let limits = &self.options.limits;
        match (root, settings) {
            (_, Some(settings)) => {
                let http = self.http.get_or_init(|| http(limits)).clone()?;
                ObjectClient::new(settings, limits, http).map(Client::Object)
            }
            (Root::Hdfs { url }, None) => {
                let ids = Arc::clone(&self.ids);
                HdfsClient::new(url, &self.options.hdfs, limits, ids).map(Client::Hdfs)
            }
            _ => Err("its bucket has no settings".to_owned()),
        }
    }
}

fn failed(operation: &'static str, uri: &str, reason: String) -> StorageError {
    StorageError {
        operation,
        path: uri.to_owned(),
        kind: StorageErrorKind::Other,
        reason,
    }
}

/// The URI with its scheme's usual spelling.
fn one_spelling(uri: &str) -> String {
    match uri.split_once("://") {
        Some(("s3a" | "s3n", rest)) => format!("s3://{rest}"),
        Some(("gcs", rest)) => format!("gs://{rest}"),
        Some(("abfs" | "wasbs" | "wasb", rest)) => format!("abfss://{rest}"),
        _ => uri.to_owned(),
    }
}

/// The client for HTTP, shared by all buckets: connections are pooled by host.
fn http(limits: &StorageLimits) -> Result<reqwest_opendal::Client, String> {
    object::install_tls();
    reqwest_opendal::Client::builder()
        .connect_timeout(limits.connect_timeout)
        .tcp_keepalive(Duration::from_mins(1))
        // Servers close idle connections, S3 after about 20 seconds.
        .pool_idle_timeout(Duration::from_secs(15))
        .build()
        .map_err(|error| format!("the client for HTTP cannot be made: {error}"))
}

#[async_trait]
impl Storage for Storages {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        match self.place("read", path)? {
            Place::Local => self.local.read(path).await,
            Place::Object(client, file) => client.read(file).await,
            Place::Hdfs(client, file) => client.read(file).await,
        }
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        match self.place("read", path)? {
            Place::Local => self.local.read_range(path, range).await,
            Place::Object(client, file) => client.read_range(file, range).await,
            Place::Hdfs(client, file) => client.read_range(file, range).await,
        }
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        match self.place("write", path)? {
            Place::Local => self.local.write(path, bytes).await,
            Place::Object(client, file) => client.write(file, bytes).await,
            Place::Hdfs(client, file) => client.write(file, bytes).await,
        }
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        match self.place("write", path)? {
            Place::Local => self.local.writer(path).await,
            Place::Object(client, file) => Ok(Box::new(client.upload(file).await?)),
            Place::Hdfs(client, file) => Ok(Box::new(client.upload(file).await?)),
        }
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        match self.place("look at", path)? {
            Place::Local => self.local.stat(path).await,
            Place::Object(client, file) => client.stat(file).await,
            Place::Hdfs(client, file) => client.stat(file).await,
        }
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        match self.place("delete", path)? {
            Place::Local => self.local.delete(path).await,
            Place::Object(client, file) => client.delete(file).await,
            Place::Hdfs(client, file) => client.delete(file).await,
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        // Without its slash, `web` would also list `web__dead_letters`.
        let prefix = match prefix.strip_suffix('/') {
            Some(_) => prefix.to_owned(),
            None => format!("{prefix}/"),
        };
        match self.reached("list", &prefix, Location::parse("list", &prefix)?)? {
            Place::Local => self.local.list(&prefix).await,
            Place::Object(client, folder) => client.list(folder).await,
            Place::Hdfs(client, folder) => client.list(folder).await,
        }
    }
}

#[async_trait]
impl StorageWriter for object::Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        object::Upload::write(self, bytes).await
    }

    async fn close(self: Box<Self>) -> Result<(), StorageError> {
        object::Upload::close(*self).await
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        object::Upload::abort(*self).await
    }
}

#[async_trait]
impl StorageWriter for hdfs::Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        hdfs::Upload::write(self, bytes).await
    }

    async fn close(self: Box<Self>) -> Result<(), StorageError> {
        hdfs::Upload::close(*self).await
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        hdfs::Upload::abort(*self).await
    }
}

#[cfg(test)]
mod tests;
