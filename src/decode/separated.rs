//! CSV as RFC 4180 has it, and TSV: cells between delimiters.
//!
//! A file's first record may name the cells; its source keeps that with every block. A cell with nothing in it, not
//! even quotes, is null. Cells beyond the names are rescued, missing ones are null.

use std::ops::Range;

use bytes::Bytes;
use frazil_dataset::Separated;

use super::{
    rows::Rows,
    text::{Fault, TextFormat, TextRecord, check},
};
use crate::record::RecordBlock;

/// Cells beyond these have no name of their own: as many as a table may have columns.
const NUMBERED_MAX: usize = 2_000;

/// The way cells are found.
#[derive(Debug)]
pub(super) struct SeparatedFormat {
    options: Separated,
    /// The header that the names are from.
    header: Option<Bytes>,
    /// Why cells have no names.
    unnamed: Option<Fault>,
    is_begun: bool,
}

/// A cell's place in its record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    content: Range<usize>,
    is_quoted: bool,
    /// Whether a quote in it is written as two.
    has_doubled: bool,
    /// Where the next one begins.
    next: Option<usize>,
}

impl SeparatedFormat {
    pub(super) fn new(options: Separated) -> Self {
        Self {
            options,
            header: None,
            unnamed: None,
            is_begun: false,
        }
    }

    /// The names of the cells, by the block's header or the dataset file.
    fn names(&self, block: &RecordBlock) -> Result<Vec<String>, Fault> {
        if !self.options.header {
            return Ok(self.options.columns.clone());
        }
        let Some(header) = &block.header else {
            let why = if block.messages.is_some() {
                "a message has no header; give the cells' names as `columns` of `format`"
            } else {
                "the file's header is longer than a record may be"
            };
            return Err(("no_header", why.to_owned()));
        };
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
        let header = header.strip_suffix(b"\r").unwrap_or(header);
        let unreadable = |(_, detail)| ("no_header", format!("of the header: {detail}"));
        check(header).map_err(unreadable)?;
        let mut names = Vec::new();
        let mut start = Some(0);
        while let Some(at) = start {
            let cell = self.cell(header, at).map_err(unreadable)?;
            let mut name = Vec::new();
            self.unescape(&header[cell.content.clone()], &cell, &mut name);
            names.push(String::from_utf8_lossy(&name).into_owned());
            start = cell.next;
        }
        Ok(names)
    }

    /// The cell that begins at `start`.
    fn cell(&self, text: &[u8], start: usize) -> Result<Cell, Fault> {
        let delimiter = self.options.delimiter;
        let quote = match self.options.quote {
            Some(quote) if text.get(start) == Some(&quote) => quote,
            _ => {
                let end = memchr::memchr(delimiter, &text[start..]).map(|at| start + at);
                return Ok(Cell {
                    content: start..end.unwrap_or(text.len()),
                    is_quoted: false,
                    has_doubled: false,
                    next: end.map(|end| end + 1),
                });
            }
        };
        let mut has_doubled = false;
        let mut at = start + 1;
        loop {
            let Some(found) = memchr::memchr(quote, &text[at..]) else {
                let detail = format!("at byte {start}: the quote is never closed");
                return Err(("invalid_csv", detail));
            };
            at += found + 1;
            if text.get(at) != Some(&quote) {
                break;
            }
            has_doubled = true;
            at += 1;
        }
        let next = match text.get(at) {
            None => None,
            Some(byte) if *byte == delimiter => Some(at + 1),
            Some(_) => {
                let detail = format!("at byte {at}: text after a closing quote");
                return Err(("invalid_csv", detail));
            }
        };
        Ok(Cell {
            content: start + 1..at - 1,
            is_quoted: true,
            has_doubled,
            next,
        })
    }

    /// Writes what a cell means.
    fn unescape(&self, mut text: &[u8], cell: &Cell, into: &mut Vec<u8>) {
        if let (true, Some(quote)) = (cell.has_doubled, self.options.quote) {
            while let Some(at) = memchr::memchr(quote, text) {
                into.extend_from_slice(&text[..=at]);
                text = text.get(at + 2..).unwrap_or_default();
            }
        } else if self.options.escapes {
            while let Some(at) = memchr::memchr(b'\\', text) {
                into.extend_from_slice(&text[..at]);
                let meant = match text.get(at + 1) {
                    Some(b't') => Some(b'\t'),
                    Some(b'n') => Some(b'\n'),
                    Some(b'r') => Some(b'\r'),
                    Some(b'\\') => Some(b'\\'),
                    _ => None,
                };
                into.push(meant.unwrap_or(b'\\'));
                text = &text[at + 1 + usize::from(meant.is_some())..];
            }
        }
        into.extend_from_slice(text);
    }

    /// Puts the cell of a number. What has nothing in it is null.
    fn put(&self, record: &TextRecord<'_>, number: usize, cell: &Cell, rows: &mut Rows) {
        let block = record.block;
        let start = record.text.start;
        let mut place = start + cell.content.start..start + cell.content.end;
        let content = &block.bytes[place.clone()];
        let escapes = self.options.escapes;
        if (content.is_empty() && !cell.is_quoted) || (escapes && content == b"\\N") {
            return;
        }
        if cell.has_doubled || (escapes && memchr::memchr(b'\\', content).is_some()) {
            place = rows.add(block, |into| self.unescape(content, cell, into));
        }
        if number < rows.fixed_count() {
            rows.put(block, number, place);
        } else {
            rows.rescue_beside(block, "$surplus", place, "surplus_cell");
        }
    }
}

impl TextFormat for SeparatedFormat {
    fn begin(&mut self, block: &RecordBlock, rows: &mut Rows) {
        if self.is_begun && (!self.options.header || self.header == block.header) {
            return;
        }
        self.is_begun = true;
        self.header.clone_from(&block.header);
        let names = self.names(block);
        self.unnamed = names.as_ref().err().cloned();
        rows.fix(names.unwrap_or_default());
    }

    fn is_blank(&self, text: &[u8]) -> bool {
        text.is_empty()
    }

    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault> {
        if let Some(fault) = &self.unnamed {
            return Err(fault.clone());
        }
        let text = record.bytes();
        let has_lines = memchr::memchr(b'\n', text).is_some();
        let is_numbered = !self.options.header && self.options.columns.is_empty();
        let mut start = Some(0);
        let mut number = 0;
        while let Some(at) = start {
            let cell = self.cell(text, at)?;
            if has_lines
                && !cell.is_quoted
                && memchr::memchr(b'\n', &text[cell.content.clone()]).is_some()
            {
                let detail = format!("cell {}: a line end that is not quoted", number + 1);
                return Err(("invalid_csv", detail));
            }
            if is_numbered && number == rows.fixed_count() && number < NUMBERED_MAX {
                rows.fix_more(format!("column_{}", number + 1));
            }
            self.put(record, number, &cell, rows);
            start = cell.next;
            number += 1;
        }
        Ok(())
    }
}
