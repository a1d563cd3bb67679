//! Values of bytes: `BYTE_ARRAY`, and `FIXED_LEN_BYTE_ARRAY`, which has no lengths before the values.

use parquet::basic::Encoding;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    column::{FinishedPage, PAGE_PREFIX_BYTES, page_with_levels},
    dictionary::{Slots, TRIAL_VALUES, pays},
    extent::{Extent, Value},
    hybrid,
    source::ByteStrings,
};

const LENGTH_BYTES: usize = size_of::<u32>();

/// The page being written, and the dictionary while there is one.
#[derive(Debug)]
pub(super) struct ByteValues {
    /// Whether each value has its length before it.
    lengths: bool,
    /// What the values are, for their order.
    kind: BytesKind,
    /// `PLAIN` values, after room for the levels.
    page: Vec<u8>,
    dictionary: Option<BytesDictionary>,
    ends: Ends,
}

/// What byte values stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BytesKind {
    /// Themselves; their order is that of unsigned bytes.
    Bytes,
    /// Big-endian two's complement numbers.
    Decimal,
}

impl BytesKind {
    fn value(self, bytes: &[u8]) -> Value {
        match self {
            Self::Bytes => Value::Bytes(bytes.to_vec()),
            Self::Decimal => Value::Decimal(decimal(bytes)),
        }
    }

    fn is_before(self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Self::Bytes => a < b,
            Self::Decimal => decimal(a) < decimal(b),
        }
    }
}

fn decimal(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) {
        -1
    } else {
        0
    };
    bytes
        .iter()
        .fold(sign, |number, byte| number << 8 | i128::from(*byte))
}

/// The smallest and the largest value of a page.
#[derive(Debug, Default)]
struct Ends {
    any: bool,
    min: Vec<u8>,
    max: Vec<u8>,
    /// The first eight bytes of both, which settle most comparisons.
    min_prefix: u64,
    max_prefix: u64,
}

impl Ends {
    #[inline]
    fn widen(&mut self, kind: BytesKind, value: &[u8]) {
        let prefix = prefix(value);
        if self.any
            && prefix > self.min_prefix
            && prefix < self.max_prefix
            && kind == BytesKind::Bytes
        {
            return;
        }
        self.compare(kind, value, prefix);
    }

    fn compare(&mut self, kind: BytesKind, value: &[u8], prefix: u64) {
        if !self.any || kind.is_before(value, &self.min) {
            self.min.clear();
            self.min.extend_from_slice(value);
            self.min_prefix = prefix;
        }
        if !self.any || kind.is_before(&self.max, value) {
            self.max.clear();
            self.max.extend_from_slice(value);
            self.max_prefix = prefix;
        }
        self.any = true;
    }

    fn take(&mut self, kind: BytesKind) -> Extent {
        if !std::mem::take(&mut self.any) {
            return Extent::default();
        }
        Extent::new(kind.value(&self.min), kind.value(&self.max))
    }
}

/// The first eight bytes as a number, in the order of bytes; what is shorter is filled with zeros, so
/// that it may equal a longer one, but never comes after it.
#[inline]
fn prefix(value: &[u8]) -> u64 {
    if let Some(first) = value.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..value.len()].copy_from_slice(value);
    u64::from_be_bytes(first)
}

#[derive(Debug, Default)]
struct BytesDictionary {
    slots: Slots,
    /// Of each value, what tells short ones apart.
    keys: Vec<ShortKey>,
    /// The values as the dictionary's page has them.
    plain: Vec<u8>,
    /// Where each value ends in `plain`.
    ends: Vec<u32>,
    /// Of the page.
    indexes: Vec<u32>,
    /// What the page's values would take without a dictionary.
    plain_bytes: usize,
    judged: bool,
}

impl ByteValues {
    /// `page` is empty but for the room for levels.
    pub(super) fn new(lengths: bool, kind: BytesKind, try_dictionary: bool, page: Vec<u8>) -> Self {
        Self {
            lengths,
            kind,
            page,
            dictionary: try_dictionary.then(BytesDictionary::default),
            ends: Ends::default(),
        }
    }

    /// Appends the values of each run of indexes, from start to end.
    pub(super) fn append(&mut self, values: &ByteStrings<'_>, runs: &[(usize, usize)]) {
        for (start, end) in runs {
            self.append_run(values, *start, *end);
        }
        self.judge(TRIAL_VALUES);
    }

    fn append_run(&mut self, values: &ByteStrings<'_>, from: usize, to: usize) {
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.indexes.reserve(to - from);
            for index in from..to {
                dictionary.push(values.get(index), self.lengths);
            }
            return;
        }
        self.page
            .reserve(values.bytes(from, to - from) + LENGTH_BYTES * (to - from));
        for index in from..to {
            let value = values.get(index);
            self.ends.widen(self.kind, value);
            if self.lengths {
                self.page
                    .extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
            self.page.extend_from_slice(value);
        }
    }

    /// Gives the dictionary up if the first values, of which there are at least `values_min`, show that
    /// it does not pay.
    fn judge(&mut self, values_min: usize) {
        let Some(dictionary) = &mut self.dictionary else {
            return;
        };
        let tried = dictionary.indexes.len();
        if dictionary.judged || tried < values_min {
            return;
        }
        dictionary.judged = true;
        let width = dictionary.width();
        if !pays(dictionary.plain.len(), width, tried, dictionary.plain_bytes) {
            self.stop_dictionary();
        }
    }

    /// Goes on without a dictionary. What the page holds is written out.
    pub(super) fn stop_dictionary(&mut self) {
        let Some(mut dictionary) = self.dictionary.take() else {
            return;
        };
        dictionary.widen(&mut self.ends, self.kind, self.lengths);
        self.page.reserve(dictionary.plain_bytes);
        for index in &dictionary.indexes {
            self.page.extend_from_slice(dictionary.plain_value(*index));
        }
    }

    pub(super) fn has_dictionary(&self) -> bool {
        self.dictionary.is_some()
    }

    pub(super) fn dictionary_bytes(&self) -> usize {
        self.dictionary
            .as_ref()
            .map_or(0, |dictionary| dictionary.plain.len())
    }

    pub(super) fn page_bytes(&self) -> usize {
        let indexes = self.dictionary.as_ref().map_or(0, |dictionary| {
            dictionary.indexes.len() * dictionary.width() as usize / 8
        });
        self.page.len() - PAGE_PREFIX_BYTES + indexes
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map_or(0, |dictionary| {
            dictionary.slots.memory_bytes()
                + dictionary.keys.capacity() * size_of::<ShortKey>()
                + dictionary.plain.capacity()
                + (dictionary.ends.capacity() + dictionary.indexes.capacity()) * size_of::<u32>()
        });
        self.page.capacity() + dictionary + self.ends.min.capacity() + self.ends.max.capacity()
    }

    pub(super) fn finish_page<'a>(
        &'a mut self,
        levels: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> FinishedPage<'a> {
        self.judge(1);
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.widen(&mut self.ends, self.kind, self.lengths);
        }
        let extent = self.ends.take(self.kind);
        match self
            .dictionary
            .as_mut()
            .filter(|dictionary| !dictionary.indexes.is_empty())
        {
            None => {
                let bytes = page_with_levels(&mut self.page, levels, scratch);
                FinishedPage {
                    bytes,
                    encoding: Encoding::PLAIN,
                    extent,
                    nans: 0,
                }
            }
            Some(dictionary) => {
                scratch.clear();
                scratch.extend_from_slice(levels);
                dictionary.encode_indexes(scratch);
                FinishedPage {
                    bytes: scratch,
                    encoding: Encoding::RLE_DICTIONARY,
                    extent,
                    nans: 0,
                }
            }
        }
    }

    /// The buffer of its pages.
    pub(super) fn into_page(self) -> Vec<u8> {
        self.page
    }

    pub(super) fn reset_page(&mut self) {
        self.page.truncate(PAGE_PREFIX_BYTES);
    }

    /// The dictionary's page and the number of its values.
    pub(super) fn take_dictionary(&mut self) -> Option<(Vec<u8>, usize)> {
        let dictionary = self
            .dictionary
            .take()
            .filter(|dictionary| !dictionary.ends.is_empty())?;
        Some((dictionary.plain, dictionary.ends.len()))
    }
}

impl BytesDictionary {
    /// A value as the dictionary's page has it, with its length.
    fn plain_value(&self, index: u32) -> &[u8] {
        plain_value(&self.plain, &self.ends, index)
    }

    #[inline]
    fn push(&mut self, value: &[u8], lengths: bool) {
        let key = short_key(value);
        let hash = match key {
            Some(key) => hash_short(key, value.len()),
            None => xxh3_64(value) as u32,
        };
        let (plain, ends, keys) = (&self.plain, &self.ends, &self.keys);
        let skip = if lengths { LENGTH_BYTES } else { 0 };
        let same = |index: u32| {
            let other = &plain_value(plain, ends, index)[skip..];
            match key {
                Some(key) => other.len() == value.len() && keys[index as usize] == key,
                None => other == value,
            }
        };
        let (index, new) = self.slots.find_or_insert(hash, ends.len() as u32, same);
        if new {
            self.keys.push(key.unwrap_or_default());
            if lengths {
                self.plain
                    .extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
            self.plain.extend_from_slice(value);
            self.ends.push(self.plain.len() as u32);
        }
        self.indexes.push(index);
        self.plain_bytes += skip + value.len();
    }

    fn width(&self) -> u32 {
        hybrid::bit_width(self.ends.len().saturating_sub(1) as u32)
    }

    /// Widens `ends` by the values of the page, each once.
    fn widen(&mut self, ends: &mut Ends, kind: BytesKind, lengths: bool) {
        let skip = if lengths { LENGTH_BYTES } else { 0 };
        let mut seen = vec![false; self.ends.len()];
        for index in &self.indexes {
            if !std::mem::replace(&mut seen[*index as usize], true) {
                ends.widen(kind, &self.plain_value(*index)[skip..]);
            }
        }
    }

    fn encode_indexes(&mut self, out: &mut Vec<u8>) {
        let width = self.width();
        out.push(width as u8);
        hybrid::encode(&self.indexes, width, out);
        self.indexes.clear();
        self.plain_bytes = 0;
    }
}

/// What, with its length, tells a value of at most 16 bytes from all others.
type ShortKey = (u64, u64);

/// Most columns that a dictionary serves hold short words: their bytes in two numbers are compared and
/// hashed in less time than a call takes that looks at bytes.
#[inline]
fn short_key(value: &[u8]) -> Option<ShortKey> {
    let four = |bytes: Option<&[u8; 4]>| bytes.map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    let eight = |bytes: Option<&[u8; 8]>| bytes.map(|bytes| u64::from_le_bytes(*bytes));
    match value.len() {
        0 => Some((0, 0)),
        length @ 1..=3 => {
            let byte = |index: usize| u64::from(value[index]);
            Some((byte(0) | byte(length / 2) << 8 | byte(length - 1) << 16, 0))
        }
        4..=7 => four(value.first_chunk()).zip(four(value.last_chunk())),
        8..=16 => eight(value.first_chunk()).zip(eight(value.last_chunk())),
        _ => None,
    }
}

#[inline]
fn hash_short(key: ShortKey, length: usize) -> u32 {
    let first = key.0 ^ 0x9E37_79B9_7F4A_7C15;
    let last = key.1 ^ 0xD6E8_FEB8_6659_FD93 ^ length as u64;
    let product = u128::from(first) * u128::from(last);
    let folded = (product >> 64) as u64 ^ product as u64;
    (folded ^ folded >> 32) as u32
}

#[inline]
fn plain_value<'a>(plain: &'a [u8], ends: &[u32], index: u32) -> &'a [u8] {
    let index = index as usize;
    let start = if index == 0 {
        0
    } else {
        ends[index - 1] as usize
    };
    &plain[start..ends[index] as usize]
}
