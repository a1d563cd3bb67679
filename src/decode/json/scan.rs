//! The grammar of JSON (RFC 8259): where values begin and end, and whether they are valid.
//!
//! Nothing is decoded here, and nothing is taken on trust: what the scanner lets pass, every later
//! stage may rely on. It keeps its own stack of brackets, so that no nesting can exhaust the thread's.

use std::ops::Range;

use super::index::Index;
use crate::coerce::{Kind, digits, hex4};

/// The deepest nesting of a record: what other engines' readers take at most, and more than any log has.
pub(super) const DEPTH_MAX: u32 = 128;

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Not JSON; what was expected.
    Invalid(&'static str),
    /// A control character in a string.
    Control,
    /// A zero byte.
    NulByte,
    /// `\u0000`.
    NulCharacter,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
}

/// A fault and its place in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) kind: FaultKind,
}

impl FaultKind {
    /// The stable word for it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::Control => "invalid_json",
            Self::NulByte => "nul_byte",
            Self::NulCharacter => "nul_character",
            Self::LoneSurrogate => "lone_surrogate",
            Self::TooDeep => "too_deep",
        }
    }

    /// What it is, for people.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Invalid(expected) => format!("expected {expected}"),
            Self::Control => "a control character in a string has to be escaped".to_owned(),
            Self::NulByte => "a zero byte".to_owned(),
            Self::NulCharacter => "the character \\u0000".to_owned(),
            Self::LoneSurrogate => "half of a surrogate pair, which is no character".to_owned(),
            Self::TooDeep => format!("nested deeper than {DEPTH_MAX}"),
        }
    }
}

/// The record is not taken; the scanner holds the [`Fault`]. Kept empty, so that results stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

/// Where a value of a shape is that was scanned from `start` to `end`: of a string, what is between its quotes.
#[inline]
pub(super) fn place(kind: Kind, start: usize, end: usize) -> Range<usize> {
    let quotes = usize::from(matches!(kind, Kind::Text | Kind::Escaped));
    start + quotes..end - quotes
}

/// Walks one record.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    /// The block's bytes up to the record's end.
    pub(super) text: &'a [u8],
    /// The place in the block.
    pub(super) at: usize,
    /// Whether strings must be looked through for control characters.
    pub(super) controls: bool,
    /// Whether no string has anything but itself between its quotes: neither escapes nor control characters.
    pub(super) plain: bool,
    pub(super) index: &'a Index,
    /// What was wrong, once something has failed.
    pub(super) fault: Fault,
}

impl<'a> Scanner<'a> {
    /// A scanner of what stands in `text` from `at` on.
    pub(super) fn new(text: &'a [u8], at: usize, index: &'a Index) -> Self {
        Self {
            text,
            at,
            controls: false,
            plain: false,
            index,
            fault: Fault {
                at,
                kind: FaultKind::Invalid("a value"),
            },
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> u8 {
        // No value starts with a zero byte, so it can stand for the end.
        self.text.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn space(&mut self) {
        while let b' ' | b'\t' | b'\n' | b'\r' = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    pub(super) fn fault<T>(&mut self, expected: &'static str) -> Result<T, Failed> {
        let at = self.at.min(self.text.len());
        self.fault_at(at, FaultKind::Invalid(expected))
    }

    #[cold]
    pub(super) fn fault_at<T>(&mut self, at: usize, kind: FaultKind) -> Result<T, Failed> {
        self.fault = Fault { at, kind };
        Err(Failed)
    }

    /// Steps over `byte`.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Failed> {
        if self.peek() != byte {
            return self.fault(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// A value of any kind. `depth` is how many brackets are open round it.
    #[inline]
    pub(super) fn value(&mut self, depth: u32) -> Result<Kind, Failed> {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' | b'[' => self.nested(depth),
            _ => self.literal(),
        }
    }

    /// A string, its opening quote at hand.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Kind, Failed> {
        let start = self.at + 1;
        let Some(end) = self
            .index
            .next_quote(start)
            .filter(|end| *end < self.text.len())
        else {
            self.at = self.text.len();
            return self.fault("the quote that ends the string");
        };
        self.at = end + 1;
        let mut kind = Kind::Text;
        if self.controls {
            self.check_controls(start, end)?;
        }
        if self.index.has_backslash(start, end) {
            self.check_escapes(start, end)?;
            kind = Kind::Escaped;
        }
        Ok(kind)
    }

    #[cold]
    fn check_controls(&mut self, start: usize, end: usize) -> Result<(), Failed> {
        let control = self.text[start..end].iter().position(|byte| *byte < 0x20);
        match control {
            None => Ok(()),
            Some(offset) => self.fault_at(start + offset, FaultKind::Control),
        }
    }

    fn check_escapes(&mut self, start: usize, end: usize) -> Result<(), Failed> {
        match bad_escape(&self.text[start..end]) {
            None => Ok(()),
            Some((offset, kind)) => self.fault_at(start + offset, kind),
        }
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        loop {
            let count = digits::count(self.text.get(self.at..).unwrap_or_default());
            self.at += count;
            if count < 8 {
                return self.at - start;
            }
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Kind, Failed> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        let first = self.peek();
        let whole = self.digits();
        if whole == 0 {
            return self.fault("a digit");
        }
        if first == b'0' && whole > 1 {
            self.at -= whole - 1;
            return self.fault("no digit after a leading zero");
        }
        if self.peek() == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return self.fault("a digit after the point");
            }
        }
        if let b'e' | b'E' = self.peek() {
            self.at += 1;
            if let b'+' | b'-' = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fault("a digit of the exponent");
            }
        }
        Ok(Kind::Number)
    }

    #[inline]
    fn literal(&mut self) -> Result<Kind, Failed> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (kind, length) = if rest.starts_with(b"true") {
            (Kind::True, 4)
        } else if rest.starts_with(b"false") {
            (Kind::False, 5)
        } else if rest.starts_with(b"null") {
            (Kind::Null, 4)
        } else {
            return self.fault("a value");
        };
        self.at += length;
        Ok(kind)
    }

    /// An object or array, its opening bracket at hand.
    fn nested(&mut self, depth: u32) -> Result<Kind, Failed> {
        let kind = if self.peek() == b'{' {
            Kind::Object
        } else {
            Kind::Array
        };
        // The open brackets, the innermost lowest: 1 for an object.
        let mut objects: u128 = 0;
        let mut open = 0;
        loop {
            let bracket = self.peek();
            if let b'{' | b'[' = bracket {
                if depth + open >= DEPTH_MAX {
                    return self.fault_at(self.at, FaultKind::TooDeep);
                }
                let object = bracket == b'{';
                objects = objects << 1 | u128::from(object);
                open += 1;
                self.at += 1;
                self.space();
                // `]` is `[` + 2, and `}` is `{` + 2.
                if self.peek() != bracket + 2 {
                    if object {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
                self.space();
            }
            // A value ended, or a bracket is about to.
            loop {
                let object = objects & 1 == 1;
                match (self.peek(), object) {
                    (b',', _) => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        objects >>= 1;
                        open -= 1;
                        if open == 0 {
                            return Ok(kind);
                        }
                        self.space();
                    }
                    (_, true) => return self.fault("a comma or the object's end"),
                    (_, false) => return self.fault("a comma or the array's end"),
                }
            }
        }
    }

    fn scalar(&mut self) -> Result<Kind, Failed> {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.literal(),
        }
    }

    /// A key, its colon and the spaces round it.
    fn key(&mut self) -> Result<(), Failed> {
        if self.peek() != b'"' {
            return self.fault("a key in quotes");
        }
        self.string()?;
        self.colon()
    }

    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), Failed> {
        self.space();
        self.expect(b':', "a colon after the key")?;
        self.space();
        Ok(())
    }
}

/// The first escape of a string that is none, and its place.
fn bad_escape(text: &[u8]) -> Option<(usize, FaultKind)> {
    let unit = |at: usize| match text.get(at..at + 2) {
        Some(b"\\u") => text.get(at + 2..at + 6).and_then(hex4),
        _ => None,
    };
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &text[at..]) {
        at += offset;
        let fault = |kind| Some((at, kind));
        match text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
            Some(b'u') => match unit(at) {
                None => return fault(FaultKind::Invalid("four hex digits after \\u")),
                Some(0) => return fault(FaultKind::NulCharacter),
                Some(0xd800..0xdc00) => match unit(at + 6) {
                    Some(0xdc00..0xe000) => at += 12,
                    _ => return fault(FaultKind::LoneSurrogate),
                },
                Some(0xdc00..0xe000) => return fault(FaultKind::LoneSurrogate),
                Some(_) => at += 6,
            },
            _ => return fault(FaultKind::Invalid("an escape that JSON knows")),
        }
    }
    None
}
