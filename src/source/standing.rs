//! How far a known source's file is ahead of what a table holds of it, for people.

use std::path::Path;

use frazil_table::state::{FileIdentity, SourceIdentity, SourceState};

use super::{Compression, candidate::Candidate, error::SourceError, file_system::FileSystem};

/// Where a source stands to the file that is where it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The table holds all of the file.
    AtEnd,
    /// The file goes on after what the table holds of it.
    Behind {
        /// By how many bytes; `None` where it is compressed, and they could not be counted without reading it all.
        bytes: Option<u64>,
    },
    /// There is a file, and it does not begin with all that was read.
    Changed,
    /// There is no file. It may be found elsewhere, by its content.
    Missing,
    /// It cannot be read again: one run's standard input.
    Gone,
}

/// Looks at the file where a source was last seen. Of a compressed one reads all up to the position. Blocks.
///
/// # Errors
/// The file cannot be read.
pub fn standing(source: &SourceState, fs: &dyn FileSystem) -> Result<Standing, SourceError> {
    let SourceIdentity::File(identity) = &source.identity else {
        return Ok(Standing::Gone);
    };
    let (candidate, mut content) = match Candidate::open(fs, Path::new(&identity.path)) {
        Ok(opened) => opened,
        Err(SourceError::Gone { .. } | SourceError::NotFound { .. }) => {
            return Ok(Standing::Missing);
        }
        Err(error) => return Err(error),
    };
    let position = source.position;
    let proof = content
        .prove(position)
        .map_err(|error| content.error(0, error))?;
    let is_same = proof.is_some_and(|proof| {
        position == 0
            || (begins(&candidate.head, identity) && proof.tail_hash() == identity.tail_hash)
    });
    if !is_same {
        return Ok(Standing::Changed);
    }
    let at_end = content
        .is_at_end()
        .map_err(|error| content.error(position, error))?;
    if at_end {
        return Ok(Standing::AtEnd);
    }
    let bytes = (candidate.compression == Compression::None)
        .then(|| candidate.file_bytes.saturating_sub(position));
    Ok(Standing::Behind { bytes })
}

fn begins(head: &[u8], identity: &FileIdentity) -> bool {
    head.get(..identity.head_length as usize)
        .is_some_and(|head| super::proof::hash(head) == identity.head_hash)
}
