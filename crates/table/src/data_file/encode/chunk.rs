//! Pages put together into a column chunk, with its page index and statistics.

use std::{
    io::{Cursor, Read},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    basic::{
        BoundaryOrder, Compression, Encoding, EncodingMask, LogicalType, PageType,
        Type as PhysicalType,
    },
    column::writer::ColumnCloseResult,
    data_type::{ByteArray, FixedLenByteArray},
    errors::ParquetError,
    file::{
        metadata::{
            ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
        },
        reader::{ChunkReader, Length},
        statistics::{Statistics, ValueStatistics},
    },
};

use super::{
    column::{ColumnSpec, Tools},
    extent::{Extent, Value, bytes_above, text_above},
    hybrid::varint,
};

/// The longest byte value in the page index and the footer. Readers load both whole; files with
/// whole log lines in them would be slow to open.
const STATISTICS_LENGTH_MAX: usize = 64;

/// What is known of a page beside its bytes.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: usize,
    /// Values, and what stands for a missing one: more than rows inside lists.
    pub(super) entries: usize,
    pub(super) nulls: usize,
    pub(super) nans: usize,
    pub(super) encoding: Encoding,
    /// Without the header.
    pub(super) uncompressed_bytes: usize,
    pub(super) extent: Extent,
}

/// A page as it is in the file.
#[derive(Debug)]
struct WrittenPage {
    page: Page,
    /// Header and compressed content.
    bytes: Bytes,
}

/// The pages of a column chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    spec: Arc<ColumnSpec>,
    pages: Vec<WrittenPage>,
    dictionary: Option<Bytes>,
    compressed_bytes: usize,
    uncompressed_bytes: usize,
}

/// A column chunk, ready to be put into a file.
#[derive(Debug)]
pub(crate) struct EncodedColumn {
    pub(crate) bytes: ChunkBytes,
    pub(crate) close: ColumnCloseResult,
    /// The column's smallest and largest value, whole.
    pub(crate) extent: Extent,
    /// Values, and what stands for a missing one.
    pub(crate) entries: u64,
    pub(crate) nulls: u64,
    pub(crate) nans: u64,
    /// Whether a dictionary served to the end.
    pub(crate) dictionary_kept: bool,
}

impl Chunk {
    pub(super) fn new(spec: Arc<ColumnSpec>) -> Self {
        Self {
            spec,
            pages: Vec::new(),
            dictionary: None,
            compressed_bytes: 0,
            uncompressed_bytes: 0,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.compressed_bytes + self.pages.capacity() * size_of::<WrittenPage>()
    }

    pub(super) fn compressed_bytes(&self) -> usize {
        self.compressed_bytes
    }

    pub(super) fn uncompressed_bytes(&self) -> usize {
        self.uncompressed_bytes
    }

    /// Adds a data page of `compressed` content.
    pub(super) fn push(&mut self, page: Page, compressed: &[u8]) -> Result<(), ParquetError> {
        let mut bytes = Vec::with_capacity(compressed.len() + 32);
        let header = [
            i32_of(page.entries)?,
            page.encoding as i32,
            Encoding::RLE as i32,
            Encoding::RLE as i32,
        ];
        page_header(
            PageType::DATA_PAGE,
            page.uncompressed_bytes,
            compressed.len(),
            5,
            &header,
            &mut bytes,
        )?;
        self.uncompressed_bytes += bytes.len() + page.uncompressed_bytes;
        bytes.extend_from_slice(compressed);
        bytes.shrink_to_fit();
        self.compressed_bytes += bytes.len();
        self.pages.push(WrittenPage {
            page,
            bytes: bytes.into(),
        });
        Ok(())
    }

    /// Adds the dictionary, if it has one that a page refers to.
    pub(super) fn take_dictionary(
        &mut self,
        dictionary: Option<(Vec<u8>, usize)>,
        tools: &mut Tools,
    ) -> Result<(), ParquetError> {
        let Some((values, count)) = dictionary else {
            return Ok(());
        };
        let compressed = tools.compressor.compress(&values)?;
        let mut bytes = Vec::with_capacity(compressed.len() + 32);
        let header = [i32_of(count)?, Encoding::PLAIN as i32];
        page_header(
            PageType::DICTIONARY_PAGE,
            values.len(),
            compressed.len(),
            7,
            &header,
            &mut bytes,
        )?;
        self.uncompressed_bytes += bytes.len() + values.len();
        bytes.extend_from_slice(compressed);
        bytes.shrink_to_fit();
        self.compressed_bytes += bytes.len();
        self.dictionary = Some(bytes.into());
        Ok(())
    }

    pub(super) fn close(
        self,
        compression: Compression,
        dictionary_kept: bool,
    ) -> Result<EncodedColumn, ParquetError> {
        let sum = |of: fn(&Page) -> usize| -> u64 {
            self.pages
                .iter()
                .map(|written| of(&written.page) as u64)
                .sum()
        };
        let (rows, entries) = (sum(|page| page.rows), sum(|page| page.entries));
        let (nulls, nans) = (sum(|page| page.nulls), sum(|page| page.nans));
        let mut extent = Extent::default();
        for written in &self.pages {
            extent.merge(&written.page.extent);
        }
        let dictionary_bytes = self.dictionary.as_ref().map_or(0, Bytes::len) as i64;
        let metadata = ColumnChunkMetaData::builder(Arc::clone(&self.spec.descriptor))
            .set_compression(compression)
            .set_encodings_mask(self.encodings())
            .set_page_encoding_stats(self.encoding_stats())
            .set_total_compressed_size(self.compressed_bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_num_values(entries as i64)
            .set_data_page_offset(dictionary_bytes)
            .set_dictionary_page_offset(self.dictionary.as_ref().map(|_| 0))
            .set_statistics(statistics(&self.spec, &extent, nulls))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: self.compressed_bytes as u64,
            rows_written: rows,
            metadata,
            bloom_filter: None,
            column_index: self.column_index()?,
            offset_index: Some(self.offset_index(dictionary_bytes)?),
        };
        let parts = self
            .dictionary
            .into_iter()
            .chain(self.pages.into_iter().map(|page| page.bytes));
        let bytes = ChunkBytes {
            parts: parts.collect(),
        };
        Ok(EncodedColumn {
            bytes,
            close,
            extent,
            entries,
            nulls,
            nans,
            dictionary_kept,
        })
    }

    fn encodings(&self) -> EncodingMask {
        let plain = self.dictionary.is_some().then_some(Encoding::PLAIN);
        let pages = self.pages.iter().map(|written| written.page.encoding);
        let all: Vec<Encoding> = pages.chain(plain).chain([Encoding::RLE]).collect();
        EncodingMask::new_from_encodings(all.iter())
    }

    fn encoding_stats(&self) -> Vec<PageEncodingStats> {
        let count = |encoding: Encoding| {
            let pages = self
                .pages
                .iter()
                .filter(|written| written.page.encoding == encoding)
                .count();
            let stats = PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding,
                count: pages as i32,
            };
            (pages > 0).then_some(stats)
        };
        let dictionary = self.dictionary.as_ref().map(|_| PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        });
        let data = [count(Encoding::RLE_DICTIONARY), count(Encoding::PLAIN)];
        dictionary
            .into_iter()
            .chain(data.into_iter().flatten())
            .collect()
    }

    fn column_index(
        &self,
    ) -> Result<Option<parquet::file::page_index::column_index::ColumnIndexMetaData>, ParquetError>
    {
        let mut builder = ColumnIndexBuilder::new(self.spec.descriptor.physical_type());
        let mut order = Order::default();
        for written in &self.pages {
            let page = &written.page;
            let nulls = page.nulls as i64;
            match page.extent.ends() {
                Some((min, max)) => {
                    order.next(min, max);
                    let (min, _) = stored_min(&self.spec, min);
                    let (max, _) = stored_max(&self.spec, max);
                    builder.append(false, min, max, nulls);
                }
                None if page.nulls == page.entries => {
                    builder.append(true, Vec::new(), Vec::new(), nulls);
                }
                // Only NaN beside nulls: such a page has no ends, so that the chunk can have no index.
                None => return Ok(None),
            }
        }
        builder.set_boundary_order(order.boundary_order());
        Ok(Some(builder.build()?))
    }

    fn offset_index(
        &self,
        start: i64,
    ) -> Result<parquet::file::page_index::offset_index::OffsetIndexMetaData, ParquetError> {
        let mut builder = OffsetIndexBuilder::new();
        let mut offset = start;
        for written in &self.pages {
            builder.append_row_count(written.page.rows as i64);
            builder.append_offset_and_size(offset, i32_of(written.bytes.len())?);
            offset += written.bytes.len() as i64;
        }
        Ok(builder.build())
    }
}

/// Whether the pages' ends go up or down together.
#[derive(Debug, Default)]
struct Order {
    last: Option<(Value, Value)>,
    falls: bool,
    rises: bool,
}

impl Order {
    fn next(&mut self, min: &Value, max: &Value) {
        if let Some((last_min, last_max)) = &self.last {
            self.falls |= min.is_before(last_min) || max.is_before(last_max);
            self.rises |= last_min.is_before(min) || last_max.is_before(max);
        }
        self.last = Some((min.clone(), max.clone()));
    }

    fn boundary_order(&self) -> BoundaryOrder {
        match (self.falls, self.rises) {
            (false, _) => BoundaryOrder::ASCENDING,
            (true, false) => BoundaryOrder::DESCENDING,
            (true, true) => BoundaryOrder::UNORDERED,
        }
    }
}

fn i32_of(size: usize) -> Result<i32, ParquetError> {
    i32::try_from(size)
        .map_err(|_| ParquetError::General(format!("a page of {size} bytes or rows is too large")))
}

/// Appends a page header in Thrift's compact protocol: type, both sizes, and the struct that `field`
/// is the number of, of nothing but 32-bit integers.
fn page_header(
    page_type: PageType,
    uncompressed: usize,
    compressed: usize,
    field: u8,
    numbers: &[i32],
    out: &mut Vec<u8>,
) -> Result<(), ParquetError> {
    /// A field one above the last, of type i32.
    const NEXT_I32: u8 = 0x15;
    const STRUCT: u8 = 0x0C;
    let integer = |value: i32, out: &mut Vec<u8>| {
        out.push(NEXT_I32);
        varint(u64::from(((value << 1) ^ (value >> 31)) as u32), out);
    };
    integer(page_type as i32, out);
    integer(i32_of(uncompressed)?, out);
    integer(i32_of(compressed)?, out);
    out.push((field - 3) << 4 | STRUCT);
    for number in numbers {
        integer(*number, out);
    }
    out.extend_from_slice(&[0, 0]);
    Ok(())
}

/// A value as Parquet's statistics have it.
fn stored(spec: &ColumnSpec, value: &Value) -> Vec<u8> {
    match value {
        Value::Boolean(v) => vec![u8::from(*v)],
        Value::Int(v) => v.to_le_bytes().to_vec(),
        Value::Long(v) => v.to_le_bytes().to_vec(),
        Value::Float(v) => v.to_le_bytes().to_vec(),
        Value::Double(v) => v.to_le_bytes().to_vec(),
        Value::Decimal(v) => {
            let width = (spec.descriptor.type_length() as usize).min(16);
            v.to_be_bytes()[16 - width..].to_vec()
        }
        Value::Bytes(v) => v.clone(),
    }
}

fn is_long(spec: &ColumnSpec, bytes: &[u8]) -> bool {
    spec.descriptor.physical_type() == PhysicalType::BYTE_ARRAY
        && bytes.len() > STATISTICS_LENGTH_MAX
}

fn text<'a>(spec: &ColumnSpec, bytes: &'a [u8]) -> Option<&'a str> {
    match spec.descriptor.logical_type_ref() {
        Some(LogicalType::String) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// The smallest value, or a shorter one below it; whether it is the value itself.
fn stored_min(spec: &ColumnSpec, min: &Value) -> (Vec<u8>, bool) {
    let mut bytes = stored(spec, min);
    if !is_long(spec, &bytes) {
        return (bytes, true);
    }
    let end = text(spec, &bytes).map_or(STATISTICS_LENGTH_MAX, |text| {
        text.floor_char_boundary(STATISTICS_LENGTH_MAX)
    });
    bytes.truncate(end);
    (bytes, false)
}

/// The largest value, or a shorter one above it; whether it is the value itself.
fn stored_max(spec: &ColumnSpec, max: &Value) -> (Vec<u8>, bool) {
    let bytes = stored(spec, max);
    if !is_long(spec, &bytes) {
        return (bytes, true);
    }
    let above = match text(spec, &bytes) {
        Some(text) => {
            let kept = &text[..text.floor_char_boundary(STATISTICS_LENGTH_MAX)];
            text_above(text, kept.chars().count()).map(String::into_bytes)
        }
        None => bytes_above(&bytes, STATISTICS_LENGTH_MAX),
    };
    match above {
        Some(above) => (above, false),
        None => (bytes, true),
    }
}

fn statistics(spec: &ColumnSpec, extent: &Extent, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    let ends = extent.ends();
    macro_rules! exact {
        ($variant:ident) => {
            match ends {
                Some((Value::$variant(min), Value::$variant(max))) => {
                    Statistics::new(Some(*min), Some(*max), None, nulls, false)
                }
                _ => return none(spec.descriptor.physical_type(), nulls),
            }
        };
    }
    match spec.descriptor.physical_type() {
        PhysicalType::BOOLEAN => exact!(Boolean),
        PhysicalType::INT32 => exact!(Int),
        PhysicalType::INT64 => exact!(Long),
        PhysicalType::FLOAT => exact!(Float),
        PhysicalType::DOUBLE => exact!(Double),
        physical => {
            let Some((min, max)) = ends else {
                return none(physical, nulls);
            };
            let (min, min_exact) = stored_min(spec, min);
            let (max, max_exact) = stored_max(spec, max);
            let (min, max) = (ByteArray::from(min), ByteArray::from(max));
            if physical == PhysicalType::BYTE_ARRAY {
                ValueStatistics::new(Some(min), Some(max), None, nulls, false)
                    .with_min_is_exact(min_exact)
                    .with_max_is_exact(max_exact)
                    .into()
            } else {
                let (min, max) = (FixedLenByteArray::from(min), FixedLenByteArray::from(max));
                Statistics::new(Some(min), Some(max), None, nulls, false)
            }
        }
    }
}

/// Statistics of a chunk without values.
fn none(physical: PhysicalType, nulls: Option<u64>) -> Statistics {
    match physical {
        PhysicalType::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        PhysicalType::INT32 => Statistics::int32(None, None, None, nulls, false),
        PhysicalType::INT64 => Statistics::int64(None, None, None, nulls, false),
        PhysicalType::INT96 => Statistics::int96(None, None, None, nulls, false),
        PhysicalType::FLOAT => Statistics::float(None, None, None, nulls, false),
        PhysicalType::DOUBLE => Statistics::double(None, None, None, nulls, false),
        PhysicalType::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            Statistics::fixed_len_byte_array(None, None, None, nulls, false)
        }
    }
}

/// The bytes of a chunk, page by page, as `parquet` reads them to put them into a file.
#[derive(Debug)]
pub(crate) struct ChunkBytes {
    parts: Vec<Bytes>,
}

impl ChunkBytes {
    /// The pages, as they follow each other in the file.
    pub(crate) fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

impl ChunkReader for ChunkBytes {
    type T = PartsReader;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut skip = start as usize;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            parts.push(part.slice(skipped..));
        }
        parts.reverse();
        Ok(PartsReader {
            parts,
            current: Cursor::new(Bytes::new()),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads parts one after the other.
#[derive(Debug)]
pub(crate) struct PartsReader {
    /// What comes after the current one, last first.
    parts: Vec<Bytes>,
    current: Cursor<Bytes>,
}

impl Read for PartsReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.parts.pop() {
                Some(next) => self.current = Cursor::new(next),
                None => return Ok(0),
            }
        }
    }
}
