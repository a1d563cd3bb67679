//! Decode: a record's bytes become a row of the table, or a reject; never an error.
//!
//! A format's decoder finds the fields of each record and puts their values, undecoded, into
//! [`rows::Rows`], which coerces them into the table's columns. Rows and rejects together are the
//! records of the block, and a bad record never costs its neighbour: a column gets exactly one
//! value a row, and the rows that turn out not to fit are taken out of all columns at once.
//!
//! A format of text is an implementation of [`text::TextFormat`]: it finds the fields of a record that is known to
//! be UTF-8, and puts each under its name. One with types of its own is a [`Decoder`] over the same rows: it resolves
//! a field's name by [`names::Names`] and hands the value over as the shape that its own syntax gives it.

use arrow_schema::SchemaRef;
use frazil_dataset::{Dataset, Format};

use crate::{
    coerce::UnsupportedType,
    record::{RecordBlock, RowBlock},
};

mod access_log;
mod json;
mod logfmt;
pub(crate) mod names;
mod pattern;
mod plan;
mod raw;
mod rows;
mod separated;
mod syslog;
mod text;

/// Turns blocks of records into rows of one table.
pub trait Decoder: Send {
    /// The rows and rejects of a block. `ingested_at_micros` is when it was read, since the epoch.
    fn decode(&mut self, block: &RecordBlock, ingested_at_micros: i64) -> RowBlock;
}

/// A dataset and a table that no decoder can be made for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecoderError {
    /// The table has a column of a type that is not written.
    #[error(
        "fill the column {column:?}: {unsupported} is not supported; drop it or take it out of the table"
    )]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        unsupported: UnsupportedType,
    },
    /// The time zone database has no such zone.
    #[error(
        "read times of the column {column:?}: no time zone {timezone:?} is known here; give an IANA name (Europe/Berlin, with the system's tzdata installed) or an offset (+02:00)"
    )]
    UnknownTimezone {
        /// The column.
        column: String,
        /// What the dataset file says.
        timezone: String,
    },
    /// The table lacks the column for rescued values.
    #[error(
        "rescue values: the table has no string column {column:?}; add it to the table, or set rescued = false"
    )]
    NoRescuedColumn {
        /// The column.
        column: String,
    },
    /// The pattern of the format is none.
    #[error("compile the pattern of the format: {why}")]
    Pattern {
        /// What the engine says.
        why: String,
    },
    /// A column that takes `$ingested_at` or `$timestamp` is neither a time nor a string.
    #[error(
        "fill the column {column:?}: {name} is a time, and goes into timestamptz, timestamp or string"
    )]
    NotATime {
        /// The column.
        column: String,
        /// What it takes.
        name: &'static str,
    },
}

/// The decoder of a dataset's format into rows of `schema`.
///
/// `schema` is the table's, and authoritative: its columns are filled, in its order and with its
/// fields' metadata. The dataset's definition of a column says where its value comes from and how it
/// is read; a column without one takes the field of its own name.
pub fn decoder(dataset: &Dataset, schema: &SchemaRef) -> Result<Box<dyn Decoder>, DecoderError> {
    let plan = plan::Plan::new(dataset, schema)?;
    Ok(match &dataset.format {
        Format::Json => Box::new(json::JsonDecoder::new(plan)),
        Format::Raw => Box::new(raw::RawDecoder::new(plan)),
        Format::Separated(options) => {
            let format = separated::SeparatedFormat::new(options.clone());
            Box::new(text::TextDecoder::new(plan, format))
        }
        Format::Logfmt => Box::new(text::TextDecoder::new(plan, logfmt::LogfmtFormat)),
        Format::Syslog(options) => {
            let format = syslog::SyslogFormat::new(*options);
            Box::new(text::TextDecoder::new(plan, format))
        }
        Format::CommonLog | Format::CombinedLog => {
            let is_combined = dataset.format == Format::CombinedLog;
            let format = access_log::AccessLogFormat::new(is_combined);
            Box::new(text::TextDecoder::new(plan, format))
        }
        Format::Pattern(pattern) => {
            let format = pattern::PatternFormat::new(pattern)?;
            Box::new(text::TextDecoder::new(plan, format))
        }
    })
}

/// What of a record counts: without a byte order mark at the source's start, and without one `\r` at its end.
fn trimmed(block: &RecordBlock, record: usize) -> std::ops::Range<usize> {
    let span = &block.records[record];
    let mut start = span.start as usize;
    let mut end = start + span.length as usize;
    let bytes = &block.bytes[start..end];
    if span.position == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
        start += 3;
    }
    if end > start && bytes.last() == Some(&b'\r') {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
pub(crate) mod tests;
