//! `BOOLEAN` values, one bit each.

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBufferBuilder;
use parquet::basic::Encoding;

use super::{
    column::FinishedPage,
    extent::{Extent, Value},
};

/// The page being written.
#[derive(Debug)]
pub(super) struct Booleans {
    bits: BooleanBufferBuilder,
}

impl Booleans {
    pub(super) fn new() -> Self {
        Self {
            bits: BooleanBufferBuilder::new(0),
        }
    }

    /// Appends the values of each run of indexes, from start to end.
    pub(super) fn append(&mut self, values: &BooleanArray, runs: &[(usize, usize)]) {
        for (start, end) in runs {
            self.bits
                .append_buffer(&values.values().slice(*start, end - start));
        }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.bits.len() / 8
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bits.capacity() / 8
    }

    pub(super) fn finish_page<'a>(
        &'a mut self,
        levels: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> FinishedPage<'a> {
        let bits = self.bits.finish();
        let trues = bits.count_set_bits();
        let extent = if bits.is_empty() {
            Extent::default()
        } else {
            Extent::new(
                Value::Boolean(trues == bits.len()),
                Value::Boolean(trues > 0),
            )
        };
        scratch.clear();
        scratch.extend_from_slice(levels);
        scratch.extend_from_slice(&bits.values()[..bits.len().div_ceil(8)]);
        FinishedPage {
            bytes: scratch,
            encoding: Encoding::PLAIN,
            extent,
            nans: 0,
        }
    }
}
