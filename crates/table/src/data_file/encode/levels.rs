//! The levels of the page being written.

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};

use super::{
    hybrid,
    shape::{NONE, Shape},
};

/// Repetition and definition levels of a page, and which values belong to it.
#[derive(Debug)]
pub(super) struct Levels {
    definition_max: u8,
    repetition_max: u8,
    rows: usize,
    entries: usize,
    absent: usize,
    /// Validity of each row, made at the page's first null; only where a level has one bit.
    bits: BooleanBufferBuilder,
    /// Each entry's level, made at the page's first null; only where it has more bits.
    definition: Vec<u32>,
    repetition: Vec<u32>,
}

impl Levels {
    pub(super) fn new(definition_max: u8, repetition_max: u8) -> Self {
        Self {
            definition_max,
            repetition_max,
            rows: 0,
            entries: 0,
            absent: 0,
            bits: BooleanBufferBuilder::new(0),
            definition: Vec::new(),
            repetition: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Values, and what stands for a missing one.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Entries without a value.
    pub(super) fn absent(&self) -> usize {
        self.absent
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let levels = self.definition.capacity() + self.repetition.capacity();
        self.bits.capacity() / 8 + levels * size_of::<u32>()
    }

    /// Takes `rows` rows, whose `count` entries begin at `from`. `runs` gets the indexes of their values,
    /// as start and end.
    pub(super) fn append(
        &mut self,
        shape: &Shape,
        from: usize,
        count: usize,
        rows: usize,
        runs: &mut Vec<(usize, usize)>,
    ) {
        runs.clear();
        let absent = match shape {
            Shape::Flat {
                present,
                definition,
            } => {
                let slice = present.as_ref().map(|present| present.slice(from, count));
                let slice = slice.filter(|slice| slice.null_count() > 0);
                match &slice {
                    None => runs.push((from, from + count)),
                    Some(slice) => {
                        runs.extend(
                            slice
                                .valid_slices()
                                .map(|(start, end)| (from + start, from + end)),
                        );
                    }
                }
                let absent = slice.as_ref().map_or(0, NullBuffer::null_count);
                if absent > 0 || self.absent > 0 {
                    self.materialize();
                    match (self.definition_max, &slice, definition) {
                        (1, Some(slice), _) => self.bits.append_buffer(slice.inner()),
                        (1, None, _) => self.bits.append_n(count, true),
                        (_, _, Some(levels)) => self.extend_definition(&levels[from..from + count]),
                        (max, _, None) => {
                            self.definition
                                .extend(std::iter::repeat_n(u32::from(max), count));
                        }
                    }
                }
                absent
            }
            Shape::Repeated(entries) => {
                let repetition = &entries.repetition[from..from + count];
                self.repetition
                    .extend(repetition.iter().map(|level| u32::from(*level)));
                self.extend_definition(&entries.definition[from..from + count]);
                count - runs_of(&entries.index[from..from + count], runs)
            }
        };
        self.rows += rows;
        self.entries += count;
        self.absent += absent;
    }

    fn extend_definition(&mut self, levels: &[u8]) {
        self.definition
            .extend(levels.iter().map(|level| u32::from(*level)));
    }

    /// Writes down that all rows so far hold a value, which until now only their count said.
    fn materialize(&mut self) {
        if self.definition_max == 1 && self.bits.is_empty() {
            self.bits.append_n(self.entries, true);
        } else if self.definition_max > 1 && self.definition.is_empty() {
            self.definition
                .resize(self.entries, u32::from(self.definition_max));
        }
    }

    /// Ends the page: its levels as a data page of version 1 begins with them.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        out.clear();
        if self.repetition_max > 0 {
            let width = hybrid::bit_width(u32::from(self.repetition_max));
            with_length(out, |out| hybrid::encode(&self.repetition, width, out));
        }
        if self.definition_max > 0 {
            let max = u32::from(self.definition_max);
            let width = hybrid::bit_width(max);
            with_length(out, |out| {
                if self.absent == 0 {
                    hybrid::run(self.entries, max, width, out);
                } else if self.bits.is_empty() {
                    hybrid::encode(&self.definition, width, out);
                } else {
                    hybrid::encode_bitmap(self.bits.as_slice(), self.entries, out);
                }
            });
        }
        self.rows = 0;
        self.entries = 0;
        self.absent = 0;
        self.bits.truncate(0);
        self.definition.clear();
        self.repetition.clear();
    }
}

/// Appends what `write` writes, after its length.
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends the runs of indexes that follow each other; gives how many indexes there are.
fn runs_of(indexes: &[u32], runs: &mut Vec<(usize, usize)>) -> usize {
    let mut count = 0;
    for index in indexes.iter().filter(|index| **index != NONE) {
        let index = *index as usize;
        count += 1;
        match runs.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => runs.push((index, index + 1)),
        }
    }
    count
}
