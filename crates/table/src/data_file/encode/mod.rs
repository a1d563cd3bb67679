//! A lean way from Arrow arrays into Parquet column chunks.
//!
//! It writes what every reader of Parquet understands, and nothing else: data pages of version 1,
//! `PLAIN` and `RLE_DICTIONARY` values. (Engines' fast readers lack the delta encodings.)
//! Against `parquet`'s own writer it saves the work that has no use here: one compressor serves all
//! columns of all files; a column whose dictionary does not pay is found out by its first values, and
//! remembered; levels and values are taken in runs, not value by value; the smallest and largest value
//! are found once, for the page index, the footer and the manifest alike.

mod booleans;
mod byte_strings;
mod chunk;
mod column;
mod compressor;
mod dictionary;
mod extent;
mod hybrid;
mod levels;
mod numbers;
mod shape;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use chunk::EncodedColumn;
pub(crate) use column::{ColumnEncoder, ColumnSpec, PageLimits, Tools};
pub(crate) use compressor::Compressor;
pub(crate) use dictionary::TELLING_VALUES;
pub(crate) use extent::{Extent, Value, bytes_above, text_above};
pub(crate) use shape::Step;
