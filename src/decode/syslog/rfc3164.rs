//! RFC 3164, as it is found: `Oct 11 22:14:15 host app[123]: message`, with or without a priority, a year, a host or a
//! tag; the time also as RFC 3339 has it, which is how rsyslog writes files.

use std::ops::Range;

use frazil_dataset::Syslog;
use jiff::{Timestamp, civil::Date, tz::Offset};

use super::{APP_NAME, Fields, HOSTNAME, MESSAGE, PROC_ID, Time};
use crate::decode::text::Fault;

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Clocks differ: a record may be this much ahead of its ingestion and not be a year old.
const AHEAD_MICROS_MAX: i64 = 24 * 3600 * 1_000_000;
/// The 29th of February comes at least every eight years.
const YEARS_BACK_MAX: i16 = 8;

/// Puts what stands from `at` on, behind the priority or without one.
pub(super) fn put(
    text: &[u8],
    at: usize,
    options: Syslog,
    fields: &mut Fields<'_, '_>,
) -> Result<(), Fault> {
    let Some(stamp) = stamp(text, at) else {
        if at == 0 {
            let detail = "it begins with no priority and no time".to_owned();
            return Err(("invalid_syslog", detail));
        }
        if at < text.len() {
            fields.put(MESSAGE, at..text.len());
        }
        return Ok(());
    };
    let time = stamp.time(options, fields.record.ingested_at_micros);
    let end = stamp.place.end;
    fields.put_time(stamp.place, time);
    put_rest(text, end, fields);
    Ok(())
}

/// Puts host, tag and message.
fn put_rest(text: &[u8], at: usize, fields: &mut Fields<'_, '_>) {
    // Some write a colon behind the time.
    let at = at + usize::from(text.get(at) == Some(&b':'));
    let mut at = skip_space(text, at);
    let host = token(text, at);
    // Without a host, the tag comes first.
    if !host.is_empty() && text[host.end - 1] != b':' && !text[host.clone()].contains(&b'[') {
        at = skip_space(text, host.end);
        fields.put(HOSTNAME, host);
    }
    if let Some(tag) = tag(text, at) {
        at = tag.end;
        fields.put(APP_NAME, tag.app_name);
        if let Some(process) = tag.process {
            fields.put(PROC_ID, process);
        }
    }
    if at < text.len() {
        fields.put(MESSAGE, at..text.len());
    }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    at + usize::from(text.get(at) == Some(&b' '))
}

/// What stands before the next space.
fn token(text: &[u8], at: usize) -> Range<usize> {
    let length = memchr::memchr(b' ', &text[at..]);
    at..length.map_or(text.len(), |length| at + length)
}

/// `app[123]: `, `app: `.
struct Tag {
    app_name: Range<usize>,
    process: Option<Range<usize>>,
    /// Where the message begins.
    end: usize,
}

fn tag(text: &[u8], at: usize) -> Option<Tag> {
    let length = text[at..].iter().position(|byte| b" :[".contains(byte))?;
    let app_name = at..at + length;
    let mut end = app_name.end;
    let mut process = None;
    if text[end] == b'[' {
        let length = memchr::memchr2(b']', b' ', &text[end..])?;
        if text[end + length] != b']' || length == 1 {
            return None;
        }
        process = Some(end + 1..end + length);
        end += length + 1;
        if text.get(end) != Some(&b':') {
            return None;
        }
    }
    (length > 0 && text[end] == b':').then(|| Tag {
        app_name,
        process,
        end: skip_space(text, end + 1),
    })
}

/// A time, as it stands.
struct Stamp {
    place: Range<usize>,
    /// None, where RFC 3339's form was found.
    parts: Option<Parts>,
}

/// What `Oct 11 22:14:15` says.
struct Parts {
    month: i8,
    day: i8,
    year: Option<i16>,
    clock: Range<usize>,
}

fn number(text: &[u8]) -> Option<i16> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// The time that stands at `at`.
fn stamp(text: &[u8], at: usize) -> Option<Stamp> {
    let first = token(text, at);
    let word = &text[first.clone()];
    if word.len() >= 19 && number(&word[..4]).is_some() && word[4] == b'-' && word[10] == b'T' {
        return Some(Stamp {
            place: first,
            parts: None,
        });
    }
    let month = MONTHS.iter().position(|month| *month == word)? as i8 + 1;
    let mut at = first.end;
    while text.get(at) == Some(&b' ') {
        at += 1;
    }
    let day = token(text, at);
    let mut clock = token(text, skip_space(text, day.end));
    let mut year = None;
    if clock.len() == 4 {
        year = Some(number(&text[clock.clone()])?);
        clock = token(text, skip_space(text, clock.end));
    }
    let day = number(&text[day]).filter(|day| (1..=31).contains(day))? as i8;
    // Some write a colon behind the time.
    let shown = &text[clock.clone()];
    if shown.ends_with(b":") {
        clock.end -= 1;
    }
    let shown = &text[clock.clone()];
    let digit = |at: usize| shown[at].is_ascii_digit();
    let is_clock = shown.len() >= 8
        && shown[2] == b':'
        && shown[5] == b':'
        && [0, 1, 3, 4, 6, 7].into_iter().all(digit)
        && (shown.len() == 8 || ((10..=18).contains(&shown.len()) && shown[8] == b'.'))
        && shown.iter().skip(9).all(u8::is_ascii_digit);
    is_clock.then_some(Stamp {
        place: first.start..clock.end,
        parts: Some(Parts {
            month,
            day,
            year,
            clock,
        }),
    })
}

impl Stamp {
    /// The time for a column, where its year is known.
    fn time(&self, options: Syslog, ingested_at_micros: i64) -> Option<Time> {
        let Some(parts) = &self.parts else {
            return Some(Time::AsItStands);
        };
        let year = match parts.year {
            Some(year) => year,
            None if options.year_of_ingestion => parts.year_before(ingested_at_micros)?,
            None => return None,
        };
        let (month, day) = (parts.month, parts.day);
        Some(Time::Completed {
            date: Date::new(year, month, day).ok()?,
            clock: parts.clock.clone(),
        })
    }
}

impl Parts {
    /// The latest year that has the day, and has it no more than a day after ingestion.
    fn year_before(&self, ingested_at_micros: i64) -> Option<i16> {
        let latest = ingested_at_micros.saturating_add(AHEAD_MICROS_MAX);
        let latest = Timestamp::from_microsecond(latest).ok()?;
        let latest = Offset::UTC.to_datetime(latest).date();
        let years = (latest.year() - YEARS_BACK_MAX..=latest.year()).rev();
        let mut dates = years.filter_map(|year| Date::new(year, self.month, self.day).ok());
        dates.find(|date| *date <= latest).map(Date::year)
    }
}
