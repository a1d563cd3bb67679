//! Maintenance of real tables over a SQLite catalog and local files: what it does to rows, files, metadata and the
//! writers' state, beside whoever else is at work; and the same in simulation.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "maintenance/commands.rs"]
mod commands;
#[path = "maintenance/expiry.rs"]
mod expiry;
#[path = "maintenance/kill.rs"]
mod kill;
#[path = "maintenance/lake.rs"]
mod lake;
#[path = "maintenance/rewriting.rs"]
mod rewriting;
#[path = "maintenance/simulation.rs"]
mod simulation;
