//! Sizes, durations and shares as people write them: `512MiB`, `1h30min`, `5%`.
//!
//! A number without its unit is refused, and so is a unit with two meanings (`M`, `m`): a limit that
//! is off by a factor of sixty is found in production only.

use std::time::Duration;

use crate::Share;

/// Why a text is no size, duration or share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct UnitError {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl UnitError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Largest first, so that rendering takes the largest that fits.
const BINARY_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];
const DECIMAL_UNITS: [(&str, u64); 5] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];
const TIME_UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a size in bytes: `512MiB`, `1.5GiB`, `64KiB`, `100MB`, `1000B`.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let example = "write a number and a unit: \"512MiB\", \"64KiB\", \"1000B\"";
    let (number, unit) = split_number(text.trim());
    if number.is_empty() {
        return Err(UnitError::new(
            format!("`{text}` is not a size in bytes"),
            example,
        ));
    }
    let factor = match unit {
        "B" => 1,
        "" => {
            let help = format!("\"{number}B\" is bytes, \"{number}MiB\" is mebibytes");
            return Err(UnitError::new(format!("`{text}` has no unit"), help));
        }
        unit => {
            let known = BINARY_UNITS
                .iter()
                .chain(&DECIMAL_UNITS)
                .find(|(name, _)| *name == unit);
            match known {
                Some((_, factor)) => *factor,
                None => return Err(unknown_size_unit(number, unit)),
            }
        }
    };
    scale_exactly(number, factor).ok_or_else(|| {
        UnitError::new(
            format!("`{text}` is not a whole number of bytes below 2^64"),
            example,
        )
    })
}

fn unknown_size_unit(number: &str, unit: &str) -> UnitError {
    let message = format!("`{unit}` is not a unit of size");
    let letter = unit
        .chars()
        .next()
        .map_or(' ', |letter| letter.to_ascii_uppercase());
    if "KMGT".contains(letter) {
        let decimal = if letter == 'K' { 'k' } else { letter };
        return UnitError::new(
            message,
            format!("\"{number}{letter}iB\" counts in 1024s, \"{number}{decimal}B\" in 1000s"),
        );
    }
    UnitError::new(
        message,
        "units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB",
    )
}

/// `number × factor`, if it is a whole number that fits: without a float, which would round.
fn scale_exactly(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || fraction.len() > 15 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let scale = 10_u128.pow(fraction.len() as u32);
    let part: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let scaled = whole
        .checked_mul(scale)?
        .checked_add(part)?
        .checked_mul(u128::from(factor))?;
    (scaled % scale == 0)
        .then(|| u64::try_from(scaled / scale).ok())
        .flatten()
}

/// Splits `512MiB` into `512` and `MiB`.
fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A size as [`parse_bytes`] reads it, in the largest unit that keeps it whole.
pub fn format_bytes(bytes: u64) -> String {
    BINARY_UNITS
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, factor)| format!("{}{unit}", bytes / factor),
        )
}

/// Reads a duration: `1min`, `30d`, `1h30min`, `250ms`. Whole numbers only.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let example = "write numbers and units: \"1min\", \"30d\", \"1h30min\"";
    let invalid = || UnitError::new(format!("`{text}` is not a duration"), example);
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        if number.is_empty() {
            return Err(invalid());
        }
        let end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let unit = &after[..end];
        let number: u64 = number.parse().map_err(|_| {
            UnitError::new(
                format!("`{number}` is not a whole number"),
                "take a smaller unit: \"90min\" for 1.5 hours",
            )
        })?;
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| unknown_time_unit(number, unit))?;
        milliseconds = number
            .checked_mul(factor)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(|| {
                UnitError::new(
                    format!("`{text}` is too long"),
                    "durations end at 2^64 milliseconds",
                )
            })?;
        rest = after[end..].trim_start();
    }
    Ok(Duration::from_millis(milliseconds))
}

fn unknown_time_unit(number: u64, unit: &str) -> UnitError {
    let ours = match unit.to_lowercase().as_str() {
        "" => {
            let help = format!("\"{number}s\", \"{number}min\" or \"{number}h\"?");
            return UnitError::new(format!("`{number}` has no unit"), help);
        }
        "m" => {
            let help = format!("minutes are \"{number}min\"; a month is \"30d\"");
            return UnitError::new("`m` may be minutes or months", help);
        }
        "sec" | "secs" | "second" | "seconds" => "s",
        "mins" | "minute" | "minutes" => "min",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        "millis" | "milliseconds" => "ms",
        lower if TIME_UNITS.iter().any(|(name, _)| *name == lower) => {
            return UnitError::new(
                format!("`{unit}` is not a unit of time"),
                format!("write \"{number}{lower}\""),
            );
        }
        _ => {
            return UnitError::new(
                format!("`{unit}` is not a unit of time"),
                "units are ms, s, min, h, d and w",
            );
        }
    };
    UnitError::new(
        format!("`{unit}` is not a unit of time"),
        format!("write \"{number}{ours}\""),
    )
}

/// A duration as [`parse_duration`] reads it, in whole milliseconds: `1h30min`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in TIME_UNITS {
        if rest >= factor {
            use std::fmt::Write as _;
            let _ = write!(text, "{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    text
}

/// Reads a share of a whole: `5%`, `0.1%`, from `0%` to `100%`.
pub fn parse_share(text: &str) -> Result<Share, UnitError> {
    let trimmed = text.trim();
    let Some(number) = trimmed.strip_suffix('%').map(str::trim_end) else {
        let help = format!(
            "write \"{}%\"",
            if is_decimal(trimmed) { trimmed } else { "5" }
        );
        return Err(UnitError::new(
            format!("`{text}` is not a percentage"),
            help,
        ));
    };
    let percent = is_decimal(number)
        .then(|| number.parse::<f64>().ok())
        .flatten();
    match percent {
        Some(percent) if percent <= 100.0 => Ok(Share(percent / 100.0)),
        Some(_) => Err(UnitError::new(
            format!("`{text}` is more than the whole"),
            "shares are from \"0%\" to \"100%\"",
        )),
        None => Err(UnitError::new(
            format!("`{text}` is not a percentage"),
            "write \"5%\" or \"0.1%\"",
        )),
    }
}

fn is_decimal(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.')
        && text.matches('.').count() <= 1
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // 0.07 × 100 is 7.000000000000001: nobody wrote more than nine digits.
        let percent = (self.0 * 100.0 * 1e9).round() / 1e9;
        write!(f, "{percent}%")
    }
}

#[cfg(test)]
mod tests;
