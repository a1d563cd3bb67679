//! RFC 5424: `VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`, with `-` for what is not known.

use std::ops::Range;

use super::{APP_NAME, Fields, HOSTNAME, MESSAGE, MSG_ID, PROC_ID, STRUCTURED_DATA, Time, VERSION};
use crate::{coerce::Kind, decode::text::Fault};

/// The RFC has 32; a longer name, with each of its parameters, would take a multiple of the record.
const NAME_BYTES_MAX: usize = 64;

/// A record of this format: its version, and where what follows begins.
pub(super) struct Header {
    version: Range<usize>,
    rest: usize,
}

/// Whether what stands behind the priority is a version and a time of this format.
pub(super) fn begins(text: &[u8], at: usize) -> Option<Header> {
    let rest = &text[at..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = rest.get(digits + 1..)?;
    let is_time = behind.starts_with(b"- ")
        || (behind.len() > 4 && behind[..4].iter().all(u8::is_ascii_digit) && behind[4] == b'-');
    if !(1..=3).contains(&digits) || rest[0] == b'0' || rest[digits] != b' ' || !is_time {
        return None;
    }
    Some(Header {
        version: at..at + digits,
        rest: at + digits + 1,
    })
}

fn fault(at: usize, what: &str) -> Fault {
    ("invalid_syslog", format!("at byte {at}: {what}"))
}

/// Puts the fields behind the priority.
pub(super) fn put(text: &[u8], header: Header, fields: &mut Fields<'_, '_>) -> Result<(), Fault> {
    fields.put(VERSION, header.version);
    let mut at = header.rest;
    let mut token = |what: &str| {
        let start = at;
        let length = memchr::memchr(b' ', text.get(start..).unwrap_or_default());
        let Some(length) = length.filter(|length| *length > 0) else {
            return Err(fault(start, what));
        };
        at = start + length + 1;
        let is_nil = text[start..start + length] == *b"-";
        Ok((!is_nil).then_some(start..start + length))
    };
    if let Some(time) = token("a time was expected")? {
        fields.put_time(time, Some(Time::AsItStands));
    }
    for (field, what) in [
        (HOSTNAME, "a host's name was expected"),
        (APP_NAME, "an application's name was expected"),
        (PROC_ID, "a process's id was expected"),
        (MSG_ID, "a message's id was expected"),
    ] {
        if let Some(place) = token(what)? {
            fields.put(field, place);
        }
    }
    let end = structured_data(text, at, fields)?;
    match text.get(end) {
        None => Ok(()),
        Some(b' ') => {
            let message = &text[end + 1..];
            let mark = if message.starts_with(b"\xef\xbb\xbf") {
                3
            } else {
                0
            };
            if message.len() > mark {
                fields.put(MESSAGE, end + 1 + mark..text.len());
            }
            Ok(())
        }
        Some(_) => Err(fault(end, "a space was expected behind structured data")),
    }
}

/// Puts the structured data that begins at `at`, and says where it ends.
fn structured_data(text: &[u8], at: usize, fields: &mut Fields<'_, '_>) -> Result<usize, Fault> {
    if text.get(at) == Some(&b'-') {
        return Ok(at + 1);
    }
    if text.get(at) != Some(&b'[') {
        return Err(fault(at, "structured data or `-` was expected"));
    }
    let is_whole = fields.rows.takes(STRUCTURED_DATA);
    let mut end = at;
    while text.get(end) == Some(&b'[') {
        end = element(text, end + 1, !is_whole, fields)?;
    }
    if is_whole {
        fields.put(STRUCTURED_DATA, at..end);
    }
    Ok(end)
}

/// Puts an element's parameters as fields `<id>.<name>`; those that no column takes only if `all`.
fn element(
    text: &[u8],
    start: usize,
    all: bool,
    fields: &mut Fields<'_, '_>,
) -> Result<usize, Fault> {
    let id = name(text, start)?;
    let mut at = id.end;
    if text.get(at) == Some(&b']') && all {
        // An element without parameters still says that it is there.
        let key = fields.here(id.clone());
        let nothing = key.end..key.end;
        fields
            .rows
            .put_named(fields.record.block, key, nothing, Kind::Plain);
    }
    loop {
        match text.get(at) {
            Some(b']') => return Ok(at + 1),
            Some(b' ') => {}
            _ => return Err(fault(at, "a parameter or `]` was expected")),
        }
        let name = name(text, at + 1)?;
        if text.get(name.end..name.end + 2) != Some(b"=\"") {
            return Err(fault(name.end, "`=\"` was expected"));
        }
        let value = value(text, name.end + 2)?;
        at = value.end + 1;
        let key = fields.rows.add(fields.record.block, |into| {
            into.extend_from_slice(&text[id.clone()]);
            into.push(b'.');
            into.extend_from_slice(&text[name]);
        });
        if !all && !fields.rows.takes_named(key.clone()) {
            continue;
        }
        let escaped = &text[value.clone()];
        let place = if memchr::memchr(b'\\', escaped).is_some() {
            fields
                .rows
                .add(fields.record.block, |into| unescape(escaped, into))
        } else {
            fields.here(value)
        };
        fields
            .rows
            .put_named(fields.record.block, key, place, Kind::Plain);
    }
}

/// An element's id or a parameter's name.
fn name(text: &[u8], start: usize) -> Result<Range<usize>, Fault> {
    let ends = |byte: &u8| matches!(byte, b' ' | b'=' | b']' | b'"');
    let rest = text.get(start..).unwrap_or_default();
    match rest.iter().position(ends) {
        Some(length @ 1..=NAME_BYTES_MAX) => Ok(start..start + length),
        _ => Err(fault(start, "a name of at most 64 bytes was expected")),
    }
}

/// A parameter's value, up to its quote.
fn value(text: &[u8], start: usize) -> Result<Range<usize>, Fault> {
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text[at] == b'"' {
            return Ok(start..at);
        }
        at += 2;
    }
    Err(fault(start, "the quote is never closed"))
}

/// Only `"`, `\` and `]` are escaped; before anything else a backslash is one.
fn unescape(mut text: &[u8], into: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        into.extend_from_slice(&text[..at]);
        if let Some(letter @ (b'"' | b'\\' | b']')) = text.get(at + 1) {
            into.push(*letter);
            text = &text[at + 2..];
        } else {
            into.push(b'\\');
            text = &text[at + 1..];
        }
    }
    into.extend_from_slice(text);
}
