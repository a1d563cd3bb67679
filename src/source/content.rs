//! A content, decompressed where it is compressed, that can prove what stands before a position.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    compression::{Compression, Decompressor, MAGIC_BYTES, foreign_format, looks_like_text},
    error::{RawFailure, SourceError, is_raw, reading},
    file_system::FileSystem,
    proof::{PROOF_BYTES, Proof},
    steady::SteadyFile,
};

/// Compressed bytes are read in pieces of this size: larger ones save no more system calls worth it, smaller ones do.
const PACKED_READ_BYTES: usize = 256 * 1024;
/// How content is passed over on the way to a position.
const SKIP_BYTES: usize = 64 * 1024;
/// How much of a file is looked at to tell text from noise.
const SNIFF_BYTES: usize = 512;

/// A file's content, in order from a position.
#[derive(Debug)]
pub(super) struct Content {
    path: String,
    compression: Compression,
    raw: Raw,
    /// The first bytes of the content: [`PROOF_BYTES`], or all that can be had.
    head: Vec<u8>,
    /// The next byte that is read.
    position: u64,
    /// What ended `head` early.
    broken: Option<io::Error>,
}

#[derive(Debug)]
enum Raw {
    Plain(SteadyFile),
    Packed {
        decompressor: BufReader<Decompressor>,
        /// Of what was taken from the decompressor by [`Content::prove`].
        proof: Proof,
    },
}

impl Content {
    /// Opens a file at the first byte of its content. Corrupt content is no error yet: it ends early, in an error of
    /// the read that meets it.
    pub(super) fn open(
        fs: &dyn FileSystem,
        path: &Path,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self, SourceError> {
        let name = path.to_string_lossy().into_owned();
        let steady = SteadyFile::open(fs, path, cancelled).map_err(|error| {
            if is_raw(&error) {
                reading(&name, 0, Compression::None, error)
            } else {
                SourceError::at_found(path, error)
            }
        })?;
        let head = steady.head().to_vec();
        let compression = detect(&head, path)?;
        let mut content = Self {
            path: name,
            compression,
            raw: Raw::Plain(steady),
            head,
            position: 0,
            broken: None,
        };
        if compression != Compression::None {
            content.unpack_head()?;
        }
        if let Some((format, advice)) = foreign_format(&content.head) {
            return Err(SourceError::UnsupportedFormat {
                path: content.path,
                format,
                advice,
            });
        }
        Ok(content)
    }

    /// Puts the decompressor before the raw file, and takes the head from it.
    fn unpack_head(&mut self) -> Result<(), SourceError> {
        let empty = Raw::Packed {
            decompressor: BufReader::with_capacity(0, Decompressor::empty()),
            proof: Proof::default(),
        };
        if let Raw::Plain(steady) = std::mem::replace(&mut self.raw, empty) {
            let packed = Box::new(BufReader::with_capacity(PACKED_READ_BYTES, steady));
            let decompressor = Decompressor::new(self.compression, packed)
                .map_err(|error| self.error(0, error))?;
            let mut decompressor = BufReader::with_capacity(SKIP_BYTES, decompressor);
            self.head.clear();
            let taken = (&mut decompressor)
                .take(PROOF_BYTES as u64)
                .read_to_end(&mut self.head);
            match taken {
                Err(error) if is_raw(&error) => return Err(self.error(0, error)),
                Err(error) => self.broken = Some(error),
                Ok(_) => {}
            }
            self.raw = Raw::Packed {
                decompressor,
                proof: Proof::of(&self.head),
            };
        }
        Ok(())
    }

    /// The content's first bytes: [`PROOF_BYTES`], or all that can be had of it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the content is corrupt within its head.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// How the file is compressed.
    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Goes to `position` and gives the proof of what stands before it; `None` when the content ends before.
    /// Positions past the head must not go back.
    pub(super) fn prove(&mut self, position: u64) -> io::Result<Option<Proof>> {
        let found = match &mut self.raw {
            Raw::Plain(steady) => steady.start_at(position)?.then(|| steady.proof().clone()),
            Raw::Packed { .. } if position <= self.head.len() as u64 => {
                Some(Proof::of(&self.head[..position as usize]))
            }
            Raw::Packed { .. } if self.broken.is_some() => None,
            Raw::Packed {
                decompressor,
                proof,
            } => skip_to(decompressor, proof, position)?,
        };
        if found.is_some() {
            self.position = position;
        }
        Ok(found)
    }

    /// Whether the content ends at the position that was last proven.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        match &mut self.raw {
            Raw::Plain(steady) => Ok(steady.length()? <= self.position),
            Raw::Packed { .. } if self.position < self.head.len() as u64 => Ok(false),
            Raw::Packed { .. } if self.broken.is_some() => Ok(false),
            Raw::Packed { decompressor, .. } => match decompressor.fill_buf() {
                Ok(bytes) => Ok(bytes.is_empty()),
                Err(error) if is_raw(&error) => Err(error),
                Err(_) => Ok(false),
            },
        }
    }

    /// The error for a read that failed when content up to `position` was sound.
    pub(super) fn error(&self, position: u64, error: io::Error) -> SourceError {
        reading(&self.path, position, self.compression, error)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.raw {
            Raw::Plain(steady) => steady.read(buffer)?,
            Raw::Packed { decompressor, .. } => {
                match self
                    .head
                    .get(self.position as usize..)
                    .filter(|rest| !rest.is_empty())
                {
                    Some(mut rest) => rest.read(buffer)?,
                    None => match self.broken.take() {
                        Some(error) => return Err(error),
                        None => decompressor.read(buffer)?,
                    },
                }
            }
        };
        self.position += read as u64;
        Ok(read)
    }
}

/// Takes content until `position`. Corrupt content ends before it.
fn skip_to(
    decompressor: &mut BufReader<Decompressor>,
    proof: &mut Proof,
    position: u64,
) -> io::Result<Option<Proof>> {
    debug_assert!(position >= proof.position());
    while proof.position() < position {
        let bytes = match decompressor.fill_buf() {
            Ok([]) => return Ok(None),
            Ok(bytes) => bytes,
            Err(error) if is_raw(&error) => return Err(error),
            Err(_) => return Ok(None),
        };
        let length = (bytes.len() as u64).min(position - proof.position()) as usize;
        proof.extend(&bytes[..length]);
        decompressor.consume(length);
    }
    Ok(Some(proof.clone()))
}

/// The compression of a file that begins with `raw`.
fn detect(raw: &[u8], path: &Path) -> Result<Compression, SourceError> {
    let named = Compression::of_name(path);
    let compression = Compression::of_bytes(raw, named);
    let text = || looks_like_text(&raw[..raw.len().min(SNIFF_BYTES)]);
    let is_foreign = foreign_format(raw).is_some();
    let is_named = compression == Compression::None && named != Compression::None;
    if is_named && !is_foreign && !text() {
        return Err(SourceError::NotCompressed {
            path: path.to_string_lossy().into_owned(),
            expected: named,
        });
    }
    Ok(compression)
}

/// The content of a stream that can be read but once, such as standard input, and its compression.
pub(super) fn open_stream(
    input: Box<dyn Read + Send>,
) -> io::Result<(Box<dyn Read + Send>, Compression)> {
    let mut input = RawStream(input);
    let mut start = Vec::with_capacity(MAGIC_BYTES);
    let mut byte = [0];
    // Byte by byte, and no further than needed: the first line of a terminal must not wait for the second.
    while start.len() < MAGIC_BYTES && Compression::is_open(&start) {
        if input.read(&mut byte)? == 0 {
            break;
        }
        start.extend_from_slice(&byte);
    }
    let compression = Compression::of_bytes(&start, Compression::None);
    let whole = Cursor::new(start).chain(input);
    if compression == Compression::None {
        return Ok((Box::new(whole), compression));
    }
    let packed = Box::new(BufReader::with_capacity(PACKED_READ_BYTES, whole));
    let content = Decompressor::new(compression, packed)?;
    Ok((Box::new(content), compression))
}

/// Marks a stream's own errors.
struct RawStream(Box<dyn Read + Send>);

impl Read for RawStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RawFailure::Io(error).into()),
                Ok(read) => return Ok(read),
            }
        }
    }
}
