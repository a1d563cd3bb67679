//! A set of hashes, each with a time: one array, kept in order.
//!
//! An entry stands at the place that its hash says, or as near after it as those with smaller hashes leave room for,
//! so a look ends at the first entry that is larger. That needs no links, and bears being nine tenths full. The array
//! grows by an eighth, not by doubling: so an entry of 18 bytes never costs more than 23.

/// How much of a hash is kept here; the rest says which shard it is in.
pub(super) const HASH_BITS: u32 = 120;

/// A time, counted in parts of the window, modulo this: an entry has 24 bits for it.
pub(super) const TICKS: u32 = 1 << 24;

/// How full the array may be, in hundredths: beyond it, finding a place takes long.
const FULL_PERCENT: usize = 90;

/// Places behind the last one that a hash can say. Entries that find none make the array grow.
const TAIL: usize = 48;

const SLOTS_MIN: usize = 16;

/// What a slot takes, in bytes.
const SLOT_BYTES: usize = size_of::<u128>() + size_of::<u16>();

/// The set.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// A hash in the upper 120 bits and the upper 8 of its time below; 0 where nothing is.
    entries: Box<[u128]>,
    /// The lower 16 bits of the times.
    times: Box<[u16]>,
    used: usize,
}

/// Where a hash is, or would be.
pub(super) enum Place {
    Held { at: usize, ticks: u32 },
    Free { at: usize },
}

impl Shard {
    /// How many entries there are, those included that are too old by now.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Its memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * SLOT_BYTES
    }

    /// By how much its memory would grow for one more entry than now, in bytes.
    pub(super) fn growth_bytes(&self) -> usize {
        if self.has_room() {
            return 0;
        }
        (slots_after(self.entries.len()) - self.entries.len()) * SLOT_BYTES
    }

    /// Whether one more entry fits.
    pub(super) fn has_room(&self) -> bool {
        let homes = self.entries.len().saturating_sub(TAIL);
        (self.used + 1) * 100 <= homes * FULL_PERCENT
    }

    /// Looks for a hash of at most 120 bits that is not 0.
    pub(super) fn find(&self, hash: u128) -> Place {
        if self.entries.is_empty() {
            return Place::Free { at: 0 };
        }
        let mut at = self.home(hash);
        // The tail ends with a free slot, so this ends.
        loop {
            let entry = self.entries[at];
            let found = entry >> (128 - HASH_BITS);
            if found == hash {
                let ticks = ((entry as u32 & 0xff) << 16) | u32::from(self.times[at]);
                return Place::Held { at, ticks };
            }
            if entry == 0 || found > hash {
                return Place::Free { at };
            }
            at += 1;
        }
    }

    /// Gives a held entry another time.
    pub(super) fn set_ticks(&mut self, at: usize, ticks: u32) {
        let hash = self.entries[at] >> (128 - HASH_BITS);
        self.put(at, hash, ticks);
    }

    /// Adds a hash that is not held. Where [`Self::has_room`] says no, it grows.
    pub(super) fn insert(&mut self, hash: u128, ticks: u32) {
        if !self.has_room() {
            self.rebuild(slots_after(self.entries.len()), |_| true);
        }
        while !self.try_insert(hash, ticks) {
            self.rebuild(slots_after(self.entries.len()), |_| true);
        }
    }

    fn try_insert(&mut self, hash: u128, ticks: u32) -> bool {
        let Place::Free { at } = self.find(hash) else {
            return true;
        };
        let Some(free) = self.entries[at..].iter().position(|entry| *entry == 0) else {
            return false;
        };
        let free = at + free;
        if free + 1 >= self.entries.len() {
            return false;
        }
        self.entries.copy_within(at..free, at + 1);
        self.times.copy_within(at..free, at + 1);
        self.put(at, hash, ticks);
        self.used += 1;
        true
    }

    /// Lets entries go whose time is not to be kept, and memory with them.
    pub(super) fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        let kept = self.ticks().filter(|ticks| keeps(*ticks)).count();
        if kept < self.used {
            // Not less than what it may need soon: an eighth more.
            let slots = (kept * 100 / FULL_PERCENT) * 9 / 8 + TAIL + SLOTS_MIN;
            self.rebuild(slots.min(self.entries.len()), keeps);
        }
    }

    /// All times.
    pub(super) fn ticks(&self) -> impl Iterator<Item = u32> + '_ {
        let held = self.entries.iter().zip(&self.times);
        held.filter(|(entry, _)| **entry != 0)
            .map(|(entry, low)| ((*entry as u32 & 0xff) << 16) | u32::from(*low))
    }

    fn rebuild(&mut self, slots: usize, keeps: impl Fn(u32) -> bool) {
        let mut slots = slots;
        let before = std::mem::take(self);
        loop {
            self.entries = vec![0; slots].into_boxed_slice();
            self.times = vec![0; slots].into_boxed_slice();
            self.used = 0;
            if self.fill(&before, &keeps) {
                return;
            }
            slots = slots_after(slots);
        }
    }

    /// Takes over another's entries, which are in order: each goes to its place, or right after the one before.
    fn fill(&mut self, before: &Self, keeps: &impl Fn(u32) -> bool) -> bool {
        let mut next = 0;
        let held = before.entries.iter().zip(&before.times);
        for (entry, low) in held.filter(|(entry, _)| **entry != 0) {
            let ticks = ((*entry as u32 & 0xff) << 16) | u32::from(*low);
            if !keeps(ticks) {
                continue;
            }
            let hash = *entry >> (128 - HASH_BITS);
            let at = self.home(hash).max(next);
            if at + 1 >= self.entries.len() {
                return false;
            }
            self.put(at, hash, ticks);
            self.used += 1;
            next = at + 1;
        }
        true
    }

    fn put(&mut self, at: usize, hash: u128, ticks: u32) {
        self.entries[at] = (hash << (128 - HASH_BITS)) | u128::from((ticks >> 16) & 0xff);
        self.times[at] = ticks as u16;
    }

    /// The place that a hash says: larger hashes never say an earlier one.
    fn home(&self, hash: u128) -> usize {
        let homes = self.entries.len() - TAIL;
        let top = (hash >> (HASH_BITS - 64)) as u64;
        ((u128::from(top) * homes as u128) >> 64) as usize
    }
}

fn slots_after(slots: usize) -> usize {
    let homes = slots.saturating_sub(TAIL);
    (homes + homes / 8).max(SLOTS_MIN) + SLOTS_MIN.min(homes / 8 + 1) + TAIL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn held(shard: &Shard, hash: u128) -> Option<u32> {
        match shard.find(hash) {
            Place::Held { ticks, .. } => Some(ticks),
            Place::Free { .. } => None,
        }
    }

    proptest! {
        /// It holds what a map holds, also where hashes crowd at one place or at the end.
        #[test]
        fn is_a_map(
            steps in proptest::collection::vec((0_u8..8, any::<u64>(), 0_u32..TICKS), 0..600),
            crowded in any::<bool>(),
        ) {
            let mut shard = Shard::default();
            let mut map = BTreeMap::new();
            for (step, number, ticks) in steps {
                let hash = if crowded {
                    (u128::from(u64::MAX) << (HASH_BITS - 64)) | u128::from(number % 30)
                } else {
                    ((u128::from(number) << (HASH_BITS - 64)) | u128::from(number >> 8)).max(1)
                };
                match step {
                    0 => {
                        let limit = ticks;
                        shard.retain(|ticks| ticks < limit);
                        map.retain(|_, held| *held < limit);
                    }
                    _ => match shard.find(hash) {
                        Place::Held { at, .. } => {
                            shard.set_ticks(at, ticks);
                            map.insert(hash, ticks);
                        }
                        Place::Free { .. } => {
                            shard.insert(hash, ticks);
                            map.insert(hash, ticks);
                        }
                    },
                }
                prop_assert_eq!(shard.len(), map.len());
            }
            for (hash, ticks) in &map {
                prop_assert_eq!(held(&shard, *hash), Some(*ticks));
            }
            let mut all: Vec<u32> = shard.ticks().collect();
            let mut expected: Vec<u32> = map.values().copied().collect();
            all.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
        }
    }
}
