//! Files of this machine, by `file:` URIs.
//!
//! The path after `file://` is the file's path, byte for byte: nothing is percent-decoded, since
//! no Iceberg implementation does (a partition `host=a%2Fb` is a folder of that very name).
//! `file:/path` and `file://localhost/path` name the same file as `file:///path`.
//!
//! Guarantees: a file appears under its name whole or not at all (it is written under another name
//! in the same folder, and renamed); on return from `write` and `close` its contents, its
//! folder's entry of it, and the entries of all folders above it are on the disk.
//!
//! Blocking calls run on tokio's blocking pool.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{FileStat, Storage, StorageError, StorageErrorKind, StorageWriter};

/// How many folders are remembered as being on the disk. More cost memory; fewer cost a few
/// `fsync`s again.
const DURABLE_FOLDERS_MAX: usize = 100_000;

/// Numbers temporary names within this process.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// The files of this machine.
#[derive(Debug, Clone, Default)]
pub struct LocalStorage {
    /// Folders whose entries, up to the root, this process has seen reach the disk.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalStorage {
    /// The files of this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// The URI of an absolute path.
    ///
    /// # Errors
    /// The path is relative or not UTF-8.
    pub fn uri(path: &Path) -> Result<String, StorageError> {
        let failed = |reason: &str| StorageError {
            operation: "name",
            path: path.display().to_string(),
            kind: StorageErrorKind::Other,
            reason: reason.to_string(),
        };
        if !path.is_absolute() {
            return Err(failed("it is not an absolute path"));
        }
        let text = path
            .to_str()
            .ok_or_else(|| failed("its name is not UTF-8, which table metadata must be"))?;
        Ok(format!("file://{text}"))
    }

    fn ensure_folder(&self, folder: &Path) -> io::Result<()> {
        if self.is_durable(folder) && folder.is_dir() {
            return Ok(());
        }
        create_folder_durably(folder, &|folder| self.is_durable(folder))?;
        let mut durable = self
            .durable
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if durable.len() >= DURABLE_FOLDERS_MAX {
            durable.clear();
        }
        durable.extend(folder.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn is_durable(&self, folder: &Path) -> bool {
        self.durable
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .contains(folder)
    }

    /// Opens a new file under a temporary name beside `path`.
    fn create(&self, path: PathBuf) -> io::Result<Pending> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?
            .to_string_lossy()
            .into_owned();
        self.ensure_folder(folder)?;
        loop {
            let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
            let temporary = folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&temporary)
            {
                Ok(file) => {
                    return Ok(Pending {
                        file: Some(file),
                        temporary,
                        path,
                    });
                }
                // Another machine's process of our number, or one that died here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Makes the folder and those above it, and brings their entries to the disk. `durable` says of
/// which folders that is known already.
pub(crate) fn create_folder_durably(
    folder: &Path,
    durable: &dyn Fn(&Path) -> bool,
) -> io::Result<()> {
    let Some(above) = folder.parent() else {
        return Ok(());
    };
    if durable(folder) && folder.is_dir() {
        return Ok(());
    }
    create_folder_durably(above, durable)?;
    let created = match fs::create_dir(folder) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(_) if folder.is_dir() => false,
        Err(error) => return Err(error),
    };
    if !created && !folder.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is a file, not a folder", folder.display()),
        ));
    }
    match sync_folder(above) {
        // A folder that was here before us may lie in one that we may not open.
        Err(error) if !created && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Brings a folder's entries to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match File::open(folder)?.sync_all() {
        // File systems without such a call have nothing to bring.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// A file that is being written under a temporary name. Dropped, it is removed.
#[derive(Debug)]
struct Pending {
    file: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Err(io::Error::other("it was ended before")),
        }
    }

    fn publish(mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        fs::rename(&self.temporary, &self.path)?;
        self.file = None;
        match self.path.parent() {
            Some(folder) => sync_folder(folder),
            None => Ok(()),
        }
    }

    fn abort(mut self) -> io::Result<()> {
        self.file = None;
        fs::remove_file(&self.temporary)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.temporary)
        {
            tracing::warn!(path = %self.temporary.display(), %error, "left an unfinished file behind");
        }
    }
}

/// A part-wise written file. `None` only while its call runs, or after one was cancelled.
struct LocalWriter {
    pending: Option<Pending>,
    uri: String,
}

impl LocalWriter {
    fn take(&mut self, operation: &'static str) -> Result<Pending, StorageError> {
        self.pending.take().ok_or_else(|| StorageError {
            operation,
            path: self.uri.clone(),
            kind: StorageErrorKind::Other,
            reason: "an earlier write to it failed or was cancelled".to_string(),
        })
    }
}

#[async_trait]
impl StorageWriter for LocalWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let mut pending = self.take("write")?;
        let pending = blocking("write", &self.uri, move || {
            pending.write(&bytes)?;
            Ok(pending)
        })
        .await?;
        self.pending = Some(pending);
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), StorageError> {
        let pending = self.take("write")?;
        blocking("write", &self.uri, move || pending.publish()).await
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StorageError> {
        match self.pending.take() {
            Some(pending) => blocking("delete", &self.uri, move || pending.abort()).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn read(&self, path: &str) -> Result<Bytes, StorageError> {
        let file = local_path("read", path)?;
        blocking("read", path, move || fs::read(file).map(Bytes::from)).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let file = local_path("read", path)?;
        blocking("read", path, move || {
            let length = usize::try_from(range.end.saturating_sub(range.start))
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let mut file = File::open(file)?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        let file = local_path("write", path)?;
        let storage = self.clone();
        blocking("write", path, move || {
            let mut pending = storage.create(file)?;
            pending.write(&bytes)?;
            pending.publish()
        })
        .await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn StorageWriter>, StorageError> {
        let file = local_path("write", path)?;
        let storage = self.clone();
        let pending = blocking("write", path, move || storage.create(file)).await?;
        Ok(Box::new(LocalWriter {
            pending: Some(pending),
            uri: path.to_string(),
        }))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStat>, StorageError> {
        let file = local_path("look at", path)?;
        let uri = path.to_string();
        blocking("look at", path, move || match fs::metadata(file) {
            Ok(metadata) => Ok(Some(file_stat(uri, &metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        let file = local_path("delete", path)?;
        blocking("delete", path, move || match fs::remove_file(file) {
            Err(error) if is_missing(&error) => Ok(()),
            result => result,
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<FileStat>, StorageError> {
        let folder = local_path("list", prefix)?;
        let uri = format!("{}/", prefix.trim_end_matches('/'));
        blocking("list", prefix, move || {
            let mut files = Vec::new();
            let mut folders = vec![(folder, uri)];
            while let Some((folder, uri)) = folders.pop() {
                list_folder(&folder, &uri, &mut folders, &mut files)?;
            }
            Ok(files)
        })
        .await
    }
}

/// Lists one folder; the folders in it are left to the caller. Links to folders are not followed,
/// lest a cycle never ends.
fn list_folder(
    folder: &Path,
    uri: &str,
    folders: &mut Vec<(PathBuf, String)>,
    files: &mut Vec<FileStat>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            // No URI of table metadata can name it.
            continue;
        };
        if entry.file_type()?.is_dir() {
            folders.push((entry.path(), format!("{uri}{name}/")));
            continue;
        }
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => {
                files.push(file_stat(format!("{uri}{name}"), &metadata));
            }
            // Removed meanwhile, a dangling link, or a link to a folder.
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn file_stat(path: String, metadata: &fs::Metadata) -> FileStat {
    let modified_ms = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|age| i64::try_from(age.as_millis()).ok());
    FileStat {
        path,
        size: metadata.len(),
        modified_ms,
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The path that a `file:` URI names.
fn local_path(operation: &'static str, uri: &str) -> Result<PathBuf, StorageError> {
    let failed = |reason: String| StorageError {
        operation,
        path: uri.to_string(),
        kind: StorageErrorKind::Other,
        reason,
    };
    let Some(rest) = uri.strip_prefix("file:") else {
        let scheme = uri.split_once(':').map_or("no", |(scheme, _)| scheme);
        return Err(failed(format!(
            "it has {scheme} scheme, and only file: is supported"
        )));
    };
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(failed(
            "it names no absolute path of this machine (file:///folder/file does)".to_string(),
        ));
    }
    if path.contains('\0') {
        return Err(failed("it holds a NUL".to_string()));
    }
    Ok(PathBuf::from(path))
}

/// Runs a blocking call on tokio's pool.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    uri: &str,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(storage_error(operation, uri, &error)),
        Err(joined) => Err(StorageError {
            operation,
            path: uri.to_string(),
            kind: StorageErrorKind::Other,
            reason: format!("the call did not end: {joined}"),
        }),
    }
}

fn storage_error(operation: &'static str, uri: &str, error: &io::Error) -> StorageError {
    use io::ErrorKind as Io;
    let (kind, reason) = match error.kind() {
        Io::NotFound => (
            StorageErrorKind::NotFound,
            "there is no such file".to_string(),
        ),
        Io::PermissionDenied => (
            StorageErrorKind::Denied,
            format!("{error}; give this user the right to it, then start again"),
        ),
        Io::ReadOnlyFilesystem => (
            StorageErrorKind::Denied,
            "its file system is mounted read-only".to_string(),
        ),
        Io::StorageFull => (
            StorageErrorKind::Full,
            "the disk is full; free space on it, then start again".to_string(),
        ),
        Io::QuotaExceeded => (
            StorageErrorKind::Full,
            "this user's disk quota is used up; free space or raise it, then start again"
                .to_string(),
        ),
        Io::UnexpectedEof => (
            StorageErrorKind::Other,
            "the file ends before the part that was asked for".to_string(),
        ),
        _ => (StorageErrorKind::Other, error.to_string()),
    };
    StorageError {
        operation,
        path: uri.to_string(),
        kind,
        reason,
    }
}

#[cfg(test)]
mod tests;
