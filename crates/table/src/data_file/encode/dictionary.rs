//! Finding values again: an open-addressing table from hashes to a dictionary's indexes.

/// What of a column's first values must be saved for a dictionary to be kept: below it, hashing each
/// value costs more than the compressor saves on the shorter page.
const KEPT_BYTES_PER_100: usize = 70;

/// How many values are tried before a dictionary is judged. Fewer judge columns with some thousand
/// distinct values wrongly; more waste work on columns of unique values.
pub(super) const TRIAL_VALUES: usize = 4_096;

/// How many values make a verdict on a column's dictionary worth remembering for other files.
pub(crate) const TELLING_VALUES: u64 = 1_024;

/// Whether a dictionary of `dictionary_bytes` and indexes of `values` values pays against `plain_bytes`.
pub(super) fn pays(dictionary_bytes: usize, width: u32, values: usize, plain_bytes: usize) -> bool {
    let index_bytes = values * width as usize / 8;
    (dictionary_bytes + index_bytes) * 100 <= plain_bytes * KEPT_BYTES_PER_100
}

/// From hashes to indexes.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Hash in the upper half, index + 1 in the lower; 0 is free. A power of two, at most half full.
    slots: Vec<u64>,
    used: usize,
}

impl Slots {
    /// The index of the value that hashes to `hash` and for which `same` holds; else takes `next` for it.
    /// The second of the pair says whether it was taken.
    #[inline]
    pub(super) fn find_or_insert(
        &mut self,
        hash: u32,
        next: u32,
        same: impl Fn(u32) -> bool,
    ) -> (u32, bool) {
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                self.slots[place] = u64::from(hash) << 32 | (u64::from(next) + 1);
                self.used += 1;
                return (next, true);
            }
            let index = (slot as u32) - 1;
            if (slot >> 32) as u32 == hash && same(index) {
                return (index, false);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(256);
        let old = std::mem::replace(&mut self.slots, vec![0; larger]);
        let mask = larger - 1;
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut place = (slot >> 32) as usize & mask;
            while self.slots[place] != 0 {
                place = (place + 1) & mask;
            }
            self.slots[place] = slot;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}

/// Mixes a number into 32 bits, all of which depend on all of its bits.
#[inline]
pub(super) fn hash_number(bits: u64) -> u32 {
    let mixed = (bits ^ (bits >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
}
