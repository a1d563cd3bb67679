//! JSON: one object a record, or an array of them, which is several records.

use std::ops::Range;

use super::{Decoder, plan::Plan, rows::Rows, trimmed};
use crate::{
    coerce::{Key, Kind, Reader, place},
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

/// Decodes JSON objects.
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
        let strings = (scanner.plain, scanner.controls);
        match scanner.peek() {
            b'{' => self.object(block, record, text, None, strings, now),
            b'[' => self.array(block, record, text, strings, now),
            _ => {
                let (reason, detail) = no_object(&mut scanner, text.start);
                self.rows.reject(block, record, reason, detail);
            }
        }
    }

    /// Decodes an array whose elements are records. One without any object is none.
    #[cold]
    fn array(
        &mut self,
        block: &RecordBlock,
        record: usize,
        text: Range<usize>,
        strings: (bool, bool),
        now: i64,
    ) {
        let bytes = &block.bytes[..text.end];
        let mut scanner = Scanner::new(bytes, text.start, &self.index);
        scanner.controls = strings.1;
        scanner.space();
        let start = scanner.at;
        let no_objects = no_object(&mut scanner, text.start);
        let elements = || {
            let mut reader = Reader::new(&bytes[start..]);
            std::iter::from_fn(move || reader.element())
        };
        let is_array = no_objects.0 == "not_an_object";
        if !is_array || !elements().any(|one| one.kind == Kind::Object) {
            let (reason, detail) = no_objects;
            return self.rows.reject(block, record, reason, detail);
        }
        let mut parts = 0;
        for element in elements() {
            let part = parts;
            parts += 1;
            let (from, to) = place(bytes, element.text);
            let (from, to) = (from as usize, to as usize);
            let text = match element.kind {
                Kind::Object => {
                    self.object(block, record, from..to, Some(part), strings, now);
                    continue;
                }
                Kind::Text | Kind::Escaped => from - 1..to + 1,
                _ => from..to,
            };
            let found = named(element.kind);
            let detail = format!("element {part} of the array is {found}, not an object");
            self.rows
                .reject_part(block, record, (part, &text), "not_an_object", detail);
        }
        self.rows.count_parts(u64::from(parts));
    }

    /// Decodes an object; `part`: its number, where the record holds several. `plain` and `controls` are the scanner's.
    fn object(
        &mut self,
        block: &RecordBlock,
        record: usize,
        text: Range<usize>,
        part: Option<u32>,
        (plain, controls): (bool, bool),
        now: i64,
    ) {
        let bytes = &block.bytes[..text.end];
        let mut scanner = Scanner::new(bytes, text.start, &self.index);
        scanner.space();
        scanner.plain = plain;
        scanner.controls = controls;
        self.rows.begin_part(record, &text, part);
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
        match part {
            None => self.rows.reject(block, record, reason, detail),
            Some(part) => self
                .rows
                .reject_part(block, record, (part, &text), reason, detail),
        }
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
        Ok(kind) => named(kind),
    };
    (
        "not_an_object",
        format!("the record is {found}, not an object"),
    )
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Array => "an array",
        Kind::Text | Kind::Escaped => "a string",
        Kind::Number => "a number",
        Kind::Null => "null",
        _ => "a boolean",
    }
}

/// A fault's reason and detail, with its place counted from the record's start.
fn told(fault: Fault, start: usize) -> (&'static str, String) {
    let at = fault.at.saturating_sub(start);
    let detail = format!("at byte {at}: {}", fault.kind.describe());
    (fault.kind.reason(), detail)
}
