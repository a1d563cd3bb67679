//! Simulation: storage, catalog pointers, clock and ids in memory, with every call to them numbered
//! and every fault a function of a seed; other engines that act in between; and the invariants of the
//! commit protocol as checkers that read tables as any Iceberg reader does.

pub mod clock;
pub mod durable;
pub mod fault;
pub mod foreign;
pub mod invariants;
pub mod lives;
pub mod oracle;
pub mod pointer;
pub mod reading;
pub mod rest;
pub mod scenario;
pub mod storage;
pub mod sweep;
pub mod world;
pub mod writer;
