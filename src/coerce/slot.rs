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
        }
    }

    /// The key, if it is one.
    pub(crate) fn text(self, bytes: &[u8]) -> Option<&[u8]> {
        let start = self.start as usize;
        (self.rank != Rank::Element).then(|| &bytes[start..start + usize::from(self.length)])
    }

    /// Steps there.
    pub(crate) fn push(self, path: &mut Path, bytes: &[u8]) {
        match self.text(bytes) {
            Some(key) => path.push_key(key),
            None => path.push_index(&self.start.to_string()),
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
        },
        kind: Kind::Missing,
    };

    /// The value that is there.
    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> Value<'a> {
        Value::new(self.kind, &bytes[self.start as usize..self.end as usize])
    }
}
