//! Numbers: integers and decimals exactly, floats to the nearest, never one through the other.

use std::borrow::Cow;

use frazil_dataset::Profile;

use super::{Coerced, Kind, Misfit, Value, digits, text::plain_text};

/// A number in JSON's grammar, by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
    /// Neither a fraction nor an exponent was written.
    integer: bool,
}

/// What to do with digits below the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Only zeros may stand there.
    Refuse,
    /// Cut them, towards minus infinity.
    Cut,
}

/// The most digits that an `i128` holds whatever they are, and that a decimal has.
const DIGITS_MAX: i64 = 38;

impl<'a> Decimal<'a> {
    /// Reads text in JSON's number grammar; `None` if it is not.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(rest);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let mut number = Self {
            negative,
            whole,
            fraction: b"",
            exponent: 0,
            integer: rest.is_empty(),
        };
        let mut rest = rest;
        if let Some((b'.', after)) = rest.split_first() {
            (number.fraction, rest) = split_digits(after);
            if number.fraction.is_empty() {
                return None;
            }
        }
        if let Some((b'e' | b'E', after)) = rest.split_first() {
            let (down, after) = match after.split_first()? {
                (b'-', after) => (true, after),
                (b'+', after) => (false, after),
                _ => (false, after),
            };
            let (digits, end) = split_digits(after);
            if digits.is_empty() {
                return None;
            }
            let size = digits.iter().fold(0i64, |sum, digit| {
                // Far past any type's range, and far from overflow when lengths are added.
                (sum * 10 + i64::from(digit - b'0')).min(1 << 40)
            });
            number.exponent = if down { -size } else { size };
            rest = end;
        }
        rest.is_empty().then_some(number)
    }

    /// The number times 10^`scale`, which must be an integer of at most 38 digits, and whether digits were cut.
    pub(crate) fn scaled(&self, scale: i64, excess: Excess) -> Result<(i128, bool), Misfit> {
        let digits = || self.whole.iter().chain(self.fraction);
        let all = self.whole.len() + self.fraction.len();
        let leading = digits().take_while(|digit| **digit == b'0').count();
        if leading == all {
            return Ok((0, false));
        }
        let trailing = digits().rev().take_while(|digit| **digit == b'0').count();
        let count = (all - leading - trailing) as i64;
        let shift = self.exponent - self.fraction.len() as i64 + trailing as i64 + scale;
        let cut = shift < 0;
        if cut && excess == Excess::Refuse {
            return Err(Misfit::Inexact);
        }
        let kept = count + shift.min(0);
        if kept + shift.max(0) > DIGITS_MAX {
            return Err(Misfit::OutOfRange);
        }
        let mut sum: i128 = 0;
        for digit in digits().skip(leading).take(kept.max(0) as usize) {
            sum = sum * 10 + i128::from(digit - b'0');
        }
        for _ in 0..shift.max(0) {
            sum *= 10;
        }
        // Non-zero digits were cut, so the floor of a negative number is one further down.
        let sum = match (self.negative, cut) {
            (false, _) => sum,
            (true, false) => -sum,
            (true, true) => -sum - 1,
        };
        Ok((sum, cut))
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A `long`.
pub(crate) fn long(value: Value<'_>, profile: Profile) -> Coerced<i64> {
    if value.kind == Kind::Number
        && let Some(number) = short_integer(value.text, value.text.len())
    {
        return Ok(Some(number));
    }
    with_number(value, profile, |text, number| {
        if let Some(short) = short_integer(text, text.len()) {
            return Ok(short);
        }
        if profile == Profile::Strict && !number.integer {
            return Err(Misfit::WrongType);
        }
        let (exact, _) = number.scaled(0, Excess::Refuse)?;
        i64::try_from(exact).map_err(|_| Misfit::OutOfRange)
    })
}

/// An `int`.
pub(crate) fn int(value: Value<'_>, profile: Profile) -> Coerced<i32> {
    match long(value, profile)? {
        Some(number) => match i32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Misfit::OutOfRange),
        },
        None => Ok(None),
    }
}

/// A `decimal(precision, scale)`, unscaled.
pub(crate) fn decimal(
    value: Value<'_>,
    profile: Profile,
    precision: u8,
    scale: i8,
) -> Coerced<i128> {
    with_number(value, profile, |_, number| {
        let (unscaled, _) = number.scaled(i64::from(scale), Excess::Refuse)?;
        if unscaled.unsigned_abs() >= 10u128.pow(u32::from(precision)) {
            return Err(Misfit::OutOfRange);
        }
        Ok(unscaled)
    })
}

/// A `double`.
pub(crate) fn double(value: Value<'_>, profile: Profile) -> Coerced<f64> {
    if value.kind == Kind::Number
        && let Some(number) = short_double(value.text, value.text.len())
    {
        return Ok(Some(number));
    }
    if let Some(number) = not_finite(value, profile) {
        return Ok(Some(number));
    }
    with_number(value, profile, |text, number| {
        let nearest: f64 = parse_float(text)?;
        finite(nearest.is_finite(), nearest == 0.0, &number)?;
        exact_if_integer(&number, text, || format!("{nearest:.0}"))?;
        Ok(nearest)
    })
}

/// A `float`.
pub(crate) fn float(value: Value<'_>, profile: Profile) -> Coerced<f32> {
    if let Some(number) = not_finite(value, profile) {
        return Ok(Some(number as f32));
    }
    with_number(value, profile, |text, number| {
        let nearest: f32 = parse_float(text)?;
        finite(nearest.is_finite(), nearest == 0.0, &number)?;
        exact_if_integer(&number, text, || format!("{nearest:.0}"))?;
        Ok(nearest)
    })
}

/// A number counted in a unit of which a microsecond is 10^-`scale`; and whether digits were cut.
pub(crate) fn micros(value: Value<'_>, profile: Profile, scale: i64) -> Coerced<(i64, bool)> {
    let excess = match profile {
        Profile::Strict => Excess::Refuse,
        Profile::Standard | Profile::Lenient => Excess::Cut,
    };
    with_number(value, profile, |_, number| {
        let (micros, cut) = number
            .scaled(scale, excess)
            .map_err(|misfit| match misfit {
                Misfit::Inexact => Misfit::TooPrecise,
                other => other,
            })?;
        let micros = i64::try_from(micros).map_err(|_| Misfit::OutOfRange)?;
        Ok((micros, cut))
    })
}

/// Calls `convert` with the value's number as text and as parts, if the profile sees a number in it.
fn with_number<T>(
    value: Value<'_>,
    profile: Profile,
    convert: impl Fn(&[u8], Decimal<'_>) -> Result<T, Misfit>,
) -> Coerced<T> {
    let text = match value.kind {
        Kind::Number => Cow::Borrowed(value.text),
        Kind::Text | Kind::Escaped if profile == Profile::Strict => return Err(Misfit::WrongType),
        Kind::Text | Kind::Escaped | Kind::Plain => match plain_text(value, profile)? {
            Some(text) => text,
            None => return Ok(None),
        },
        _ => return Err(Misfit::WrongType),
    };
    if let Some(number) = Decimal::parse(&text) {
        return convert(&text, number).map(Some);
    }
    if profile == Profile::Lenient {
        let tidy = tidy(&text).ok_or(Misfit::Unparsable)?;
        let number = Decimal::parse(&tidy).ok_or(Misfit::Unparsable)?;
        return convert(&tidy, number).map(Some);
    }
    Err(Misfit::Unparsable)
}

/// `lenient`: a leading `+`, leading zeros, `.5`, `5.`, and one separator between groups of three digits.
fn tidy(text: &[u8]) -> Option<Vec<u8>> {
    let (sign, rest): (&[u8], _) = match text.split_first()? {
        (b'-', rest) => (b"-", rest),
        (b'+', rest) => (b"", rest),
        _ => (b"", text),
    };
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'.' | b'e' | b'E'))
        .unwrap_or(rest.len());
    let (whole, rest) = rest.split_at(end);
    let mut tidy = sign.to_vec();
    let digits = ungrouped(whole)?;
    let significant = digits.iter().position(|digit| *digit != b'0');
    match significant {
        Some(first) => tidy.extend_from_slice(&digits[first..]),
        None => tidy.push(b'0'),
    }
    match rest.split_first() {
        Some((b'.', fraction)) => {
            let (fraction, exponent) = split_digits(fraction);
            if fraction.is_empty() && digits.is_empty() {
                return None;
            }
            if !fraction.is_empty() {
                tidy.push(b'.');
                tidy.extend_from_slice(fraction);
            }
            tidy.extend_from_slice(exponent);
        }
        _ if digits.is_empty() => return None,
        _ => tidy.extend_from_slice(rest),
    }
    Some(tidy)
}

/// The digits of `1,234,567`, `1_234_567`, `1 234 567` or `1'234'567`.
fn ungrouped(whole: &[u8]) -> Option<Vec<u8>> {
    let separator = whole.iter().find(|byte| !byte.is_ascii_digit());
    let Some(separator) = separator else {
        return Some(whole.to_vec());
    };
    if !matches!(separator, b',' | b'_' | b' ' | b'\'') {
        return None;
    }
    let groups: Vec<&[u8]> = whole.split(|byte| byte == separator).collect();
    let (first, others) = groups.split_first()?;
    let digits = |group: &[u8]| group.iter().all(u8::is_ascii_digit);
    let fits = (1..=3).contains(&first.len())
        && digits(first)
        && others.iter().all(|group| group.len() == 3 && digits(group));
    fits.then(|| groups.concat())
}

/// `NaN` and the infinities as text, which JSON has no number for.
fn not_finite(value: Value<'_>, profile: Profile) -> Option<f64> {
    let textual = matches!(value.kind, Kind::Text | Kind::Plain);
    if !textual || (profile == Profile::Strict && value.kind == Kind::Text) {
        return None;
    }
    match value.text {
        b"NaN" => return Some(f64::NAN),
        b"Infinity" => return Some(f64::INFINITY),
        b"-Infinity" => return Some(f64::NEG_INFINITY),
        _ if profile != Profile::Lenient => return None,
        _ => {}
    }
    match value.text.trim_ascii().to_ascii_lowercase().as_slice() {
        b"nan" => Some(f64::NAN),
        b"inf" | b"+inf" | b"infinity" | b"+infinity" => Some(f64::INFINITY),
        b"-inf" | b"-infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn parse_float<T: std::str::FromStr>(text: &[u8]) -> Result<T, Misfit> {
    let text = std::str::from_utf8(text).map_err(|_| Misfit::Unparsable)?;
    text.parse().map_err(|_| Misfit::Unparsable)
}

/// A number too large for the type, or so small that nothing of it would be left, is out of range.
fn finite(is_finite: bool, is_zero: bool, number: &Decimal<'_>) -> Result<(), Misfit> {
    let mut digits = number.whole.iter().chain(number.fraction);
    let vanished = is_zero && digits.any(|digit| *digit != b'0');
    if is_finite && !vanished {
        Ok(())
    } else {
        Err(Misfit::OutOfRange)
    }
}

/// An integer, as opposed to a decimal, goes into a float only exactly.
fn exact_if_integer(
    number: &Decimal<'_>,
    text: &[u8],
    written: impl Fn() -> String,
) -> Result<(), Misfit> {
    // 15 digits fit a double and 6 a float, but the text of either type is cheap to compare.
    if !number.integer || number.whole.len() <= 6 || written().as_bytes() == text {
        Ok(())
    } else {
        Err(Misfit::Inexact)
    }
}

/// The integer of at most 16 digits that the first `length` bytes spell: the common case. Leading
/// zeros are the caller's to refuse.
#[inline]
pub(crate) fn short_integer(text: &[u8], length: usize) -> Option<i64> {
    let negative = text.first() == Some(&b'-');
    let (text, length) = unsigned(text, length, negative)?;
    let number = if length <= 8 {
        digits::value(text, length)?
    } else {
        let high = digits::value(text, length - 8)?;
        high * 100_000_000 + digits::value(&text[length - 8..], 8)?
    };
    Some(if negative {
        -(number as i64)
    } else {
        number as i64
    })
}

#[inline]
fn unsigned(text: &[u8], length: usize, negative: bool) -> Option<(&[u8], usize)> {
    if negative {
        Some((&text[1..], length - 1))
    } else if length <= text.len() {
        Some((text, length))
    } else {
        None
    }
}

/// 10^0 to 10^8.
const POWERS: [f64; 9] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/// The number of at most 15 digits, and 8 before and after the point, that the first `length` bytes
/// spell: both it and its power of ten are exact as doubles, so that one division rounds rightly
/// (Clinger's fast path).
#[inline]
pub(crate) fn short_double(text: &[u8], length: usize) -> Option<f64> {
    let negative = text.first() == Some(&b'-');
    let (text, length) = unsigned(text, length, negative)?;
    let whole = digits::count(text).min(length);
    let mut number = digits::value(text, whole)? as f64;
    if whole < length {
        let places = length - whole - 1;
        if text[whole] != b'.' || whole + places > 15 {
            return None;
        }
        let fraction = digits::value(&text[whole + 1..], places)?;
        number = (number * POWERS[places] + fraction as f64) / POWERS[places];
    }
    Some(if negative { -number } else { number })
}
