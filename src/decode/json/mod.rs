//! JSON: one object a record.

use std::ops::Range;

use super::{Decoder, plan::Plan, rows::Rows, trimmed};
use crate::{
    coerce::{Key, Kind},
    record::{RecordBlock, RowBlock},
};

mod index;
mod scan;
mod walk;

use index::Index;
use scan::{Failed, Fault, FaultKind, Scanner};
use walk::Walk;

/// How many bytes are indexed at a time: the bitmaps and the text stay in the cache.
const INDEXED_BYTES_MAX: usize = 64 * 1024;

/// Decodes one JSON object a record.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    rows: Rows,
    index: Index,
    trail: Vec<Key>,
}

impl JsonDecoder {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            rows: Rows::new(plan),
            index: Index::default(),
            trail: Vec::new(),
        }
    }

    /// Decodes the record whose counting bytes are `text`, all of them indexed.
    fn record(&mut self, block: &RecordBlock, record: usize, text: Range<usize>, now: i64) {
        let bytes = &block.bytes[..text.end];
        let mut scanner = Scanner::new(bytes, text.start, &self.index);
        scanner.space();
        if scanner.at == text.end {
            return;
        }
        scanner.plain = !self.index.has_backslash(text.start, text.end);
        if self.index.has_special(text.start, text.end) {
            match look_closer(&bytes[text.clone()]) {
                Ok(controls) => {
                    scanner.controls = controls;
                    scanner.plain &= !controls;
                }
                Err((reason, detail)) => return self.rows.reject(block, record, reason, detail),
            }
        }
        if scanner.peek() != b'{' {
            let (reason, detail) = no_object(&mut scanner, text.start);
            return self.rows.reject(block, record, reason, detail);
        }
        self.rows.begin(record, &text);
        let mark = self.rows.ledger.mark();
        let Rows {
            plan,
            slots,
            ledger,
            ..
        } = &mut self.rows;
        let first = slots.len() - plan.slots;
        self.trail.clear();
        let mut walk = Walk {
            trail: &mut self.trail,
            nodes: &mut plan.nodes,
            slots: &mut slots[first..],
            ledger,
            scanner,
        };
        let walked = walk.object(0, 0, true).and_then(|()| walk.end());
        if walked.is_ok() {
            return self.rows.end(block, now);
        }
        let (reason, detail) = told(walk.scanner.fault, text.start);
        self.rows.ledger.rollback(mark);
        self.rows.abandon();
        self.rows.reject(block, record, reason, detail);
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, block: &RecordBlock, ingested_at_micros: i64) -> RowBlock {
        let mut oversize = block.oversize.iter().peekable();
        let mut indexed = 0;
        for (record, span) in block.records.iter().enumerate() {
            if let Some(one) = oversize.next_if(|one| one.record as usize == record) {
                self.rows.reject_oversize(block, one);
                continue;
            }
            let text = trimmed(block, record);
            if text.end > indexed || text.start < self.index.start() {
                indexed = indexed_end(block, record);
                self.index.build(&block.bytes, span.start as usize, indexed);
            }
            self.record(block, record, text, ingested_at_micros);
        }
        self.rows.finish(block, ingested_at_micros)
    }
}

/// Where the records end that are indexed together with `record`: as many as follow it closely.
fn indexed_end(block: &RecordBlock, record: usize) -> usize {
    let start = block.records[record].start as usize;
    let mut end = start + block.records[record].length as usize;
    for next in &block.records[record + 1..] {
        let next_end = (next.start + next.length) as usize;
        if (next.start as usize) < end || next_end - start > INDEXED_BYTES_MAX {
            break;
        }
        end = next_end;
    }
    end
}

/// Looks at a record with bytes outside printable ASCII: whether it has control characters.
fn look_closer(text: &[u8]) -> Result<bool, (&'static str, String)> {
    if let Err(error) = simdutf8::compat::from_utf8(text) {
        let at = error.valid_up_to();
        return Err(("not_utf8", format!("at byte {at}: the bytes are not UTF-8")));
    }
    if let Some(at) = memchr::memchr(0, text) {
        let fault = Fault {
            at,
            kind: FaultKind::NulByte,
        };
        return Err(told(fault, 0));
    }
    Ok(text.iter().any(|byte| *byte < 0x20))
}

/// Why a record that does not begin with a brace is none.
fn no_object(scanner: &mut Scanner<'_>, start: usize) -> (&'static str, String) {
    let value = scanner.value(0);
    let whole = value.and_then(|value| {
        scanner.space();
        if scanner.at == scanner.text.len() {
            Ok(value)
        } else {
            scanner.fault("nothing after the value")
        }
    });
    let found = match whole {
        Err(Failed) => return told(scanner.fault, start),
        Ok(kind) => match kind {
            Kind::Array => "an array",
            Kind::Text | Kind::Escaped => "a string",
            Kind::Number => "a number",
            Kind::Null => "null",
            _ => "a boolean",
        },
    };
    (
        "not_an_object",
        format!("the record is {found}, not an object"),
    )
}

/// A fault's reason and detail, with its place counted from the record's start.
fn told(fault: Fault, start: usize) -> (&'static str, String) {
    let at = fault.at.saturating_sub(start);
    let detail = format!("at byte {at}: {}", fault.kind.describe());
    (fault.kind.reason(), detail)
}
