//! Tests of sources, over files in memory that can be renamed, copied, truncated and served a byte at a time.

mod changes;
mod compressed;
mod expand;
mod framing;
mod identify;
mod local;
mod properties;
mod reading;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use frazil_table::state::{FileIdentity, SourceIdentity, SourceState};
use uuid::Uuid;

use super::{
    BlockOptions, Compression, Compute, Expansion, FileKind, FileSystem, Known, Metadata, OpenFile,
    Plan, PlannedFile, ReadOptions, SourceError, SourceReader, expand as expand_paths,
    identify as identify_files,
};
use crate::record::RecordBlock;

type Inode = Arc<Mutex<Vec<u8>>>;
type Interference = Box<dyn FnOnce(&Files) + Send>;

/// Files in memory: a name leads to an inode, an open file stays with its inode.
#[derive(Clone, Default)]
pub(super) struct Files(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    names: BTreeMap<PathBuf, Inode>,
    unreadable: BTreeSet<PathBuf>,
    read_bytes_max: Option<usize>,
    /// What happens once so many reads were served.
    interference: Option<(usize, Interference)>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl Files {
    pub(super) fn with(files: &[(&str, &[u8])]) -> Self {
        let all = Self::default();
        for (path, content) in files {
            all.create(path, content);
        }
        all
    }

    /// A new inode at a name.
    pub(super) fn create(&self, path: &str, content: &[u8]) {
        let inode = Arc::new(Mutex::new(content.to_vec()));
        self.0.lock().unwrap().names.insert(path.into(), inode);
    }

    fn inode(&self, path: &Path) -> io::Result<Inode> {
        let inner = self.0.lock().unwrap();
        inner
            .names
            .get(&Path::new("/").join(path))
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn append(&self, path: &str, content: &[u8]) {
        self.inode(Path::new(path))
            .unwrap()
            .lock()
            .unwrap()
            .extend_from_slice(content);
    }

    /// Other content in the same inode.
    pub(super) fn overwrite(&self, path: &str, content: &[u8]) {
        *self.inode(Path::new(path)).unwrap().lock().unwrap() = content.to_vec();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        let mut inner = self.0.lock().unwrap();
        let inode = inner.names.remove(Path::new(from)).unwrap();
        inner.names.insert(to.into(), inode);
    }

    pub(super) fn copy(&self, from: &str, to: &str) {
        let content = self.inode(Path::new(from)).unwrap().lock().unwrap().clone();
        self.create(to, &content);
    }

    pub(super) fn remove(&self, path: &str) {
        self.0
            .lock()
            .unwrap()
            .names
            .remove(Path::new(path))
            .unwrap();
    }

    pub(super) fn deny(&self, path: &str) {
        self.0.lock().unwrap().unreadable.insert(path.into());
    }

    pub(super) fn serve_at_most(self, bytes: usize) -> Self {
        self.0.lock().unwrap().read_bytes_max = Some(bytes);
        self
    }

    pub(super) fn after_reads(&self, reads: usize, act: impl FnOnce(&Files) + Send + 'static) {
        self.0.lock().unwrap().interference = Some((reads, Box::new(act)));
    }

    /// Whether what was to happen has happened.
    pub(super) fn is_interfered(&self) -> bool {
        self.0.lock().unwrap().interference.is_none()
    }

    /// Counts a read; how many bytes it may give.
    fn serve(&self) -> usize {
        let mut inner = self.0.lock().unwrap();
        let max = inner.read_bytes_max.unwrap_or(usize::MAX);
        match inner.interference.take() {
            Some((0, act)) => {
                drop(inner);
                act(self);
            }
            Some((reads, act)) => inner.interference = Some((reads - 1, act)),
            None => {}
        }
        max
    }
}

impl FileSystem for Files {
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        if let Ok(inode) = self.inode(path) {
            let length = inode.lock().unwrap().len() as u64;
            return Ok(Metadata {
                kind: FileKind::File,
                length,
                id: None,
            });
        }
        let inner = self.0.lock().unwrap();
        let path = Path::new("/").join(path);
        let is_folder = inner
            .names
            .keys()
            .any(|name| *name != path && name.starts_with(&path));
        if !is_folder {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Metadata {
            kind: FileKind::Folder,
            length: 0,
            id: None,
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.0.lock().unwrap();
        if inner.unreadable.contains(folder) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let folder = Path::new("/").join(folder);
        let below = inner
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&folder).ok());
        let names: BTreeSet<_> = below
            .filter_map(|rest| rest.iter().next())
            .map(OsString::from)
            .collect();
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        if self.0.lock().unwrap().unreadable.contains(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Box::new(OpenInode {
            files: self.clone(),
            inode: self.inode(path)?,
        }))
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(Path::new("/").join(path).components().collect())
    }
}

#[derive(Debug)]
struct OpenInode {
    files: Files,
    inode: Inode,
}

impl OpenFile for OpenInode {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let max = self.files.serve();
        let content = self.inode.lock().unwrap();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len()).min(max);
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.inode.lock().unwrap().len() as u64)
    }
}

/// The table's side: the state that a run leaves behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) sources: BTreeMap<u64, SourceState>,
    pub(super) sources_version: u64,
}

/// A record as it would be a row: source, position, bytes.
pub(super) type Row = (u64, u64, String);

impl Table {
    /// Commits a block.
    pub(super) fn commit(&mut self, block: &RecordBlock) {
        let id = block.source.id;
        let committed = self.sources.get(&id).map_or(0, |source| source.position);
        assert_eq!(block.range.start, committed, "blocks tile the source");
        self.sources_version = self.sources_version.max(id);
        self.sources.insert(
            id,
            SourceState {
                identity: block.identity.clone(),
                position: block.range.end,
                commit: Uuid::nil(),
            },
        );
    }

    pub(super) fn plan(&self, files: &Files, given: &[&str]) -> Result<Plan, SourceError> {
        let given = expansion(files, given)?;
        identify_files(&given, self.known(), 0, files)
    }

    pub(super) fn known(&self) -> Known<'_> {
        Known {
            sources: &self.sources,
            sources_version: self.sources_version,
        }
    }

    /// Plans, reads all and commits all; the records read.
    pub(super) fn run(&mut self, files: &Files, given: &[&str]) -> Result<Vec<Row>, SourceError> {
        let plan = self.plan(files, given)?;
        Ok(self.read(files, &plan, usize::MAX))
    }

    /// Reads what is planned, at most so many blocks of each file.
    pub(super) fn read(&mut self, files: &Files, plan: &Plan, blocks_max: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for block in &plan.given_up {
            self.commit(block);
        }
        for file in &plan.read {
            for block in blocks_of(files, file, small()).into_iter().take(blocks_max) {
                let block = block.unwrap();
                self.commit(&block);
                rows.extend(rows_of(&block));
            }
        }
        rows
    }

    pub(super) fn file(&self, id: u64) -> (&FileIdentity, u64) {
        let source = &self.sources[&id];
        let SourceIdentity::File(identity) = &source.identity else {
            panic!("not a file")
        };
        (identity, source.position)
    }
}

pub(super) fn expansion(files: &Files, given: &[&str]) -> Result<Expansion, SourceError> {
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    expand_paths(&given, files)
}

/// Blocks of some tens of bytes, to have many borders.
pub(super) fn small() -> BlockOptions {
    BlockOptions {
        block_bytes: 64,
        record_bytes_max: 1000,
        leaves_open_line: false,
    }
}

/// All blocks of a file, until the end or an error.
pub(super) fn blocks_of(
    files: &Files,
    file: &PlannedFile,
    blocks: BlockOptions,
) -> Vec<Result<RecordBlock, SourceError>> {
    let options = ReadOptions {
        blocks,
        compute: Compute::Inline,
        ..ReadOptions::default()
    };
    let mut reader = SourceReader::open_file(Arc::new(files.clone()), file, options);
    let mut read = Vec::new();
    while let Some(block) = block_on(reader.next_block()).transpose() {
        read.push(block);
    }
    read
}

/// Runs inline steps, which never wait.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

pub(super) fn rows_of(block: &RecordBlock) -> Vec<Row> {
    let row = |span| {
        let bytes = block.record(span);
        (
            block.source.id,
            span.position,
            String::from_utf8_lossy(bytes).into_owned(),
        )
    };
    block.records.iter().map(row).collect()
}

/// The whole of a new file's rows.
pub(super) fn rows(content: &[u8], blocks: BlockOptions) -> Vec<Row> {
    let files = Files::with(&[("/a.log", content)]);
    let plan = Table::default().plan(&files, &["/a.log"]).unwrap();
    let blocks = plan
        .read
        .iter()
        .flat_map(|file| blocks_of(&files, file, blocks));
    blocks.flat_map(|block| rows_of(&block.unwrap())).collect()
}

/// Numbered lines from one number to before another.
pub(super) fn lines(name: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.fold(Vec::new(), |mut all, number| {
        writeln!(all, "{name} line {number}").unwrap();
        all
    })
}

pub(super) fn texts(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|(_, _, text)| text.as_str()).collect()
}

/// Compresses in any way.
pub(super) fn pack(compression: Compression, content: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => content.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(content, 1).unwrap(),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

pub(super) const PACKED: [Compression; 4] = [
    Compression::Gzip,
    Compression::Zstd,
    Compression::Bzip2,
    Compression::Lz4,
];
