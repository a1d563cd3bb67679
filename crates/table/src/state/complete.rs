//! Up to which event time a table is complete, where its dataset asks for it.
//!
//! Each Kafka partition has a mark: all of its records of an earlier time are in the table, as far as what is assumed
//! of late records holds. The table's own is the lowest of them. It never goes back by itself, whatever partitions
//! come to be; it does where an operator has records read again, and where the dataset tells another time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{SourceIdentity, SourceState, State};

/// How complete a table is. Times are whole seconds since the epoch, rounded down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// Whose time it is: a column's name, or `$timestamp`.
    pub time: String,
    /// The table's; `None` until all partitions had a mark.
    pub through_s: Option<i64>,
    /// The partitions' marks, by their sources' ids.
    pub sources: BTreeMap<u64, i64>,
}

/// What a commit says of completeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Whose time it is.
    pub time: String,
    /// The marks of sources that it moves. A lower one than before changes nothing.
    pub sources: BTreeMap<u64, i64>,
    /// Partitions that no longer count: the dataset does not read their topics any more, or they are gone.
    pub gone: BTreeSet<u64>,
    /// Its records that are older than the table's mark was, as far as the writer knew.
    pub late_records: u64,
}

impl State {
    /// Up to which time the table is complete, in seconds since the epoch.
    pub fn complete_through_s(&self) -> Option<i64> {
        self.complete.as_ref()?.through_s
    }

    /// What a commit makes of it, once its sources are in the state.
    pub(crate) fn mark_complete(&mut self, completion: Option<&Completion>) {
        let Some(completion) = completion else {
            self.complete = None;
            return;
        };
        let same = self.complete.take();
        let mut complete = same
            .filter(|complete| complete.time == completion.time)
            .unwrap_or_else(|| Complete {
                time: completion.time.clone(),
                through_s: None,
                sources: BTreeMap::new(),
            });
        for (source, mark) in &completion.sources {
            let known = complete.sources.entry(*source).or_insert(*mark);
            *known = (*known).max(*mark);
        }
        complete.settle(&self.sources, &completion.gone);
        self.complete = Some(complete);
    }

    /// Takes back what is said of partitions of which an operator has records read again.
    pub(crate) fn unmark_complete(&mut self, sources: &BTreeSet<u64>) {
        let Some(complete) = &mut self.complete else {
            return;
        };
        for source in sources {
            complete.sources.remove(source);
        }
        complete.through_s = None;
        complete.settle(&self.sources, &BTreeSet::new());
    }
}

impl Complete {
    /// Raises the table's mark to the lowest of its partitions'.
    fn settle(&mut self, sources: &BTreeMap<u64, SourceState>, gone: &BTreeSet<u64>) {
        self.sources
            .retain(|source, _| sources.contains_key(source));
        let counted = sources
            .iter()
            .filter(|(id, source)| is_partition(source) && !gone.contains(id));
        let marks = counted.map(|(id, _)| self.sources.get(id).copied());
        // `None`, of which nothing is known, is less than any mark.
        self.through_s = self.through_s.max(marks.min().flatten());
    }
}

/// Whether a source counts: files and standard input have no records to come that could be waited for.
fn is_partition(source: &SourceState) -> bool {
    matches!(source.identity, SourceIdentity::Kafka(_))
}

#[cfg(test)]
mod tests;
