//! Where a decoder found the values that columns take.

use super::{Kind, Path, Value};
use crate::decode::names::Rank;

/// A field's value in a row, by its place in the bytes that hold the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) key: Key,
    pub(crate) kind: Kind,
}

/// A field's key as the record has it, by its place in the same bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) start: u32,
    pub(crate) length: u16,
    pub(crate) rank: Rank,
    pub(crate) spelling: Spelling,
}

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As the text of a JSON string, maybe with escapes.
    Json,
    /// As it is.
    Plain,
    /// Not in the record: `start` is its number among names that all records have.
    Fixed,
}

/// One field of consecutive rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// The slots of the rows, one row after another.
    pub(crate) slots: &'a [Slot],
    /// How many slots a row has.
    pub(crate) width: usize,
    /// Which of them is the field's.
    pub(crate) slot: usize,
    /// What the slots' places are in.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Run<'a> {
    /// How many rows from `from` on `take` takes in succession. It gets a value's shape, the bytes
    /// from the value's start on, and the value's length.
    #[inline]
    pub(crate) fn take_while(
        &self,
        from: usize,
        mut take: impl FnMut(Kind, &'a [u8], usize) -> bool,
    ) -> usize {
        let rows = self.slots[from * self.width..].chunks_exact(self.width);
        let mut taken = 0;
        for row in rows {
            let Slot {
                start, end, kind, ..
            } = row[self.slot];
            let rest = &self.bytes[start as usize..];
            if !take(kind, rest, (end - start) as usize) {
                break;
            }
            taken += 1;
        }
        taken
    }
}

/// A field of a struct, in the table's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its slot.
    pub(crate) slot: u32,
    /// Where its own fields are.
    pub(crate) members: Vec<Member>,
}

impl Key {
    /// An array's element has no key.
    pub(crate) fn element(index: u32) -> Self {
        Self {
            start: index,
            length: 0,
            rank: Rank::Element,
            spelling: Spelling::Json,
        }
    }

    /// The key, if it is one.
    pub(crate) fn text(self, bytes: &[u8]) -> Option<&[u8]> {
        let start = self.start as usize;
        (self.rank != Rank::Element).then(|| &bytes[start..start + usize::from(self.length)])
    }

    /// The key, if it is one, as it stands in the bytes or among the names that all records have.
    pub(crate) fn name<'a>(self, bytes: &'a [u8], names: &'a [String]) -> Option<&'a [u8]> {
        match self.spelling {
            Spelling::Fixed => names.get(self.start as usize).map(String::as_bytes),
            Spelling::Json | Spelling::Plain => self.text(bytes),
        }
    }

    /// Steps there.
    pub(crate) fn push(self, path: &mut Path, bytes: &[u8], names: &[String]) {
        match (self.name(bytes, names), self.spelling) {
            (Some(key), Spelling::Json) => path.push_key(key),
            (Some(key), _) => path.push_text(key),
            (None, _) => path.push_index(&self.start.to_string()),
        }
    }
}

impl Slot {
    pub(crate) const MISSING: Self = Self {
        start: 0,
        end: 0,
        key: Key {
            start: 0,
            length: 0,
            rank: Rank::Exact,
            spelling: Spelling::Json,
        },
        kind: Kind::Missing,
    };

    /// The value that is there.
    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> Value<'a> {
        Value::new(self.kind, &bytes[self.start as usize..self.end as usize])
    }
}
