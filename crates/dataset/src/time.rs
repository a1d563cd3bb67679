//! Times that a person names: where reading starts, up to when a table is to be complete.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// `2026-01-31`
const DATE_BYTES: usize = 10;

/// Reads an instant: a time with its offset (RFC 3339), or a date, which is its first moment in UTC.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // jiff reads a date from a time without an offset, too.
    if text.len() != DATE_BYTES {
        return None;
    }
    let midnight = text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(midnight.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_an_offset_and_dates() {
        for (text, expected) in [
            ("2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00Z"),
            ("2026-01-31T00:00:00.5Z", "2026-01-31T00:00:00.5Z"),
            ("2026-01-31 00:00:00Z", "2026-01-31T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
        ] {
            assert_eq!(parse_time(text), expected.parse().ok(), "{text}");
        }
        for text in [
            "",
            "2026-01-31T00:00:00",
            "2026-02-30",
            "20260131  ",
            "today",
            "1769817600",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
