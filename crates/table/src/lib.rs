//! Iceberg for frazil: storage, catalogs, data files, snapshots, and the commit protocol.
//!
//! Writer and maintenance commit by this crate and by nothing else.

pub mod catalog;
pub mod commit;
pub mod data_file;
pub mod dead_letters;
pub mod error;
pub mod maintenance;
pub mod partition;
pub mod scan;
pub mod schema;
pub mod snapshot;
pub mod state;
pub mod storage;
