//! The built binary: what it prints, and its exit codes.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::lake::{Lake, ranges};

/// The keys that scripts rely on.
const KEYS: [&str; 11] = [
    "dataset",
    "command",
    "committed",
    "files_before",
    "files_after",
    "bytes_before",
    "bytes_after",
    "rows_before",
    "rows_after",
    "files_deleted",
    "seconds",
];

pub(crate) fn command(lake: &Lake, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frazil-maintenance"));
    command
        .args(arguments)
        .current_dir(lake.path())
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn run(lake: &Lake, arguments: &[&str]) -> Output {
    command(lake, arguments).output().unwrap()
}

fn json(lake: &Lake, arguments: &[&str]) -> Value {
    let output = run(lake, &[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in KEYS {
        assert!(
            told.get(key).is_some_and(|value| !value.is_null()),
            "{key}: {told}"
        );
    }
    told
}

#[tokio::test]
async fn scripts_find_what_they_rely_on() {
    let lake = Lake::new("").await;
    lake.write(ranges(6, 10)).await;
    let told = json(&lake, &["rewrite-data-files", "web"]);
    assert_eq!(told["command"], "rewrite-data-files");
    assert_eq!(told["dataset"], "web");
    assert_eq!(
        (&told["files_before"], &told["files_after"]),
        (&6.into(), &1.into())
    );
    assert_eq!(
        (&told["rows_before"], &told["rows_after"]),
        (&60.into(), &60.into())
    );
    assert_eq!(told["committed"], true);
    let current = lake.table().await.metadata.current_snapshot_id().unwrap();
    assert_eq!(told["snapshot_id"], current.to_string());
    assert_eq!(
        json(&lake, &["rewrite-data-files", "schemas/web.toml"])["committed"],
        false
    );
    let expire = [
        "expire-snapshots",
        "web",
        "--older-than",
        "0s",
        "--grace",
        "0s",
    ];
    let would = json(&lake, &[&expire[..], &["--dry-run"]].concat());
    assert_eq!(
        (&would["committed"], &would["dry_run"]),
        (&false.into(), &true.into())
    );
    let told = json(&lake, &expire);
    assert_eq!(told["snapshots_expired"], 6);
    assert_eq!(told["files_deleted"], would["files_deleted"]);
    assert_eq!(lake.rows().await.len(), 60);
    let dead = json(&lake, &["expire-snapshots", "web", "--dead-letters"]);
    assert_eq!(dead["table"], "logs.web__dead_letters");
}

#[tokio::test]
async fn the_dataset_file_says_which_snapshots_stay() {
    let lake = Lake::new("\n[snapshots]\nkeep_for = \"0s\"\nkeep_min = 2").await;
    lake.write(ranges(5, 10)).await;
    assert_eq!(
        json(&lake, &["expire-snapshots", "web"])["snapshots_after"],
        2
    );
    let again = json(&lake, &["expire-snapshots", "web", "--retain-last", "1"]);
    assert_eq!(again["snapshots_after"], 1);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_exit_code() {
    let lake = Lake::new("").await;
    let said = |arguments: &[&str]| {
        let output = run(&lake, arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), stderr)
    };
    for (arguments, code, text) in [
        (&["expire-snapshots", "other"][..], 2, "other"),
        (
            &["expire-snapshots", "web", "--older-than", "yesterday"],
            2,
            "is not a duration",
        ),
        (
            &["expire-snapshots", "web", "--retain-last", "0"],
            2,
            "--retain-last",
        ),
        (
            &["rewrite-data-files", "web", "--target-file-size", "0B"],
            2,
            "at least",
        ),
        (
            &["rewrite-data-files", "web", "--strategy", "shuffle"],
            2,
            "bin-pack",
        ),
        (&["rewrite-data-files"], 2, "<DATASET>"),
        (&["vacuum", "web"], 2, "vacuum"),
        (
            &["rewrite-data-files", "web", "--data-dir", "elsewhere"],
            2,
            "find table logs.web",
        ),
    ] {
        let (ended, told) = said(arguments);
        assert_eq!(ended, code, "{arguments:?}: {told}");
        assert!(told.contains(text), "{arguments:?}: {told}");
    }
    // A table without a snapshot has nothing to do, which is no mistake.
    for command in ["rewrite-data-files", "expire-snapshots"] {
        assert_eq!(json(&lake, &[command, "web"])["committed"], false);
    }
    let output = run(&lake, &["expire-snapshots", "web"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.starts_with("expire-snapshots of logs.web: there was nothing to commit\n"),
        "{told}"
    );
}
