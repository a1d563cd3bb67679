//! Maintenance of frazil's tables, one module a procedure, named as Iceberg names it.
//!
//! Each procedure is a *plan*, a pure function of metadata, and what carries it out. Commits go through
//! `frazil_table::commit` alone, planned anew on every base; the writers' positions and state are never touched.
//! What is deleted is proven to be needed by nothing: [`reach`] says what a table needs.

pub mod expire_snapshots;
pub mod files;
pub mod reach;
pub mod report;
pub mod rewrite_data_files;
mod tables;

pub use tables::{Maintainer, Target};
