//! Whole blocks through the decoders.

mod formats;
mod json;
mod names;
mod nested;
mod properties;
mod raw;
mod rejects;
pub(crate) mod support;
