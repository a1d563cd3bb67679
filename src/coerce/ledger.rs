//! What found no place: the rescued values of a block, by row and path, and counts of what was let go.
//!
//! Values are kept as the JSON text that they were, so that nothing of them changes on the way.

use std::ops::Range;

use arrow_array::{ArrayRef, types::Utf8Type};
use frazil_dataset::UnknownFields;

use super::{Kind, Misfit, Reader, Value, column::Bytes, unescape};
use crate::record::Reasons;

/// How many times a record's own size its rescued leaves may take before they are rescued as one:
/// a long key round many small leaves would else be written out for each of them.
const LEAVES_SIZE_MAX: usize = 8;

/// The rescued values and the counts of one block.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Where in the record the walk is.
    pub(crate) path: Path,
    unknown_fields: UnknownFields,
    row: u32,
    record_bytes: usize,
    entries: Vec<Entry>,
    /// The entries' paths and values.
    text: Vec<u8>,
    /// The row of each time that was cut.
    cuts: Vec<u32>,
    /// The row of each field that was ignored.
    ignored: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Entry {
    row: u32,
    path: Range<usize>,
    value: Range<usize>,
    reason: &'static str,
}

/// A state of the ledger to go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    entries: usize,
    text: usize,
    cuts: usize,
    ignored: usize,
}

impl Ledger {
    pub(crate) fn new(unknown_fields: UnknownFields) -> Self {
        Self {
            path: Path::default(),
            unknown_fields,
            row: 0,
            record_bytes: 0,
            entries: Vec::new(),
            text: Vec::new(),
            cuts: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// Goes on to a row, whose record has so many bytes.
    pub(crate) fn begin(&mut self, row: u32, record_bytes: usize) {
        self.row = row;
        self.record_bytes = record_bytes;
    }

    /// Counts a time whose finer digits were cut.
    pub(crate) fn note_cut(&mut self) {
        self.cuts.push(self.row);
    }

    /// Rescues the value at the path.
    pub(crate) fn rescue(&mut self, value: Value<'_>, reason: &'static str) {
        let start = self.text.len();
        self.path.render(&mut self.text);
        let middle = self.text.len();
        write_value(value, &mut self.text);
        self.entries.push(Entry {
            row: self.row,
            path: start..middle,
            value: middle..self.text.len(),
            reason,
        });
    }

    /// Rescues the value of a member (its key as the record has it) of the object at the path.
    pub(crate) fn rescue_member(&mut self, key: &[u8], value: Value<'_>, reason: &'static str) {
        self.path.push_key(key);
        self.rescue(value, reason);
        self.path.pop();
    }

    /// Rescues an element of the array at the path.
    pub(crate) fn rescue_element(&mut self, index: usize, value: Value<'_>, reason: &'static str) {
        self.path.push_index(&index.to_string());
        self.rescue(value, reason);
        self.path.pop();
    }

    /// A member of the object at the path that no column takes.
    pub(crate) fn unknown_member(&mut self, key: &[u8], value: Value<'_>) {
        self.path.push_key(key);
        self.unknown(value);
        self.path.pop();
    }

    /// The value at the path, which no column takes: rescued by its leaves, or dropped and counted.
    pub(crate) fn unknown(&mut self, value: Value<'_>) {
        if self.unknown_fields == UnknownFields::Ignore {
            self.ignored.push(self.row);
            return;
        }
        let mark = self.mark();
        let size_max = self.text.len() + LEAVES_SIZE_MAX * (self.record_bytes + 64);
        if !self.leaves(value, size_max) {
            self.rollback(mark);
            self.rescue(value, "unknown_field");
        }
    }

    /// Rescues the leaves of objects; arrays are leaves. False when they take more than they may.
    fn leaves(&mut self, value: Value<'_>, size_max: usize) -> bool {
        let mut reader = Reader::new(value.text);
        let mut next = (value.kind == Kind::Object).then(|| reader.member());
        let Some(Some(_)) = next else {
            self.rescue(value, "unknown_field");
            return self.text.len() <= size_max;
        };
        while let Some(Some((key, member))) = next {
            self.path.push_key(key.text);
            let fits = self.leaves(member, size_max);
            self.path.pop();
            if !fits {
                return false;
            }
            next = Some(reader.member());
        }
        true
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            entries: self.entries.len(),
            text: self.text.len(),
            cuts: self.cuts.len(),
            ignored: self.ignored.len(),
        }
    }

    /// Whether something was rescued or ignored since.
    pub(crate) fn has_entries_since(&self, mark: Mark) -> bool {
        self.entries.len() > mark.entries
    }

    /// Forgets what was noted since.
    pub(crate) fn rollback(&mut self, mark: Mark) {
        self.entries.truncate(mark.entries);
        self.text.truncate(mark.text);
        self.cuts.truncate(mark.cuts);
        self.ignored.truncate(mark.ignored);
    }

    /// The rows that have something to be rescued, with the path and reason of one such value.
    pub(crate) fn rescued_rows(&self) -> impl Iterator<Item = (u32, &str, &'static str)> {
        self.entries.iter().map(|entry| {
            let path = std::str::from_utf8(&self.text[entry.path.clone()]).unwrap_or("");
            (entry.row, path, entry.reason)
        })
    }

    /// The rescued column of `rows` rows, whose dead ones (in ascending order) have none, and how many rows have one.
    pub(crate) fn column(&mut self, rows: u32, dead: &[u32]) -> (ArrayRef, u64) {
        let mut column = Bytes::<Utf8Type>::new();
        let Self { entries, text, .. } = self;
        // Stable: values of one path stay in the record's order.
        entries.sort_by(|a, b| {
            let key = |entry: &Entry| (entry.row, &text[entry.path.clone()]);
            key(a).cmp(&key(b))
        });
        let mut rescued = 0;
        let mut done = 0;
        let mut rest = &entries[..];
        while let Some(first) = rest.first() {
            let row = first.row;
            let count = rest.iter().take_while(|entry| entry.row == row).count();
            let (of_row, others) = rest.split_at(count);
            rest = others;
            if dead.binary_search(&row).is_ok() {
                continue;
            }
            for _ in done..row {
                column.push_null();
            }
            write_row(of_row, text, &mut column.values);
            // A block's values take a bounded multiple of its bytes, far below what offsets reach.
            if column.end(true) != Err(Misfit::TooLong) {
                rescued += 1;
            }
            done = row + 1;
        }
        for _ in done..rows {
            column.push_null();
        }
        (column.finish(), rescued)
    }

    /// Adds the counts of rows that live (`dead` ones in ascending order), and starts anew.
    pub(crate) fn settle(&mut self, dead: &[u32], reasons: &mut Reasons) {
        let lives = |row: &u32| dead.binary_search(row).is_err();
        for entry in self.entries.iter().filter(|entry| lives(&entry.row)) {
            *reasons.rescued.entry(entry.reason).or_default() += 1;
        }
        reasons.cut_times += self.cuts.iter().filter(|row| lives(row)).count() as u64;
        reasons.ignored_fields += self.ignored.iter().filter(|row| lives(row)).count() as u64;
        self.entries.clear();
        self.text.clear();
        self.cuts.clear();
        self.ignored.clear();
    }
}

/// `{"<path>": {"value": …, "reason": "…"}}`, with a list under a path that occurs more than once.
fn write_row(entries: &[Entry], text: &[u8], into: &mut Vec<u8>) {
    into.push(b'{');
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let path = &text[first.path.clone()];
        let same = |entry: &&Entry| text[entry.path.clone()] == *path;
        let (of_path, others) = rest.split_at(rest.iter().take_while(same).count());
        rest = others;
        if into.last() != Some(&b'{') {
            into.push(b',');
        }
        write_text(path, into);
        into.extend_from_slice(if of_path.len() > 1 { b":[" } else { b":" });
        for (at, entry) in of_path.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            into.extend_from_slice(b"{\"value\":");
            into.extend_from_slice(&text[entry.value.clone()]);
            into.extend_from_slice(b",\"reason\":\"");
            into.extend_from_slice(entry.reason.as_bytes());
            into.extend_from_slice(b"\"}");
        }
        if of_path.len() > 1 {
            into.push(b']');
        }
    }
    into.push(b'}');
}

/// A value as JSON text.
fn write_value(value: Value<'_>, into: &mut Vec<u8>) {
    match value.kind {
        Kind::Text | Kind::Escaped => {
            into.push(b'"');
            into.extend_from_slice(value.text);
            into.push(b'"');
        }
        Kind::Plain => write_text(value.text, into),
        Kind::Missing | Kind::Ambiguous => into.extend_from_slice(b"null"),
        _ => into.extend_from_slice(value.text),
    }
}

/// Text as a JSON string.
fn write_text(text: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', byte]),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            0..0x20 => into.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

/// A place in a record: keys and indexes.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// The steps' keys, unescaped; of indexes, the digits.
    text: Vec<u8>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    start: usize,
    kind: StepKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepKind {
    Key,
    Index,
    /// `$raw` and the like: no field's name.
    Special,
}

impl Path {
    /// Steps to a member, by its key as the record has it.
    pub(crate) fn push_key(&mut self, key: &[u8]) {
        self.step(StepKind::Key);
        unescape(key, &mut self.text);
    }

    /// Steps to a member, by its name.
    pub(crate) fn push_name(&mut self, name: &str) {
        self.push_text(name.as_bytes());
    }

    /// Steps to a member, by its name's bytes, which are UTF-8.
    pub(crate) fn push_text(&mut self, name: &[u8]) {
        self.step(StepKind::Key);
        self.text.extend_from_slice(name);
    }

    /// Steps to an element.
    pub(crate) fn push_index(&mut self, index: &str) {
        self.step(StepKind::Index);
        self.text.extend_from_slice(index.as_bytes());
    }

    /// Steps to something that is no field, as `$raw`.
    pub(crate) fn push_special(&mut self, name: &str) {
        self.step(StepKind::Special);
        self.text.extend_from_slice(name.as_bytes());
    }

    fn step(&mut self, kind: StepKind) {
        self.steps.push(Step {
            start: self.text.len(),
            kind,
        });
    }

    /// Steps back.
    pub(crate) fn pop(&mut self) {
        if let Some(step) = self.steps.pop() {
            self.text.truncate(step.start);
        }
    }

    /// Steps back to the record.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.text.clear();
    }

    fn parts(&self) -> impl Iterator<Item = (StepKind, &[u8])> {
        self.steps.iter().enumerate().map(|(at, step)| {
            let end = self
                .steps
                .get(at + 1)
                .map_or(self.text.len(), |next| next.start);
            (step.kind, &self.text[step.start..end])
        })
    }

    /// Writes it as a dataset file's `from` takes it: a name or dotted path, or else a JSON Pointer.
    pub(crate) fn render(&self, into: &mut Vec<u8>) {
        if self.needs_pointer() {
            for (_, part) in self.parts() {
                into.push(b'/');
                for &byte in part {
                    match byte {
                        b'~' => into.extend_from_slice(b"~0"),
                        b'/' => into.extend_from_slice(b"~1"),
                        _ => into.push(byte),
                    }
                }
            }
            return;
        }
        for (at, (kind, part)) in self.parts().enumerate() {
            if kind == StepKind::Index {
                into.push(b'[');
                into.extend_from_slice(part);
                into.push(b']');
                continue;
            }
            if at > 0 {
                into.push(b'.');
            } else if kind == StepKind::Key && part.first() == Some(&b'$') {
                into.push(b'$');
            }
            into.extend_from_slice(part);
        }
    }

    /// Whether dots would say something else: a step has dots of its own, is empty, or looks like a pointer.
    fn needs_pointer(&self) -> bool {
        let one = self.steps.len() == 1;
        self.parts().enumerate().any(|(at, (kind, part))| {
            let dotted = part.contains(&b'.') || part.contains(&b'[');
            kind == StepKind::Key
                && (part.is_empty() || (dotted && !one) || (at == 0 && part[0] == b'/'))
        })
    }
}
