//! What every catalog must do, and what the commit protocol does over a real one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod catalogs;
mod commits;
mod cuts;
mod dead_letters;
mod faults;
mod finished;
mod guards;
mod hive;
mod http;
mod manifests;
mod on;
mod postgres;
mod rest;
mod stack;
mod storages;
mod support;
