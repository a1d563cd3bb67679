//! The walk through a record that leaves the places of its fields in slots.
//!
//! It is one loop for what nearly all members are ([`Walk::common_members`]), and a general one for any.

use std::ops::Range;

use super::{
    index::Index,
    scan::{DEPTH_MAX, Failed, FaultKind, Scanner, place},
};
use crate::{
    coerce::{Clash, Key, Kind, Ledger, Slot, Spelling, Value, digits},
    decode::{
        names::Found,
        plan::{Node, NodeField},
    },
};

/// A walk through one record that leaves the fields' places in the row's slots.
pub(super) struct Walk<'a> {
    /// The keys that lead to where the walk is.
    pub(super) trail: &'a mut Vec<Key>,
    pub(super) nodes: &'a mut [Node],
    pub(super) slots: &'a mut [Slot],
    pub(super) ledger: &'a mut Ledger,
    pub(super) scanner: Scanner<'a>,
}

impl Walk<'_> {
    /// The record's end.
    pub(super) fn end(&mut self) -> Result<(), Failed> {
        self.scanner.space();
        if self.scanner.at == self.scanner.text.len() {
            Ok(())
        } else {
            self.scanner.fault("nothing after the object")
        }
    }

    /// An object that is looked into, its brace at hand. Fields that are not looked for are
    /// rescued if `rescue`, for else a column takes the whole object.
    pub(super) fn object(&mut self, node: usize, depth: u32, rescue: bool) -> Result<(), Failed> {
        if depth >= DEPTH_MAX {
            return self.scanner.fault_at(self.scanner.at, FaultKind::TooDeep);
        }
        self.scanner.at += 1;
        self.nodes[node].names.begin();
        self.scanner.space();
        if self.scanner.peek() == b'}' {
            self.scanner.at += 1;
            return Ok(());
        }
        loop {
            if self.common_members(node) {
                return Ok(());
            }
            self.member(node, depth, rescue)?;
            self.scanner.space();
            match self.scanner.peek() {
                b',' => {
                    self.scanner.at += 1;
                    self.scanner.space();
                }
                b'}' => {
                    self.scanner.at += 1;
                    return Ok(());
                }
                _ => return self.scanner.fault("a comma or the object's end"),
            }
        }
    }

    /// Takes members for as long as they are of the commonest kind, and says whether the object ended:
    /// known keys in the order of earlier records, and values that are numbers or plain strings and
    /// the only ones for their fields, all written without a superfluous space. Stops before any other.
    fn common_members(&mut self, node: usize) -> bool {
        if !self.scanner.plain {
            return false;
        }
        let names = &mut self.nodes[node].names;
        let (text, index) = (self.scanner.text, self.scanner.index);
        let mut cursor = names.cursor();
        let mut at = self.scanner.at;
        let ended = loop {
            let Some([b'"', rest @ ..]) = text.get(at..) else {
                break false;
            };
            let Some(key) = names.guess(cursor, rest) else {
                break false;
            };
            // Behind the key are its quote and the colon.
            let mut start = at + usize::from(key.length) + 3;
            if text.get(start) == Some(&b' ') {
                start += 1;
            }
            let Some(Common {
                kind,
                from,
                to,
                end,
            }) = common_value(text, start, index)
            else {
                break false;
            };
            // Of a field that is looked into, or not looked for, the slot is none.
            let Some(slot) = self.slots.get_mut(key.slot as usize) else {
                break false;
            };
            let Some(separator @ (b',' | b'}')) = text.get(end) else {
                break false;
            };
            if slot.kind != Kind::Missing {
                break false;
            }
            slot.start = from as u32;
            slot.end = to as u32;
            slot.key.start = at as u32 + 1;
            slot.key.length = key.length;
            slot.key.rank = key.rank;
            slot.kind = kind;
            cursor = key.cursor;
            at = end + 1;
            if *separator == b'}' {
                break true;
            }
            if text.get(at) == Some(&b' ') {
                at += 1;
            }
        };
        names.set_cursor(cursor);
        self.scanner.at = at;
        ended
    }

    /// Any member, its key at hand.
    fn member(&mut self, node: usize, depth: u32, rescue: bool) -> Result<(), Failed> {
        self.scanner.expect(b'"', "a key in quotes")?;
        let start = self.scanner.at;
        self.scanner.at -= 1;
        let kind = self.scanner.string()?;
        let text = &self.scanner.text[start..self.scanner.at - 1];
        let found = self.nodes[node].names.find(Value::new(kind, text));
        let length = text.len();
        self.scanner.colon()?;
        let Found::Field(index, rank) = found else {
            return self.unknown(found, start..start + length, depth, rescue);
        };
        let key = Key {
            start: start as u32,
            // Names are shorter; a longer key is spelled with escapes.
            length: u16::try_from(length).unwrap_or(0),
            rank,
            spelling: Spelling::Json,
        };
        let field = &self.nodes[node].fields[index as usize];
        let slot = field.slot as usize;
        if field.node.is_none() && self.slots[slot].kind == Kind::Missing {
            return self.plain(slot, key, depth);
        }
        self.special(node, index as usize, key, depth, rescue)
    }

    /// The value of a field that is looked for and not into.
    #[inline]
    fn plain(&mut self, place: usize, key: Key, depth: u32) -> Result<(), Failed> {
        let start = self.scanner.at;
        let kind = self.scanner.value(depth + 1)?;
        self.slots[place] = slot_of(key, kind, start, self.scanner.at);
        Ok(())
    }

    /// A field that is not looked for.
    #[cold]
    fn unknown(
        &mut self,
        found: Found,
        key: Range<usize>,
        depth: u32,
        rescue: bool,
    ) -> Result<(), Failed> {
        let start = self.scanner.at;
        let kind = self.scanner.value(depth + 1)?;
        if rescue {
            let text = self.scanner.text;
            let value = Value::new(kind, &text[place(kind, start, self.scanner.at)]);
            self.at_trail(|ledger| {
                if found == Found::Unknown {
                    ledger.unknown_member(&text[key], value);
                } else {
                    ledger.rescue_member(&text[key], value, "ambiguous_name");
                }
            });
        }
        Ok(())
    }

    /// A field that is looked into, or whose slot is taken.
    fn special(
        &mut self,
        node: usize,
        index: usize,
        key: Key,
        depth: u32,
        rescue: bool,
    ) -> Result<(), Failed> {
        let field = self.nodes[node].fields[index];
        if self.slots[field.slot as usize].kind != Kind::Missing {
            return self.clash(field, key, depth, rescue);
        }
        self.field(field, key, depth, rescue)
    }

    /// The value of a field whose slot is free.
    fn field(
        &mut self,
        field: NodeField,
        key: Key,
        depth: u32,
        rescue: bool,
    ) -> Result<(), Failed> {
        let place = field.slot as usize;
        let Some(node) = field.node else {
            return self.plain(place, key, depth);
        };
        let node = node as usize;
        let start = self.scanner.at;
        let rescue = rescue && !field.whole;
        match self.scanner.peek() {
            b'{' => {
                self.trail.push(key);
                self.object(node, depth + 1, rescue)?;
                self.trail.pop();
                self.slots[place] = slot_of(key, Kind::Object, start, self.scanner.at);
            }
            b'[' if self.nodes[node].indexed => {
                self.trail.push(key);
                self.array(node, depth + 1, rescue)?;
                self.trail.pop();
                self.slots[place] = slot_of(key, Kind::Array, start, self.scanner.at);
            }
            _ => {
                self.plain(place, key, depth)?;
                let value = self.slots[place].value(self.scanner.text);
                if rescue && !field.taken && value.kind != Kind::Null {
                    self.trail.push(key);
                    self.at_trail(|ledger| ledger.unknown(value));
                    self.trail.pop();
                }
            }
        }
        Ok(())
    }

    /// Notes something of where the walk is. Only then its path is spelled out.
    fn at_trail(&mut self, note: impl FnOnce(&mut Ledger)) {
        for key in &*self.trail {
            key.push(&mut self.ledger.path, self.scanner.text, &[]);
        }
        note(self.ledger);
        self.ledger.path.clear();
    }

    /// An array that is looked into by index, its bracket at hand.
    fn array(&mut self, node: usize, depth: u32, rescue: bool) -> Result<(), Failed> {
        if depth >= DEPTH_MAX {
            return self.scanner.fault_at(self.scanner.at, FaultKind::TooDeep);
        }
        self.scanner.at += 1;
        self.scanner.space();
        if self.scanner.peek() == b']' {
            self.scanner.at += 1;
            return Ok(());
        }
        for element in 0.. {
            let key = Key::element(element);
            let name = element.to_string();
            if let Some(index) = self.nodes[node].names.exact(name.as_bytes()) {
                let field = self.nodes[node].fields[index as usize];
                self.field(field, key, depth, rescue)?;
            } else {
                let start = self.scanner.at;
                let kind = self.scanner.value(depth + 1)?;
                if rescue {
                    let text = &self.scanner.text[place(kind, start, self.scanner.at)];
                    self.trail.push(key);
                    self.at_trail(|ledger| ledger.unknown(Value::new(kind, text)));
                    self.trail.pop();
                }
            }
            self.scanner.space();
            match self.scanner.peek() {
                b',' => {
                    self.scanner.at += 1;
                    self.scanner.space();
                }
                b']' => {
                    self.scanner.at += 1;
                    break;
                }
                _ => return self.scanner.fault("a comma or the array's end"),
            }
        }
        Ok(())
    }

    /// A field whose slot is taken already.
    #[cold]
    fn clash(
        &mut self,
        field: NodeField,
        key: Key,
        depth: u32,
        rescue: bool,
    ) -> Result<(), Failed> {
        let text = self.scanner.text;
        let place = field.slot as usize;
        let held = self.slots[place];
        let new_key = key.text(text).unwrap_or_default();
        let old_key = held.key.text(text).unwrap_or_default();
        let clash = Clash::of((held.kind, held.key.rank, old_key), (key.rank, new_key));
        if rescue && clash.rescue_old() && held.kind != Kind::Ambiguous {
            self.at_trail(|ledger| {
                ledger.rescue_member(old_key, held.value(text), clash.reason());
            });
        }
        if clash.rescue_old() {
            self.slots[place..field.slots_end as usize].fill(Slot::MISSING);
        }
        if !clash.rescue_new() {
            return self.field(field, key, depth, rescue);
        }
        let start = self.scanner.at;
        let kind = self.scanner.value(depth + 1)?;
        let new = slot_of(key, kind, start, self.scanner.at);
        if rescue {
            self.at_trail(|ledger| {
                ledger.rescue_member(new_key, new.value(text), clash.reason());
            });
        }
        if clash == Clash::Both {
            self.slots[place] = Slot {
                kind: Kind::Ambiguous,
                ..new
            };
        }
        Ok(())
    }
}

/// A value of a common shape: its text is `from..to`, and `end` is behind it.
struct Common {
    kind: Kind,
    from: usize,
    to: usize,
    end: usize,
}

/// A value that is a number of few digits, a literal, or a string in a record without escapes. A string's end
/// may be beyond the text.
#[inline]
fn common_value(text: &[u8], start: usize, index: &Index) -> Option<Common> {
    let first = *text.get(start)?;
    if first == b'"' {
        let to = index.next_quote(start + 1)?;
        return Some(Common {
            kind: Kind::Text,
            from: start + 1,
            to,
            end: to + 1,
        });
    }
    let (kind, end) = match first {
        b'-' | b'0'..=b'9' => (Kind::Number, common_number(text, start)?),
        b't' if text[start..].starts_with(b"true") => (Kind::True, start + 4),
        b'f' if text[start..].starts_with(b"false") => (Kind::False, start + 5),
        b'n' if text[start..].starts_with(b"null") => (Kind::Null, start + 4),
        _ => return None,
    };
    Some(Common {
        kind,
        from: start,
        to: end,
        end,
    })
}

/// The end of a number of at most seven digits before the point and seven after it.
#[inline]
fn common_number(text: &[u8], start: usize) -> Option<usize> {
    let digits_start = start + usize::from(text[start] == b'-');
    let rest = text.get(digits_start..)?;
    let whole = digits::count(rest);
    if !(1..8).contains(&whole) || (whole > 1 && rest[0] == b'0') {
        return None;
    }
    let end = digits_start + whole;
    if text.get(end) != Some(&b'.') {
        return Some(end);
    }
    let places = digits::count(&text[end + 1..]);
    (1..8).contains(&places).then_some(end + 1 + places)
}

/// The slot of a value that was scanned from `start` to `end`.
#[inline]
fn slot_of(key: Key, kind: Kind, start: usize, end: usize) -> Slot {
    let place = place(kind, start, end);
    Slot {
        start: place.start as u32,
        end: place.end as u32,
        key,
        kind,
    }
}
