//! Fields of formats that know no nesting: each has a name, and its text goes where the name leads.

use std::ops::Range;

use super::Rows;
use crate::{
    coerce::{Clash, Key, Kind, Slot, Spelling, Value},
    decode::names::{Found, Rank},
    record::RecordBlock,
};

/// Where fields of a name go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Home {
    /// Into a slot, for one column or more.
    Slot(u32, Rank),
    /// As near to two columns.
    Ambiguous,
    /// No column takes it.
    None,
}

/// The names that all records have in common.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    pub(super) names: Vec<String>,
    homes: Vec<Home>,
}

impl Rows {
    /// Settles the names that all records to come have in common; fields are then put by number.
    pub(in crate::decode) fn fix(&mut self, names: Vec<String>) {
        self.plan.nodes[0].names.begin();
        self.fixed = Fixed::default();
        for name in names {
            self.fix_more(name);
        }
    }

    /// Settles one name more.
    pub(in crate::decode) fn fix_more(&mut self, name: String) {
        let found = self.plan.nodes[0]
            .names
            .find(Value::new(Kind::Plain, name.as_bytes()));
        let home = self.home(found);
        self.fixed.homes.push(home);
        self.fixed.names.push(name);
    }

    /// A record with names of its own begins.
    pub(in crate::decode) fn begin_names(&mut self) {
        self.plan.nodes[0].names.begin();
    }

    /// How many names are settled.
    pub(in crate::decode) fn fixed_count(&self) -> usize {
        self.fixed.names.len()
    }

    /// Whether a column takes the fields of a settled name.
    pub(in crate::decode) fn takes(&self, field: usize) -> bool {
        matches!(self.fixed.homes[field], Home::Slot(..))
    }

    /// Puts a text under a settled name.
    #[inline]
    pub(in crate::decode) fn put(&mut self, block: &RecordBlock, field: usize, text: Range<usize>) {
        let key = Key {
            start: field as u32,
            length: 0,
            rank: Rank::Exact,
            spelling: Spelling::Fixed,
        };
        self.place(block, self.fixed.homes[field], key, text, Kind::Plain);
    }

    /// Puts a value under a name of the record's own, which stands at `key`.
    pub(in crate::decode) fn put_named(
        &mut self,
        block: &RecordBlock,
        key: Range<usize>,
        text: Range<usize>,
        kind: Kind,
    ) {
        let bytes = if self.text.is_empty() {
            &block.bytes[..]
        } else {
            &self.text[..]
        };
        let name = Value::new(Kind::Plain, &bytes[key.clone()]);
        let found = self.plan.nodes[0].names.find(name);
        // Names are shorter: of a longer key only its place is told.
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let key = Key {
            start: key.start as u32,
            length,
            rank: Rank::Exact,
            spelling: Spelling::Plain,
        };
        self.place(block, self.home(found), key, text, kind);
    }

    /// Whether a column takes the fields of a name that was added as text.
    pub(in crate::decode) fn takes_named(&mut self, key: Range<usize>) -> bool {
        let name = Value::new(Kind::Plain, &self.text[key]);
        let found = self.plan.nodes[0].names.find(name);
        matches!(self.home(found), Home::Slot(..))
    }

    /// Rescues text that belongs to no field, under a name that no field has.
    #[cold]
    pub(in crate::decode) fn rescue_beside(
        &mut self,
        block: &RecordBlock,
        name: &str,
        text: Range<usize>,
        reason: &'static str,
    ) {
        let bytes = if self.text.is_empty() {
            &block.bytes[..]
        } else {
            &self.text[..]
        };
        self.ledger.path.push_special(name);
        self.ledger
            .rescue(Value::new(Kind::Plain, &bytes[text]), reason);
        self.ledger.path.pop();
    }

    /// As a field that no column takes, text that belongs to none, under a name that no field has.
    pub(in crate::decode) fn unknown_beside(
        &mut self,
        block: &RecordBlock,
        name: &str,
        text: Range<usize>,
    ) {
        let bytes = if self.text.is_empty() {
            &block.bytes[..]
        } else {
            &self.text[..]
        };
        self.ledger.path.push_special(name);
        self.ledger.unknown(Value::new(Kind::Plain, &bytes[text]));
        self.ledger.path.pop();
    }

    /// Adds text that does not stand so in the record, and says where it is then.
    pub(in crate::decode) fn add(
        &mut self,
        block: &RecordBlock,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Range<usize> {
        if self.text.is_empty() {
            self.text.extend_from_slice(&block.bytes);
        }
        let start = self.text.len();
        write(&mut self.text);
        start..self.text.len()
    }

    fn home(&self, found: Found) -> Home {
        match found {
            Found::Ambiguous => Home::Ambiguous,
            Found::Field(index, rank) => {
                let field = &self.plan.nodes[0].fields[index as usize];
                if field.taken {
                    Home::Slot(field.slot, rank)
                } else {
                    // A column takes something within it, and it has nothing within.
                    Home::None
                }
            }
            Found::Unknown => Home::None,
        }
    }

    #[inline]
    fn place(&mut self, block: &RecordBlock, home: Home, key: Key, text: Range<usize>, kind: Kind) {
        if let Home::Slot(slot, rank) = home {
            let place = self.slots.len() - self.plan.slots + slot as usize;
            let held = &mut self.slots[place];
            if held.kind == Kind::Missing {
                *held = Slot {
                    start: text.start as u32,
                    end: text.end as u32,
                    key: Key { rank, ..key },
                    kind,
                };
                return;
            }
        }
        self.unplaced(block, home, key, text, kind);
    }

    /// A field that no column takes, or whose slot is taken.
    #[cold]
    fn unplaced(
        &mut self,
        block: &RecordBlock,
        home: Home,
        key: Key,
        text: Range<usize>,
        kind: Kind,
    ) {
        let bytes = if self.text.is_empty() {
            &block.bytes[..]
        } else {
            &self.text[..]
        };
        let Self {
            ledger,
            fixed,
            slots,
            plan,
            ..
        } = self;
        let names = &fixed.names[..];
        let value = Value::new(kind, &bytes[text.clone()]);
        let (slot, rank) = match home {
            Home::Slot(slot, rank) => (slot as usize, rank),
            Home::Ambiguous | Home::None => {
                key.push(&mut ledger.path, bytes, names);
                match home {
                    Home::Ambiguous => ledger.rescue(value, "ambiguous_name"),
                    _ => ledger.unknown(value),
                }
                return ledger.path.pop();
            }
        };
        let place = slots.len() - plan.slots + slot;
        let held = slots[place];
        let old_name = held.key.name(bytes, names).unwrap_or_default();
        let new_name = key.name(bytes, names).unwrap_or_default();
        let clash = Clash::of((held.kind, held.key.rank, old_name), (rank, new_name));
        if clash.rescue_old() && held.kind != Kind::Ambiguous {
            held.key.push(&mut ledger.path, bytes, names);
            ledger.rescue(held.value(bytes), clash.reason());
            ledger.path.pop();
        }
        if clash.rescue_new() {
            key.push(&mut ledger.path, bytes, names);
            ledger.rescue(value, clash.reason());
            ledger.path.pop();
        }
        let new = Slot {
            start: text.start as u32,
            end: text.end as u32,
            key: Key { rank, ..key },
            kind,
        };
        slots[place] = match clash {
            Clash::OldWins => held,
            Clash::Both => Slot {
                kind: Kind::Ambiguous,
                ..new
            },
            Clash::Duplicate | Clash::NewWins => new,
        };
    }
}
