//! The text forms of ISO 8601 and RFC 3339 that logs use.

use frazil_dataset::Profile;
use jiff::fmt::rfc2822::DateTimeParser;

use super::{MICROS_MAX, MICROS_MIN, Micros, Misfit, SECOND, strftime};
use crate::coerce::digits;

/// A date and time as text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Iso {
    /// Microseconds since the epoch, of UTC for an instant, else of the wall clock.
    pub(super) micros: i64,
    /// Whether finer digits were cut.
    pub(super) cut: bool,
    /// Whether it names an instant: it carries an offset.
    pub(super) instant: bool,
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date whose parts are digits already.
fn checked_days(year: i64, month: i64, day: i64) -> Result<i64, Misfit> {
    if year < 1 || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return Err(Misfit::OutOfRange);
    }
    Ok(days_from_civil(year, month, day))
}

/// The number that `count` digits at the start spell, and the rest.
fn number(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_at_checked(count)?;
    let mut sum = 0;
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + i64::from(digit);
    }
    Some((sum, rest))
}

fn strip(text: &[u8], byte: u8) -> Option<&[u8]> {
    match text.split_first() {
        Some((first, rest)) if *first == byte => Some(rest),
        _ => None,
    }
}

/// Year, month and day.
type Date = (i64, i64, i64);

/// `YYYY-MM-DD` at the start: its parts, and the rest.
fn leading_date(text: &[u8], separator: u8) -> Option<(Date, &[u8])> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(strip(rest, separator)?, 2)?;
    let (day, rest) = number(strip(rest, separator)?, 2)?;
    Some(((year, month, day), rest))
}

/// `YYYY-MM-DD`, in days since the epoch.
pub(super) fn date(text: &[u8]) -> Result<i32, Misfit> {
    let ((year, month, day), rest) = leading_date(text, b'-').ok_or_else(|| beyond(text))?;
    if !rest.is_empty() {
        return Err(Misfit::Unparsable);
    }
    Ok(checked_days(year, month, day)? as i32)
}

/// A year of more than four digits, as `+10000-01-01`, is a date that engines do not read.
fn beyond(text: &[u8]) -> Misfit {
    let unsigned = match text.split_first() {
        Some((b'+' | b'-', rest)) => rest,
        _ => text,
    };
    let year = unsigned
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let dated = number(unsigned.get(year + 1..).unwrap_or_default(), 2).is_some();
    if year >= 4 && dated && unsigned[year] == b'-' {
        Misfit::OutOfRange
    } else {
        Misfit::Unparsable
    }
}

/// `YYYY/MM/DD`.
pub(super) fn slashed_date(text: &[u8]) -> Option<i32> {
    let ((year, month, day), rest) = leading_date(text, b'/')?;
    let days = checked_days(year, month, day).ok()?;
    rest.is_empty().then_some(days as i32)
}

/// The commonest form in logs, `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`, without looking twice at a byte;
/// `None` for any other form and for any mistake in this one.
#[inline]
pub(super) fn rfc3339_short(text: &[u8]) -> Option<Iso> {
    let head: &[u8; 19] = text.first_chunk()?;
    let pair = |at: usize| {
        let high = head[at].wrapping_sub(b'0');
        let low = head[at + 1].wrapping_sub(b'0');
        (high <= 9 && low <= 9).then_some(i64::from(high) * 10 + i64::from(low))
    };
    let separators = [head[4], head[7], head[10], head[13], head[16]];
    if separators != *b"--T::" && separators != *b"-- ::" {
        return None;
    }
    let year = pair(0)? * 100 + pair(2)?;
    let days = checked_days(year, pair(5)?, pair(8)?).ok()?;
    let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, cut, rest) = fraction(&text[19..]).ok()?;
    let offset = match rest {
        b"Z" => 0,
        [b'+' | b'-', _, _, b':', _, _] => offset(rest)?,
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - i64::from(offset);
    Some(Iso {
        micros: seconds * SECOND + fraction,
        cut,
        instant: true,
    })
}

/// 10^0 to 10^5.
const PLACES: [i64; 6] = [1, 10, 100, 1000, 10_000, 100_000];

/// `.` or `,` and digits: their microseconds, whether finer ones were cut, and the rest.
fn fraction(text: &[u8]) -> Result<(i64, bool, &[u8]), Misfit> {
    let Some((b'.' | b',', after)) = text.split_first() else {
        return Ok((0, false, text));
    };
    let count = digits::count(after);
    if (1..=6).contains(&count)
        && let Some(fraction) = digits::value(after, count)
    {
        let micros = fraction as i64 * PLACES[6 - count];
        return Ok((micros, false, &after[count..]));
    }
    let mut micros = 0;
    let mut cut = false;
    let mut count = 0;
    for byte in after {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if count < 6 {
            micros = micros * 10 + i64::from(digit);
        } else {
            cut |= digit != 0;
        }
        count += 1;
    }
    if count == 0 {
        return Err(Misfit::Unparsable);
    }
    for _ in count..6 {
        micros *= 10;
    }
    Ok((micros, cut, &after[count..]))
}

/// `HH:MM[:SS[.f…]]` at the start: microseconds since midnight, and the rest.
fn leading_time(text: &[u8], profile: Profile) -> Result<(Micros, &[u8]), Misfit> {
    let clock = |text| {
        let (hour, rest) = number(text, 2)?;
        let (minute, rest) = number(strip(rest, b':')?, 2)?;
        Some((hour, minute, rest))
    };
    let (hour, minute, rest) = clock(text).ok_or(Misfit::Unparsable)?;
    let with_seconds = strip(rest, b':').and_then(|rest| number(rest, 2));
    let (second, rest) = match with_seconds {
        Some(found) => found,
        None if profile != Profile::Strict && strip(rest, b':').is_none() => (0, rest),
        None => return Err(Misfit::Unparsable),
    };
    if hour > 23 || minute > 59 || second > 60 {
        return Err(Misfit::OutOfRange);
    }
    if second == 60 {
        return Err(Misfit::LeapSecond);
    }
    let (fraction, cut, rest) = if with_seconds.is_some() {
        fraction(rest)?
    } else {
        (0, false, rest)
    };
    let micros = (hour * 3600 + minute * 60 + second) * SECOND + fraction;
    Ok((Micros { micros, cut }, rest))
}

/// A time of day without a zone.
pub(super) fn time(text: &[u8], profile: Profile) -> Result<Micros, Misfit> {
    let (time, rest) = leading_time(text, profile)?;
    if rest.is_empty() {
        Ok(time)
    } else {
        Err(Misfit::Unparsable)
    }
}

/// `Z`, `±HH:MM`, `±HHMM` or `±HH`, in seconds east of UTC.
pub(super) fn offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text.split_first()? {
        (b'Z' | b'z', []) => return Some(0),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2)?;
    let minutes = match rest {
        [] => 0,
        [b':', rest @ ..] | rest => match number(rest, 2)? {
            (minutes, []) => minutes,
            _ => return None,
        },
    };
    (hours <= 23 && minutes <= 59).then_some((sign * (hours * 3600 + minutes * 60)) as i32)
}

/// A date and time: RFC 3339; beyond `strict` also without seconds, and offsets as `+HHMM` and `+HH`;
/// in `lenient` also with slashes, a space or `UTC` before the end, as web servers write it and as mail does.
pub(super) fn timestamp(text: &[u8], profile: Profile) -> Result<Iso, Misfit> {
    match iso(text, profile) {
        Err(misfit) if profile == Profile::Lenient => sloppy(text).ok_or(misfit),
        result => result,
    }
}

fn iso(text: &[u8], profile: Profile) -> Result<Iso, Misfit> {
    let (parts, rest) = leading_date(text, b'-').ok_or_else(|| beyond(text))?;
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else {
        return Err(Misfit::Unparsable);
    };
    let (time, rest) = leading_time(rest, profile)?;
    combined(parts, time, rest, profile)
}

fn combined(
    (year, month, day): Date,
    time: Micros,
    zone: &[u8],
    profile: Profile,
) -> Result<Iso, Misfit> {
    let rfc3339 = zone.len() <= 1 || zone.len() == 6;
    let seconds = match zone {
        [] => None,
        _ if profile == Profile::Strict && !rfc3339 => return Err(Misfit::Unparsable),
        _ => Some(offset(zone).ok_or(Misfit::Unparsable)?),
    };
    let days = checked_days(year, month, day)?;
    let local = days * 86_400 * SECOND + time.micros;
    let micros = local - i64::from(seconds.unwrap_or(0)) * SECOND;
    if !(MICROS_MIN..=MICROS_MAX).contains(&micros) {
        return Err(Misfit::OutOfRange);
    }
    Ok(Iso {
        micros,
        cut: time.cut,
        instant: seconds.is_some(),
    })
}

/// The shapes that only `lenient` takes.
fn sloppy(text: &[u8]) -> Option<Iso> {
    let separator = *text.get(4)?;
    if let Some((parts, rest)) = leading_date(text, separator)
        && matches!(separator, b'-' | b'/' | b'.')
        && let Some((b'T' | b't' | b' ', rest)) = rest.split_first()
    {
        let (time, rest) = leading_time(rest, Profile::Lenient).ok()?;
        let zone = rest.trim_ascii_start();
        let zone = if zone.eq_ignore_ascii_case(b"utc") || zone.eq_ignore_ascii_case(b"gmt") {
            b"Z"
        } else {
            zone
        };
        return combined(parts, time, zone, Profile::Lenient).ok();
    }
    let patterns = ["%d/%b/%Y:%H:%M:%S %z", "%a %b %e %H:%M:%S %Y"];
    let by_pattern = patterns
        .iter()
        .find_map(|pattern| strftime(pattern, text).ok());
    by_pattern.or_else(|| {
        let parser = DateTimeParser::new();
        let time = parser.parse_timestamp(text).ok()?;
        Some(Iso {
            micros: time.as_microsecond(),
            cut: false,
            instant: true,
        })
    })
}
