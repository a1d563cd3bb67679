//! The write path of frazil, one module a stage, in the order that data flows.

pub mod checkpoint;
pub mod coerce;
pub mod decode;
pub mod dedup;
pub mod metrics;
pub mod pipeline;
pub mod record;
pub mod reject;
pub mod source;
