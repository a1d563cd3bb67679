//! The built binary, killed by SIGKILL at seeded moments while it writes files of numbered lines, and in
//! `calls` at seeded calls that change a file.
//!
//! The oracle is the numbers, given from outside: after the last start the table and its dead-letter
//! table together hold each of them exactly once. A run that fails prints its seed.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "kill/calls.rs"]
mod calls;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tempfile::TempDir;

const SEED: u64 = 0x5eed_f1a2;

/// Kills of a living writer in each of the tests below.
const KILLS: u32 = 200;

/// Starts in which those kills must be reached: the moment adapts to how fast the machine is.
const STARTS_MAX: u32 = 4 * KILLS;

/// Lines that the file grows by before each start.
const LINES_A_START: u64 = 4_000;

const WRITE: [&str; 5] = ["write", "numbers", "--from", "numbers.ndjson", "--json"];

struct Scene {
    folder: TempDir,
    lines: u64,
    kills: u32,
    starts: u32,
    /// The latest moment of a kill after a start.
    most: Duration,
    /// Whether every other number comes again, and is to be dropped.
    doubles: bool,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("schemas")).unwrap();
        Self {
            folder,
            lines: 0,
            kills: 0,
            starts: 0,
            most: Duration::ZERO,
            doubles: false,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Every third number comes as text that is no number in the field `v`.
    fn grow(&mut self, lines: u64) {
        let mut text = String::new();
        for n in self.lines..self.lines + lines {
            let v = if n % 3 == 0 {
                format!("x{n}")
            } else {
                n.to_string()
            };
            writeln!(
                text,
                "{{\"n\":{n},\"t\":{n},\"v\":\"{v}\",\"pad\":\"{:0>64}\"}}",
                n * 7
            )
            .unwrap();
            if self.doubles && n.is_multiple_of(2) {
                let again = n / 2;
                writeln!(text, "{{\"n\":{again},\"t\":{again},\"again\":true}}").unwrap();
            }
        }
        let path = self.path().join("numbers.ndjson");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.lines += lines;
    }

    /// `strict` takes the required column from a field that a third of the records cannot fill.
    fn define(&self, strict: bool) {
        let from = if strict { "v" } else { "n" };
        let definition = format!(
            r#"
format = "json"
unknown_fields = "ignore"
columns = [
  {{ name = "number", type = "long", from = "n" }},
  {{ name = "checked", type = "long", from = "{from}", required = {strict} }},
]
[checkpoint]
records = 500
[limits]
dead_letters_max = "100%"
"#
        );
        fs::write(self.path().join("schemas/numbers.toml"), definition).unwrap();
    }

    /// With a window that all numbers are within.
    fn define_dedup(&self) {
        let definition = r#"
format = "json"
unknown_fields = "ignore"
columns = [
  { name = "number", type = "long", from = "n" },
  { name = "time", type = "timestamptz", from = "t", parse = "epoch_ms" },
]
[checkpoint]
records = 500
[dedup]
key = ["number"]
time = "time"
window = "1h"
"#;
        fs::write(self.path().join("schemas/numbers.toml"), definition).unwrap();
    }

    fn frazil(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frazil"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn writer(&self) -> Child {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path().join("log"))
            .unwrap();
        self.frazil(&WRITE)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// How long an undisturbed start takes, so that kills fall all over it.
    fn measure(&mut self) {
        self.grow(LINES_A_START);
        let started = Instant::now();
        assert!(self.writer().wait().unwrap().success(), "{}", self.log());
        self.most = started.elapsed();
    }

    /// Kills it; a writer that ended before makes the next kills come earlier.
    fn kill(&mut self, mut writer: Child) {
        self.starts += 1;
        if writer.try_wait().unwrap().is_none() {
            self.kills += 1;
            self.most = self.most.mul_f64(1.02);
        } else {
            self.most = self.most.mul_f64(0.93);
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.path().join("log")).unwrap_or_default();
        log[log.len().saturating_sub(4_000)..].to_owned()
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        let output = self
            .frazil(&["sql", sql, "--format", "json"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The last start, undisturbed, and then the count of each number.
    fn check(&self, seed: u64, kills: u32) {
        self.each_once(seed);
        assert!(
            self.kills >= kills,
            "only {} kills in {} starts hit a living writer",
            self.kills,
            self.starts
        );
    }

    fn each_once(&self, seed: u64) {
        assert!(
            self.writer().wait().unwrap().success(),
            "seed {seed}: {}",
            self.log()
        );
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        for row in self.rows("SELECT number FROM logs.numbers") {
            *seen.entry(row["number"].as_u64().unwrap()).or_default() += 1;
        }
        let dead = "SELECT arrow_cast(record, 'Utf8') AS record FROM logs.numbers__dead_letters";
        for row in self.rows(dead) {
            let record: Value = serde_json::from_str(row["record"].as_str().unwrap()).unwrap();
            *seen.entry(record["n"].as_u64().unwrap()).or_default() += 1;
        }
        let wrong: Vec<(u64, u32)> = (0..self.lines)
            .map(|n| (n, seen.get(&n).copied().unwrap_or_default()))
            .filter(|(_, count)| *count != 1)
            .collect();
        assert!(
            wrong.is_empty() && seen.len() as u64 == self.lines,
            "seed {seed}: {} of {} numbers are not there exactly once, the first: {:?}",
            wrong.len(),
            self.lines,
            &wrong[..wrong.len().min(10)]
        );
    }
}

fn moment(random: &mut StdRng, most: Duration) -> Duration {
    most.mul_f64(random.random_range(0.0..1.1))
}

#[test]
fn each_number_is_there_once_though_the_writer_is_killed() {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut scene = Scene::new();
    scene.define(false);
    scene.measure();
    while scene.kills < KILLS && scene.starts < STARTS_MAX {
        scene.grow(LINES_A_START);
        let writer = scene.writer();
        std::thread::sleep(moment(&mut random, scene.most));
        scene.kill(writer);
    }
    scene.check(SEED, KILLS);
}

#[test]
fn each_number_is_there_once_though_two_writers_of_one_file_are_killed() {
    let mut random = StdRng::seed_from_u64(SEED + 1);
    let mut scene = Scene::new();
    scene.define(false);
    scene.measure();
    while scene.kills < KILLS && scene.starts < STARTS_MAX {
        scene.grow(LINES_A_START);
        let (one, other) = (scene.writer(), scene.writer());
        std::thread::sleep(moment(&mut random, scene.most));
        scene.kill(one);
        std::thread::sleep(moment(&mut random, scene.most / 4));
        scene.kill(other);
    }
    scene.check(SEED + 1, KILLS);
}

#[test]
fn each_number_is_row_or_dead_letter_once_though_the_definition_changes_at_each_kill() {
    let mut random = StdRng::seed_from_u64(SEED + 2);
    let mut scene = Scene::new();
    scene.define(false);
    scene.measure();
    while scene.kills < KILLS && scene.starts < STARTS_MAX {
        scene.define(scene.starts.is_multiple_of(2));
        scene.grow(LINES_A_START);
        let writer = scene.writer();
        std::thread::sleep(moment(&mut random, scene.most));
        scene.kill(writer);
    }
    scene.check(SEED + 2, KILLS);
}

/// Kills where each start also reads the window back from the table.
const DEDUP_KILLS: u32 = 60;

#[test]
fn each_number_is_there_once_though_every_other_comes_again() {
    let mut random = StdRng::seed_from_u64(SEED + 3);
    let mut scene = Scene::new();
    scene.doubles = true;
    scene.define_dedup();
    scene.measure();
    while scene.kills < DEDUP_KILLS && scene.starts < 4 * DEDUP_KILLS {
        scene.grow(LINES_A_START);
        let writer = scene.writer();
        std::thread::sleep(moment(&mut random, scene.most));
        scene.kill(writer);
    }
    scene.check(SEED + 3, DEDUP_KILLS);
}
