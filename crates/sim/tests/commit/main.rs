//! The commit protocol under every fault at every call, under other engines' deeds, and under both
//! at random; and what each guard is for.

mod controls;
mod random;
mod sweeps;
