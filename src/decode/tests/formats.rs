//! What each format makes of a record.

use frazil_dataset::{Dataset, parse_dataset};
use serde_json::{Value, json};

use super::support::{NOW_MICROS, block, decode, decoder_of, rows};
use crate::record::{Messages, RecordBlock, RowBlock};

mod access_log;
mod laws;
mod logfmt;
mod pattern;
mod separated;
mod syslog;

/// A dataset by its file's `format` and the names and types of its columns.
pub(super) fn of(format: &str, columns: &[(&str, &str)]) -> Dataset {
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, rest)| format!("{{ name = \"{name}\", type = {rest} }}"))
        .collect();
    let text = format!("format = {format}\ncolumns = [{}]", columns.join(", "));
    parse_dataset(&text, "web.toml", "web").unwrap_or_else(|error| panic!("{}", error.render()))
}

/// The rows, and the reasons of the rejects.
fn told(decoded: &RowBlock) -> (Vec<Value>, Vec<&'static str>) {
    let rejects = decoded.rejects.iter().map(|reject| reject.reason);
    (rows(&decoded.rows), rejects.collect())
}

/// Checks what becomes of single records: a row, or the reason of a reject.
fn check(dataset: &Dataset, cases: &[(&str, Result<Value, &str>)]) {
    for (record, expected) in cases {
        let decoded = decode(dataset, record);
        let (rows, rejects) = told(&decoded);
        match expected {
            Ok(row) => assert_eq!((rows, rejects), (vec![row.clone()], vec![]), "{record:?}"),
            Err(reason) => assert_eq!((rows, rejects), (vec![], vec![*reason]), "{record:?}"),
        }
    }
}

/// What is rescued under a name.
fn rescued(path: &str, value: &str, reason: &str) -> Value {
    json!({ path: {"value": value, "reason": reason} })
}
