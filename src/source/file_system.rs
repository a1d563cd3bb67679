//! The seam to files: low enough that a simulated one can rename, copy, truncate and re-use what is being read.

use std::{
    ffi::OsString,
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
};

/// Where files are found and read.
pub trait FileSystem: Debug + Send + Sync + 'static {
    /// What is at `path`, with links followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// The names in a folder, in any order.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Opens a file. What is opened stays the same file when its path is given to another.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// The path from the root, links not followed.
    fn absolute(&self, path: &Path) -> io::Result<PathBuf>;
}

/// An open file.
pub trait OpenFile: Debug + Send {
    /// Reads at most `buffer.len()` bytes that begin at `offset`; 0 past the end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How long it is now.
    fn length(&self) -> io::Result<u64>;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Whether it is a file or a folder.
    pub kind: FileKind,
    /// Its length in bytes, for a file.
    pub length: u64,
    /// What tells it apart from all others that exist at the same time (device and inode), where there is such a thing.
    pub id: Option<(u64, u64)>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Other,
}

/// The machine's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFileSystem;

impl FileSystem for LocalFileSystem {
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::metadata(path)?;
        let kind = if metadata.is_file() {
            FileKind::File
        } else if metadata.is_dir() {
            FileKind::Folder
        } else {
            FileKind::Other
        };
        Ok(Metadata {
            kind,
            length: metadata.len(),
            id: id_of(&metadata),
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(LocalFile(fs::File::open(path)?)))
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        std::path::absolute(path)
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "not every system has ids")]
fn id_of(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "other systems have ids")]
fn id_of(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// A file of the machine.
#[derive(Debug)]
struct LocalFile(fs::File);

impl OpenFile for LocalFile {
    #[cfg(unix)]
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        self.0.read_at(buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::io::{Read as _, Seek as _};
        self.0.seek(io::SeekFrom::Start(offset))?;
        self.0.read(buffer)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
}
