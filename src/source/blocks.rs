//! Content becomes blocks of whole records: one pass of a vectorised search for line ends, no copy but of the part of
//! a line that a block ends in.
//!
//! * A record is a line without its `\n`, or several where [`Framing`] says so; all other bytes are its own, `\r` and NUL
//!   too. A last line without `\n` is a record. Blocks tile the content.
//! * A header is no record, and every block has it.
//! * A line over the limit is hashed as it passes; only its prefix is kept.
//! * When reading fails, the whole lines before are handed on first, the partial one never.
//! * A file that ended without a line end and has grown since: what comes after is a record of its own, except that a
//!   line end that comes first ends the record that was there.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use frazil_table::state::SourceIdentity;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{
    Compression,
    error::{SourceError, reading},
    framing::{Frames, Framing, RecordEnds},
    proof::Proof,
};
use crate::record::{Oversize, RecordBlock, RecordSpan, SourceInfo};

/// How much is kept of a record over the limit: enough to see what it was.
pub const OVERSIZE_PREFIX_BYTES: usize = 64 * 1024;

/// How records are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockOptions {
    /// How much content a block holds, about. Smaller blocks cost more hand-offs, larger ones leave the caches.
    pub block_bytes: usize,
    /// Over this a record is kept as a prefix only. A block may grow to hold one record of this length.
    pub record_bytes_max: usize,
    /// Whether what stands behind a file's last line end waits until a line end follows: somebody is writing it. What
    /// is compressed or streamed has an end of its own.
    pub leaves_open_line: bool,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self {
            block_bytes: 1024 * 1024,
            record_bytes_max: 1024 * 1024,
            leaves_open_line: false,
        }
    }
}

impl BlockOptions {
    /// The options within what spans of 32 bits can say, and what a line end needs.
    fn clamped(self) -> Self {
        Self {
            block_bytes: self.block_bytes.clamp(4, 256 * 1024 * 1024),
            record_bytes_max: self.record_bytes_max.clamp(1, 1024 * 1024 * 1024),
            ..self
        }
    }
}

/// What the content is of.
#[derive(Debug)]
pub(super) enum Origin {
    /// A file, by the path that the table's state keeps.
    File {
        /// From the root.
        path: String,
    },
    /// A stream: what is there is handed on when it is asked for, rather than waiting for more.
    Stream,
}

/// Cuts a content into blocks.
pub(super) struct BlockReader {
    content: Box<dyn Read + Send>,
    compression: Compression,
    info: Arc<SourceInfo>,
    origin: Origin,
    options: BlockOptions,
    pool: Pool,
    /// Content from `proof.position()` on that is in no block yet.
    buffer: Vec<u8>,
    filled: usize,
    proof: Proof,
    /// Whether a line end that comes next belongs to a record of before.
    after_open_line: bool,
    ending: Ending,
    /// Whether a block must still say that the file was read to its end, even one without records.
    is_end_untold: bool,
    records_guess: usize,
    frames: Frames,
    /// The ends of the whole records in the buffer, where finding them takes more than looking for line ends.
    ends: Vec<usize>,
}

/// How far the content's end is known.
enum Ending {
    /// There may be more.
    Open,
    /// The content ends with the buffer.
    End,
    /// Reading failed; the error is due, once what is in the buffer is told.
    Failed(io::Error),
    /// All is said.
    Told,
}

impl BlockReader {
    /// Cuts `content`, which begins where `proof` ends.
    pub(super) fn new(
        content: Box<dyn Read + Send>,
        compression: Compression,
        info: Arc<SourceInfo>,
        origin: Origin,
        proof: Proof,
        options: BlockOptions,
        frames: Frames,
    ) -> Self {
        let options = options.clamped();
        let pool = Pool::new(options.block_bytes);
        Self {
            content,
            compression,
            info,
            is_end_untold: matches!(origin, Origin::File { .. }),
            origin,
            options,
            buffer: pool.take(),
            pool,
            filled: 0,
            after_open_line: !proof.ends_line(),
            proof,
            ending: Ending::Open,
            records_guess: 0,
            frames,
            ends: Vec::new(),
        }
    }

    /// The next block; `None` at the end. For a stream, `is_awaited` tells whether a block would be used at once.
    pub(super) fn next(
        &mut self,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<Option<RecordBlock>, SourceError> {
        loop {
            self.fill(is_awaited);
            let whole = self.whole_records();
            return match (&self.ending, whole) {
                (Ending::Open, None) if self.filled <= self.options.record_bytes_max => {
                    self.read_more();
                    continue;
                }
                (Ending::Open, None) => self.oversize_block(),
                (Ending::Open | Ending::Failed(_), Some(length)) => Ok(Some(self.block(length))),
                (Ending::Failed(_), None) => Err(self.take_failure()),
                (Ending::End, Some(length)) if self.leaves_open_line() => {
                    Ok(Some(self.block(length)))
                }
                (Ending::End, None) if self.leaves_open_line() && self.filled > 0 => Ok(None),
                (Ending::End, _) if self.filled == 0 && !self.is_end_untold => Ok(None),
                (Ending::End, _) => Ok(Some(self.block(self.filled))),
                (Ending::Told, _) => Ok(None),
            };
        }
    }

    fn leaves_open_line(&self) -> bool {
        let is_file = matches!(self.origin, Origin::File { .. });
        self.options.leaves_open_line && is_file && self.compression == Compression::None
    }

    /// Where the last whole record in the buffer ends, with its line end.
    fn whole_records(&mut self) -> Option<usize> {
        let bytes = &self.buffer[..self.filled];
        if self.frames.framing.ends == RecordEnds::Lines {
            return memchr::memrchr(b'\n', bytes).map(|at| at + 1);
        }
        self.ends.clear();
        // What is being written may still close a quote.
        let is_all = matches!(self.ending, Ending::End) && !self.leaves_open_line();
        let limit = self.options.record_bytes_max;
        let framing: &Framing = &self.frames.framing;
        let first = self.passed(bytes);
        let mut at = first;
        while at < bytes.len()
            && let Some(end) = framing.record_end(bytes, at, is_all, limit)
        {
            self.ends.push(end);
            at = end + 1;
        }
        (at > 0).then_some(at)
    }

    /// Reads once more, where the buffer holds lines but no whole record.
    fn read_more(&mut self) {
        if self.filled == self.buffer.len() {
            let length = (2 * self.filled).min(self.options.record_bytes_max + 1);
            self.buffer.resize(length, 0);
        }
        self.read();
    }

    /// The error, once.
    fn take_failure(&mut self) -> SourceError {
        match std::mem::replace(&mut self.ending, Ending::Told) {
            Ending::Failed(error) => self.error(self.proof.position(), error),
            _ => SourceError::ReaderGone {
                path: self.info.name.to_string(),
            },
        }
    }

    /// Reads until the buffer is full of whole lines, holds more than a record may, or the content ends.
    fn fill(&mut self, is_awaited: &dyn Fn() -> bool) {
        let mut searched = 0;
        let mut has_line = false;
        while matches!(self.ending, Ending::Open) {
            has_line =
                has_line || memchr::memchr(b'\n', &self.buffer[searched..self.filled]).is_some();
            searched = self.filled;
            if has_line && matches!(self.origin, Origin::Stream) && is_awaited() {
                break;
            }
            if self.filled == self.buffer.len() {
                if has_line || self.filled > self.options.record_bytes_max {
                    break;
                }
                let length = (2 * self.filled).min(self.options.record_bytes_max + 1);
                self.buffer.resize(length, 0);
            }
            self.read();
        }
    }

    /// One read into the buffer.
    fn read(&mut self) {
        match self.content.read(&mut self.buffer[self.filled..]) {
            Ok(0) => self.ending = Ending::End,
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.ending = Ending::Failed(error),
        }
    }

    fn error(&self, position: u64, error: io::Error) -> SourceError {
        reading(&self.info.name, position, self.compression, error)
    }

    /// What the source is at the end of what was cut off.
    fn identity(&mut self) -> SourceIdentity {
        let Origin::File { path } = &self.origin else {
            return SourceIdentity::StandardInput;
        };
        let at_end = self.filled == 0 && matches!(self.ending, Ending::End);
        self.is_end_untold &= !at_end;
        SourceIdentity::File(self.proof.identity(path, at_end))
    }

    /// Looks whether a file goes on, where a block ends with all that was read.
    fn look_ahead(&mut self) {
        let is_file = matches!(self.origin, Origin::File { .. });
        while is_file && self.filled == 0 && matches!(self.ending, Ending::Open) {
            self.read();
        }
    }

    /// A block of the buffer's first `length` bytes, which end with a line or with the content.
    fn block(&mut self, length: usize) -> RecordBlock {
        let mut rest = self.pool.take_for(self.filled - length);
        rest[..self.filled - length].copy_from_slice(&self.buffer[length..self.filled]);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        self.filled -= length;
        self.look_ahead();
        let start = self.proof.position();
        let first = self.passed(&bytes[..length]);
        self.after_open_line = false;
        self.proof.extend(&bytes[..length]);
        let (mut records, mut oversize) = self.records(&bytes[..length], first, start);
        if start == 0 && self.frames.framing.header {
            self.take_header(&bytes, &mut records, &mut oversize);
        }
        self.records_guess = records.len();
        RecordBlock {
            source: Arc::clone(&self.info),
            range: start..self.proof.position(),
            bytes: self.pool.bytes(bytes, length),
            records,
            oversize,
            messages: None,
            header: self.frames.header.clone(),
            identity: self.identity(),
        }
    }

    /// Takes the first record of a content for its header.
    fn take_header(
        &mut self,
        bytes: &[u8],
        records: &mut Vec<RecordSpan>,
        oversize: &mut [Oversize],
    ) {
        let is_whole = oversize.first().is_none_or(|one| one.record > 0);
        if is_whole && !records.is_empty() {
            let RecordSpan { start, length, .. } = records.remove(0);
            let header = &bytes[start as usize..(start + length) as usize];
            self.frames.header = Some(Bytes::copy_from_slice(header));
            for one in oversize {
                one.record -= 1;
            }
        }
    }

    /// How many bytes at the beginning end a record of before, or the header.
    fn passed(&self, bytes: &[u8]) -> usize {
        let position = self.proof.position();
        if position < self.frames.header_end {
            return bytes
                .len()
                .min((self.frames.header_end - position) as usize);
        }
        match bytes {
            [b'\n', ..] if self.after_open_line => 1,
            [b'\r', b'\n', ..] if self.after_open_line => 2,
            _ => 0,
        }
    }

    /// The records of `bytes`, which begin at `position`, from `first` on.
    fn records(
        &self,
        bytes: &[u8],
        first: usize,
        position: u64,
    ) -> (Vec<RecordSpan>, Vec<Oversize>) {
        // Room for a tenth more than the last block had: growing by doubling would copy them all.
        let mut records = Vec::with_capacity(self.records_guess + self.records_guess / 8 + 16);
        let mut oversize = Vec::new();
        let mut add = |start: usize, end: usize| {
            let mut length = end - start;
            if length > self.options.record_bytes_max {
                oversize.push(Oversize {
                    record: records.len() as u32,
                    length: length as u64,
                    hash: xxh3_128(&bytes[start..end]),
                });
                length = self.prefix_bytes();
            }
            let position = position + start as u64;
            records.push(RecordSpan {
                start: start as u32,
                length: length as u32,
                position,
            });
        };
        let mut start = first;
        if self.frames.framing.ends == RecordEnds::Lines {
            for end in memchr::memchr_iter(b'\n', &bytes[first..]).map(|at| at + first) {
                add(start, end);
                start = end + 1;
            }
        } else {
            for &end in &self.ends {
                add(start, end);
                start = end + 1;
            }
        }
        if start < bytes.len() {
            add(start, bytes.len());
        }
        (records, oversize)
    }

    fn prefix_bytes(&self) -> usize {
        OVERSIZE_PREFIX_BYTES.min(self.options.record_bytes_max)
    }

    /// A block of the one record that the buffer begins with, and that is longer than the limit.
    fn oversize_block(&mut self) -> Result<Option<RecordBlock>, SourceError> {
        let start = self.proof.position();
        self.after_open_line = false;
        let mut hash = Xxh3::new();
        let prefix = Bytes::copy_from_slice(&self.buffer[..self.prefix_bytes()]);
        let mut length = 0;
        loop {
            let bytes = &self.buffer[..self.filled];
            let line_end = memchr::memchr(b'\n', bytes);
            let part = &bytes[..line_end.unwrap_or(self.filled)];
            hash.update(part);
            length += part.len() as u64;
            let passed = line_end.map_or(self.filled, |at| at + 1);
            self.proof.extend(&bytes[..passed]);
            self.buffer.copy_within(passed..self.filled, 0);
            self.filled -= passed;
            match self.ending {
                _ if line_end.is_some() => break,
                Ending::Open => self.read(),
                Ending::End if self.leaves_open_line() => {
                    self.ending = Ending::Told;
                    return Ok(None);
                }
                Ending::End => break,
                Ending::Failed(_) | Ending::Told => return Err(self.take_failure()),
            }
        }
        self.look_ahead();
        let span = RecordSpan {
            start: 0,
            length: prefix.len() as u32,
            position: start,
        };
        Ok(Some(RecordBlock {
            source: Arc::clone(&self.info),
            range: start..self.proof.position(),
            bytes: prefix,
            records: vec![span],
            oversize: vec![Oversize {
                record: 0,
                length,
                hash: hash.digest128(),
            }],
            messages: None,
            header: self.frames.header.clone(),
            identity: self.identity(),
        }))
    }
}

/// Buffers that are used again once all blocks' bytes are dropped: fresh memory would have to be zeroed and mapped in.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    block_bytes: usize,
}

/// More than a reader has in flight is given back to the system.
const POOLED_BUFFERS_MAX: usize = 4;

impl Pool {
    pub(super) fn new(block_bytes: usize) -> Self {
        Self {
            buffers: Arc::default(),
            block_bytes,
        }
    }

    /// A buffer of at least a block's length.
    fn take(&self) -> Vec<u8> {
        let pooled = self
            .buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        pooled.unwrap_or_else(|| vec![0; self.block_bytes])
    }

    /// A buffer that `length` bytes fit into.
    pub(super) fn take_for(&self, length: usize) -> Vec<u8> {
        if length <= self.block_bytes {
            self.take()
        } else {
            vec![0; length]
        }
    }

    /// The first `length` bytes of a buffer that comes back when they are dropped.
    pub(super) fn bytes(&self, buffer: Vec<u8>, length: usize) -> Bytes {
        Bytes::from_owner(Lent {
            buffer,
            length,
            pool: self.clone(),
        })
    }
}

/// A buffer that is out in a block.
struct Lent {
    buffer: Vec<u8>,
    length: usize,
    pool: Pool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // One that grew for a long record would keep that memory for nothing.
        if self.buffer.len() == self.pool.block_bytes {
            let mut buffers = self
                .pool
                .buffers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if buffers.len() < POOLED_BUFFERS_MAX {
                buffers.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}
