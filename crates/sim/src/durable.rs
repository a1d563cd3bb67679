//! What survives a writer: files and catalog pointers, with all of their history for the checkers.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use frazil_dataset::TableName;

use crate::{foreign::ForeignAction, reading::LiveFile};

/// Files and pointers.
#[derive(Debug, Default)]
pub struct Durable {
    files: BTreeMap<String, StoredFile>,
    archive: BTreeMap<String, Bytes>,
    /// Files removed, in order, with the call that did it.
    pub deletions: Vec<Deletion>,
    /// Files that were written again under the same path with other content.
    pub overwritten: Vec<String>,
    pointers: BTreeMap<String, Vec<PointerVersion>>,
    /// Where in the world's history we are: the number of the call in progress.
    pub call: u64,
    /// What the effect in progress has to say for the trace.
    pub note: Option<String>,
    /// Milliseconds since the epoch, for files' times of change.
    pub now_millis: i64,
    /// A machine that acknowledges writes before they are durable: a crash loses them.
    pub acknowledges_early: bool,
    /// What other engines did, with the call that it came before.
    pub foreign: Vec<(u64, ForeignAction)>,
    /// How many ids other engines have drawn.
    pub(crate) foreign_ids: u64,
    /// Manifests that a checker has read: they are never written twice.
    pub(crate) parsed_manifests: RefCell<BTreeMap<String, Arc<Vec<LiveFile>>>>,
    /// Manifest lists that a checker has read, as the paths of their manifests.
    pub(crate) parsed_lists: RefCell<BTreeMap<String, Arc<Vec<String>>>>,
}

/// A file's content.
#[derive(Debug, Clone)]
pub struct StoredFile {
    /// The content.
    pub bytes: Bytes,
    /// When it was written.
    pub modified_ms: i64,
    /// Whether a crash of the machine leaves it.
    pub synced: bool,
}

/// A removal of a file.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// During which call.
    pub call: u64,
    /// Which file.
    pub path: String,
}

/// Who moved a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A process of ours.
    Process(u32),
    /// Another engine, or the catalog itself.
    Foreign(String),
}

/// One value that a catalog's pointer had.
#[derive(Debug, Clone)]
pub struct PointerVersion {
    /// The metadata file; `None`: the table is dropped.
    pub location: Option<String>,
    /// Who set it.
    pub by: Actor,
    /// During which call.
    pub call: u64,
}

/// How a pointer's swap ended at the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It moved.
    Moved,
    /// It was not what was expected.
    Stale,
}

impl Durable {
    /// A file's content now.
    pub fn file(&self, path: &str) -> Option<&StoredFile> {
        self.files.get(path)
    }

    /// A file's content, although it may be deleted by now.
    pub fn archived(&self, path: &str) -> Option<&Bytes> {
        self.archive.get(path)
    }

    /// All files whose path begins so.
    pub fn list<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a StoredFile)> {
        self.files
            .range(prefix.to_owned()..)
            .take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// Writes a file.
    pub fn write(&mut self, path: &str, bytes: Bytes) {
        match self.archive.get(path) {
            Some(before) if *before != bytes => self.overwritten.push(path.to_owned()),
            _ => {}
        }
        self.archive.insert(path.to_owned(), bytes.clone());
        let file = StoredFile {
            bytes,
            modified_ms: self.now_millis,
            synced: !self.acknowledges_early,
        };
        self.files.insert(path.to_owned(), file);
    }

    /// Removes a file.
    pub fn delete(&mut self, path: &str) {
        if self.files.remove(path).is_some() {
            self.deletions.push(Deletion {
                call: self.call,
                path: path.to_owned(),
            });
        }
    }

    /// Removes a file on another engine's behalf.
    pub fn delete_as_foreign(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// A machine's crash: what was not durable is gone.
    pub fn lose_unsynced(&mut self) {
        self.files.retain(|_, file| file.synced);
    }

    /// A table's pointer now.
    pub fn pointer(&self, name: &TableName) -> Option<String> {
        self.history(name).last().and_then(|v| v.location.clone())
    }

    /// A table's pointer one version ago.
    pub fn stale_pointer(&self, name: &TableName) -> Option<String> {
        let history = self.history(name);
        let before = history.len().checked_sub(2)?;
        history[before].location.clone()
    }

    /// All values of a table's pointer, in order.
    pub fn history(&self, name: &TableName) -> &[PointerVersion] {
        self.pointers
            .get(&name.to_string())
            .map_or(&[], Vec::as_slice)
    }

    /// All tables that there are, or were.
    pub fn table_names(&self) -> Vec<String> {
        self.pointers.keys().cloned().collect()
    }

    /// Compare-and-swap; `None` stands for no table.
    pub fn swap(
        &mut self,
        name: &TableName,
        expected: Option<&str>,
        new: Option<String>,
        by: Actor,
    ) -> Swap {
        if self.pointer(name).as_deref() != expected {
            self.note = Some("stale".to_owned());
            return Swap::Stale;
        }
        self.set_pointer(name, new, by);
        Swap::Moved
    }

    /// Sets a pointer, whatever it was.
    pub fn set_pointer(&mut self, name: &TableName, new: Option<String>, by: Actor) {
        let version = PointerVersion {
            location: new,
            by,
            call: self.call,
        };
        self.pointers
            .entry(name.to_string())
            .or_default()
            .push(version);
    }
}
