//! Whether one content is another's beginning.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    content::Content,
    error::{SourceError, is_raw},
    file_system::FileSystem,
};

/// Most contents that begin alike differ soon: the first pieces are small. Later ones save system calls.
const COMPARE_BYTES: std::ops::RangeInclusive<usize> = 8 * 1024..=256 * 1024;

/// How two contents stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// They are equal.
    Same,
    /// The left is the beginning of the right.
    LeftBegins,
    /// The right is the beginning of the left.
    RightBegins,
    /// They differ before either ends.
    Differ,
}

impl Relation {
    /// That of contents of which these are the first bytes, all of them where they are fewer than `head_bytes`;
    /// `None` when more must be read to tell.
    pub(super) fn of_heads(left: &[u8], right: &[u8], head_bytes: usize) -> Option<Self> {
        let common = left.len().min(right.len());
        if left[..common] != right[..common] {
            Some(Self::Differ)
        } else if common == head_bytes {
            None
        } else {
            Some(match left.len().cmp(&right.len()) {
                std::cmp::Ordering::Less => Self::LeftBegins,
                std::cmp::Ordering::Equal => Self::Same,
                std::cmp::Ordering::Greater => Self::RightBegins,
            })
        }
    }
}

/// Compares two files' contents in full, up to the first difference. Corrupt content counts as far as it goes: a
/// truncated copy is a copy.
pub(super) fn compare(
    fs: &dyn FileSystem,
    left: &Path,
    right: &Path,
) -> Result<Relation, SourceError> {
    let mut left = Content::open(fs, left, Arc::default())?;
    let mut right = Content::open(fs, right, Arc::default())?;
    prove_start(&mut left)?;
    prove_start(&mut right)?;
    let (mut left_bytes, mut right_bytes) = (Vec::new(), Vec::new());
    let (mut position, mut piece) = (0, *COMPARE_BYTES.start());
    loop {
        left_bytes.resize(piece, 0);
        right_bytes.resize(piece, 0);
        let left_read = fill(&mut left, &mut left_bytes, position)?;
        let right_read = fill(&mut right, &mut right_bytes, position)?;
        let common = left_read.min(right_read);
        if left_bytes[..common] != right_bytes[..common] {
            return Ok(Relation::Differ);
        }
        match (left_read == common, right_read == common) {
            (true, true) if common == piece => position += common as u64,
            (true, true) => return Ok(Relation::Same),
            (true, false) => return Ok(Relation::LeftBegins),
            (false, _) => return Ok(Relation::RightBegins),
        }
        piece = (2 * piece).min(*COMPARE_BYTES.end());
    }
}

fn prove_start(content: &mut Content) -> Result<(), SourceError> {
    content
        .prove(0)
        .map(drop)
        .map_err(|error| content.error(0, error))
}

/// Reads until the buffer is full or the content ends, well or badly.
fn fill(content: &mut Content, buffer: &mut [u8], position: u64) -> Result<usize, SourceError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_raw(&error) => {
                return Err(content.error(position + filled as u64, error));
            }
            Err(_) => break,
        }
    }
    Ok(filled)
}
