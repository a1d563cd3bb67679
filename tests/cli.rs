//! The command line as people and scripts meet it: the built binary, its output and exit codes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "cli/check.rs"]
mod check;
#[path = "cli/dedup.rs"]
mod dedup;
#[path = "cli/deployments.rs"]
mod deployments;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/fail_closed.rs"]
mod fail_closed;
#[path = "cli/finished.rs"]
mod finished;
#[path = "cli/follow.rs"]
mod follow;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/inputs.rs"]
mod inputs;
#[path = "cli/lake.rs"]
mod lake;
#[path = "cli/offsets.rs"]
mod offsets;
#[path = "../crates/table/tests/contract/stack.rs"]
#[allow(dead_code, reason = "tests of catalogs ask more of a server")]
mod stack;
#[path = "cli/status.rs"]
mod status;
#[path = "cli/tables.rs"]
mod tables;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/wait.rs"]
mod wait;
#[path = "cli/written.rs"]
mod written;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A working folder of a user.
struct User {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.folder.path(), arguments)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs what must succeed, and gives the lines of its standard output as JSON.
    fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.json()
    }
}

fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frazil"));
    command.current_dir(folder).args(arguments);
    // A developer's own settings must not change what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FRAZIL_") {
            command.env_remove(name);
        }
    }
    command
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Ended with that code, told why in the project's way, and did not panic.
    #[track_caller]
    fn failed(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let mut lines = self.stderr.lines();
        assert!(lines.any(|line| line.starts_with("error: ")), "{self:?}");
        for one in told {
            assert!(self.stderr.contains(one), "no {one:?} in {self:?}");
        }
    }

    #[track_caller]
    fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    fn json(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
