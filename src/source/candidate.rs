//! One file as identification sees it: its head, and the known sources whose content it begins with.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use frazil_table::state::{FileIdentity, SourceIdentity, SourceState};

use super::{
    Compression,
    content::Content,
    error::SourceError,
    expand::absolute,
    file_system::FileSystem,
    proof::{Proof, hash},
};

/// A file that may be read.
#[derive(Debug)]
pub(super) struct Candidate {
    /// As given.
    pub(super) path: PathBuf,
    /// From the root, as the table's state keeps it.
    pub(super) absolute: String,
    /// Whether it was given, and not found on a search.
    pub(super) given: bool,
    /// Its content's first bytes, all where it is short.
    pub(super) head: Vec<u8>,
    pub(super) compression: Compression,
    pub(super) file_bytes: u64,
    /// The known sources whose content it begins with.
    pub(super) matches: Vec<Match>,
    /// Whether its content cannot be had to the end of `head`.
    pub(super) is_broken: bool,
}

/// A known source that a file fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) id: u64,
    pub(super) position: u64,
    /// Whether the file's content ends at the position.
    pub(super) ends: bool,
    /// Whether the source was last seen where the file is.
    pub(super) is_same_path: bool,
    /// Whether the source was not read to its end.
    pub(super) is_unfinished: bool,
}

impl Match {
    /// What decides which of several sources a file goes on with, and which of several files goes on with a source.
    pub(super) fn rank(self) -> (bool, u64, bool, u64) {
        (
            self.is_same_path && self.is_unfinished && self.position > 0,
            self.position,
            self.is_same_path,
            self.id,
        )
    }
}

impl Candidate {
    /// Opens a file and looks at its head.
    pub(super) fn open(fs: &dyn FileSystem, path: &Path) -> Result<(Self, Content), SourceError> {
        let metadata = fs
            .metadata(path)
            .map_err(|cause| SourceError::at_found(path, cause))?;
        let content = Content::open(fs, path, Arc::default())?;
        let candidate = Self {
            path: path.to_owned(),
            absolute: absolute(fs, path)?.to_string_lossy().into_owned(),
            given: true,
            head: content.head().to_vec(),
            compression: content.compression(),
            file_bytes: metadata.length,
            matches: Vec::new(),
            is_broken: content.is_broken(),
        };
        Ok((candidate, content))
    }

    /// Whether there is nothing to read, for sure.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && !self.is_broken
    }

    /// The known source, if the content begins with all that was read of it.
    pub(super) fn found(&self, id: u64) -> Option<Match> {
        self.matches.iter().find(|found| found.id == id).copied()
    }

    /// The known source of which its content is all that was read, and no more.
    pub(super) fn complete(&self) -> Option<Match> {
        self.matches
            .iter()
            .filter(|found| found.ends)
            .max_by_key(|found| found.rank())
            .copied()
    }

    /// Which of equal contents is read: the one where a known source was last seen, then one that needs no
    /// decompression.
    pub(super) fn preference(&self) -> (bool, bool) {
        let is_seen_here = self.matches.iter().any(|found| found.is_same_path);
        (is_seen_here, self.compression == Compression::None)
    }

    /// What it is as a new source, of which nothing was read.
    pub(super) fn new_identity(&self) -> FileIdentity {
        let head = Proof::of(&self.head).identity(&self.absolute, false);
        FileIdentity {
            tail_hash: Proof::default().tail_hash(),
            ..head
        }
    }
}

/// A known source that is a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownFile<'a> {
    pub(super) id: u64,
    pub(super) position: u64,
    pub(super) identity: &'a FileIdentity,
}

/// The known files by what a file is found by: the cost of a look does not grow with their number.
#[derive(Debug)]
pub(super) struct KnownFiles<'a> {
    by_head: BTreeMap<u64, HashMap<&'a str, Vec<KnownFile<'a>>>>,
    by_path: HashMap<&'a str, Vec<KnownFile<'a>>>,
}

impl<'a> KnownFiles<'a> {
    pub(super) fn new(sources: &'a BTreeMap<u64, SourceState>) -> Self {
        let mut known = Self {
            by_head: BTreeMap::new(),
            by_path: HashMap::new(),
        };
        for (&id, source) in sources {
            if let SourceIdentity::File(identity) = &source.identity {
                let file = KnownFile {
                    id,
                    position: source.position,
                    identity,
                };
                let by_hash = known.by_head.entry(identity.head_length).or_default();
                by_hash.entry(&identity.head_hash).or_default().push(file);
                known.by_path.entry(&identity.path).or_default().push(file);
            }
        }
        known
    }

    /// Those that were last seen at a path.
    pub(super) fn at_path(&self, path: &str) -> &[KnownFile<'a>] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }

    /// Those that begin as a content does, by position. No head proves nothing.
    pub(super) fn same_head(&self, head: &[u8]) -> Vec<KnownFile<'a>> {
        let mut found: Vec<KnownFile<'a>> = self
            .by_head
            .range(1..=head.len() as u64)
            .filter_map(|(&length, by_hash)| by_hash.get(hash(&head[..length as usize]).as_str()))
            .flatten()
            .copied()
            .collect();
        found.sort_by_key(|file| (file.position, file.id));
        found
    }

    /// Opens a file and tries it against all known ones.
    pub(super) fn candidate(
        &self,
        fs: &dyn FileSystem,
        path: &Path,
    ) -> Result<Candidate, SourceError> {
        let (mut candidate, mut content) = Candidate::open(fs, path)?;
        if candidate.is_empty() {
            return Ok(candidate);
        }
        let is_here = |file: &KnownFile<'_>| file.identity.path == candidate.absolute;
        let mut to_try = self.same_head(&candidate.head);
        // Of position 0 nothing was read: there is nothing to prove, and nothing that could be doubled.
        let unread = self
            .at_path(&candidate.absolute)
            .iter()
            .filter(|file| file.position == 0);
        let unread = unread.filter(|file| !to_try.iter().any(|other| other.id == file.id));
        let unread: Vec<_> = unread.copied().collect();
        to_try.splice(0..0, unread);
        let mut proof: Option<Proof> = None;
        let mut matches = Vec::new();
        for file in to_try {
            let position = file.position;
            if proof
                .as_ref()
                .is_none_or(|proof| proof.position() != position)
            {
                proof = content
                    .prove(position)
                    .map_err(|error| content.error(0, error))?;
            }
            // They are in the order of their positions: the content ends before all that follow, too.
            let Some(proof) = &proof else { break };
            if position == 0 || proof.tail_hash() == file.identity.tail_hash {
                let ends = content.is_at_end();
                matches.push(Match {
                    id: file.id,
                    position,
                    ends: ends.map_err(|error| content.error(position, error))?,
                    is_same_path: is_here(&file),
                    is_unfinished: !file.identity.at_end,
                });
            }
        }
        candidate.matches = matches;
        Ok(candidate)
    }
}
