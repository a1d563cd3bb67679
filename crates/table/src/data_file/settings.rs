//! What table properties say about data files.

use std::collections::HashMap;

use iceberg::spec::TableMetadata;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};

use super::TableWriteError;

/// Iceberg's default.
const TARGET_FILE_SIZE_BYTES: usize = 512 << 20;
/// Of encoded bytes before compression. Larger ones give readers less to do in parallel and hold more
/// memory here (a third to a quarter of it, compressed); smaller ones compress and skip worse.
const ROW_GROUP_SIZE_BYTES: usize = 128 << 20;
/// Larger pages compress a little better; smaller ones let readers skip more.
const PAGE_SIZE_BYTES: usize = 1 << 20;
const PAGE_ROW_LIMIT: usize = 20_000;
/// A dictionary over this no longer fits a reader's cache.
const DICTIONARY_SIZE_BYTES: usize = 1 << 20;
/// Faster levels are within a few percent in size on logs, slower ones cost twice the time.
const ZSTD_LEVEL: i32 = 1;
/// Iceberg's: wide tables have no metrics past their first columns unless asked for.
const INFERRED_METRICS_COLUMNS: usize = 100;

/// What is kept of a column in manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsMode {
    None,
    Counts,
    /// Counts, and bounds of at most so many characters or bytes.
    Truncate(usize),
    Full,
}

/// Settings of one table's data files.
#[derive(Debug, Clone)]
pub(crate) struct WriteSettings {
    pub(crate) data_path: String,
    pub(crate) target_file_size_bytes: usize,
    pub(crate) row_group_size_bytes: usize,
    pub(crate) page_size_bytes: usize,
    pub(crate) page_row_limit: usize,
    pub(crate) dictionary_size_bytes: usize,
    pub(crate) compression: Compression,
    metrics_default: Option<MetricsMode>,
    metrics_inferred_columns: usize,
    metrics_columns: HashMap<String, MetricsMode>,
}

impl WriteSettings {
    pub(crate) fn new(metadata: &TableMetadata) -> Result<Self, TableWriteError> {
        let properties = metadata.properties();
        let data_path = match properties.get("write.data.path") {
            Some(path) => path.trim_end_matches('/').to_owned(),
            None => format!("{}/data", metadata.location().trim_end_matches('/')),
        };
        let mut metrics_columns = HashMap::new();
        for (key, value) in properties {
            if let Some(column) = key.strip_prefix("write.metadata.metrics.column.") {
                metrics_columns.insert(column.to_owned(), metrics_mode(key, value)?);
            }
        }
        let default = "write.metadata.metrics.default";
        let bytes = |key, default| number(properties, key, default);
        Ok(Self {
            data_path,
            target_file_size_bytes: bytes("write.target-file-size-bytes", TARGET_FILE_SIZE_BYTES)?,
            row_group_size_bytes: bytes(
                "write.parquet.row-group-size-bytes",
                ROW_GROUP_SIZE_BYTES,
            )?,
            page_size_bytes: bytes("write.parquet.page-size-bytes", PAGE_SIZE_BYTES)?,
            page_row_limit: bytes("write.parquet.page-row-limit", PAGE_ROW_LIMIT)?,
            dictionary_size_bytes: bytes("write.parquet.dict-size-bytes", DICTIONARY_SIZE_BYTES)?,
            compression: compression(properties)?,
            metrics_default: properties
                .get(default)
                .map(|value| metrics_mode(default, value))
                .transpose()?,
            metrics_inferred_columns: bytes(
                "write.metadata.metrics.max-inferred-column-defaults",
                INFERRED_METRICS_COLUMNS,
            )?,
            metrics_columns,
        })
    }

    /// The metrics of a column by its full name, the `index`-th of the leaves.
    pub(crate) fn metrics(&self, name: &str, index: usize) -> MetricsMode {
        let inferred = if index < self.metrics_inferred_columns {
            MetricsMode::Truncate(16)
        } else {
            MetricsMode::None
        };
        let column = self.metrics_columns.get(name).copied();
        column.or(self.metrics_default).unwrap_or(inferred)
    }
}

fn wrong(key: &str, value: &str, expected: &str) -> TableWriteError {
    TableWriteError::Unsupported {
        reason: format!("table property `{key}` is \"{value}\": set it to {expected}"),
    }
}

fn number(
    properties: &HashMap<String, String>,
    key: &str,
    default: usize,
) -> Result<usize, TableWriteError> {
    match properties.get(key) {
        None => Ok(default),
        Some(value) => match value.trim().parse::<usize>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(wrong(key, value, "a number above 0")),
        },
    }
}

fn metrics_mode(key: &str, value: &str) -> Result<MetricsMode, TableWriteError> {
    let lower = value.trim().to_ascii_lowercase();
    let truncate = lower
        .strip_prefix("truncate(")
        .and_then(|rest| rest.strip_suffix(')'));
    match (
        lower.as_str(),
        truncate.map(|length| length.trim().parse::<usize>()),
    ) {
        ("none", _) => Ok(MetricsMode::None),
        ("counts", _) => Ok(MetricsMode::Counts),
        ("full", _) => Ok(MetricsMode::Full),
        (_, Some(Ok(length))) if length > 0 => Ok(MetricsMode::Truncate(length)),
        _ => Err(wrong(key, value, "none, counts, truncate(16) or full")),
    }
}

fn compression(properties: &HashMap<String, String>) -> Result<Compression, TableWriteError> {
    let codec_key = "write.parquet.compression-codec";
    let level_key = "write.parquet.compression-level";
    let codec = properties
        .get(codec_key)
        .map_or("zstd", |codec| codec.trim());
    let level = match properties.get(level_key) {
        None => None,
        Some(value) => Some(
            value
                .trim()
                .parse::<i32>()
                .map_err(|_| wrong(level_key, value, "a whole number"))?,
        ),
    };
    let bad_level = |range: &str| {
        let value = properties.get(level_key).map_or("", String::as_str);
        wrong(level_key, value, range)
    };
    match codec.to_ascii_lowercase().as_str() {
        "zstd" => {
            let level = ZstdLevel::try_new(level.unwrap_or(ZSTD_LEVEL));
            Ok(Compression::ZSTD(
                level.map_err(|_| bad_level("1 to 22, zstd's levels"))?,
            ))
        }
        "gzip" => {
            let level = level.map_or(Ok(GzipLevel::default()), |level| {
                u32::try_from(level)
                    .ok()
                    .and_then(|level| GzipLevel::try_new(level).ok())
                    .ok_or(())
            });
            Ok(Compression::GZIP(
                level.map_err(|()| bad_level("0 to 9, gzip's levels"))?,
            ))
        }
        "snappy" => Ok(Compression::SNAPPY),
        "lz4" | "lz4_raw" => Ok(Compression::LZ4_RAW),
        "uncompressed" | "none" => Ok(Compression::UNCOMPRESSED),
        _ => Err(wrong(
            codec_key,
            codec,
            "zstd, snappy, gzip, lz4 or uncompressed",
        )),
    }
}
