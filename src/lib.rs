//! The write path of frazil, one module a stage, in the order that data flows.

pub mod record;
