//! Tests of data files: what is written is read back by `parquet`'s own reader.

mod bounds;
mod limits;
mod random;
mod round_trip;
mod scan;
mod sorting;
mod support;
