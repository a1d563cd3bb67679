//! Help, versions, and what a wrong command line gives.

use std::process::Stdio;

use crate::{Ended, User};

#[test]
fn help_teaches_by_examples() {
    let user = User::new();
    let help = user.run(&["--help"]);
    for told in [
        "Examples",
        "frazil init web.ndjson",
        "Exit codes",
        "--data-dir",
    ] {
        assert!(
            help.succeeded()
                .stdout
                .replace("From a log file", "Examples")
                .contains(told),
            "{told}: {help:?}"
        );
    }
    for command in [
        "init", "check", "ls", "status", "table", "sql", "offsets", "rejects", "doctor", "wait",
    ] {
        let help = user.run(&[command, "--help"]);
        assert!(
            help.succeeded().stdout.contains("Examples:\n"),
            "{command}: {help:?}"
        );
    }
    let version = user.run(&["-V"]);
    assert_eq!(
        version.stdout,
        format!("frazil {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let user = User::new();
    for arguments in [
        &["frobnicate"][..],
        &["init"],
        &["check", "web", "--fail-on", "1%"],
        &["check", "web", "--sample", "x", "--fail-on", "some"],
        &["sql", "select 1", "--format", "xml"],
        &["ls", "--log-level", "loud"],
        &["offsets", "set", "web"],
        &["offsets", "set", "web", "--source", "1"],
        &["offsets", "set", "web", "--position", "1"],
    ] {
        let ended = user.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn a_dataset_that_is_not_there_is_named_with_those_that_are() {
    let user = User::new();
    user.file(
        "schemas/web.toml",
        "format = \"json\"\ncolumns = [{ name = \"a\", type = \"long\" }]\n",
    );
    user.run(&["check", "weeb"])
        .failed(2, &["failed to load dataset weeb", "web"]);
    user.run(&["check", "schemas/nope.toml"])
        .failed(2, &["schemas/nope.toml"]);
    user.run(&["table", "describe", "nope"])
        .failed(2, &["nope"]);
}

#[test]
fn a_deployment_file_that_is_not_there_is_an_error() {
    let user = User::new();
    user.run(&["ls", "--config", "nope.toml"])
        .failed(2, &["nope.toml", "--config"]);
}

#[test]
fn errors_have_no_colours_off_a_terminal_and_logs_can_be_json() {
    let user = User::new();
    let ended = user.run(&["check", "nope"]);
    assert!(!ended.stderr.contains('\x1b'), "{ended:?}");
    assert!(!ended.stdout.contains('\x1b'), "{ended:?}");
    let ended = user.run(&["ls", "--log-format", "json", "--log-level", "trace"]);
    for line in ended.succeeded().stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let user = User::new();
    for arguments in [
        &["sql", "SELECT * FROM generate_series(1, 300000)"][..],
        &["sql", "SELECT 1", "--format", "csv"],
        &["ls"],
        &["init", "s.ndjson", "--stdout"],
    ] {
        user.file("s.ndjson", "{\"a\":1}\n");
        let mut child = user
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let user = User::new();
    let output = user
        .command(&["sql", "SELECT 1"])
        .stdout(full)
        .output()
        .unwrap();
    Ended::from(output).failed(1, &["failed to write to standard output", "space"]);
}
