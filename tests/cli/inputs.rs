//! Inputs that a user meets sooner or later: corrupt, forbidden, stopped in the middle.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::MetadataExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};

use crate::User;

const NUMBERS: &str = r#"format = "json"
columns = [{ name = "n", type = "long", required = true }]
"#;

/// A user that no file of ours belongs to.
const NOBODY: u32 = 65_534;

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.fold(String::new(), |text, n| text + &format!("{{\"n\":{n}}}\n"))
}

/// Ended with that code and said so, after whatever was logged before.
#[track_caller]
fn told(ended: &crate::Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let error = ended
        .stderr
        .split_once("error: failed to ")
        .map(|(_, error)| error);
    let error = error.unwrap_or_else(|| panic!("no error in {ended:?}"));
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    for text in texts {
        assert!(error.contains(text), "no {text:?} in {error}");
    }
}

fn user() -> User {
    let user = User::new();
    user.file("schemas/numbers.toml", NUMBERS);
    user
}

fn count(user: &User) -> String {
    let query = "SELECT count(*) AS rows, count(DISTINCT n) AS numbers FROM numbers";
    user.json(&["sql", query, "--json"])[0].to_string()
}

#[test]
fn a_corrupt_file_does_not_keep_others_from_being_read() {
    let user = user();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines(0..50_000).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    user.file("logs/a.gz", &whole[..whole.len() / 2]);
    for (name, from) in [("b", 50_000), ("c", 60_000)] {
        user.file(&format!("logs/{name}.log"), lines(from..from + 10_000));
    }
    let write = || user.run(&["write", "numbers", "--from", "logs", "--json"]);
    let ended = write();
    told(&ended, 1, &["a.gz", "ends early"]);
    let report = &ended.json()[0];
    assert!(
        report["failed_sources"][0]
            .as_str()
            .unwrap()
            .contains("a.gz")
    );
    assert!(
        report["rows_written"].as_u64().unwrap() > 20_000,
        "{report}"
    );
    user.file("logs/a.gz", &whole);
    write().succeeded();
    assert_eq!(count(&user), r#"{"numbers":70000,"rows":70000}"#);
}

#[test]
fn what_a_user_may_not_touch_is_named() {
    let user = user();
    let folder = user.folder.path();
    // Root may do everything, so the binary runs as somebody else; a copy, since that user may not reach the original.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let binary = folder.join("frazil");
    fs::copy(env!("CARGO_BIN_EXE_frazil"), &binary).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| -> crate::Ended {
        let mut command = Command::new(&binary);
        command.args(arguments).current_dir(folder).env_clear();
        command.stdin(Stdio::null());
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap().into()
    };
    let write =
        |from: &str, data: &str| run(&["write", "numbers", "--from", from, "--data-dir", data]);
    let forbid = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(folder.join("data")).unwrap();
    forbid(&folder.join("data"), 0o777);
    let secret = user.file("secret/a.log", lines(0..10));
    forbid(&secret, 0o000);
    told(
        &write("secret/a.log", "data"),
        2,
        &["secret/a.log", "ermission denied"],
    );
    forbid(&folder.join("secret"), 0o000);
    told(&write("secret", "data"), 2, &["secret", "ermission denied"]);
    forbid(&folder.join("secret"), 0o755);

    user.file("plain.log", lines(0..10));
    fs::create_dir(folder.join("closed")).unwrap();
    forbid(&folder.join("closed"), 0o555);
    let ended = write("plain.log", "closed");
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
    assert!(ended.stderr.contains("closed"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    write("plain.log", "data").succeeded();
    // The table's folder is taken away after its first rows.
    let data = folder.join("data/warehouse/logs/numbers/data");
    forbid(&data, 0o555);
    user.file("plain.log", lines(0..20));
    told(
        &write("plain.log", "data"),
        1,
        &["ermission denied", "numbers/data"],
    );
    forbid(&data, 0o755);
    write("plain.log", "data").succeeded();
    let rows = run(&[
        "sql",
        "SELECT count(*) AS rows FROM numbers",
        "--json",
        "--data-dir",
        "data",
    ]);
    assert_eq!(rows.json()[0]["rows"], 20);
}

/// Standard input stays open, so the writer goes on until it is told to end.
#[test]
fn a_signal_makes_the_last_checkpoint() {
    let user = user();
    let mut command = user.command(&["write", "numbers", "--from", "-", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than all queues hold: once it is taken, a good part of it is decoded.
    input.write_all(lines(0..2_000_000).as_bytes()).unwrap();
    let told = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    let ended: crate::Ended = child.wait_with_output().unwrap().into();
    drop(input);
    let report = &ended.succeeded().json()[0];
    assert_eq!(report["stopped"], true, "{report}");
    let written = report["rows_written"].as_u64().unwrap();
    assert!(written > 0, "{report}");
    assert_eq!(
        count(&user),
        format!(r#"{{"numbers":{written},"rows":{written}}}"#)
    );
}

#[test]
fn positions_are_set_after_a_question() {
    let user = user();
    user.file("a.log", lines(0..10));
    user.run(&["write", "numbers", "--from", "a.log"])
        .succeeded();
    let answer = |text: &str| {
        let binary = env!("CARGO_BIN_EXE_frazil");
        let set = format!("{binary} offsets set numbers --restart --reason again");
        // `script` gives it a terminal.
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &set, "/dev/null"])
            .current_dir(user.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let ended: crate::Ended = child.wait_with_output().unwrap().into();
        assert!(ended.stdout.contains("[y/N]"), "{ended:?}");
        ended.code
    };
    let epoch = || user.json(&["offsets", "show", "numbers", "--json"])[0]["epoch"].clone();
    assert_eq!(answer("n\n"), Some(2));
    assert_eq!(epoch(), 0);
    assert_eq!(answer("y\n"), Some(0));
    assert_eq!(epoch(), 1);
}
