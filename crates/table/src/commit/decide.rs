//! Whether a checkpoint may be committed on a state. Pure.

use std::collections::BTreeSet;

use super::{Advance, Checkpoint, Guards};
use crate::state::{SourceState, State};

/// What becomes of a checkpoint on a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be committed, and makes this state (whose `last_commit` is still the one before).
    Commit(Box<State>),
    /// The state says that this very checkpoint was committed.
    AlreadyCommitted,
    /// All of its ranges were committed under other ids.
    Superseded,
    /// Something moved: positions, epoch or sources.
    Fenced(String),
    /// It contradicts itself. No writer makes such a one.
    Malformed(String),
}

/// Whether `checkpoint` may be committed on `state`, and what that makes of it.
///
/// It is accepted whole if each of its ranges starts at the committed position, else not at all:
/// its data files may mix source partitions.
pub fn decide(state: &State, checkpoint: &Checkpoint) -> Decision {
    decide_with(state, checkpoint, &Guards::default())
}

/// [`decide`], with guards that can be switched off to show what each is for.
#[doc(hidden)]
pub fn decide_with(state: &State, checkpoint: &Checkpoint, guards: &Guards) -> Decision {
    if let Some(contradiction) = contradiction(checkpoint) {
        return Decision::Malformed(contradiction);
    }
    if guards.own_id && holds(state, checkpoint) {
        return Decision::AlreadyCommitted;
    }
    if guards.epoch && checkpoint.epoch != state.epoch {
        return Decision::Fenced(format!(
            "an operator changed the positions (epoch {} became {})",
            checkpoint.epoch, state.epoch
        ));
    }
    let adds = checkpoint.advances.iter().any(|advance| advance.new);
    if guards.sources_version && adds && checkpoint.sources_version != state.sources_version {
        return Decision::Fenced(format!(
            "another writer added sources (version {} became {})",
            checkpoint.sources_version, state.sources_version
        ));
    }
    if guards.position {
        let moved: Vec<String> = checkpoint
            .advances
            .iter()
            .filter_map(|advance| moved(state, advance))
            .collect();
        if let Some(first) = moved.first() {
            return if checkpoint
                .advances
                .iter()
                .all(|advance| is_behind(state, advance))
            {
                Decision::Superseded
            } else {
                Decision::Fenced(first.clone())
            };
        }
    }
    Decision::Commit(Box::new(apply(state, checkpoint)))
}

/// Whether the state says that the checkpoint was committed.
fn holds(state: &State, checkpoint: &Checkpoint) -> bool {
    state
        .last_commit
        .as_ref()
        .is_some_and(|last| last.id == checkpoint.id)
        || state
            .sources
            .values()
            .any(|source| source.commit == checkpoint.id)
}

/// Why the range does not start at the committed position.
fn moved(state: &State, advance: &Advance) -> Option<String> {
    let source = advance.source;
    match state.sources.get(&source) {
        // It may be among the finished ones, of which this state does not tell.
        None if advance.new && source <= state.sources_version => {
            Some(format!("source {source} was added meanwhile"))
        }
        None if advance.new => None,
        Some(_) if advance.new => Some(format!("source {source} was added meanwhile")),
        None => Some(format!("source {source} is no longer among the table's")),
        Some(committed) if committed.position == advance.start => None,
        Some(committed) => Some(format!(
            "source {source} stands at {}, not at {}",
            committed.position, advance.start
        )),
    }
}

/// Whether the table holds all that the range covers.
fn is_behind(state: &State, advance: &Advance) -> bool {
    !advance.new
        && state
            .sources
            .get(&advance.source)
            .is_some_and(|committed| advance.end <= committed.position)
}

/// The state that the checkpoint makes.
pub(super) fn apply(state: &State, checkpoint: &Checkpoint) -> State {
    let mut next = state.clone();
    for advance in &checkpoint.advances {
        if advance.new {
            next.sources_version += 1;
        }
        next.sources.insert(
            advance.source,
            SourceState {
                identity: advance.identity.clone(),
                position: advance.end,
                commit: checkpoint.id,
            },
        );
    }
    next.mark_complete(checkpoint.completion.as_ref());
    if let Some(manifest) = &checkpoint.dead_letters {
        let number = next.dead_letters.next.max(1);
        next.dead_letters.outbox.insert(number, manifest.clone());
        next.dead_letters.next = number + 1;
    }
    next
}

fn contradiction(checkpoint: &Checkpoint) -> Option<String> {
    if checkpoint.advances.is_empty() {
        return Some("it moves no source".to_string());
    }
    let mut seen = BTreeSet::new();
    let mut next_id = checkpoint.sources_version;
    for advance in &checkpoint.advances {
        if !seen.insert(advance.source) {
            return Some(format!("it moves source {} twice", advance.source));
        }
        if advance.end < advance.start {
            return Some(format!(
                "it moves source {} back, from {} to {}",
                advance.source, advance.start, advance.end
            ));
        }
        if advance.new {
            next_id += 1;
            if advance.source != next_id {
                return Some(format!("new source {} should be {next_id}", advance.source));
            }
        }
    }
    let mut marks = checkpoint
        .completion
        .iter()
        .flat_map(|one| one.sources.keys());
    // What a mark says holds at the position that the advance asserts.
    let loose = marks.find(|source| !seen.contains(source));
    loose.map(|source| format!("it says how complete source {source} is, and does not move it"))
}

#[cfg(test)]
mod tests;
