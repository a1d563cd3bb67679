//! Booleans, uuids and bytes out of text, and what text means before it is anything else.

use std::borrow::Cow;

use frazil_dataset::Profile;

use super::{Coerced, Kind, Misfit, Value, unescape};

/// The text of a string value for a column that is no string: unescaped, in `lenient` trimmed.
///
/// `None` is a spelling of null, in `lenient`; `""` is a misfit elsewhere.
pub(crate) fn plain_text(
    value: Value<'_>,
    profile: Profile,
) -> Result<Option<Cow<'_, [u8]>>, Misfit> {
    let mut text = if value.kind == Kind::Escaped {
        let mut plain = Vec::with_capacity(value.text.len());
        unescape(value.text, &mut plain);
        Cow::Owned(plain)
    } else {
        Cow::Borrowed(value.text)
    };
    if profile == Profile::Lenient {
        text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
            Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_vec()),
        };
        if is_null_spelling(&text) {
            return Ok(None);
        }
    }
    if text.is_empty() {
        return Err(Misfit::Empty);
    }
    Ok(Some(text))
}

/// What people write for nothing; only `lenient` believes it, and never of a string column.
fn is_null_spelling(text: &[u8]) -> bool {
    matches!(
        text,
        b"" | b"-" | b"N/A" | b"n/a" | b"NA" | b"null" | b"NULL" | b"Null" | b"None" | b"none"
    )
}

/// A `boolean`.
pub(crate) fn boolean(value: Value<'_>, profile: Profile) -> Coerced<bool> {
    match value.kind {
        Kind::True => return Ok(Some(true)),
        Kind::False => return Ok(Some(false)),
        Kind::Text | Kind::Escaped if profile == Profile::Strict => return Err(Misfit::WrongType),
        Kind::Text | Kind::Escaped | Kind::Plain => {}
        Kind::Number if profile == Profile::Lenient => {
            return match value.text {
                b"1" => Ok(Some(true)),
                b"0" => Ok(Some(false)),
                _ => Err(Misfit::OutOfRange),
            };
        }
        _ => return Err(Misfit::WrongType),
    }
    let Some(text) = plain_text(value, profile)? else {
        return Ok(None);
    };
    match &*text {
        b"true" => return Ok(Some(true)),
        b"false" => return Ok(Some(false)),
        _ if profile != Profile::Lenient => return Err(Misfit::Unparsable),
        _ => {}
    }
    match text.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" | b"y" | b"t" | b"1" => Ok(Some(true)),
        b"false" | b"no" | b"off" | b"n" | b"f" | b"0" => Ok(Some(false)),
        _ => Err(Misfit::Unparsable),
    }
}

/// A `uuid`: 8-4-4-4-12 hex digits; beyond `strict` also 32; in `lenient` also in braces or with `urn:uuid:`.
pub(crate) fn uuid(value: Value<'_>, profile: Profile) -> Coerced<[u8; 16]> {
    let Some(text) = textual(value, profile)? else {
        return Ok(None);
    };
    let mut text = &*text;
    if profile == Profile::Lenient {
        text = match text {
            [b'{', inner @ .., b'}'] => inner,
            _ if text.len() > 9 && text[..9].eq_ignore_ascii_case(b"urn:uuid:") => &text[9..],
            _ => text,
        };
    }
    let mut digits = [0u8; 32];
    match text.len() {
        36 => {
            let mut count = 0;
            for (at, &byte) in text.iter().enumerate() {
                if matches!(at, 8 | 13 | 18 | 23) {
                    if byte != b'-' {
                        return Err(Misfit::Unparsable);
                    }
                } else {
                    digits[count] = byte;
                    count += 1;
                }
            }
        }
        32 if profile != Profile::Strict => digits.copy_from_slice(text),
        _ => return Err(Misfit::Unparsable),
    }
    let mut bytes = [0; 16];
    if !hex_into(&digits, &mut bytes) {
        return Err(Misfit::Unparsable);
    }
    Ok(Some(bytes))
}

/// A `binary`: base64 of a JSON string; of a format without types, the bytes themselves.
pub(crate) fn binary(value: Value<'_>, profile: Profile, into: &mut Vec<u8>) -> Coerced<()> {
    if value.kind == Kind::Plain {
        into.extend_from_slice(value.text);
        return Ok(Some(()));
    }
    let Some(text) = textual(value, profile)? else {
        return Ok(None);
    };
    let length = into.len();
    if base64_into(&text, profile, into) {
        Ok(Some(()))
    } else {
        into.truncate(length);
        Err(Misfit::Unparsable)
    }
}

/// A `fixed(n)`: `2n` hex digits, or base64 of another length (for n of 2 and 4 hex alone).
pub(crate) fn fixed(
    value: Value<'_>,
    profile: Profile,
    size: usize,
    into: &mut Vec<u8>,
) -> Coerced<()> {
    if value.kind == Kind::Plain && value.text.len() == size {
        into.extend_from_slice(value.text);
        return Ok(Some(()));
    }
    let Some(text) = textual(value, profile)? else {
        return Ok(None);
    };
    let start = into.len();
    if text.len() == 2 * size {
        into.resize(start + size, 0);
        if hex_into(&text, &mut into[start..]) {
            return Ok(Some(()));
        }
        into.truncate(start);
        return Err(Misfit::Unparsable);
    }
    if !base64_into(&text, profile, into) {
        into.truncate(start);
        return Err(Misfit::Unparsable);
    }
    if into.len() - start != size {
        into.truncate(start);
        return Err(Misfit::WrongLength);
    }
    Ok(Some(()))
}

/// The text of a value that has to be one.
fn textual(value: Value<'_>, profile: Profile) -> Result<Option<Cow<'_, [u8]>>, Misfit> {
    match value.kind {
        Kind::Text | Kind::Escaped | Kind::Plain => plain_text(value, profile),
        _ => Err(Misfit::WrongType),
    }
}

fn hex_into(digits: &[u8], bytes: &mut [u8]) -> bool {
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16);
        let low = char::from(pair[1]).to_digit(16);
        let (Some(high), Some(low)) = (high, low) else {
            return false;
        };
        *byte = (high << 4 | low) as u8;
    }
    true
}

/// Base64 of RFC 4648: section 4 with padding; in `lenient` also section 5, and without padding.
fn base64_into(text: &[u8], profile: Profile, into: &mut Vec<u8>) -> bool {
    let lenient = profile == Profile::Lenient;
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let symbols = &text[..text.len() - padding];
    let padded = text.len().is_multiple_of(4) && padding <= 2;
    if !(padded || (lenient && padding == 0)) || symbols.len() % 4 == 1 {
        return false;
    }
    let mut buffer = 0u32;
    let mut bits = 0;
    for &symbol in symbols {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'-' if lenient => 62,
            b'_' if lenient => 63,
            _ => return false,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            into.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    // What is left over must be zeros, or two texts would mean the same bytes.
    buffer == 0
}
