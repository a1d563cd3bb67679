//! A source as a stream of blocks, read ahead on a thread that may block.

use std::{
    fmt,
    io::Read,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use frazil_table::state::FileIdentity;
use tokio::sync::mpsc;

use super::{
    Compression,
    blocks::{BlockOptions, BlockReader, Origin},
    content::{Content, open_stream},
    error::{SourceError, reading},
    file_system::FileSystem,
    framing::{Frames, Framing},
    plan::PlannedFile,
    proof::{PROOF_BYTES, Proof, hash},
};
use crate::record::{RecordBlock, SourceInfo};

/// What can be promised of standard input; to be told at the start of a run.
pub const STANDARD_INPUT_PROMISE: &str = "standard input cannot be read again: after a stop the table holds at most \
     what was read, from this run's start to its last checkpoint; what was read after that checkpoint is not in it";

/// How a source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// How records are cut.
    pub blocks: BlockOptions,
    /// Where they end.
    pub framing: Arc<Framing>,
    /// How many blocks may wait to be taken, beside the one that is being read.
    pub read_ahead_blocks: usize,
    /// Where reading runs.
    pub compute: Compute,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            blocks: BlockOptions::default(),
            framing: Arc::default(),
            read_ahead_blocks: 2,
            compute: Compute::Threads,
        }
    }
}

impl ReadOptions {
    /// How much memory one reader takes at most for content, with one block in the hands of its taker. A record of
    /// the greatest length makes each of its blocks as long. Decompressors come on top: 8 MiB, for zstd the window
    /// that the file asks for (128 MiB at most).
    pub fn memory_bytes_max(&self) -> usize {
        let block = self
            .blocks
            .block_bytes
            .max(self.blocks.record_bytes_max + 1);
        block * (self.read_ahead_blocks.max(1) + 3)
    }
}

/// Where the work of reading runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compute {
    /// On a thread of its own, ahead of the taker.
    Threads,
    /// In the call that takes a block: the same steps in the same order each time, for simulated runs.
    Inline,
}

/// A source's blocks, in order.
pub struct SourceReader {
    info: Arc<SourceInfo>,
    steps: Steps,
    cancelled: Arc<AtomicBool>,
}

enum Steps {
    Inline(Box<Lazy>),
    Threads(mpsc::Receiver<Step>),
    Ended,
}

/// What the reading thread hands over. Its going away is not an end.
enum Step {
    Block(RecordBlock),
    Failed(SourceError),
    End,
}

/// How a reader is opened, on the thread that reads.
type Open = Box<dyn FnOnce() -> Result<BlockReader, SourceError> + Send>;

/// A reader that is opened by its first use.
enum Lazy {
    Closed(Option<Open>),
    Open(Box<BlockReader>),
}

impl fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceReader")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl SourceReader {
    /// Reads a file from where its plan says. What is read is proven to be what was planned. Must be called within a
    /// Tokio runtime unless it computes inline.
    pub fn open_file(fs: Arc<dyn FileSystem>, file: &PlannedFile, options: ReadOptions) -> Self {
        let cancelled = Arc::<AtomicBool>::default();
        let task = FileTask {
            fs,
            path: file.path.clone(),
            info: Arc::clone(&file.info),
            start: file.start,
            identity: file.identity.clone(),
            options: options.blocks,
            framing: options.framing,
            cancelled: Arc::clone(&cancelled),
        };
        let open: Open = Box::new(move || task.open());
        let steps = match options.compute {
            Compute::Inline => Steps::Inline(Box::new(Lazy::Closed(Some(open)))),
            Compute::Threads => {
                let (sender, receiver) = mpsc::channel(options.read_ahead_blocks.max(1));
                tokio::task::spawn_blocking(move || run(open, &sender));
                Steps::Threads(receiver)
            }
        };
        Self {
            info: Arc::clone(&file.info),
            steps,
            cancelled,
        }
    }

    /// Reads standard input, as a new source with this id. See [`STANDARD_INPUT_PROMISE`].
    pub fn standard_input(source_id: u64, options: ReadOptions) -> Self {
        Self::stream(source_id, Box::new(std::io::stdin()), options)
    }

    /// Reads a stream as if it were standard input.
    pub fn stream(source_id: u64, input: Box<dyn Read + Send>, options: ReadOptions) -> Self {
        let info = Arc::new(SourceInfo {
            id: source_id,
            name: "-".into(),
            partition: 0,
        });
        let for_task = Arc::clone(&info);
        let open: Open =
            Box::new(move || open_input(input, for_task, options.blocks, options.framing));
        let steps = match options.compute {
            Compute::Inline => Steps::Inline(Box::new(Lazy::Closed(Some(open)))),
            Compute::Threads => {
                let (sender, receiver) = mpsc::channel(options.read_ahead_blocks.max(1));
                // A thread that no runtime waits for: a read that never returns must not keep the process.
                let thread = std::thread::Builder::new().name("frazil-stdin".to_owned());
                let failed = sender.clone();
                if let Err(cause) = thread.spawn(move || run(open, &sender)) {
                    let error = SourceError::Read {
                        path: "-".to_owned(),
                        position: 0,
                        cause,
                    };
                    // The channel is empty and has room for one.
                    drop(failed.try_send(Step::Failed(error)));
                }
                Steps::Threads(receiver)
            }
        };
        Self {
            info,
            steps,
            cancelled: Arc::default(),
        }
    }

    /// The source that is read.
    pub fn info(&self) -> &Arc<SourceInfo> {
        &self.info
    }

    /// The next block; `None` at the end. The blocks before an error are sound. Safe to cancel: no block is lost.
    ///
    /// # Errors
    /// What stands in the way of the rest; after it, `None`.
    pub async fn next_block(&mut self) -> Result<Option<RecordBlock>, SourceError> {
        let step = match &mut self.steps {
            Steps::Ended => return Ok(None),
            Steps::Inline(reader) => reader.step(&|| true),
            Steps::Threads(receiver) => receiver.recv().await.unwrap_or_else(|| {
                Step::Failed(SourceError::ReaderGone {
                    path: self.info.name.to_string(),
                })
            }),
        };
        match step {
            Step::Block(block) => Ok(Some(block)),
            Step::End => {
                self.steps = Steps::Ended;
                Ok(None)
            }
            Step::Failed(error) => {
                self.steps = Steps::Ended;
                Err(error)
            }
        }
    }
}

impl Drop for SourceReader {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Lazy {
    fn step(&mut self, is_awaited: &dyn Fn() -> bool) -> Step {
        if let Self::Closed(open) = self {
            match open.take().map(|open| open()) {
                Some(Ok(reader)) => *self = Self::Open(Box::new(reader)),
                Some(Err(error)) => return Step::Failed(error),
                None => return Step::End,
            }
        }
        match self {
            Self::Closed(_) => Step::End,
            Self::Open(reader) => match reader.next(is_awaited) {
                Ok(Some(block)) => Step::Block(block),
                Ok(None) => Step::End,
                Err(error) => Step::Failed(error),
            },
        }
    }
}

/// Reads until the end, an error, or until nobody takes blocks any more.
fn run(open: Open, sender: &mpsc::Sender<Step>) {
    let mut reader = Lazy::Closed(Some(open));
    // Blocks that wait mean that the taker is busy: then larger ones are cheaper.
    let is_awaited = || sender.capacity() == sender.max_capacity();
    loop {
        let step = reader.step(&is_awaited);
        let is_last = !matches!(step, Step::Block(_));
        if sender.blocking_send(step).is_err() || is_last {
            return;
        }
    }
}

/// All that opening a planned file takes.
struct FileTask {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    info: Arc<SourceInfo>,
    start: u64,
    identity: FileIdentity,
    options: BlockOptions,
    framing: Arc<Framing>,
    cancelled: Arc<AtomicBool>,
}

impl FileTask {
    /// Opens the file at its start, and proves that it is the one that was planned.
    fn open(self) -> Result<BlockReader, SourceError> {
        let mut content = Content::open(self.fs.as_ref(), &self.path, self.cancelled.clone())?;
        let frames = self.frames(&content)?;
        let found = content
            .prove(self.start)
            .map_err(|error| content.error(0, error))?;
        let head_length = self.identity.head_length as usize;
        let is_same_head = content
            .head()
            .get(..head_length)
            .is_some_and(|head| hash(head) == self.identity.head_hash);
        let is_same_tail = |proof: &Proof| proof.tail_hash() == self.identity.tail_hash;
        let Some(proof) = found.filter(|proof| is_same_head && is_same_tail(proof)) else {
            return Err(self.changed());
        };
        let compression = content.compression();
        let origin = Origin::File {
            path: self.identity.path,
        };
        let content = Box::new(content);
        Ok(BlockReader::new(
            content,
            compression,
            self.info,
            origin,
            proof,
            self.options,
            frames,
        ))
    }

    fn changed(&self) -> SourceError {
        SourceError::ChangedWhileReading {
            path: self.info.name.to_string(),
            position: self.start,
            change: "other content took its place".to_owned(),
        }
    }

    /// What stands before the start and is needed beyond it: the header, from the beginning of the content.
    fn frames(&self, content: &Content) -> Result<Frames, SourceError> {
        let framing = Arc::clone(&self.framing);
        if !framing.header || self.start == 0 {
            return Ok(Frames {
                framing,
                ..Frames::default()
            });
        }
        let limit = self.options.record_bytes_max;
        let mut start = content.head().to_vec();
        let mut is_all = start.len() < PROOF_BYTES;
        let mut end = framing.record_end(&start, 0, is_all, limit);
        if end.is_none() && !is_all {
            let mut again = Content::open(self.fs.as_ref(), &self.path, self.cancelled.clone())?;
            if again.head() != start {
                return Err(self.changed());
            }
            start.clear();
            let most = limit as u64 + 1;
            let read = (&mut again).take(most).read_to_end(&mut start);
            read.map_err(|error| again.error(start.len() as u64, error))?;
            is_all = (start.len() as u64) < most;
            end = framing.record_end(&start, 0, is_all, limit);
        }
        let header_end = match end {
            Some(end) if end <= limit => end as u64 + 1,
            None if is_all && start.len() <= limit => start.len() as u64,
            // Longer than a record may be: there is no header to go by.
            _ => {
                return Ok(Frames {
                    framing,
                    ..Frames::default()
                });
            }
        };
        start.truncate(end.unwrap_or(start.len()));
        Ok(Frames {
            framing,
            header: Some(start.into()),
            header_end,
        })
    }
}

fn open_input(
    input: Box<dyn Read + Send>,
    info: Arc<SourceInfo>,
    options: BlockOptions,
    framing: Arc<Framing>,
) -> Result<BlockReader, SourceError> {
    let (content, compression) =
        open_stream(input).map_err(|error| reading(&info.name, 0, Compression::None, error))?;
    let proof = Proof::default();
    Ok(BlockReader::new(
        content,
        compression,
        info,
        Origin::Stream,
        proof,
        options,
        Frames {
            framing,
            ..Frames::default()
        },
    ))
}
