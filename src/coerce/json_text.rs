//! Reading JSON text that is known to be valid: nested values and escaped strings.
//!
//! The decoder has validated every record before anything here sees it, so these functions look
//! for ends only. Given invalid text they stop early; they do not panic and do not loop.

use memchr::memchr2;

use super::{Kind, Value};

/// Appends what an escaped string means. The escapes must be valid.
pub(crate) fn unescape(mut escaped: &[u8], into: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', escaped) {
        into.extend_from_slice(&escaped[..at]);
        let Some(&letter) = escaped.get(at + 1) else {
            return;
        };
        let mut used = 2;
        match letter {
            b'b' => into.push(8),
            b'f' => into.push(12),
            b'n' => into.push(b'\n'),
            b'r' => into.push(b'\r'),
            b't' => into.push(b'\t'),
            b'u' => {
                let (character, length) = code_point(&escaped[at..]);
                let mut buffer = [0; 4];
                into.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                used = length;
            }
            other => into.push(other),
        }
        escaped = escaped.get(at + used..).unwrap_or_default();
    }
    into.extend_from_slice(escaped);
}

/// The character of a `\uXXXX` or of a surrogate pair of them, and its length in bytes.
fn code_point(escape: &[u8]) -> (char, usize) {
    let high = hex4(escape.get(2..6).unwrap_or_default()).unwrap_or(0xfffd);
    if (0xd800..0xdc00).contains(&high) {
        let low = hex4(escape.get(8..12).unwrap_or_default()).unwrap_or(0);
        let code = 0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
        return (char::from_u32(code).unwrap_or('\u{fffd}'), 12);
    }
    (char::from_u32(high).unwrap_or('\u{fffd}'), 6)
}

/// Four hex digits.
pub(crate) fn hex4(digits: &[u8]) -> Option<u32> {
    let digits: [u8; 4] = digits.try_into().ok()?;
    digits.iter().try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

/// Walks the members of one valid JSON object or array.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader of the members of `text`, an object or array with its brackets.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 1 }
    }

    /// The next member of an object: its key (as it stands, with escapes) and its value.
    pub(crate) fn member(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        self.skip_separators();
        if self.peek()? != b'"' {
            return None;
        }
        let key = self.string();
        self.skip_separators();
        Some((key, self.value()?))
    }

    /// The next element of an array.
    pub(crate) fn element(&mut self) -> Option<Value<'a>> {
        self.skip_separators();
        self.value()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips whitespace, commas and colons, whose places are known to be right.
    fn skip_separators(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let kind = match self.peek()? {
            b'"' => return Some(self.string()),
            b'{' => self.nested(Kind::Object),
            b'[' => self.nested(Kind::Array),
            b'}' | b']' => return None,
            first => {
                while !matches!(
                    self.peek(),
                    None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
                ) {
                    self.at += 1;
                }
                match first {
                    b't' => Kind::True,
                    b'f' => Kind::False,
                    b'n' => Kind::Null,
                    _ => Kind::Number,
                }
            }
        };
        Some(Value::new(kind, &self.text[start..self.at]))
    }

    fn string(&mut self) -> Value<'a> {
        let start = self.at + 1;
        let mut kind = Kind::Text;
        let mut at = start;
        loop {
            match find_end(self.text.get(at..).unwrap_or_default()) {
                Some(found) if self.text[at + found] == b'"' => {
                    let end = at + found;
                    self.at = end + 1;
                    return Value::new(kind, &self.text[start..end]);
                }
                Some(found) => {
                    kind = Kind::Escaped;
                    at += found + 2;
                }
                None => {
                    self.at = self.text.len();
                    return Value::new(kind, self.text.get(start..).unwrap_or_default());
                }
            }
        }
    }

    fn nested(&mut self, kind: Kind) -> Kind {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        kind
    }
}

/// The first quote or backslash. Strings within lists and structs are short, and a search for one
/// is over before a call to a vectorised one has begun.
#[inline]
fn find_end(text: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Marks the zero bytes of a word; above the first one, others may be marked, too.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let (words, _) = text.as_chunks::<8>();
    for (at, word) in words.iter().take(4).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (LOW * u64::from(b'"'))) | zeros(word ^ (LOW * u64::from(b'\\')));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let done = words.len().min(4) * 8;
    memchr2(b'"', b'\\', &text[done..]).map(|at| done + at)
}
