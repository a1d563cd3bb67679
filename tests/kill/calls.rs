//! The embedded catalog is a file, and has no connection to cut. What is lost there is the rest of what a
//! process was to do: it is killed at a seeded one of the calls by which a commit changes files (before
//! it, after half of what it writes, after it), and another process finds what there is.
//!
//! The calls are those of the built binary, SQLite's own among them, met by a library that is preloaded:
//! sharper than any moment in time, and nothing that a debugger's rights are needed for. One half of the
//! seeds picks any call of a whole start, a quarter one of SQLite's COMMIT, and a quarter its last: once
//! the journal is removed, the swap is done. Killed after that, nobody was told: the lost reply.
//!
//! `FRAZIL_CUTS` and `FRAZIL_CUTS_STATE` are as for the cut connections of the other catalogs.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{Scene, WRITE};

/// Seeds in an ordinary run.
const SEEDS: u64 = 50;

/// Seeds on one table: the metadata file, written anew by each commit, grows with them.
const SEEDS_A_TABLE: u64 = 50;

/// Of so many seeds at least one is killed with the swap done, or the test shows nothing.
const SEEDS_A_LOST_REPLY: u64 = 25;

/// Lines of a checkpoint.
const LINES: u64 = 7;

const SIGKILL: i32 = 9;

/// Files whose changes are counted.
const ALL: &str = "frazil-data";
const CATALOG: &str = "catalog.db";

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own size is no setting of frazil's"
    )]
    std::env::var(name).ok()
}

/// The library that kills.
fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kill/at_call.c");
    let library = folder.join("at_call.so");
    let built = Command::new("cc")
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

/// Runs a writer that ends at the call `at` of those on files with `on` in their path; 0 for none.
/// The calls that were told, and whether it was killed.
fn start(scene: &Scene, library: &Path, on: &str, at: usize, part: u64) -> (Vec<String>, bool) {
    let log = scene.path().join("calls");
    fs::write(&log, "").unwrap();
    let status = scene
        .frazil(&WRITE)
        .env("LD_PRELOAD", library)
        .env("AT_CALL_PATH", on)
        .env("AT_CALL", at.to_string())
        .env("AT_CALL_PART", part.to_string())
        .env("AT_CALL_SIGNAL", SIGKILL.to_string())
        .env("AT_CALL_LOG", &log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let killed = status.signal() == Some(SIGKILL);
    assert!(killed || status.success(), "{status}");
    let calls = fs::read_to_string(log).unwrap();
    (calls.lines().map(str::to_owned).collect(), killed)
}

/// The position, as another process finds it.
fn position(scene: &Scene) -> u64 {
    let shown = scene
        .frazil(&["offsets", "show", "numbers", "--json"])
        .output()
        .unwrap();
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    shown["sources"][0]["position"].as_u64().unwrap()
}

#[test]
fn each_number_is_there_once_though_the_writer_ends_at_any_call() {
    let seeds = variable("FRAZIL_CUTS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let state = variable("FRAZIL_CUTS_STATE").map(|folder| PathBuf::from(folder).join("sqlite"));
    let kept = state.as_ref().and_then(|file| fs::read(file).ok());
    let mut tally = kept.map_or_else(
        || json!({"seeds": 0, "missed": 0, "before": 0, "in_swap": 0, "reply_lost": 0, "took_ms": 0}),
        |kept| serde_json::from_slice(&kept).unwrap(),
    );
    let of = |tally: &Value, key: &str| tally[key].as_u64().unwrap();
    while of(&tally, "seeds") < seeds {
        let end = (of(&tally, "seeds") + SEEDS_A_TABLE).min(seeds);
        let started = Instant::now();
        for key in on_one_table(of(&tally, "seeds")..end) {
            tally[key] = (of(&tally, key) + 1).into();
        }
        tally["seeds"] = end.into();
        tally["took_ms"] = (of(&tally, "took_ms") + started.elapsed().as_millis() as u64).into();
        println!("sqlite: {tally}");
        if let Some(file) = &state {
            fs::write(file, tally.to_string()).unwrap();
        }
    }
    assert!(
        of(&tally, "reply_lost") >= seeds / SEEDS_A_LOST_REPLY,
        "{tally}"
    );
    assert!(
        of(&tally, "in_swap") >= seeds / SEEDS_A_LOST_REPLY,
        "{tally}"
    );
    assert!(of(&tally, "missed") < seeds / 4, "{tally}");
}

/// Where each seed's kill hit.
fn on_one_table(seeds: std::ops::Range<u64>) -> Vec<&'static str> {
    let mut scene = Scene::new();
    scene.define(false);
    let library = build(scene.path());
    // The first start makes the table, the second is one like all that follow.
    scene.grow(LINES);
    start(&scene, &library, ALL, 0, 0);
    scene.grow(LINES);
    let (calls, _) = start(&scene, &library, ALL, 0, 0);
    let of_catalog = calls.iter().filter(|call| call.contains(CATALOG)).count();
    assert!(of_catalog > 5 && calls.len() > 2 * of_catalog, "{calls:?}");
    let first = seeds.start;
    let hits = seeds
        .map(|seed| {
            let mut random = StdRng::seed_from_u64(seed);
            let (on, first, last) = match seed % 4 {
                0 | 2 => (ALL, 1, calls.len()),
                1 => (CATALOG, 1, of_catalog),
                _ => (CATALOG, of_catalog, of_catalog),
            };
            let at = random.random_range(first..=last);
            let part = random.random_range(0..3);
            let before = position(&scene);
            scene.grow(LINES);
            let (told, killed) = start(&scene, &library, on, at, part);
            let moved = position(&scene) > before;
            match (killed, moved) {
                (false, _) => {
                    assert!(moved, "seed {seed}: it ended well, and nothing is there");
                    "missed"
                }
                (true, true) => "reply_lost",
                (true, false) if told[0].contains(CATALOG) => "in_swap",
                (true, false) => "before",
            }
        })
        .collect();
    scene.each_once(first);
    hits
}
