//! Which source each file is, by its content.
//!
//! Guarantees, as long as files are only appended to, renamed, copied, compressed or truncated:
//!
//! * A file that begins with all that was read of a known source goes on from there, whatever its name. Where several
//!   known sources fit, an unfinished one last seen at this very path comes first, then the one read furthest.
//! * Of files given together of which one's content begins another's, only the longest is read.
//! * A source that was not read to its end and that is among what was given is found again by content in its folder,
//!   or the run stops by name. So does it when a file keeps its path and its first 4 KiB, but not the rest.
//! * Where a new file took the place of one that was read to its end, that one is looked for in its folder, too, and
//!   read on if it had grown before.
//! * All else is a new source, read from its first byte.
//!
//! Several files that fit one known source but go different ways are as many sources: one goes on, the others hold
//! the common beginning a second time, and it is read from each.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use frazil_table::state::{FileIdentity, SourceIdentity, SourceState};

use super::{
    candidate::{Candidate, KnownFile, KnownFiles, Match},
    compare::{Relation, compare},
    error::SourceError,
    expand::{Expansion, is_hidden},
    file_system::{FileKind, FileSystem},
    plan::{AlreadyRead, CopyOf, Plan, PlannedFile},
    proof::{PROOF_BYTES, hash},
};
use crate::record::{RecordBlock, SourceInfo};

/// What the table's state knows of sources.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The sources by id.
    pub sources: &'a BTreeMap<u64, SourceState>,
    /// The version that new sources are added to: their ids follow it.
    pub sources_version: u64,
}

/// Finds out which source each of the given files is, and where to start reading it.
///
/// Sources with ids up to `passed_over` are not looked at: what they hold of the given files is read again, as new
/// sources. 0 where a file goes on with whatever source it fits. Reads a few kilobytes of each file; of compressed ones
/// that were read before, all up to the position. Blocks.
///
/// # Errors
/// Files that cannot be read, and sources that a person must decide about.
pub fn identify(
    given: &Expansion,
    known: Known<'_>,
    passed_over: u64,
    fs: &dyn FileSystem,
) -> Result<Plan, SourceError> {
    let (mut passed, mut sources) = (BTreeMap::new(), Cow::Borrowed(known.sources));
    if passed_over > 0 {
        passed.clone_from(known.sources);
        sources = Cow::Owned(passed.split_off(&(passed_over + 1)));
    }
    let mut identification = Identification::new(given, &sources, fs)?;
    identification.find_copies()?;
    identification.assign();
    identification.find_missing(given)?;
    identification.find_replaced(given)?;
    identification.find_known_copies()?;
    Ok(Plan {
        given_up: unfinished(given, &passed),
        ..identification.plan(known.sources_version)
    })
}

/// The known sources among what is given that were not read to their end, marked as if they had been: that all is read
/// anew is a decision on them, which must hold when the next run looks for what is missing.
fn unfinished(given: &Expansion, sources: &BTreeMap<u64, SourceState>) -> Vec<RecordBlock> {
    let mut blocks = Vec::new();
    for (&id, source) in sources {
        let SourceIdentity::File(identity) = &source.identity else {
            continue;
        };
        if source.position > 0 && !identity.at_end && given.covers(Path::new(&identity.path)) {
            let identity = FileIdentity {
                at_end: true,
                ..identity.clone()
            };
            blocks.push(RecordBlock {
                source: Arc::new(SourceInfo {
                    id,
                    name: identity.path.as_str().into(),
                    partition: 0,
                }),
                range: source.position..source.position,
                bytes: Bytes::new(),
                records: Vec::new(),
                oversize: Vec::new(),
                messages: None,
                header: None,
                identity: SourceIdentity::File(identity),
            });
        }
    }
    blocks
}

/// What the source of a file is when it was read up to `position`, for whoever sets a position by hand.
///
/// The head is hashed whole even where it is longer than `position`, so that a file set back to its start is found.
/// `None`: the content ends before `position`.
pub fn identity_at(
    fs: &dyn FileSystem,
    path: &Path,
    position: u64,
) -> Result<Option<FileIdentity>, SourceError> {
    let (candidate, mut content) = Candidate::open(fs, path).map_err(|error| match error {
        // Nobody has looked for it before.
        SourceError::Gone { path } => SourceError::NotFound { path },
        error => error,
    })?;
    let proof = content
        .prove(position)
        .map_err(|error| content.error(0, error))?;
    let at_end = content
        .is_at_end()
        .map_err(|error| content.error(position, error))?;
    Ok(proof.map(|proof| {
        let mut identity = proof.identity(&candidate.absolute, at_end);
        identity.head_length = candidate.head.len() as u64;
        identity.head_hash = hash(&candidate.head);
        identity
    }))
}

struct Identification<'a> {
    fs: &'a dyn FileSystem,
    known: KnownFiles<'a>,
    sources: &'a BTreeMap<u64, SourceState>,
    candidates: Vec<Candidate>,
    empty: Vec<PathBuf>,
    /// By candidate: the one whose content it begins.
    copy_of: BTreeMap<usize, PathBuf>,
    /// By candidate: the known source that it goes on with.
    assigned: BTreeMap<usize, Match>,
}

impl<'a> Identification<'a> {
    fn new(
        given: &Expansion,
        sources: &'a BTreeMap<u64, SourceState>,
        fs: &'a dyn FileSystem,
    ) -> Result<Self, SourceError> {
        let known = KnownFiles::new(sources);
        let (mut candidates, mut empty) = (Vec::new(), Vec::new());
        for path in &given.files {
            let candidate = known.candidate(fs, path)?;
            if candidate.is_empty() {
                empty.push(path.clone());
            } else {
                candidates.push(candidate);
            }
        }
        Ok(Self {
            fs,
            known,
            sources,
            candidates,
            empty,
            copy_of: BTreeMap::new(),
            assigned: BTreeMap::new(),
        })
    }

    /// Notes the files whose content begins another's.
    ///
    /// Sorted by their heads, all files that can begin with a file's content stand right behind it.
    fn find_copies(&mut self) -> Result<(), SourceError> {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by(|&left, &right| {
            let (left, right) = (&self.candidates[left], &self.candidates[right]);
            left.head
                .cmp(&right.head)
                .then_with(|| right.preference().cmp(&left.preference()))
        });
        // Content of which nothing can be had is nobody's copy: reading it gives the error.
        order.retain(|&index| !self.candidates[index].head.is_empty());
        let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
        for (place, &left) in order.iter().enumerate() {
            for &right in &order[place + 1..] {
                let is_near = self.candidates[right]
                    .head
                    .starts_with(&self.candidates[left].head);
                if !is_near || copies.contains_key(&left) {
                    break;
                }
                if copies.contains_key(&right) {
                    continue;
                }
                match self.relation(left, right)? {
                    Relation::Differ => {}
                    Relation::LeftBegins => drop(copies.insert(left, right)),
                    // Sorted by preference among equals, the left is the better one to read.
                    Relation::Same | Relation::RightBegins => drop(copies.insert(right, left)),
                }
            }
        }
        for &copy in copies.keys() {
            let mut of = copy;
            while let Some(&longer) = copies.get(&of) {
                of = longer;
            }
            self.copy_of.insert(copy, self.candidates[of].path.clone());
        }
        Ok(())
    }

    fn relation(&self, left: usize, right: usize) -> Result<Relation, SourceError> {
        let (left, right) = (&self.candidates[left], &self.candidates[right]);
        match Relation::of_heads(&left.head, &right.head, PROOF_BYTES) {
            Some(relation) => Ok(relation),
            None => compare(self.fs, &left.path, &right.path),
        }
    }

    /// Gives each known source to the one file that goes on with it.
    fn assign(&mut self) {
        let mut pairs: Vec<(usize, Match)> = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            if !self.copy_of.contains_key(&index) {
                pairs.extend(candidate.matches.iter().map(|&found| (index, found)));
            }
        }
        // A stable sort: among equals the first given.
        pairs.sort_by_key(|(_, found)| std::cmp::Reverse(found.rank()));
        let mut taken = BTreeSet::new();
        for (index, found) in pairs {
            if !self.assigned.contains_key(&index) && taken.insert(found.id) {
                self.assigned.insert(index, found);
            }
        }
    }

    /// Looks for the sources that should be among the given files, but are not.
    fn find_missing(&mut self, given: &Expansion) -> Result<(), SourceError> {
        let found: HashSet<u64> = self.found().collect();
        let places = self.candidates.iter().enumerate();
        let places: HashMap<String, usize> = places
            .map(|(index, candidate)| (candidate.absolute.clone(), index))
            .collect();
        for (&id, source) in self.sources {
            let SourceIdentity::File(identity) = &source.identity else {
                continue;
            };
            if source.position == 0 || found.contains(&id) {
                continue;
            }
            let here = places
                .get(&identity.path)
                .map(|&index| &self.candidates[index]);
            // A later source that was begun at the same path means that a person has decided on this content.
            let is_decided = |candidate: &Candidate| {
                let mut later = candidate.matches.iter().filter(|found| found.id > id);
                later.any(|found| found.is_same_path && found.position > 0)
            };
            let is_altered = here.is_some_and(|candidate| {
                is_same_full_head(candidate, identity) && !is_decided(candidate)
            });
            let is_unfinished = !identity.at_end && given.covers(Path::new(&identity.path));
            if !is_unfinished && !is_altered {
                continue;
            }
            let file = KnownFile {
                id,
                position: source.position,
                identity,
            };
            let changed = here
                .filter(|_| is_altered)
                .map(|candidate| candidate.file_bytes);
            let Some((candidate, found)) = self.search_folder(file)? else {
                return Err(missing(file, changed));
            };
            self.assigned.insert(self.candidates.len(), found);
            self.candidates.push(candidate);
        }
        Ok(())
    }

    /// Looks for what was read to its end and stood where a new file stands, or none by now, or an empty one: it may
    /// have grown before it was renamed or copied away.
    fn find_replaced(&mut self, given: &Expansion) -> Result<(), SourceError> {
        let found: HashSet<u64> = self.found().collect();
        let (new, known): (Vec<_>, Vec<_>) = self
            .candidates
            .iter()
            .filter(|candidate| candidate.given)
            .partition(|candidate| candidate.matches.is_empty());
        let known: HashSet<&str> = known.iter().map(|one| one.absolute.as_str()).collect();
        let named = given.given_files().map(Path::to_string_lossy);
        let mut places: BTreeSet<Cow<'_, str>> = named
            .filter(|path| !known.contains(path.as_ref()))
            .collect();
        places.extend(new.iter().map(|one| Cow::from(one.absolute.as_str())));
        let replaced: Vec<KnownFile<'_>> = places
            .iter()
            .filter_map(|place| {
                let before = self.known.at_path(place).iter();
                before.max_by_key(|file| file.id).copied()
            })
            .filter(|file| file.identity.at_end && file.position > 0 && !found.contains(&file.id))
            .collect();
        for file in replaced {
            if let Some((candidate, found)) = self.search_folder(file)?
                && !found.ends
            {
                self.assigned.insert(self.candidates.len(), found);
                self.candidates.push(candidate);
            }
        }
        Ok(())
    }

    /// The known sources that some file goes on with.
    fn found(&self) -> impl Iterator<Item = u64> {
        let matches = self
            .candidates
            .iter()
            .flat_map(|candidate| &candidate.matches);
        matches.map(|found| found.id)
    }

    /// Looks through the folder where a source was last seen for a file that begins with what was read of it.
    fn search_folder(
        &self,
        missing: KnownFile<'_>,
    ) -> Result<Option<(Candidate, Match)>, SourceError> {
        let Some(folder) = Path::new(&missing.identity.path).parent() else {
            return Ok(None);
        };
        // A folder that is gone holds nothing; one that cannot be listed may hold it.
        let mut names = match self.fs.list(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SourceError::at_path(folder, error)),
        };
        names.sort();
        for name in names.into_iter().filter(|name| !is_hidden(name)) {
            let path = folder.join(name);
            let absolute = path.to_string_lossy();
            let is_file = self
                .fs
                .metadata(&path)
                .is_ok_and(|metadata| metadata.kind == FileKind::File);
            if !is_file
                || self
                    .candidates
                    .iter()
                    .any(|other| other.absolute == absolute)
            {
                continue;
            }
            // A neighbour that cannot be read is no reason to fail: if it was the one, the search ends by name.
            let Ok(mut candidate) = self.known.candidate(self.fs, &path) else {
                continue;
            };
            candidate.given = false;
            if let Some(found) = candidate.found(missing.id) {
                return Ok(Some((candidate, found)));
            }
        }
        Ok(None)
    }

    /// Notes new files whose whole content was read before, as the beginning of a source that is still where it was.
    fn find_known_copies(&mut self) -> Result<(), SourceError> {
        for index in 0..self.candidates.len() {
            if self.copy_of.contains_key(&index) || self.assigned.contains_key(&index) {
                continue;
            }
            let candidate = &self.candidates[index];
            for known in self.known.same_head(&candidate.head) {
                let path = Path::new(&known.identity.path);
                let is_given = || {
                    self.candidates
                        .iter()
                        .any(|other| other.absolute == known.identity.path)
                };
                // What fits a source that another file goes on with is no copy of what was read.
                let fits = candidate.found(known.id).is_some();
                if known.position == 0 || fits || is_given() {
                    continue;
                }
                // The hint may lead nowhere, or to another file: then there is nothing to compare with.
                let there = self.known.candidate(self.fs, path);
                if there.is_ok_and(|file| file.found(known.id).is_some())
                    && matches!(
                        compare(self.fs, &candidate.path, path)?,
                        Relation::Same | Relation::LeftBegins
                    )
                {
                    self.copy_of.insert(index, path.to_owned());
                    break;
                }
            }
        }
        Ok(())
    }

    /// The source of which a file holds all that was read and no more, if nothing is left to be said of it.
    fn already_read(&self, index: usize, candidate: &Candidate) -> Option<Match> {
        let complete = candidate.complete()?;
        let is_read = match self.assigned.get(&index) {
            // One that is not marked as read to its end is read once more, to mark it.
            Some(assigned) => assigned.id == complete.id && !complete.is_unfinished,
            None => {
                !complete.is_unfinished
                    || self.assigned.values().any(|other| other.id == complete.id)
            }
        };
        is_read.then_some(complete)
    }

    fn known_file(&self, id: u64) -> Option<KnownFile<'a>> {
        let source = self.sources.get(&id)?;
        let SourceIdentity::File(identity) = &source.identity else {
            return None;
        };
        Some(KnownFile {
            id,
            position: source.position,
            identity,
        })
    }

    fn plan(mut self, sources_version: u64) -> Plan {
        let mut plan = Plan {
            empty: std::mem::take(&mut self.empty),
            ..Plan::default()
        };
        let mut next_id = sources_version + 1;
        for (index, candidate) in std::mem::take(&mut self.candidates).into_iter().enumerate() {
            if let Some(complete) = self.already_read(index, &candidate) {
                if candidate.given {
                    plan.already_read.push(AlreadyRead {
                        path: candidate.path,
                        source_id: complete.id,
                        position: complete.position,
                    });
                }
                continue;
            }
            if let Some(of) = self.copy_of.get(&index) {
                plan.copies.push(CopyOf {
                    path: candidate.path,
                    of: of.clone(),
                });
                continue;
            }
            let known = self
                .assigned
                .get(&index)
                .and_then(|found| self.known_file(found.id));
            plan.read.push(planned(candidate, known, &mut next_id));
        }
        plan
    }
}

/// The file of a known source, or of a new one that takes the next id.
fn planned(candidate: Candidate, known: Option<KnownFile<'_>>, next_id: &mut u64) -> PlannedFile {
    let (id, start, continues) = if let Some(file) = known {
        (file.id, file.position, Some(file.identity))
    } else {
        *next_id += 1;
        (*next_id - 1, 0, None)
    };
    let identity = match continues {
        Some(known) if start > 0 => FileIdentity {
            path: candidate.absolute.clone(),
            ..known.clone()
        },
        _ => candidate.new_identity(),
    };
    let name: Arc<str> = candidate.path.to_string_lossy().into();
    PlannedFile {
        info: Arc::new(SourceInfo {
            id,
            name,
            partition: 0,
        }),
        is_new: continues.is_none(),
        start,
        identity,
        continues: continues.map(|known| known.path.clone()),
        found_by_content: !candidate.given,
        compression: candidate.compression,
        file_bytes: candidate.file_bytes,
        path: candidate.path,
    }
}

/// Whether a file begins with a full head of a source.
fn is_same_full_head(candidate: &Candidate, identity: &FileIdentity) -> bool {
    identity.head_length == PROOF_BYTES as u64
        && candidate.head.len() == PROOF_BYTES
        && hash(&candidate.head) == identity.head_hash
}

fn missing(file: KnownFile<'_>, changed_file_bytes: Option<u64>) -> SourceError {
    let (path, source_id, position) = (file.identity.path.clone(), file.id, file.position);
    match changed_file_bytes {
        Some(file_bytes) => SourceError::Altered {
            path,
            source_id,
            position,
            head_length: file.identity.head_length,
            file_bytes,
        },
        None => SourceError::Lost {
            path,
            source_id,
            position,
        },
    }
}
