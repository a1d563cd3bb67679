//! Structs, lists and maps: their members are coerced one by one, and one that does not fit costs itself alone.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{FieldRef, Fields};

use super::{
    Key, Kind, Ledger, Member, Misfit, Reader, Slot, Spelling, Value, column::Spans, ledger::Mark,
    target::Target,
};
use crate::decode::names::{self, Names, Rank};

/// A struct's fields, under construction.
#[derive(Debug)]
pub(crate) struct StructColumn {
    fields: Fields,
    children: Vec<Target>,
    names: Names,
    nulls: NullBufferBuilder,
    /// Where each child's value is in the object at hand; kept to spare an allocation an object.
    slots: Vec<Slot>,
}

/// A struct's members where a decoder found them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The slots of the struct's fields.
    pub(crate) members: &'a [Member],
    pub(crate) slots: &'a [Slot],
    /// What the slots' places are in.
    pub(crate) bytes: &'a [u8],
}

/// Where `part`, a slice of `whole`, starts in it.
pub(crate) fn place(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    (start as u32, (start + part.len()) as u32)
}

impl StructColumn {
    pub(crate) fn new(fields: Fields, children: Vec<Target>) -> Self {
        let names = Names::new(fields.iter().map(|field| field.name().as_str()));
        Self {
            slots: vec![Slot::MISSING; children.len()],
            fields,
            children,
            names,
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn push_null(&mut self) {
        for child in &mut self.children {
            child.push_null();
        }
        self.nulls.append_null();
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        for child in &mut self.children {
            child.truncate(length);
        }
        self.nulls.truncate(length);
    }

    /// Appends an object; null, and a misfit, for anything else.
    pub(crate) fn append(&mut self, value: Value<'_>, ledger: &mut Ledger) -> Result<(), Misfit> {
        if value.kind != Kind::Object {
            self.push_null();
            return Err(Misfit::WrongType);
        }
        let mark = ledger.mark();
        self.find(value.text, ledger);
        let slots = std::mem::take(&mut self.slots);
        let appended = self.append_members(value.text, ledger, mark, |at| (slots[at], None));
        self.slots = slots;
        appended
    }

    /// Appends an object whose members are found.
    pub(crate) fn append_found(
        &mut self,
        found: &Found<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), Misfit> {
        let mark = ledger.mark();
        self.append_members(found.bytes, ledger, mark, |at| {
            let Member { slot, members } = &found.members[at];
            (
                found.slots[*slot as usize],
                Some(Found { members, ..*found }),
            )
        })
    }

    /// Appends each child's value. `member` gives where it is and, if they are found already, where its own members are.
    #[inline]
    fn append_members<'a>(
        &mut self,
        bytes: &[u8],
        ledger: &mut Ledger,
        mark: Mark,
        member: impl Fn(usize) -> (Slot, Option<Found<'a>>),
    ) -> Result<(), Misfit> {
        let length = self.len();
        let mut fits = Ok(());
        for (at, child) in self.children.iter_mut().enumerate() {
            let (slot, found) = member(at);
            let value = slot.value(bytes);
            let rest = &bytes[slot.start as usize..];
            if child.append_common(value.kind, rest, value.text.len()) {
                continue;
            }
            let nested = child.is_nested() && !value.kind.is_nothing();
            if nested {
                slot.key.push(&mut ledger.path, bytes, &[]);
            }
            let appended = match found {
                Some(found) => child.append_found(value, &found, ledger),
                None => child.append(value, ledger),
            };
            if nested {
                ledger.path.pop();
            }
            if !child.nullable && appended != Ok(true) {
                fits = Err(Misfit::MissingRequired);
            } else if let Err(misfit) = appended {
                let key = slot.key.text(bytes).unwrap_or_default();
                ledger.rescue_member(key, value, misfit.reason());
            }
        }
        if let Err(misfit) = fits {
            // The whole object is rescued by the caller: what was said of its members goes.
            ledger.rollback(mark);
            for child in &mut self.children {
                child.truncate(length);
            }
            self.push_null();
            return Err(misfit);
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Finds each child's value, and rescues the members that are no child's.
    fn find(&mut self, text: &[u8], ledger: &mut Ledger) {
        self.slots.fill(Slot::MISSING);
        self.names.begin();
        let mut reader = Reader::new(text);
        while let Some((key, value)) = reader.member() {
            let (index, rank) = match self.names.find(key) {
                names::Found::Field(index, rank) => (index as usize, rank),
                names::Found::Ambiguous => {
                    ledger.rescue_member(key.text, value, "ambiguous_name");
                    continue;
                }
                names::Found::Unknown => {
                    ledger.unknown_member(key.text, value);
                    continue;
                }
            };
            let (start, end) = place(text, value.text);
            let (key_start, key_end) = place(text, key.text);
            let new = Slot {
                start,
                end,
                key: Key {
                    start: key_start,
                    length: u16::try_from(key_end - key_start).unwrap_or(0),
                    rank,
                    spelling: Spelling::Json,
                },
                kind: value.kind,
            };
            let old = self.slots[index];
            if old.kind == Kind::Missing {
                self.slots[index] = new;
                continue;
            }
            let old_key = old.key.text(text).unwrap_or_default();
            let clash = Clash::of((old.kind, old.key.rank, old_key), (rank, key.text));
            if clash.rescue_old() && old.kind != Kind::Ambiguous {
                ledger.rescue_member(old_key, old.value(text), clash.reason());
            }
            if clash.rescue_new() {
                ledger.rescue_member(key.text, value, clash.reason());
            }
            self.slots[index] = match clash {
                Clash::NewWins | Clash::Duplicate => new,
                Clash::OldWins => old,
                Clash::Both => Slot {
                    kind: Kind::Ambiguous,
                    ..old
                },
            };
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let length = self.len();
        let children = self.children.iter_mut().map(Target::finish).collect();
        let nulls = self.nulls.finish();
        let array = StructArray::try_new_with_length(self.fields.clone(), children, nulls, length);
        Arc::new(array.expect("the children were built for these fields, and are of one length"))
    }
}

/// Two fields of one object that claim one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// One key twice: the last counts.
    Duplicate,
    /// The new one is nearer to the name.
    NewWins,
    /// The old one is nearer to the name.
    OldWins,
    /// Neither is nearer: no coin is tossed.
    Both,
}

impl Clash {
    /// Of the held field (shape, nearness, key) and a new one.
    pub(crate) fn of(old: (Kind, Rank, &[u8]), new: (Rank, &[u8])) -> Self {
        let (kind, old_rank, old_key) = old;
        let (new_rank, new_key) = new;
        match new_rank.cmp(&old_rank) {
            std::cmp::Ordering::Less => Self::NewWins,
            std::cmp::Ordering::Greater => Self::OldWins,
            std::cmp::Ordering::Equal if kind == Kind::Ambiguous => Self::Both,
            // Two exact keys are one name, though one of them may be written with escapes.
            std::cmp::Ordering::Equal if new_rank == Rank::Exact || old_key == new_key => {
                Self::Duplicate
            }
            std::cmp::Ordering::Equal => Self::Both,
        }
    }

    pub(crate) fn rescue_old(self) -> bool {
        !matches!(self, Self::OldWins)
    }

    pub(crate) fn rescue_new(self) -> bool {
        matches!(self, Self::OldWins | Self::Both)
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate_key",
            _ => "ambiguous_name",
        }
    }
}

/// A list's elements, under construction.
#[derive(Debug)]
pub(crate) struct ListColumn {
    field: FieldRef,
    elements: Target,
    spans: Spans,
}

impl ListColumn {
    pub(crate) fn new(field: FieldRef, elements: Target) -> Self {
        Self {
            field,
            elements,
            spans: Spans::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn push_null(&mut self) {
        self.spans.push(self.elements.len(), false);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        let elements = self.spans.truncate(length);
        self.elements.truncate(elements);
    }

    /// Appends an array; null, and a misfit, for anything else.
    pub(crate) fn append(&mut self, value: Value<'_>, ledger: &mut Ledger) -> Result<(), Misfit> {
        if value.kind != Kind::Array {
            self.push_null();
            return Err(Misfit::WrongType);
        }
        let mark = ledger.mark();
        let before = self.elements.len();
        let mut reader = Reader::new(value.text);
        let mut index = 0;
        while let Some(element) = reader.element() {
            if self
                .elements
                .append_common(element.kind, element.text, element.text.len())
            {
                index += 1;
                continue;
            }
            let nested = self.elements.is_nested();
            if nested {
                ledger.path.push_index(&index.to_string());
            }
            let appended = self.elements.append(element, ledger);
            if nested {
                ledger.path.pop();
            }
            if !self.elements.nullable && appended != Ok(true) {
                ledger.rollback(mark);
                self.elements.truncate(before);
                self.push_null();
                return Err(Misfit::MissingRequired);
            }
            if let Err(misfit) = appended {
                ledger.rescue_element(index, element, misfit.reason());
            }
            index += 1;
        }
        self.spans.push(self.elements.len(), true);
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let elements = self.elements.finish();
        let (offsets, nulls) = self.spans.finish();
        Arc::new(ListArray::new(
            Arc::clone(&self.field),
            offsets,
            elements,
            nulls,
        ))
    }
}

/// A map's keys and values, under construction.
#[derive(Debug)]
pub(crate) struct MapColumn {
    entries: FieldRef,
    fields: Fields,
    keys: Target,
    values: Target,
    spans: Spans,
}

impl MapColumn {
    pub(crate) fn new(entries: FieldRef, fields: Fields, keys: Target, values: Target) -> Self {
        Self {
            entries,
            fields,
            keys,
            values,
            spans: Spans::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn push_null(&mut self) {
        self.spans.push(self.keys.len(), false);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        let entries = self.spans.truncate(length);
        self.keys.truncate(entries);
        self.values.truncate(entries);
    }

    /// Appends an object; null, and a misfit, for anything else.
    pub(crate) fn append(&mut self, value: Value<'_>, ledger: &mut Ledger) -> Result<(), Misfit> {
        if value.kind != Kind::Object {
            self.push_null();
            return Err(Misfit::WrongType);
        }
        let mark = ledger.mark();
        let before = self.keys.len();
        let overridden = overridden(value.text);
        let mut reader = Reader::new(value.text);
        let mut index = 0;
        while let Some((key, member)) = reader.member() {
            index += 1;
            if overridden.binary_search(&(index - 1)).is_ok() {
                ledger.rescue_member(key.text, member, "duplicate_key");
                continue;
            }
            // A key is text, whatever its type: JSON has no other.
            let plain = Value::new(
                if key.kind == Kind::Text {
                    Kind::Plain
                } else {
                    Kind::Escaped
                },
                key.text,
            );
            let length = self.keys.len();
            let keyed = self.keys.append(plain, ledger);
            if keyed != Ok(true) {
                self.keys.truncate(length);
                let reason = keyed.err().map_or("wrong_type", Misfit::reason);
                ledger.rescue_member(key.text, member, reason);
                continue;
            }
            let nested = self.values.is_nested();
            if nested {
                ledger.path.push_key(key.text);
            }
            let appended = self.values.append(member, ledger);
            if nested {
                ledger.path.pop();
            }
            if !self.values.nullable && appended != Ok(true) {
                ledger.rollback(mark);
                self.keys.truncate(before);
                self.values.truncate(before);
                self.push_null();
                return Err(Misfit::MissingRequired);
            }
            if let Err(misfit) = appended {
                ledger.rescue_member(key.text, member, misfit.reason());
            }
        }
        self.spans.push(self.keys.len(), true);
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let children = vec![self.keys.finish(), self.values.finish()];
        let (offsets, nulls) = self.spans.finish();
        let pairs = StructArray::new(self.fields.clone(), children, None);
        Arc::new(MapArray::new(
            Arc::clone(&self.entries),
            offsets,
            pairs,
            nulls,
            false,
        ))
    }
}

/// The members, by number, whose key comes again later.
fn overridden(text: &[u8]) -> Vec<usize> {
    let mut keys = Vec::new();
    let mut reader = Reader::new(text);
    while let Some((key, _)) = reader.member() {
        let plain = if key.kind == Kind::Escaped {
            let mut plain = Vec::new();
            super::unescape(key.text, &mut plain);
            Cow::Owned(plain)
        } else {
            Cow::Borrowed(key.text)
        };
        keys.push((plain, keys.len()));
    }
    keys.sort_unstable();
    let again = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let mut overridden: Vec<usize> = again.map(|pair| pair[0].1).collect();
    overridden.sort_unstable();
    overridden
}
