//! The Common Log Format of web servers, and the Combined one: `host ident user [time] "request" status bytes`, and
//! then `"referer" "user agent"`.
//!
//! `-` is null. Escapes within quotes stay as the server wrote them. What stands behind the last field is rescued.

use std::ops::Range;

use super::{
    rows::Rows,
    text::{Fault, TextFormat, TextRecord},
};
use crate::record::RecordBlock;

const FIELDS: [&str; 12] = [
    "host",
    "ident",
    "user",
    "time",
    "request",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
];
const HOST: usize = 0;
const IDENT: usize = 1;
const USER: usize = 2;
const TIME: usize = 3;
const REQUEST: usize = 4;
const METHOD: usize = 5;
const PATH: usize = 6;
const PROTOCOL: usize = 7;
const STATUS: usize = 8;
const BYTES: usize = 9;
const REFERER: usize = 10;
const USER_AGENT: usize = 11;

/// The way its fields are found.
#[derive(Debug)]
pub(super) struct AccessLogFormat {
    is_combined: bool,
}

impl AccessLogFormat {
    pub(super) fn new(is_combined: bool) -> Self {
        Self { is_combined }
    }
}

/// What is left of a record.
struct Rest<'a> {
    text: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn fault<T>(&self, what: &str) -> Result<T, Fault> {
        let detail = format!("at byte {}: {what} was expected", self.at);
        Err(("invalid_access_log", detail))
    }

    fn skip_spaces(&mut self) {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
    }

    /// What stands before the next space.
    fn token(&mut self, what: &str) -> Result<Range<usize>, Fault> {
        let start = self.at;
        let length = memchr::memchr(b' ', &self.text[start..]);
        let end = length.map_or(self.text.len(), |length| start + length);
        if end == start {
            return self.fault(what);
        }
        self.at = end;
        self.skip_spaces();
        Ok(start..end)
    }

    /// What stands before the bracket of the time: it may hold spaces.
    fn user(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        let Some(length) = memchr::memmem::find(&self.text[start..], b" [") else {
            return self.fault("a user and a time in brackets");
        };
        self.at = start + length + 1;
        Ok(start..start + length)
    }

    fn time(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at + 1;
        let Some(length) = memchr::memchr(b']', &self.text[start..]) else {
            return self.fault("a time in brackets");
        };
        self.at = start + length + 1;
        self.skip_spaces();
        Ok(start..start + length)
    }

    /// What stands in quotes. A quote ends it that is not escaped, and that a space or the record's end follows.
    fn quoted(&mut self, what: &str) -> Result<Range<usize>, Fault> {
        if self.text.get(self.at) != Some(&b'"') {
            return self.fault(what);
        }
        let start = self.at + 1;
        let mut at = start;
        while let Some(found) =
            memchr::memchr2(b'"', b'\\', self.text.get(at..).unwrap_or_default())
        {
            at += found;
            if self.text[at] == b'\\' {
                at += 2;
                continue;
            }
            if matches!(self.text.get(at + 1), None | Some(b' ')) {
                self.at = at + 1;
                self.skip_spaces();
                return Ok(start..at);
            }
            at += 1;
        }
        self.fault("a closing quote")
    }
}

/// Method, path and protocol of a request, as far as it has them; `None` where it has no method and no path.
fn parts(request: &[u8]) -> Option<[Option<Range<usize>>; 3]> {
    let method = memchr::memchr(b' ', request)?;
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
    if method == 0 || !request[..method].iter().all(is_method) {
        return None;
    }
    let last = memchr::memrchr(b' ', request)?;
    let is_protocol = request[last + 1..].starts_with(b"HTTP/");
    let (path, protocol) = if last > method && is_protocol {
        (method + 1..last, Some(last + 1..request.len()))
    } else {
        (method + 1..request.len(), None)
    };
    (!path.is_empty()).then_some([Some(0..method), Some(path), protocol])
}

impl TextFormat for AccessLogFormat {
    fn begin(&mut self, _: &RecordBlock, rows: &mut Rows) {
        if rows.fixed_count() == 0 {
            rows.fix(FIELDS.map(str::to_owned).to_vec());
        }
    }

    fn record(&mut self, record: &TextRecord<'_>, rows: &mut Rows) -> Result<(), Fault> {
        let text = record.bytes();
        let mut rest = Rest { text, at: 0 };
        let start = record.text.start;
        let mut put = |field: usize, place: Range<usize>| {
            if text[place.clone()] != *b"-" {
                rows.put(record.block, field, start + place.start..start + place.end);
            }
        };
        put(HOST, rest.token("a host")?);
        put(IDENT, rest.token("an identity")?);
        put(USER, rest.user()?);
        put(TIME, rest.time()?);
        let request = rest.quoted("a request in quotes")?;
        put(STATUS, rest.token("a status")?);
        put(BYTES, rest.token("a number of bytes")?);
        if self.is_combined && rest.at < text.len() {
            put(REFERER, rest.quoted("a referer in quotes")?);
            if rest.at < text.len() {
                put(USER_AGENT, rest.quoted("a user agent in quotes")?);
            }
        }
        put_request(record, &request, rows);
        let left = text[rest.at..].trim_ascii_end();
        if !left.is_empty() {
            let at = start + rest.at;
            rows.rescue_beside(
                record.block,
                "$unmatched",
                at..at + left.len(),
                "unmatched_text",
            );
        }
        Ok(())
    }
}

/// Puts the request, and its parts where it has them: none of it twice, unless columns ask for that.
fn put_request(record: &TextRecord<'_>, request: &Range<usize>, rows: &mut Rows) {
    let text = &record.bytes()[request.clone()];
    if text == b"-" {
        return;
    }
    let start = record.text.start + request.start;
    let whole = start..start + text.len();
    let taken = rows.takes(REQUEST);
    if taken {
        rows.put(record.block, REQUEST, whole.clone());
    }
    let Some(parts) = parts(text) else {
        if !taken {
            rows.put(record.block, REQUEST, whole);
        }
        return;
    };
    for (field, place) in [METHOD, PATH, PROTOCOL].into_iter().zip(parts) {
        if let Some(place) = place
            && (!taken || rows.takes(field))
        {
            rows.put(record.block, field, start + place.start..start + place.end);
        }
    }
}
