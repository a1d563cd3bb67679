//! Iceberg for frazil: storage, catalogs, data files, snapshots, and the commit protocol.
//!
//! Writer and maintenance commit by this crate and by nothing else.

pub mod catalog;
pub mod commit;
pub mod storage;
pub mod state;
