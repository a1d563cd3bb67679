//! The processor time of this process: what a commit costs whatever else the machine does. Linux only; else none.

use std::{collections::HashMap, fs, time::Duration};

/// The nanoseconds that each living thread has run.
pub(crate) fn times() -> HashMap<String, u64> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?;
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let ran = times.split_whitespace().next()?.parse().ok()?;
            Some((thread.file_name().to_string_lossy().into_owned(), ran))
        })
        .collect()
}

/// What the threads that still live have run since.
pub(crate) fn since(before: &HashMap<String, u64>) -> Duration {
    let ran = times()
        .iter()
        .map(|(thread, now)| now - before.get(thread).copied().unwrap_or(0))
        .sum();
    Duration::from_nanos(ran)
}
