//! How far a table is behind its files.

use std::{collections::BTreeMap, path::Path};

use frazil::source::{
    Compression, Known, LocalFileSystem, SourceError, Standing, expand, identify, standing,
};
use frazil_table::state::{SourceIdentity, SourceState};

use super::report::Lag;

/// What a writer of these paths would read, found out as it does. Blocks.
///
/// # Errors
/// Those of a writer: a file that cannot be read, or that a person must decide about.
pub(super) fn of_paths(
    paths: &[String],
    sources: &BTreeMap<u64, SourceState>,
    sources_version: u64,
) -> Result<Lag, SourceError> {
    let fs = LocalFileSystem;
    let known = Known {
        sources,
        sources_version,
    };
    let plan = identify(&expand(paths, &fs)?, known, 0, &fs)?;
    let bytes = |file: &frazil::source::PlannedFile| {
        let is_plain = file.compression == Compression::None;
        is_plain.then(|| file.file_bytes.saturating_sub(file.start))
    };
    Ok(Lag {
        has_begun: !sources.is_empty(),
        is_behind: !plan.read.is_empty(),
        bytes: plan.read.iter().map(bytes).sum(),
        ..Lag::default()
    })
}

/// What the files hold that were read before, where they were last seen. Blocks.
///
/// # Errors
/// A file cannot be read.
pub(super) fn of_known(sources: &BTreeMap<u64, SourceState>) -> Result<Lag, SourceError> {
    let mut lag = Lag {
        has_begun: true,
        bytes: Some(0),
        ..Lag::default()
    };
    for source in sources.values() {
        let SourceIdentity::File(identity) = &source.identity else {
            continue;
        };
        let is_packed = Compression::of_name(Path::new(&identity.path)) != Compression::None;
        // Whether a packed file has grown shows only by unpacking all of it.
        if identity.at_end && is_packed {
            continue;
        }
        let behind = match standing(source, &LocalFileSystem)? {
            Standing::AtEnd | Standing::Gone => continue,
            Standing::Behind { bytes } => bytes,
            // Another file by now; it was read to its end before.
            Standing::Changed | Standing::Missing if identity.at_end => continue,
            Standing::Changed | Standing::Missing => None,
        };
        lag.is_behind = true;
        lag.bytes = lag.bytes.zip(behind).map(|(sum, bytes)| sum + bytes);
    }
    Ok(lag)
}
