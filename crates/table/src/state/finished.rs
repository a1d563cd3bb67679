//! The file of finished sources: what a table remembers of files that were read to their end.
//!
//! It is a Puffin file of one blob, named by the hash of its content and never changed: a new one
//! takes its place. The blob is the JSON of the state's sources under a version of its own, in the
//! order of their ids, compressed. All of a source is kept, since a file that was read to its end may
//! still grow, be renamed or be copied, and is known again by the same proofs then.
//!
//! About 50 bytes a source: the two hashes are 32 of them, and cannot be compressed.

use std::{collections::BTreeMap, io::Read as _};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    SourceIdentity, SourceState, State,
    wire::sources::{WireSource, from_wire_sources, to_wire_sources},
};

/// How many finished sources the state holds before they move to the file. More make every metadata
/// file longer, by some 170 bytes each; fewer rewrite the file more often.
pub const SOURCES_MAX: usize = 64;

/// The type of the blob, with the version of its content.
pub const BLOB_TYPE: &str = "frazil-finished-sources-v1";

/// The version of the content that is written, and the newest that is read.
const VERSION: u64 = 1;

/// What the content may decompress to: far more than a table of millions of files needs, and little
/// enough to be refused in time where a file is not what it says.
const CONTENT_BYTES_MAX: u64 = 1 << 30;

const MAGIC: &[u8; 4] = b"PFA1";
/// Length, flags, magic.
const FOOTER_END_BYTES: usize = 12;
const ZSTD_LEVEL: i32 = 3;

/// Where the finished sources are, as the state names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedFile {
    /// The file.
    pub path: String,
    /// 128-bit XXH3 of all its bytes, as 32 hex digits.
    pub hash: String,
    /// How long it is.
    pub bytes: u64,
    /// How long its Puffin footer is.
    pub footer_bytes: u64,
    /// How many sources it holds.
    pub sources: u64,
}

impl FinishedFile {
    /// The file of that content in a folder, by an id of its own.
    pub fn of(encoded: &Encoded, folder: &str, written: Uuid) -> Self {
        let hash = format!("{:032x}", xxh3_128(&encoded.bytes));
        Self {
            path: format!("{folder}/finished-sources-{hash}-{written}.puffin"),
            hash,
            bytes: encoded.bytes.len() as u64,
            footer_bytes: encoded.footer_bytes,
            sources: encoded.sources,
        }
    }

    /// The sources in these bytes, which are the file's.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub fn decode(&self, bytes: &[u8]) -> Result<BTreeMap<u64, SourceState>, String> {
        let hash = format!("{:032x}", xxh3_128(bytes));
        if hash != self.hash {
            return Err(format!(
                "its content was changed: its hash is {hash} and not {}",
                self.hash
            ));
        }
        let sources = decode(bytes)?;
        if sources.len() as u64 == self.sources {
            return Ok(sources);
        }
        Err(format!(
            "it holds {} sources and not {}",
            sources.len(),
            self.sources
        ))
    }
}

/// A file's bytes.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// All of them.
    pub bytes: Vec<u8>,
    footer_bytes: u64,
    sources: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u64,
    commits: Vec<Uuid>,
    sources: Vec<WireSource>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Blob {
    r#type: String,
    fields: Vec<i32>,
    snapshot_id: i64,
    sequence_number: i64,
    offset: usize,
    length: usize,
    compression_codec: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    blobs: Vec<Blob>,
}

/// The file of those sources. The same sources give the same bytes.
pub fn encode(sources: &BTreeMap<u64, SourceState>) -> Encoded {
    // Files only: topics have no end.
    let (commits, _, wire) = to_wire_sources(sources);
    let content = Content {
        version: VERSION,
        commits,
        sources: wire,
    };
    let json = serde_json::to_vec(&content).expect("sources are plain");
    let blob = zstd::bulk::compress(&json, ZSTD_LEVEL).expect("memory can be compressed");
    let footer = Footer {
        blobs: vec![Blob {
            r#type: BLOB_TYPE.to_string(),
            fields: Vec::new(),
            // Of no snapshot: several may name the file.
            snapshot_id: -1,
            sequence_number: -1,
            offset: MAGIC.len(),
            length: blob.len(),
            compression_codec: Some("zstd".to_string()),
        }],
    };
    let footer = serde_json::to_vec(&footer).expect("a footer is plain");
    let mut bytes = Vec::with_capacity(blob.len() + footer.len() + 5 * MAGIC.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&blob);
    let footer_start = bytes.len();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&footer);
    bytes.extend_from_slice(&(footer.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(MAGIC);
    Encoded {
        footer_bytes: (bytes.len() - footer_start) as u64,
        sources: sources.len() as u64,
        bytes,
    }
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<u64, SourceState>, String> {
    let blob = blob(bytes).ok_or_else(|| format!("it is no Puffin file with a {BLOB_TYPE}"))?;
    let unreadable = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let decoder = zstd::stream::read::Decoder::new(blob).map_err(|e| unreadable(&e))?;
    let mut json = Vec::new();
    decoder
        .take(CONTENT_BYTES_MAX)
        .read_to_end(&mut json)
        .map_err(|e| unreadable(&e))?;
    let content: Content = serde_json::from_slice(&json).map_err(|e| unreadable(&e))?;
    if content.version != VERSION {
        return Err(format!(
            "it has version {} and this frazil knows {VERSION}; use the newer frazil that wrote it",
            content.version
        ));
    }
    from_wire_sources(&content.commits, &[], content.sources)
}

/// The compressed blob within a file.
fn blob(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER_END_BYTES)?)?;
    let length = u32::from_le_bytes(end.get(..4)?.try_into().ok()?) as usize;
    let payload = rest.get(rest.len().checked_sub(length)?..)?;
    let footer: Footer = serde_json::from_slice(payload).ok()?;
    let found = footer.blobs.iter().find(|blob| blob.r#type == BLOB_TYPE)?;
    bytes.get(found.offset..found.offset.checked_add(found.length)?)
}

/// Takes the finished sources out of a state that holds more than so many: those that were read to their
/// end, and earlier runs' standard input. `by` is the commit that makes the state.
pub fn take(state: &mut State, by: Uuid, sources_max: usize) -> BTreeMap<u64, SourceState> {
    let is_finished = |source: &SourceState| match &source.identity {
        SourceIdentity::File(file) => file.at_end,
        // The one that is being read goes on.
        SourceIdentity::StandardInput => source.commit != by,
        SourceIdentity::Kafka(_) => false,
    };
    let finished = state.sources.values().filter(|source| is_finished(source));
    if finished.count() <= sources_max {
        return BTreeMap::new();
    }
    let (finished, living) = std::mem::take(&mut state.sources)
        .into_iter()
        .partition(|(_, source)| is_finished(source));
    state.sources = living;
    finished
}

#[cfg(test)]
mod tests;
