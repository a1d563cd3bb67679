//! One column chunk being encoded.

use std::sync::Arc;

use arrow_array::ArrayRef;
use parquet::{
    basic::{Encoding, LogicalType, Type as PhysicalType},
    errors::ParquetError,
    schema::types::ColumnDescPtr,
};

use super::{
    booleans::Booleans,
    byte_strings::{ByteValues, BytesKind},
    chunk::{Chunk, EncodedColumn, Page},
    compressor::Compressor,
    extent::Extent,
    levels::Levels,
    numbers::Numbers,
    shape::{NONE, Shape, Step, walk},
    source::{ByteStrings, Source, source},
};

/// Room for levels before a page's values, so that both lie together without being copied.
pub(super) const PAGE_PREFIX_BYTES: usize = 4_096;

/// Page buffers that are kept for the next row group or file: more hold memory that nothing uses,
/// fewer have the system clear fresh memory for every page.
const PAGES_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows between two looks at a page's size.
const STEP_ROWS: usize = 1_024;

/// A column of a file: what stays the same from row group to row group.
#[derive(Debug)]
pub(crate) struct ColumnSpec {
    pub(crate) descriptor: ColumnDescPtr,
    /// From its top-level field; empty for a top-level column.
    pub(crate) path: Vec<Step>,
    /// Of its top-level field and of what each step leads to, whether it may be null.
    pub(crate) optional: Vec<bool>,
}

/// When a page ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimits {
    pub(crate) bytes: usize,
    pub(crate) rows: usize,
    pub(crate) dictionary_bytes: usize,
}

/// What all columns share while they encode.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) compressor: Compressor,
    pub(crate) limits: PageLimits,
    levels: Vec<u8>,
    page: Vec<u8>,
    /// Buffers of pages that no column writes at present, and what they hold in all.
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
    /// Runs of values of one step.
    runs: Vec<(usize, usize)>,
}

impl Tools {
    pub(crate) fn new(compressor: Compressor, limits: PageLimits) -> Self {
        Self {
            compressor,
            limits,
            levels: Vec::new(),
            page: Vec::new(),
            kept: Vec::new(),
            kept_bytes: 0,
            runs: Vec::new(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.compressor.memory_bytes()
            + self.levels.capacity()
            + self.page.capacity()
            + self.kept_bytes
    }

    /// An empty page, with room for levels before it.
    fn take_page(&mut self) -> Vec<u8> {
        let mut page = self.kept.pop().unwrap_or_default();
        self.kept_bytes -= page.capacity();
        page.resize(PAGE_PREFIX_BYTES, 0);
        page
    }

    fn keep_page(&mut self, mut page: Vec<u8>) {
        if self.kept_bytes + page.capacity() <= PAGES_KEPT_BYTES_MAX {
            page.clear();
            self.kept_bytes += page.capacity();
            self.kept.push(page);
        }
    }
}

/// A page that is full: levels and values, not yet compressed.
#[derive(Debug)]
pub(super) struct FinishedPage<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) encoding: Encoding,
    pub(super) extent: Extent,
    pub(super) nans: usize,
}

/// The values of `page` with `levels` before them: in its prefix, or in `scratch` where they are too many.
pub(super) fn page_with_levels<'a>(
    page: &'a mut [u8],
    levels: &[u8],
    scratch: &'a mut Vec<u8>,
) -> &'a [u8] {
    if let Some(start) = PAGE_PREFIX_BYTES.checked_sub(levels.len()) {
        page[start..PAGE_PREFIX_BYTES].copy_from_slice(levels);
        return &page[start..];
    }
    scratch.clear();
    scratch.extend_from_slice(levels);
    scratch.extend_from_slice(&page[PAGE_PREFIX_BYTES..]);
    scratch
}

/// The values of the page being written, by physical type.
#[derive(Debug)]
enum Values {
    Boolean(Booleans),
    Int(Numbers<i32>),
    Long(Numbers<i64>),
    Float(Numbers<f32>),
    Double(Numbers<f64>),
    Bytes(ByteValues),
}

/// Calls a method that all but booleans have; `$default` for those.
macro_rules! for_values {
    ($values:expr, $inner:ident => $call:expr, boolean => $default:expr) => {
        match $values {
            Values::Boolean(_) => $default,
            Values::Int($inner) => $call,
            Values::Long($inner) => $call,
            Values::Float($inner) => $call,
            Values::Double($inner) => $call,
            Values::Bytes($inner) => $call,
        }
    };
}

/// Encodes one column of one row group.
#[derive(Debug)]
pub(crate) struct ColumnEncoder {
    spec: Arc<ColumnSpec>,
    levels: Levels,
    values: Values,
    chunk: Chunk,
}

impl ColumnEncoder {
    /// `try_dictionary`: whether a dictionary may pay, as far as is known.
    pub(crate) fn new(
        spec: Arc<ColumnSpec>,
        try_dictionary: bool,
        tools: &mut Tools,
    ) -> Result<Self, ParquetError> {
        let decimal = matches!(
            spec.descriptor.logical_type_ref(),
            Some(LogicalType::Decimal { .. })
        );
        let kind = if decimal {
            BytesKind::Decimal
        } else {
            BytesKind::Bytes
        };
        let values = match spec.descriptor.physical_type() {
            PhysicalType::BOOLEAN => Values::Boolean(Booleans::new()),
            PhysicalType::INT32 => Values::Int(Numbers::new(try_dictionary, tools.take_page())),
            PhysicalType::INT64 => Values::Long(Numbers::new(try_dictionary, tools.take_page())),
            PhysicalType::FLOAT => Values::Float(Numbers::new(try_dictionary, tools.take_page())),
            PhysicalType::DOUBLE => Values::Double(Numbers::new(try_dictionary, tools.take_page())),
            PhysicalType::BYTE_ARRAY => Values::Bytes(ByteValues::new(
                true,
                kind,
                try_dictionary,
                tools.take_page(),
            )),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => Values::Bytes(ByteValues::new(
                false,
                kind,
                try_dictionary,
                tools.take_page(),
            )),
            PhysicalType::INT96 => {
                return Err(ParquetError::General("INT96 is not written".to_owned()));
            }
        };
        let descriptor = &spec.descriptor;
        let levels = Levels::new(
            descriptor.max_def_level() as u8,
            descriptor.max_rep_level() as u8,
        );
        let chunk = Chunk::new(Arc::clone(&spec));
        Ok(Self {
            spec,
            levels,
            values,
            chunk,
        })
    }

    /// Encodes the column's part of a batch; `top` is the array of its top-level field.
    pub(crate) fn write(&mut self, top: &ArrayRef, tools: &mut Tools) -> Result<(), ParquetError> {
        let mismatch = || {
            ParquetError::General(format!(
                "column {} does not take an array of {}",
                self.spec.descriptor.path(),
                top.data_type()
            ))
        };
        let walk = walk(top, &self.spec.path, &self.spec.optional).ok_or_else(mismatch)?;
        let source = source(&self.spec, &walk.leaf).ok_or_else(mismatch)?;
        let (mut row, mut entry) = (0, 0);
        while row < top.len() {
            let room = tools.limits.rows.saturating_sub(self.levels.rows()).max(1);
            let most = room.min(STEP_ROWS).min(top.len() - row);
            let step = step(&source, &walk.shape, entry, most, tools.limits);
            self.levels
                .append(&walk.shape, entry, step.entries, step.rows, &mut tools.runs);
            self.append(&source, &tools.runs);
            row += step.rows;
            entry += step.entries;
            if self.levels.rows() >= tools.limits.rows || self.page_bytes() >= tools.limits.bytes {
                self.finish_page(tools)?;
            }
            if self.dictionary_bytes() > tools.limits.dictionary_bytes {
                self.finish_page(tools)?;
                let dictionary = self.take_dictionary();
                self.chunk.take_dictionary(dictionary, tools)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, source: &Source<'_>, runs: &[(usize, usize)]) {
        match (&mut self.values, source) {
            (Values::Boolean(values), Source::Boolean(array)) => values.append(array, runs),
            (Values::Int(values), Source::Int(numbers)) => values.append(numbers, runs),
            (Values::Int(values), Source::IntDecimal(numbers)) => values.append(numbers, runs),
            (Values::Long(values), Source::Long(numbers)) => values.append(numbers, runs),
            (Values::Long(values), Source::LongDecimal(numbers)) => values.append(numbers, runs),
            (Values::Float(values), Source::Float(numbers)) => values.append(numbers, runs),
            (Values::Double(values), Source::Double(numbers)) => values.append(numbers, runs),
            (Values::Bytes(values), Source::Bytes(strings)) => values.append(strings, runs),
            (Values::Bytes(values), Source::WideDecimal { bytes, width }) => {
                let strings = ByteStrings::Fixed {
                    width: *width,
                    data: bytes,
                };
                values.append(&strings, runs);
            }
            _ => unreachable!("`source` gives what the column's physical type stores"),
        }
    }

    fn page_bytes(&self) -> usize {
        match &self.values {
            Values::Boolean(values) => values.page_bytes(),
            other => for_values!(other, values => values.page_bytes(), boolean => 0),
        }
    }

    fn dictionary_bytes(&self) -> usize {
        for_values!(&self.values, values => values.dictionary_bytes(), boolean => 0)
    }

    fn has_dictionary(&self) -> bool {
        for_values!(&self.values, values => values.has_dictionary(), boolean => false)
    }

    fn take_dictionary(&mut self) -> Option<(Vec<u8>, usize)> {
        for_values!(&mut self.values, values => values.take_dictionary(), boolean => None)
    }

    /// The memory that it holds: encoded pages, the page being written, the dictionary.
    pub(crate) fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Boolean(values) => values.memory_bytes(),
            other => for_values!(other, values => values.memory_bytes(), boolean => 0),
        };
        self.chunk.memory_bytes() + self.levels.memory_bytes() + values
    }

    /// The encoded bytes so far, before compression.
    pub(crate) fn uncompressed_bytes(&self) -> usize {
        self.chunk.uncompressed_bytes() + self.page_bytes() + self.dictionary_bytes()
    }

    /// The encoded bytes so far, as far as they are compressed.
    pub(crate) fn compressed_bytes(&self) -> usize {
        self.chunk.compressed_bytes()
    }

    fn finish_page(&mut self, tools: &mut Tools) -> Result<(), ParquetError> {
        let (rows, entries, absent) = (
            self.levels.rows(),
            self.levels.entries(),
            self.levels.absent(),
        );
        if rows == 0 {
            return Ok(());
        }
        self.levels.take(&mut tools.levels);
        let (levels, scratch) = (&tools.levels, &mut tools.page);
        let finished = match &mut self.values {
            Values::Boolean(values) => values.finish_page(levels, scratch),
            Values::Int(values) => values.finish_page(levels, scratch),
            Values::Long(values) => values.finish_page(levels, scratch),
            Values::Float(values) => values.finish_page(levels, scratch),
            Values::Double(values) => values.finish_page(levels, scratch),
            Values::Bytes(values) => values.finish_page(levels, scratch),
        };
        let page = Page {
            rows,
            entries,
            nulls: absent,
            nans: finished.nans,
            encoding: finished.encoding,
            uncompressed_bytes: finished.bytes.len(),
            extent: finished.extent,
        };
        self.chunk
            .push(page, tools.compressor.compress(finished.bytes)?)?;
        for_values!(&mut self.values, values => values.reset_page(), boolean => ());
        Ok(())
    }

    /// Ends the chunk.
    pub(crate) fn close(mut self, tools: &mut Tools) -> Result<EncodedColumn, ParquetError> {
        self.finish_page(tools)?;
        let kept = self.has_dictionary();
        let dictionary = self.take_dictionary();
        self.chunk.take_dictionary(dictionary, tools)?;
        tools.keep_page(
            for_values!(self.values, values => values.into_page(), boolean => Vec::new()),
        );
        self.chunk.close(tools.compressor.compression(), kept)
    }
}

/// Rows to be appended at a time.
struct Taken {
    rows: usize,
    entries: usize,
}

/// At most `rows`; fewer where byte values are so long that a step of them would far exceed a page.
fn step(source: &Source<'_>, shape: &Shape, from: usize, rows: usize, limits: PageLimits) -> Taken {
    let mut rows = rows;
    loop {
        let entries = match shape {
            Shape::Flat { .. } => rows,
            Shape::Repeated(entries) => entries.end_of_rows(from, rows) - from,
        };
        let long = match source {
            Source::Bytes(strings) => values_bytes(strings, shape, from, entries) > limits.bytes,
            _ => false,
        };
        if rows == 1 || !long {
            return Taken { rows, entries };
        }
        rows /= 2;
    }
}

fn values_bytes(strings: &ByteStrings<'_>, shape: &Shape, from: usize, count: usize) -> usize {
    match shape {
        Shape::Flat { .. } => strings.bytes(from, count),
        Shape::Repeated(entries) => {
            let mut indexes = entries.index[from..from + count]
                .iter()
                .filter(|index| **index != NONE);
            let first = indexes.next();
            let last = indexes.next_back().or(first);
            let range = first
                .zip(last)
                .map(|(first, last)| (*first as usize, *last as usize));
            range.map_or(0, |(first, last)| strings.bytes(first, last + 1 - first))
        }
    }
}
