//! How it is written up to which time a table is complete: the partitions' marks are close to each other, so the lowest
//! stands once and each as what it is ahead of it, in the order of the state's sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::{SourceState, complete::Complete};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireComplete {
    time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<i64>,
    /// The lowest mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<i64>,
    /// One a source: seconds above the lowest mark. Behind the last that has one there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ahead: Vec<Option<u64>>,
}

pub(super) fn to_wire_complete(
    complete: &Complete,
    sources: &BTreeMap<u64, SourceState>,
) -> WireComplete {
    let base = complete.sources.values().min().copied();
    let mut ahead: Vec<Option<u64>> = sources
        .keys()
        .map(|id| Some(complete.sources.get(id)?.abs_diff(base?)))
        .collect();
    let length = ahead
        .iter()
        .rposition(Option::is_some)
        .map_or(0, |last| last + 1);
    ahead.truncate(length);
    WireComplete {
        time: complete.time.clone(),
        through: complete.through_s,
        base,
        ahead,
    }
}

/// How complete it is, or what is wrong with it.
pub(super) fn from_wire_complete(
    wire: WireComplete,
    sources: &BTreeMap<u64, SourceState>,
) -> Result<Complete, String> {
    if wire.ahead.len() > sources.len() {
        return Err("it says how complete sources are that are not there".to_owned());
    }
    let mut marks = BTreeMap::new();
    for (id, ahead) in sources.keys().zip(wire.ahead) {
        let Some(ahead) = ahead else { continue };
        let mark = wire.base.and_then(|base| base.checked_add_unsigned(ahead));
        let mark = mark.ok_or_else(|| format!("how complete source {id} is cannot be told"))?;
        marks.insert(*id, mark);
    }
    Ok(Complete {
        time: wire.time,
        through_s: wire.through,
        sources: marks,
    })
}
