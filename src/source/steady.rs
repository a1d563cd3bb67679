//! A file's raw bytes in order, with the promise that they all are of one content.
//!
//! Another process may truncate or overwrite a file while it is being read (`copytruncate` of log rotation does). Then
//! a read at the old offset gives the end of the file, or, once it has grown again, bytes of other content. So each
//! read is followed by a look at the length, the head and what stood before the read; a difference fails the read
//! before any of its bytes is used. That is two reads of 4 KiB, from the page cache, for each megabyte.

use std::{
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    error::RawFailure,
    file_system::{FileSystem, OpenFile},
    proof::{PROOF_BYTES, Proof},
};

/// An open file that is read in order.
#[derive(Debug)]
pub(super) struct SteadyFile {
    file: Box<dyn OpenFile>,
    /// The first bytes as they were when the file was opened.
    head: Vec<u8>,
    proof: Proof,
    cancelled: Arc<AtomicBool>,
    scratch: Vec<u8>,
}

impl SteadyFile {
    /// Opens the file at its first byte. Once `cancelled` is true, reads fail.
    pub(super) fn open(
        fs: &dyn FileSystem,
        path: &Path,
        cancelled: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let file = fs.open(path)?;
        let (head, scratch) = (Vec::new(), vec![0; PROOF_BYTES]);
        let mut steady = Self {
            file,
            head,
            proof: Proof::default(),
            cancelled,
            scratch,
        };
        let mut head = vec![0; PROOF_BYTES];
        let filled = steady.fill(&mut head, 0)?;
        head.truncate(filled);
        steady.head = head;
        Ok(steady)
    }

    /// The first bytes as they were when the file was opened: [`PROOF_BYTES`], or all.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Goes to `offset`, and takes what stands there now for what is being read. False: the file ends before it.
    pub(super) fn start_at(&mut self, offset: u64) -> io::Result<bool> {
        let length = offset.min(PROOF_BYTES as u64) as usize;
        let mut head = vec![0; length];
        let mut tail = vec![0; length];
        let whole = self.length()? >= offset
            && self.fill(&mut head, 0)? == length
            && self.fill(&mut tail, offset - length as u64)? == length;
        if whole {
            self.proof = Proof::at(offset, head, tail);
        }
        Ok(whole)
    }

    /// The first and last bytes of what was read.
    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// How long the file is now.
    pub(super) fn length(&self) -> io::Result<u64> {
        self.file
            .length()
            .map_err(|cause| RawFailure::Io(cause).into())
    }

    /// Reads without moving, until the buffer is full or the file ends.
    pub(super) fn fill(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(RawFailure::Cancelled.into());
            }
            match self
                .file
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RawFailure::Io(error).into()),
            }
        }
        Ok(filled)
    }

    /// Fails if the file no longer holds what was read of it, and as much after that.
    fn check(&mut self, fresh_bytes: usize) -> io::Result<()> {
        let length = self.length()?;
        if length < self.proof.position() + fresh_bytes as u64 {
            let change = format!("it was truncated to {length} bytes");
            return Err(RawFailure::Changed(change).into());
        }
        let mut now = std::mem::take(&mut self.scratch);
        // A file that was shorter when it was opened has more of a head by now.
        let is_longer = self.proof.head().len() > self.head.len();
        let head = if is_longer {
            self.proof.head().len()
        } else {
            self.head.len()
        };
        let mut is_same = self.fill(&mut now[..head], 0)? == head
            && now[..head]
                == *(if is_longer {
                    self.proof.head()
                } else {
                    &self.head
                });
        let tail = self.proof.tail().len();
        let before = self.proof.position() - tail as u64;
        if is_same && before > 0 {
            is_same =
                self.fill(&mut now[..tail], before)? == tail && now[..tail] == *self.proof.tail();
        }
        self.scratch = now;
        if is_same {
            return Ok(());
        }
        Err(RawFailure::Changed("it was overwritten".to_owned()).into())
    }
}

impl Read for SteadyFile {
    /// Fills the whole buffer unless the file ends. An error leaves the position where it was.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.fill(buffer, self.proof.position())?;
        self.check(filled)?;
        self.proof.extend(&buffer[..filled]);
        Ok(filled)
    }
}
