//! The truth from outside: numbered records, and definitions that say which of them are rows.
//!
//! A record is a line, `source/number`; its position in the source is its number. Whether it is a
//! row or a dead letter follows from the definition, which changes at every restart of a writer.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use bytes::Bytes;
use frazil_table::state::SourceIdentity;

use crate::{reading::Lines, writer};

/// What a run must end with: known from outside, never from frazil's own counters.
///
/// A record is named by a line of text, which is all that the checkers compare.
pub trait Truth: Sync {
    /// The records of a source between two positions, each once.
    fn range(&self, source: &SourceIdentity, positions: Range<u64>) -> Lines;

    /// Every record of every source, once.
    fn all(&self) -> Lines;

    /// The records that a data file holds, whether as rows or as dead letters.
    fn held(&self, path: &str, bytes: &Bytes) -> Result<Lines, String>;

    /// What makes a record the same as others, where rows that are the same are to be in the table once. All records of
    /// one key are within the window of each other.
    fn key(&self, _line: &str) -> Option<String> {
        None
    }
}

/// Sources of numbered records.
#[derive(Debug, Clone)]
pub struct Oracle {
    sources: Vec<(String, u64)>,
}

impl Oracle {
    /// Sources by name, with how many records each holds.
    pub fn new(sources: &[(&str, u64)]) -> Self {
        Self {
            sources: sources
                .iter()
                .map(|(name, records)| ((*name).to_owned(), *records))
                .collect(),
        }
    }

    /// The sources by name, with how many records each holds.
    pub fn sources(&self) -> &[(String, u64)] {
        &self.sources
    }
}

impl Truth for Oracle {
    fn range(&self, source: &SourceIdentity, positions: Range<u64>) -> Lines {
        let mut lines = Lines::default();
        add_range(&mut lines, writer::source_name(source), positions);
        lines
    }

    fn all(&self) -> Lines {
        let mut lines = Lines::default();
        for (name, records) in &self.sources {
            add_range(&mut lines, name, 0..*records);
        }
        lines
    }

    fn held(&self, _: &str, bytes: &Bytes) -> Result<Lines, String> {
        let mut lines = Lines::default();
        lines.add(bytes);
        Ok(lines)
    }
}

fn add_range(lines: &mut Lines, source: &str, range: Range<u64>) {
    for number in range {
        *lines.0.entry(line(source, number)).or_default() += 1;
    }
}

/// A record.
pub fn line(source: &str, number: u64) -> String {
    format!("{source}/{number}")
}

/// A dataset's definition at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition(pub u64);

impl Definition {
    /// Whether it makes a dead letter of the record.
    pub fn rejects(self, source: &str, number: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.0, source, number).hash(&mut hasher);
        hasher.finish().is_multiple_of(3)
    }

    /// The records of a range, as rows and dead letters.
    pub fn split(self, source: &str, numbers: Range<u64>) -> (Lines, Lines) {
        let (mut rows, mut dead) = (Lines::default(), Lines::default());
        for number in numbers {
            let side = if self.rejects(source, number) {
                &mut dead
            } else {
                &mut rows
            };
            *side.0.entry(line(source, number)).or_default() += 1;
        }
        (rows, dead)
    }
}
