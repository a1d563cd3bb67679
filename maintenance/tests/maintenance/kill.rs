//! The built binary, killed by SIGKILL at seeded calls that change a file.
//!
//! Whatever it was at, the rows and the writers' state are the same, every snapshot can be read whole, and the next run
//! goes on from there.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    commands::command,
    lake::{Lake, ranges},
};

/// Kills, each in a run of its own.
const SEEDS: u64 = 24;

const SIGKILL: i32 = 9;

const REWRITE: [&str; 4] = ["rewrite-data-files", "web", "--groups-at-a-time", "1"];
const EXPIRE: [&str; 6] = [
    "expire-snapshots",
    "web",
    "--older-than",
    "0s",
    "--grace",
    "0s",
];

/// The library that kills.
fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kill/at_call.c");
    let library = folder.join("at_call.so");
    let built = Command::new("cc")
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

/// Runs a command that ends at the call `at` of those that change its files; 0 for none. How many calls were told,
/// and whether it was killed.
fn start(lake: &Lake, library: &Path, arguments: &[&str], at: usize, part: u64) -> (usize, bool) {
    let log = lake.path().join("calls");
    fs::write(&log, "").unwrap();
    let status = command(lake, arguments)
        .env("LD_PRELOAD", library)
        .env("AT_CALL_PATH", "frazil-data")
        .env("AT_CALL", at.to_string())
        .env("AT_CALL_PART", part.to_string())
        .env("AT_CALL_SIGNAL", SIGKILL.to_string())
        .env("AT_CALL_LOG", &log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let killed = status.signal() == Some(SIGKILL);
    assert!(
        killed || status.success(),
        "{arguments:?} at {at}: {status}"
    );
    (fs::read_to_string(log).unwrap().lines().count(), killed)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_it_leaves_the_table_whole() {
    let lake = Lake::new("partition_by = [\"day(time)\"]").await;
    let library = build(lake.path());
    let mut written = 0;
    let mut kills = 0;
    let mut calls = [0; 2];
    for seed in 0..SEEDS {
        let more = ranges(3, 30).map(|range| range.start + written..range.end + written);
        lake.write(more).await;
        written += 90;
        let (rows, state) = (lake.rows().await, lake.state().await);
        assert_eq!(rows.len() as u64, written);
        let which = (seed % 2) as usize;
        let mut random = StdRng::seed_from_u64(seed);
        for (index, arguments) in [&REWRITE[..], &EXPIRE[..]].into_iter().enumerate() {
            let at = match calls[index] {
                0 => 0,
                count if index == which => random.random_range(1..=count),
                _ => 0,
            };
            let (told, killed) = start(&lake, &library, arguments, at, random.random_range(0..3));
            if at == 0 {
                calls[index] = told;
            }
            kills += u64::from(killed);
            assert_eq!(
                lake.rows().await,
                rows,
                "seed {seed}, {arguments:?} at {at}"
            );
            assert_eq!(
                lake.state().await,
                state,
                "seed {seed}, {arguments:?} at {at}"
            );
            lake.read_all_snapshots().await;
        }
    }
    // Undisturbed, it ends what there is to do.
    start(&lake, &library, &REWRITE, 0, 0);
    start(&lake, &library, &EXPIRE, 0, 0);
    let table = lake.table().await;
    assert_eq!(table.metadata.snapshots().len(), 1);
    assert_eq!(lake.live().await.data.len(), 3);
    assert!(kills > SEEDS / 2, "only {kills} kills");
}
