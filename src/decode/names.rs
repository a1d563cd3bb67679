//! Which column's field a key of an object is: exactly, then without regard to case, then with
//! characters that engines dislike replaced.
//!
//! Records of one stream have their keys in nearly one order, so [`Names`] remembers for each key
//! which ones followed it: as long as the guess is right, a key costs one comparison and is never searched for.

use std::collections::HashMap;

use crate::coerce::{Kind, Value, unescape};

/// How near a key is to the name that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The name itself.
    Exact,
    /// But for case.
    Case,
    /// But for case and for characters other than letters, digits and `_`.
    Sanitized,
    /// No key at all: an array's element, found by its index.
    Element,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// One of the names, by its number.
    Field(u32, Rank),
    /// As near to two names.
    Ambiguous,
    /// None of them.
    Unknown,
}

/// More different keys than this in one place are data, not names: they are looked up and not remembered.
const REMEMBERED_MAX: usize = 1024;

/// What follows a key: in nearly all JSON without a space between.
const KEY_END: &[u8] = b"\":";

/// A key among those seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor(u32);

/// The names at one place of a record, and what is known of their order.
#[derive(Debug)]
pub(crate) struct Names {
    exact: HashMap<Vec<u8>, u32>,
    folded: HashMap<String, Option<u32>>,
    sanitized: HashMap<String, Option<u32>>,
    /// Keys as records have them, by when they were first seen; the first stands for an object's begin.
    seen: Vec<Seen>,
    by_key: HashMap<Vec<u8>, u32>,
    /// By a name's number, see [`Seen::slot`].
    slots: Vec<u32>,
    /// The key found last, in `seen`.
    last: usize,
}

/// A key as records have it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The first and the last eight bytes of `ended`, which are all of most keys.
    head: Ends,
    tail: Ends,
    tail_at: u32,
    /// Whether there are bytes between these.
    long: bool,
    pub(crate) rank: Rank,
    /// The key's length, saturated.
    pub(crate) length: u16,
    /// Where the value of the field that it stands for goes if nothing has to be considered; else `u32::MAX`.
    pub(crate) slot: u32,
    /// Which it is.
    pub(crate) cursor: Cursor,
    /// The keys that followed it, the latest first.
    then: [u32; 2],
    found: Found,
    /// The key as it stands in the record, and [`KEY_END`]; of the first, an object's begin, nothing.
    ended: Vec<u8>,
}

/// Eight bytes to compare at once; of fewer, the mask leaves the rest out.
#[derive(Debug, Clone, Copy)]
struct Ends {
    bytes: u64,
    mask: u64,
}

impl Ends {
    fn of(bytes: &[u8]) -> Self {
        let mut eight = [0; 8];
        let mut mask = [0; 8];
        let length = bytes.len().min(8);
        eight[..length].copy_from_slice(&bytes[..length]);
        mask[..length].fill(0xff);
        Self {
            bytes: u64::from_le_bytes(eight),
            mask: u64::from_le_bytes(mask),
        }
    }

    #[inline]
    fn equal(self, text: Option<&[u8]>) -> bool {
        match text.and_then(<[u8]>::first_chunk::<8>) {
            Some(eight) => u64::from_le_bytes(*eight) & self.mask == self.bytes,
            None => false,
        }
    }
}

impl Seen {
    /// What an object begins with: no text is it.
    fn begin() -> Self {
        let mut begin = Self::new(Vec::new(), Found::Unknown, u32::MAX, Cursor(0));
        begin.head.bytes = 1;
        begin
    }

    fn new(ended: Vec<u8>, found: Found, slot: u32, cursor: Cursor) -> Self {
        let tail_at = ended.len().saturating_sub(8);
        Self {
            head: Ends::of(&ended),
            tail: Ends::of(&ended[tail_at..]),
            tail_at: tail_at as u32,
            long: ended.len() > 16,
            rank: match found {
                Found::Field(_, rank) => rank,
                _ => Rank::Exact,
            },
            length: u16::try_from(ended.len().saturating_sub(KEY_END.len())).unwrap_or(u16::MAX),
            // A key too long for a slot is left to the general walk.
            slot: if ended.len() < 1 << 15 {
                slot
            } else {
                u32::MAX
            },
            cursor,
            then: [0, 0],
            found,
            ended,
        }
    }

    /// Whether a text starts with the key, its quote and the colon. May say no near the text's end.
    #[inline]
    fn starts(&self, rest: &[u8]) -> bool {
        self.head.equal(Some(rest))
            && self.tail.equal(rest.get(self.tail_at as usize..))
            && (!self.long || rest.starts_with(&self.ended))
    }
}

impl Names {
    /// Names with their numbers: 0, 1, …, which all may be met loosely.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self::with_looseness(names.map(|name| (name, true)))
    }

    /// Names with their numbers: 0, 1, …, and whether a key may stand for them that is only like them.
    pub(crate) fn with_looseness<'a>(names: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let mut new = Self {
            exact: HashMap::new(),
            folded: HashMap::new(),
            sanitized: HashMap::new(),
            seen: Vec::new(),
            by_key: HashMap::new(),
            slots: Vec::new(),
            last: 0,
        };
        for (number, (name, loose)) in names.enumerate() {
            let number = number as u32;
            new.exact.insert(name.as_bytes().to_vec(), number);
            if !loose {
                continue;
            }
            let insert = |map: &mut HashMap<String, Option<u32>>, key| {
                map.entry(key)
                    .and_modify(|one| *one = None)
                    .or_insert(Some(number));
            };
            insert(&mut new.folded, name.to_lowercase());
            insert(&mut new.sanitized, sanitize(name));
        }
        new.seen.push(Seen::begin());
        new
    }

    /// Says of each name, by its number, where its value goes if nothing has to be considered; else `u32::MAX`.
    pub(crate) fn set_slots(&mut self, slots: Vec<u32>) {
        self.slots = slots;
    }

    /// An object begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.last = 0;
    }

    /// The key that `rest`, which follows an opening quote, starts with, if it is likely after the one
    /// `after` and its closing quote and a colon follow.
    #[inline]
    pub(crate) fn guess(&self, after: Cursor, rest: &[u8]) -> Option<&Seen> {
        let [first, second] = self.seen[after.0 as usize].then;
        let seen = &self.seen[first as usize];
        if seen.starts(rest) {
            return Some(seen);
        }
        let seen = &self.seen[second as usize];
        seen.starts(rest).then_some(seen)
    }

    /// Which key came last.
    #[inline]
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(self.last as u32)
    }

    /// That a guessed key came last.
    #[inline]
    pub(crate) fn set_cursor(&mut self, cursor: Cursor) {
        self.last = cursor.0 as usize;
    }

    /// What a key is, as it stands in the record.
    pub(crate) fn find(&mut self, key: Value<'_>) -> Found {
        for next in self.seen[self.last].then {
            let seen = &self.seen[next as usize];
            if seen.ended.strip_suffix(KEY_END) == Some(key.text) {
                self.last = next as usize;
                return seen.found;
            }
        }
        self.search(key)
    }

    /// Looks a key up that was not guessed, and remembers it.
    fn search(&mut self, key: Value<'_>) -> Found {
        if let Some(&known) = self.by_key.get(key.text) {
            self.follow(known);
            return self.seen[known as usize].found;
        }
        let found = self.resolve(key);
        if self.seen.len() < REMEMBERED_MAX {
            let number = self.seen.len() as u32;
            let ended = [key.text, KEY_END].concat();
            let slot = match found {
                Found::Field(index, _) => self.slots.get(index as usize).copied(),
                _ => None,
            };
            let slot = slot.unwrap_or(u32::MAX);
            self.seen
                .push(Seen::new(ended, found, slot, Cursor(number)));
            self.by_key.insert(key.text.to_vec(), number);
            self.follow(number);
        }
        found
    }

    fn follow(&mut self, next: u32) {
        let then = &mut self.seen[self.last].then;
        *then = [next, then[0]];
        self.last = next as usize;
    }

    /// The number of the name that is exactly this.
    pub(crate) fn exact(&self, name: &[u8]) -> Option<u32> {
        self.exact.get(name).copied()
    }

    fn resolve(&self, key: Value<'_>) -> Found {
        let mut plain = Vec::new();
        if key.kind == Kind::Escaped {
            unescape(key.text, &mut plain);
        } else {
            plain.extend_from_slice(key.text);
        }
        if let Some(&number) = self.exact.get(&plain) {
            return Found::Field(number, Rank::Exact);
        }
        let Ok(name) = std::str::from_utf8(&plain) else {
            return Found::Unknown;
        };
        let near = [
            (self.folded.get(&name.to_lowercase()), Rank::Case),
            (self.sanitized.get(&sanitize(name)), Rank::Sanitized),
        ];
        for (entry, rank) in near {
            match entry {
                Some(Some(number)) => return Found::Field(*number, rank),
                Some(None) => return Found::Ambiguous,
                None => {}
            }
        }
        Found::Unknown
    }
}

/// A name in lower case with everything but letters, digits and `_` replaced by `_`.
fn sanitize(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|character| {
            if character.is_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect()
}
