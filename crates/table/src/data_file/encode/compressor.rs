//! Page compression. One compressor, with its working memory, serves all columns of all files.

use std::io::Write;

use parquet::basic::Compression;

/// A page could not be compressed.
pub(super) type CompressError = parquet::errors::ParquetError;

/// Compresses pages by one codec.
pub(crate) struct Compressor {
    compression: Compression,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// Holds one compressed page; kept from page to page.
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor")
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> CompressError {
    CompressError::General(format!("compress a page: {error}"))
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> Result<Self, CompressError> {
        let zstd = match compression {
            Compression::ZSTD(level) => {
                Some(zstd::bulk::Compressor::new(level.compression_level()).map_err(failed)?)
            }
            _ => None,
        };
        Ok(Self {
            compression,
            zstd,
            buffer: Vec::new(),
        })
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The page, compressed. The slice is good until the next call.
    pub(super) fn compress<'a>(&'a mut self, page: &'a [u8]) -> Result<&'a [u8], CompressError> {
        let buffer = &mut self.buffer;
        buffer.clear();
        match self.compression {
            Compression::UNCOMPRESSED => return Ok(page),
            Compression::ZSTD(_) => {
                let Some(zstd) = &mut self.zstd else {
                    return Err(failed("no compressor"));
                };
                buffer.reserve(zstd::zstd_safe::compress_bound(page.len()));
                zstd.compress_to_buffer(page, buffer).map_err(failed)?;
            }
            Compression::SNAPPY => {
                buffer.resize(snap::raw::max_compress_len(page.len()), 0);
                let length = snap::raw::Encoder::new()
                    .compress(page, buffer)
                    .map_err(failed)?;
                buffer.truncate(length);
            }
            Compression::GZIP(level) => {
                let level = flate2::Compression::new(level.compression_level());
                let mut encoder = flate2::write::GzEncoder::new(std::mem::take(buffer), level);
                encoder.write_all(page).map_err(failed)?;
                *buffer = encoder.finish().map_err(failed)?;
            }
            Compression::LZ4_RAW => {
                buffer.resize(lz4_flex::block::get_maximum_output_size(page.len()), 0);
                let length = lz4_flex::block::compress_into(page, buffer).map_err(failed)?;
                buffer.truncate(length);
            }
            other => return Err(failed(format!("{other} is not supported"))),
        }
        Ok(buffer)
    }
}
