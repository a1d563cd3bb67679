//! What a dataset is: its columns, formats, partitioning, sort order, limits and retention, as one
//! TOML file states them, and where a deployment's catalogs and storages are.
//!
//! This crate does no I/O: it turns text into checked values, or into diagnostics that point at
//! file, line and column. Reading files and the environment is `frazil_service`'s.

mod column;
mod dataset;
mod deployment;
mod diagnostic;
mod parse;
mod units;

pub use column::{Column, ColumnType, FieldPath, Profile, StructField, TimeFormat, SpecialSource, FieldSource};
pub use dataset::{
    CheckpointPolicy, Dataset, DeadLetterPolicy, Format, Limits, PartitionField, Share,
    SortDirection, SortField, SourceSpec, TableName, Transform, UnknownFields,
};
pub use deployment::{CatalogKind, CatalogSettings, Deployment};
pub use diagnostic::{Diagnostic, Diagnostics};
