//! What is left of a checkpoint that is not committed because of its dead letters: one sample of each reason.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use frazil_table::{catalog::LoadedTable, storage::StorageErrorKind};
use serde::{Deserialize, Serialize};

use super::worker::{Sample, Written};

/// How much of a sample's record is kept.
const RECORD_BYTES_MAX: usize = 4 * 1024;

/// How much a message tells of a reason.
const DETAIL_CHARS_MAX: usize = 160;

/// One record of each reason that a stop was for, kept beside the dead-letter table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedSamples {
    /// When, in microseconds since the epoch.
    pub at_micros: i64,
    /// The samples.
    pub samples: Vec<StoppedSample>,
}

/// A record that could not be a row, and is not in the dead-letter table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedSample {
    /// Why.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// A file's path, or a topic.
    pub source: String,
    /// The partition; 0 for files.
    pub partition: i32,
    /// Where it is in it.
    pub position: u64,
    /// Its beginning, with what is not UTF-8 replaced.
    pub record: String,
}

fn path(dead_letters: &LoadedTable) -> String {
    let location = dead_letters.metadata.location().trim_end_matches('/');
    format!("{location}/metadata/frazil-stopped-samples.json")
}

/// What the last stop of a table's writer was for; `None` where there was none. `dead_letters` is its dead-letter table.
///
/// # Errors
/// Why it cannot be read. Reads after "failed to …".
pub async fn stopped_samples(dead_letters: &LoadedTable) -> Result<Option<StoppedSamples>, String> {
    let path = path(dead_letters);
    let bytes = match dead_letters.storage.read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| format!("read {path}: {error}"))
}

/// Keeps one sample of each reason. What cannot be kept is told in the log only: the error that follows matters more.
pub(super) async fn keep_samples(dead_letters: &LoadedTable, written: &Written, at_micros: i64) {
    let of = |(reason, sample): (&&str, &Sample)| {
        let record = &sample.reject.record;
        let prefix = &record[..record.len().min(RECORD_BYTES_MAX)];
        StoppedSample {
            reason: (*reason).to_owned(),
            detail: sample.reject.detail.clone(),
            source: sample.source.name.to_string(),
            partition: sample.source.partition,
            position: sample.reject.position,
            record: String::from_utf8_lossy(prefix).into_owned(),
        }
    };
    let samples = StoppedSamples {
        at_micros,
        samples: written.samples.iter().map(of).collect(),
    };
    let json = serde_json::to_vec(&samples).expect("texts and numbers are JSON");
    let path = path(dead_letters);
    if let Err(error) = dead_letters.storage.write(&path, Bytes::from(json)).await {
        tracing::warn!(%error, "the samples of the dead letters were not kept");
    }
}

/// Removes the files of a checkpoint that was never tried to be committed.
pub(super) async fn discard(dead_letters: &LoadedTable, written: &Written) {
    let files = written.data_files.iter().chain(&written.dead_letter_files);
    for file in files {
        // Both tables' files are in storages of the same settings.
        let path = file.data_file.file_path();
        if let Err(error) = dead_letters.storage.delete(path).await {
            tracing::warn!(%error, "a data file that was given up may remain");
        }
    }
}

/// The reasons, for people: the position and what is wrong, and no value of a record.
pub(super) fn told(samples: &BTreeMap<&'static str, Sample>) -> String {
    samples
        .iter()
        .fold(String::new(), |mut text, (reason, sample)| {
            let detail = sample.reject.detail.chars().take(DETAIL_CHARS_MAX);
            let detail: String = detail.collect();
            let (source, position) = (&sample.source.name, sample.reject.position);
            let _ = write!(text, "\n{reason}: {detail} ({source}, {position})");
            text
        })
}
