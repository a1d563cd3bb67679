//! Formats of text: what they have in common, so that each is only the way it finds its fields.
//!
//! A record that is no UTF-8, or holds a zero byte, is a dead letter: no engine reads such text.

use std::{fmt::Debug, ops::Range};

use super::{Decoder, plan::Plan, rows::Rows, trimmed};
use crate::record::{RecordBlock, RowBlock};

/// Why a record is none of its format: a stable word, and words for people.
pub(super) type Fault = (&'static str, String);

/// A format that finds text under names.
pub(super) trait TextFormat: Send + Debug {
    /// Looks at what a block says of all of its records, and settles the names that they have in common.
    fn begin(&mut self, block: &RecordBlock, rows: &mut Rows);

    /// Whether these bytes are no record at all.
    fn is_blank(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| b" \t\r".contains(byte))
    }

    /// Puts the fields of a record, which is begun, into its row.
    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault>;
}

/// A record of text.
#[derive(Debug)]
pub(super) struct TextRecord<'a> {
    pub(super) block: &'a RecordBlock,
    /// What of the block counts, from the record's start on.
    pub(super) text: Range<usize>,
    /// When it was read, in microseconds since the epoch.
    pub(super) ingested_at_micros: i64,
}

impl<'a> TextRecord<'a> {
    /// The record's bytes: UTF-8.
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.block.bytes[self.text.clone()]
    }
}

/// Decodes records of text.
#[derive(Debug)]
pub(super) struct TextDecoder<F> {
    rows: Rows,
    format: F,
}

impl<F: TextFormat> TextDecoder<F> {
    pub(super) fn new(plan: Plan, format: F) -> Self {
        Self {
            rows: Rows::new(plan),
            format,
        }
    }

    fn record(&mut self, record: &TextRecord<'_>, number: usize) {
        self.rows.begin(number, &record.text);
        let mark = self.rows.ledger.mark();
        match self.format.record(record, &mut self.rows) {
            Ok(()) => self.rows.end(record.block, record.ingested_at_micros),
            Err((reason, detail)) => {
                self.rows.ledger.rollback(mark);
                self.rows.abandon();
                self.rows.reject(record.block, number, reason, detail);
            }
        }
    }
}

impl<F: TextFormat> Decoder for TextDecoder<F> {
    fn decode(&mut self, block: &RecordBlock, ingested_at_micros: i64) -> RowBlock {
        self.format.begin(block, &mut self.rows);
        let all_is_text = check(&block.bytes).is_ok();
        let mut oversize = block.oversize.iter().peekable();
        for number in 0..block.records.len() {
            if let Some(one) = oversize.next_if(|one| one.record as usize == number) {
                self.rows.reject_oversize(block, one);
                continue;
            }
            let text = without_line_end(block, trimmed(block, number));
            let bytes = &block.bytes[text.clone()];
            if !all_is_text && let Err((reason, detail)) = check(bytes) {
                self.rows.reject(block, number, reason, detail);
                continue;
            }
            if self.format.is_blank(bytes) {
                continue;
            }
            let record = TextRecord {
                block,
                text,
                ingested_at_micros,
            };
            self.record(&record, number);
        }
        self.rows.finish(block, ingested_at_micros)
    }
}

/// A message may bring a line end of its own.
fn without_line_end(block: &RecordBlock, text: Range<usize>) -> Range<usize> {
    let bytes = &block.bytes[text.clone()];
    match bytes.strip_suffix(b"\n") {
        Some(line) => {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            text.start..text.start + line.len()
        }
        None => text,
    }
}

/// Whether bytes are text that every engine reads.
pub(super) fn check(bytes: &[u8]) -> Result<(), Fault> {
    if simdutf8::basic::from_utf8(bytes).is_err()
        && let Err(error) = simdutf8::compat::from_utf8(bytes)
    {
        let at = error.valid_up_to();
        return Err(("not_utf8", format!("at byte {at}: the bytes are not UTF-8")));
    }
    match memchr::memchr(0, bytes) {
        Some(at) => Err(("nul_byte", format!("at byte {at}: a zero byte"))),
        None => Ok(()),
    }
}
