//! Kafka as a source: the built binary and a real broker.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod broker;
mod complete;
mod faults;
#[path = "../cli/lake.rs"]
#[allow(dead_code, reason = "other tests do more behind its back")]
mod lake;
mod many;
mod operations;
mod reading;
mod security;
#[path = "../../crates/table/tests/contract/stack.rs"]
#[allow(dead_code, reason = "tests of catalogs ask more of a server")]
mod stack;
mod stops;

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use broker::Broker;

/// A working folder with a dataset that reads the topic `web`.
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
    fn of_numbers(broker: &Broker) -> Self {
        Self::new(
            broker,
            "{ name = \"n\", type = \"long\", required = true },",
            "",
        )
    }

    fn new(broker: &Broker, columns: &str, source: &str) -> Self {
        Self::with_source(broker, columns, &format!("topics = [\"web\"]\n{source}"))
    }

    fn with_source(broker: &Broker, columns: &str, source: &str) -> Self {
        let user = Self {
            folder: TempDir::new().unwrap(),
        };
        std::fs::create_dir(user.folder.path().join("schemas")).unwrap();
        let brokers = broker.address("plaintext");
        // A member that was killed is missed soon.
        let settings = "[kafka.main.properties]\n\"session.timeout.ms\" = \"3000\"\n\"heartbeat.interval.ms\" = \"500\"\n";
        user.file(
            "frazil.toml",
            format!("[kafka.main]\nbrokers = [\"{brokers}\"]\n{settings}"),
        );
        user.file(
            "schemas/web.toml",
            format!(
                "format = \"json\"\ncolumns = [{columns}]\n[source.kafka]\n{source}\n[checkpoint]\ninterval = \"500ms\"\n"
            ),
        );
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: String) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frazil"));
        command.current_dir(self.folder.path()).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FRAZIL_") {
                command.env_remove(name);
            }
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    fn write(&self, arguments: &[&str]) -> Ended {
        self.write_with(arguments, &[])
    }

    fn write_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(&["write", "web", "--embedded"]);
        command.args(arguments).envs(variables.iter().copied());
        ended(&mut command)
    }

    /// Writes all that is there, and gives the report.
    fn write_once(&self) -> Value {
        let ended = self.write(&["--once", "--json"]);
        ended.succeeded().json().remove(0)
    }

    fn sql(&self, query: &str) -> Vec<Value> {
        self.run(&["sql", query, "--json"]).succeeded().json()
    }

    /// How many rows there are, and how many numbers.
    fn numbers(&self) -> (u64, u64) {
        let ended = self.run(&[
            "sql",
            "SELECT count(*) AS c, count(DISTINCT n) AS d FROM logs.web",
            "--json",
        ]);
        if ended.stderr.contains("not found") || ended.stderr.contains("no tables yet") {
            return (0, 0);
        }
        let row = ended.succeeded().json().remove(0);
        (row["c"].as_u64().unwrap(), row["d"].as_u64().unwrap())
    }

    /// The table's positions, by source.
    fn positions(&self) -> Vec<u64> {
        let shown = self.run(&["offsets", "show", "web", "--json"]);
        let shown = shown.succeeded().json().remove(0);
        let sources = shown["sources"].as_array().unwrap();
        sources
            .iter()
            .map(|source| source["position"].as_u64().unwrap())
            .collect()
    }
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Ended with that code, and told why.
    #[track_caller]
    fn failed(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for one in told {
            assert!(self.stderr.contains(one), "no {one:?} in {self:?}");
        }
    }

    fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
