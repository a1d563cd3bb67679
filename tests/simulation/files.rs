//! Input files in memory, which can grow and be renamed while they are open.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use frazil::source::{FileKind, FileSystem, Metadata, OpenFile};
use frazil_sim::world::Process;

/// The folder that holds all input.
pub(crate) const FOLDER: &str = "/in";

type Content = Arc<Mutex<Vec<u8>>>;

/// The files of one machine; clones are the same files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Vec<DiskFile>>>);

#[derive(Debug, Clone)]
struct DiskFile {
    path: PathBuf,
    id: u64,
    content: Content,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Appends to a file, which is made where there is none.
    pub(crate) fn append(&self, name: &str, bytes: &[u8]) {
        let path = Path::new(FOLDER).join(name);
        let mut files = locked(&self.0);
        if !files.iter().any(|file| file.path == path) {
            let id = files.len() as u64 + 1;
            files.push(DiskFile {
                path: path.clone(),
                id,
                content: Content::default(),
            });
        }
        if let Some(file) = files.iter().find(|file| file.path == path) {
            locked(&file.content).extend_from_slice(bytes);
        }
    }

    /// Renames a file; whoever has it open keeps it.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let (from, to) = (Path::new(FOLDER).join(from), Path::new(FOLDER).join(to));
        if let Some(file) = locked(&self.0).iter_mut().find(|file| file.path == from) {
            file.path = to;
        }
    }
}

/// One process's view of a disk: its calls are numbered, and fail, like all others.
#[derive(Clone)]
pub(crate) struct SimFileSystem {
    process: Process,
    disk: Disk,
}

impl SimFileSystem {
    /// That process's view.
    pub(crate) fn new(process: Process, disk: Disk) -> Self {
        Self { process, disk }
    }

    fn call(&self, operation: &'static str, path: &Path) -> io::Result<()> {
        if self
            .process
            .call_at_once(operation, &path.to_string_lossy())
        {
            return Ok(());
        }
        Err(io::Error::other("the disk did not answer"))
    }

    fn find(&self, path: &Path) -> io::Result<DiskFile> {
        let files = locked(&self.disk.0);
        let found = files.iter().find(|file| file.path == path).cloned();
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl fmt::Debug for SimFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFileSystem").finish_non_exhaustive()
    }
}

impl FileSystem for SimFileSystem {
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.call("look at file", path)?;
        if path == Path::new(FOLDER) {
            return Ok(Metadata {
                kind: FileKind::Folder,
                length: 0,
                id: Some((1, 0)),
            });
        }
        let file = self.find(path)?;
        let length = locked(&file.content).len() as u64;
        Ok(Metadata {
            kind: FileKind::File,
            length,
            id: Some((1, file.id)),
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.call("list folder", folder)?;
        let files = locked(&self.disk.0);
        let inside = files
            .iter()
            .filter(|file| file.path.parent() == Some(folder));
        Ok(inside
            .filter_map(|file| file.path.file_name())
            .map(OsString::from)
            .collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call("open file", path)?;
        let file = self.find(path)?;
        Ok(Box::new(OpenSimFile {
            system: self.clone(),
            path: file.path,
            content: file.content,
        }))
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(Path::new("/").join(path))
    }
}

#[derive(Debug)]
struct OpenSimFile {
    system: SimFileSystem,
    path: PathBuf,
    content: Content,
}

impl OpenFile for OpenSimFile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.system.call("read file", &self.path)?;
        let content = locked(&self.content);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(locked(&self.content).len() as u64)
    }
}
