//! Values of fixed width: `INT32`, `INT64`, `FLOAT`, `DOUBLE`.

use std::fmt::Debug;

use arrow_buffer::ToByteSlice;

use super::{
    column::{FinishedPage, PAGE_PREFIX_BYTES, page_with_levels},
    dictionary::{Slots, TRIAL_VALUES, hash_number, pays},
    extent::{Extent, Value},
    hybrid,
};
use parquet::basic::Encoding;

/// A number that Parquet stores in little-endian order.
pub(super) trait Number: Copy + Debug + Default + Send + 'static {
    const WIDTH: usize;
    /// Equal exactly where the stored bytes are.
    fn bits(self) -> u64;
    fn is_nan(self) -> bool;
    /// The smaller and the larger of both; neither is NaN.
    fn spread(min: Self, max: Self, value: Self) -> (Self, Self);
    fn value(self) -> Value;
    fn bytes(values: &[Self]) -> &[u8];
}

macro_rules! number {
    ($native:ty, $variant:ident, $bits:expr, $nan:expr) => {
        impl Number for $native {
            const WIDTH: usize = size_of::<$native>();
            fn bits(self) -> u64 {
                $bits(self)
            }
            fn is_nan(self) -> bool {
                $nan(self)
            }
            fn spread(min: Self, max: Self, value: Self) -> (Self, Self) {
                (
                    if value < min { value } else { min },
                    if value > max { value } else { max },
                )
            }
            fn value(self) -> Value {
                Value::$variant(self)
            }
            fn bytes(values: &[Self]) -> &[u8] {
                values.to_byte_slice()
            }
        }
    };
}

number!(i32, Int, |v: i32| u64::from(v as u32), |_| false);
number!(i64, Long, |v: i64| v as u64, |_| false);
number!(f32, Float, |v: f32| u64::from(v.to_bits()), f32::is_nan);
number!(f64, Double, |v: f64| v.to_bits(), f64::is_nan);

/// The page being written, and the dictionary while there is one.
#[derive(Debug)]
pub(super) struct Numbers<N> {
    /// `PLAIN` values, after room for the levels.
    page: Vec<u8>,
    dictionary: Option<NumberDictionary<N>>,
    /// Over the page, without NaN.
    ends: Option<(N, N)>,
    nans: usize,
}

#[derive(Debug, Default)]
struct NumberDictionary<N> {
    slots: Slots,
    values: Vec<N>,
    /// Of the page.
    indexes: Vec<u32>,
    judged: bool,
}

impl<N: Number> Numbers<N> {
    /// `page` is empty but for the room for levels.
    pub(super) fn new(try_dictionary: bool, page: Vec<u8>) -> Self {
        Self {
            page,
            dictionary: try_dictionary.then(NumberDictionary::default),
            ends: None,
            nans: 0,
        }
    }

    /// Appends the values of each run of indexes, from start to end.
    pub(super) fn append(&mut self, values: &[N], runs: &[(usize, usize)]) {
        for (start, end) in runs {
            self.append_run(&values[*start..*end]);
        }
        self.judge(TRIAL_VALUES);
    }

    fn append_run(&mut self, values: &[N]) {
        self.widen(values);
        match &mut self.dictionary {
            None => self.page.extend_from_slice(N::bytes(values)),
            Some(dictionary) => {
                for value in values {
                    dictionary.push(*value);
                }
            }
        }
    }

    fn widen(&mut self, values: &[N]) {
        let mut rest = values.iter().copied();
        let (mut min, mut max) = match self.ends {
            Some(ends) => ends,
            None => match rest
                .by_ref()
                .inspect(|v| self.nans += usize::from(v.is_nan()))
                .find(|v| !v.is_nan())
            {
                Some(first) => (first, first),
                None => return,
            },
        };
        // A NaN is neither below nor above anything, so that it never widens.
        let mut nans = 0;
        for value in rest {
            nans += usize::from(value.is_nan());
            (min, max) = N::spread(min, max, value);
        }
        self.nans += nans;
        self.ends = Some((min, max));
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
        if !pays(
            dictionary.values.len() * N::WIDTH,
            width,
            tried,
            tried * N::WIDTH,
        ) {
            self.stop_dictionary();
        }
    }

    /// Goes on without a dictionary. What the page holds is written out.
    pub(super) fn stop_dictionary(&mut self) {
        if let Some(dictionary) = self.dictionary.take() {
            for index in dictionary.indexes {
                self.page.extend_from_slice(N::bytes(
                    &dictionary.values[index as usize..=index as usize],
                ));
            }
        }
    }

    pub(super) fn has_dictionary(&self) -> bool {
        self.dictionary.is_some()
    }

    pub(super) fn dictionary_bytes(&self) -> usize {
        self.dictionary
            .as_ref()
            .map_or(0, |dictionary| dictionary.values.len() * N::WIDTH)
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
                + dictionary.values.capacity() * N::WIDTH
                + dictionary.indexes.capacity() * size_of::<u32>()
        });
        self.page.capacity() + dictionary
    }

    pub(super) fn finish_page<'a>(
        &'a mut self,
        levels: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> FinishedPage<'a> {
        self.judge(1);
        let extent = self
            .ends
            .take()
            .map(|(min, max)| Extent::new(min.value(), max.value()));
        let extent = extent.unwrap_or_default();
        let nans = std::mem::take(&mut self.nans);
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
                    nans,
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
                    nans,
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
            .filter(|dictionary| !dictionary.values.is_empty())?;
        Some((
            N::bytes(&dictionary.values).to_vec(),
            dictionary.values.len(),
        ))
    }
}

impl<N: Number> NumberDictionary<N> {
    #[inline]
    fn push(&mut self, value: N) {
        let bits = value.bits();
        let values = &self.values;
        let same = |index: u32| values[index as usize].bits() == bits;
        let (index, new) = self
            .slots
            .find_or_insert(hash_number(bits), values.len() as u32, same);
        if new {
            self.values.push(value);
        }
        self.indexes.push(index);
    }

    fn width(&self) -> u32 {
        hybrid::bit_width(self.values.len().saturating_sub(1) as u32)
    }

    fn encode_indexes(&mut self, out: &mut Vec<u8>) {
        let width = self.width();
        out.push(width as u8);
        hybrid::encode(&self.indexes, width, out);
        self.indexes.clear();
    }
}
