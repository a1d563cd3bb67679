//! What of the given files shows without opening them, to see whether there may be something new.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    error::SourceError,
    expand::expand_present,
    file_system::{FileSystem, Metadata},
};

/// The given files as they stand: their names, lengths and what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpse(BTreeMap<PathBuf, Metadata>);

impl Glimpse {
    /// Looks at the files that `paths` stand for now. What is gone, or not there yet, is not part of it.
    ///
    /// # Errors
    /// As [`expand_present`].
    pub fn of(paths: &[String], fs: &dyn FileSystem) -> Result<Self, SourceError> {
        let files = expand_present(paths, fs)?.files.into_iter();
        let seen = files.filter_map(|file| {
            let metadata = fs.metadata(&file).ok()?;
            Some((file, metadata))
        });
        Ok(Self(seen.collect()))
    }

    /// Each file as it stands.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Metadata)> {
        self.0
            .iter()
            .map(|(path, metadata)| (path.as_path(), metadata))
    }

    /// Whether files of `before` were replaced, cut or taken away: what they held besides may soon be gone.
    pub fn has_lost(&self, before: &Self) -> bool {
        before.0.iter().any(|(path, was)| {
            self.0
                .get(path)
                .is_none_or(|is| is.id != was.id || is.length < was.length)
        })
    }
}
