//! What a command works on; of Kafka, only `frazil` knows.

pub(crate) mod kafka;

pub(crate) use frazil_cli::target::{open_catalog, storages};
