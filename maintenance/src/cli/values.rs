//! Values of options.

use std::time::Duration;

use frazil_dataset::{parse_bytes, parse_duration, parse_time};

/// A time, or how long ago it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So long before now.
    Ago(Duration),
    /// Then, in milliseconds since the epoch.
    At(i64),
}

impl When {
    /// In milliseconds since the epoch.
    pub(crate) fn millis(self, now_ms: i64) -> i64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::Ago(age) => {
                let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                now_ms.saturating_sub(age_ms)
            }
        }
    }
}

/// `3d`, `2026-01-31T12:00:00Z`, `2026-01-31`.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if let Some(time) = parse_time(text) {
        return Ok(When::At(time.as_millisecond()));
    }
    parse_duration(text).map(When::Ago).map_err(|error| {
        format!("{error}; a time with its offset, as 2026-01-31T12:00:00Z, or a date will do, too")
    })
}

/// `1h`, `0s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// `128MiB`; not nothing.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(0) => Err("it is at least \"1B\"".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_ages() {
        const DAY_MS: i64 = 86_400_000;
        assert_eq!(when("3d").unwrap().millis(5 * DAY_MS), 2 * DAY_MS);
        assert_eq!(when("1970-01-03").unwrap().millis(0), 2 * DAY_MS);
        assert_eq!(when("1970-01-01T00:00:01Z").unwrap(), When::At(1_000));
        for wrong in ["", "3", "yesterday", "2026-01-31T12:00:00"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
        assert!(bytes("0B").is_err());
        assert_eq!(bytes("1KiB"), Ok(1024));
    }
}
