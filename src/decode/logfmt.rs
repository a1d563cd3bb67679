//! logfmt: `key=value` pairs between spaces, values in quotes where they hold some.
//!
//! A key without `=` is `true`, one without a value null. A record without a single `key=` is prose, and no logfmt.

use std::ops::Range;

use super::{
    rows::Rows,
    text::{Fault, TextFormat, TextRecord},
};
use crate::{
    coerce::{Kind, hex4},
    record::RecordBlock,
};

/// The way pairs are found.
#[derive(Debug)]
pub(super) struct LogfmtFormat;

/// What stands behind a key.
enum Found {
    /// Not even `=`.
    Bare,
    /// `=` and nothing.
    Nothing,
    /// Text as it stands.
    Text(Range<usize>),
    /// Text with escapes.
    Escaped(Range<usize>),
}

/// Longer keys are data, not names.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

fn is_space(byte: u8) -> bool {
    byte <= b' '
}

fn fault(at: usize, what: &str) -> Fault {
    ("invalid_logfmt", format!("at byte {at}: {what}"))
}

/// The key that begins at `at`.
fn key(text: &[u8], at: usize) -> Result<Range<usize>, Fault> {
    let ends = |byte: &u8| is_space(*byte) || *byte == b'=' || *byte == b'"';
    let length = text[at..].iter().position(ends);
    let end = length.map_or(text.len(), |length| at + length);
    if end == at {
        return Err(fault(at, "a key was expected"));
    }
    if text.get(end) == Some(&b'"') {
        return Err(fault(end, "a quote within a key"));
    }
    if end - at > KEY_BYTES_MAX {
        return Err(fault(at, "a key is too long"));
    }
    Ok(at..end)
}

/// What stands from `at` on, behind a key, and where it ends.
fn value(text: &[u8], at: usize) -> Result<(Found, usize), Fault> {
    if text.get(at) != Some(&b'=') {
        return Ok((Found::Bare, at));
    }
    let start = at + 1;
    if text.get(start) != Some(&b'"') {
        let length = text[start..].iter().position(|byte| is_space(*byte));
        let end = length.map_or(text.len(), |length| start + length);
        let found = if end == start {
            Found::Nothing
        } else {
            Found::Text(start..end)
        };
        return Ok((found, end));
    }
    let start = start + 1;
    let mut at = start;
    let mut has_escapes = false;
    loop {
        let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) else {
            return Err(fault(start - 1, "the quote is never closed"));
        };
        at += found;
        if text[at] == b'"' {
            break;
        }
        has_escapes = true;
        at = (at + 2).min(text.len());
    }
    if text.get(at + 1).is_some_and(|byte| !is_space(*byte)) {
        return Err(fault(at + 1, "text after a closing quote"));
    }
    let found = if has_escapes {
        Found::Escaped(start..at)
    } else {
        Found::Text(start..at)
    };
    Ok((found, at + 1))
}

/// Writes what escaped text means. Escapes that no one agrees on stay as they are.
fn unescape(mut text: &[u8], into: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        into.extend_from_slice(&text[..at]);
        let rest = &text[at + 1..];
        let meant = match rest.first() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(letter @ (b'"' | b'\\' | b'/')) => *letter,
            Some(b'u') => {
                let code = rest.get(1..5).and_then(hex4).and_then(char::from_u32);
                if let Some(character) = code.filter(|one| *one != '\0') {
                    let mut buffer = [0; 4];
                    into.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                    text = &rest[5..];
                } else {
                    into.push(b'\\');
                    text = rest;
                }
                continue;
            }
            _ => {
                into.push(b'\\');
                text = rest;
                continue;
            }
        };
        into.push(meant);
        text = &rest[1..];
    }
    into.extend_from_slice(text);
}

impl TextFormat for LogfmtFormat {
    fn begin(&mut self, _: &RecordBlock, _: &mut Rows) {}

    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault> {
        let text = record.bytes();
        let start = record.text.start;
        let here = |place: Range<usize>| start + place.start..start + place.end;
        rows.begin_names();
        let mut has_pair = false;
        let mut at = 0;
        loop {
            let space = text[at..].iter().position(|byte| !is_space(*byte));
            let Some(space) = space else { break };
            let key = key(text, at + space)?;
            let (found, end) = value(text, key.end)?;
            has_pair |= !matches!(found, Found::Bare);
            let block = record.block;
            let (place, kind) = match found {
                Found::Text(place) => (here(place), Kind::Plain),
                Found::Escaped(place) => {
                    let escaped = &text[place];
                    (rows.add(block, |into| unescape(escaped, into)), Kind::Plain)
                }
                Found::Bare => (
                    rows.add(block, |into| into.extend_from_slice(b"true")),
                    Kind::True,
                ),
                Found::Nothing => (
                    rows.add(block, |into| into.extend_from_slice(b"null")),
                    Kind::Null,
                ),
            };
            rows.put_named(block, here(key), place, kind);
            at = end;
        }
        if has_pair {
            Ok(())
        } else {
            Err(("invalid_logfmt", "no `key=value` in it".to_owned()))
        }
    }
}
