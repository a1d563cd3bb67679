//! How the state is written: version 1, 2 where it names topics or a file of finished sources, 3 where it says how
//! complete the table is: a binary that does not know it would leave it behind while it moves positions on.
//!
//! The property `frazil.state` is a header, `{"version":1,"chunks":2,"bytes":5120,"checksum":"…"}`.
//! The version is the lowest that can say it, so that an older binary stops only where it has to.
//! `frazil.state.0`, `frazil.state.1`, … are, one after the other, `bytes` bytes of JSON whose
//! 128-bit XXH3 is `checksum`. Each value stays under 4,000 characters, which is what the Hive
//! Metastore's tables hold; the JSON is ASCII, since these tables are not always in UTF-8.
//!
//! The JSON is rewritten at every commit, so it is terse: ids of commits, which sources share,
//! stand once, as topics of Kafka do, and a source is an array `[id, position, index of its commit, identity]`.

mod complete;
pub(super) mod sources;

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{
    complete::{WireComplete, from_wire_complete, to_wire_complete},
    sources::{WireSource, WireTopic, from_wire_sources, to_wire_sources},
};
use super::{
    DeadLetterState, LastCommit, OperatorAction, State, StateError, finished::FinishedFile,
};

/// The newest version that is read, and that is written where it is said how complete the table is.
pub const VERSION: u64 = 3;

/// The version of a state that names topics or a file of finished sources.
const VERSION_OF_TOPICS: u64 = 2;

/// The version of a state that only has files and standard input, and holds all of them itself.
const VERSION_OF_FILES: u64 = 1;

/// The property that holds the header; those of the chunks add `.0`, `.1`, ….
pub const KEY: &str = "frazil.state";

/// The length of a chunk. The Hive Metastore cuts at 4,000 characters, some set-ups a little below.
const CHUNK_BYTES_MAX: usize = 3_900;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u64,
    chunks: usize,
    bytes: usize,
    checksum: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    table: Uuid,
    epoch: u64,
    sources_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<(Uuid, i64, i64)>,
    commits: Vec<Uuid>,
    /// Cluster id, topic id, name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    topics: Vec<WireTopic>,
    sources: Vec<WireSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished: Option<FinishedFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complete: Option<WireComplete>,
    dead: WireDeadLetters,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<OperatorAction>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDeadLetters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<Uuid>,
    next: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outbox: Vec<(u64, String)>,
}

/// The properties that hold the state.
pub fn encode(state: &State) -> BTreeMap<String, String> {
    let wire = to_wire(state);
    let json = serde_json::to_string(&wire).expect("a state's keys and values are plain");
    let json = ascii(&json);
    let chunks: Vec<&[u8]> = json.as_bytes().chunks(CHUNK_BYTES_MAX).collect();
    let header = Header {
        version: version(&wire),
        chunks: chunks.len(),
        bytes: json.len(),
        checksum: checksum(json.as_bytes()),
    };
    let mut properties = BTreeMap::new();
    for (index, chunk) in chunks.into_iter().enumerate() {
        let text = String::from_utf8(chunk.to_vec()).expect("ASCII can be cut anywhere");
        properties.insert(format!("{KEY}.{index}"), text);
    }
    let header = serde_json::to_string(&header).expect("a header is plain");
    properties.insert(KEY.to_string(), header);
    properties
}

/// The lowest version that can say it.
fn version(wire: &Wire) -> u64 {
    if wire.complete.is_some() {
        VERSION
    } else if wire.finished.is_some() || !wire.topics.is_empty() {
        VERSION_OF_TOPICS
    } else {
        VERSION_OF_FILES
    }
}

/// The state that a table's properties hold; `None` where they hold none.
pub fn decode<S: BuildHasher>(
    properties: &HashMap<String, String, S>,
) -> Result<Option<State>, StateError> {
    let Some(header) = properties.get(KEY) else {
        if properties.keys().any(|key| is_chunk(key)) {
            return Err(damaged("the header is missing"));
        }
        return Ok(None);
    };
    let header: serde_json::Value =
        serde_json::from_str(header).map_err(|e| damaged(&format!("header: {e}")))?;
    match header.get("version").and_then(serde_json::Value::as_u64) {
        Some(VERSION_OF_FILES..=VERSION) => {}
        Some(version) if version > VERSION => return Err(StateError::Newer { version }),
        _ => return Err(damaged("the header has no version")),
    }
    let header: Header =
        serde_json::from_value(header).map_err(|e| damaged(&format!("header: {e}")))?;
    let mut json = String::new();
    for index in 0..header.chunks {
        let chunk = properties
            .get(&format!("{KEY}.{index}"))
            .ok_or_else(|| damaged(&format!("chunk {index} is missing")))?;
        json.push_str(chunk);
    }
    if json.len() != header.bytes || checksum(json.as_bytes()) != header.checksum {
        return Err(damaged("its checksum does not match"));
    }
    let wire: Wire = serde_json::from_str(&json).map_err(|e| damaged(&e.to_string()))?;
    from_wire(wire).map(Some)
}

/// The properties of an older, longer state that `encoded` does not overwrite.
pub fn stale_keys<S: BuildHasher>(
    properties: &HashMap<String, String, S>,
    encoded: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut stale: Vec<String> = properties
        .keys()
        .filter(|key| is_chunk(key) && !encoded.contains_key(*key))
        .cloned()
        .collect();
    stale.sort();
    stale
}

/// Whether a property is the state's header or one of its chunks.
pub(crate) fn is_ours(key: &str) -> bool {
    key == KEY || is_chunk(key)
}

fn damaged(reason: &str) -> StateError {
    StateError::Damaged {
        reason: reason.to_string(),
    }
}

fn is_chunk(key: &str) -> bool {
    key.strip_prefix(KEY)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

/// JSON with all but ASCII escaped. (Outside of its strings, JSON has nothing else.)
fn ascii(json: &str) -> String {
    use std::fmt::Write;
    if json.is_ascii() {
        return json.to_string();
    }
    let mut text = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a string takes all");
            }
        }
    }
    text
}

fn to_wire(state: &State) -> Wire {
    let (commits, topics, sources) = to_wire_sources(&state.sources);
    let dead = &state.dead_letters;
    Wire {
        table: state.table_uuid,
        epoch: state.epoch,
        sources_version: state.sources_version,
        last: state
            .last_commit
            .as_ref()
            .map(|last| (last.id, last.snapshot_id, last.sequence_number)),
        commits,
        topics,
        sources,
        finished: state.finished.clone(),
        complete: state
            .complete
            .as_ref()
            .map(|complete| to_wire_complete(complete, &state.sources)),
        dead: WireDeadLetters {
            table: dead.table_uuid,
            next: dead.next,
            outbox: dead
                .outbox
                .iter()
                .map(|(k, path)| (*k, path.clone()))
                .collect(),
        },
        action: state.last_action.clone(),
    }
}

fn from_wire(wire: Wire) -> Result<State, StateError> {
    let sources = from_wire_sources(&wire.commits, &wire.topics, wire.sources)
        .map_err(|reason| damaged(&reason))?;
    let complete = wire
        .complete
        .map(|complete| from_wire_complete(complete, &sources))
        .transpose()
        .map_err(|reason| damaged(&reason))?;
    Ok(State {
        table_uuid: wire.table,
        epoch: wire.epoch,
        last_commit: wire
            .last
            .map(|(id, snapshot_id, sequence_number)| LastCommit {
                id,
                snapshot_id,
                sequence_number,
            }),
        sources_version: wire.sources_version,
        sources,
        finished: wire.finished,
        complete,
        dead_letters: DeadLetterState {
            table_uuid: wire.dead.table,
            next: wire.dead.next,
            outbox: wire.dead.outbox.into_iter().collect(),
        },
        last_action: wire.action,
    })
}

#[cfg(test)]
mod tests;
