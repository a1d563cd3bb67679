//! Files that are written while they are read.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Ended, User};

const NUMBERS: &str = r#"format = "json"
columns = [{ name = "n", type = "long", required = true }]
checkpoint = { interval = "1s" }
"#;

/// How long a record may take into the table on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(2);

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.fold(String::new(), |text, n| text + &format!("{{\"n\":{n}}}\n"))
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A writer that follows, ended with its test.
struct Following<'u> {
    user: &'u User,
    child: Option<Child>,
}

impl<'u> Following<'u> {
    fn start(user: &'u User, from: &str) -> Self {
        let child = user
            .command(&["write", "numbers", "--from", from, "--follow", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            user,
            child: Some(child),
        }
    }

    /// Waits until the table holds the numbers below `end`, each once.
    #[track_caller]
    fn until(&mut self, end: u64) {
        let begun = Instant::now();
        let query =
            "SELECT count(*) AS rows, count(DISTINCT n) AS numbers, max(n) AS last FROM numbers";
        loop {
            let ended = self.user.run(&["sql", query, "--json"]);
            // Before the first commit there is no table.
            if ended.code == Some(0) {
                let found = &ended.json()[0];
                assert_eq!(found["rows"], found["numbers"], "{found}");
                if found["rows"] == end {
                    assert_eq!(found["last"], end - 1);
                    return;
                }
            }
            let running = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(running.is_none(), "it ended: {:?}", self.end());
            assert!(begun.elapsed() < PATIENCE, "{end}: {ended:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks it to end.
    fn end(&mut self) -> Ended {
        let child = self.child.take().unwrap();
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.is_ok());
        child.wait_with_output().unwrap().into()
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn user() -> User {
    let user = User::new();
    user.file("schemas/numbers.toml", NUMBERS);
    user
}

#[test]
fn a_file_is_followed_as_it_grows_and_is_rotated_by_both_ways() {
    let user = user();
    let log = user.file("logs/app.log", lines(0..10));
    let mut following = Following::start(&user, "logs/app.log");
    following.until(10);
    // The last line is read once it is whole.
    append(&log, &lines(10..19));
    append(&log, "{\"n\":");
    following.until(19);
    append(&log, "19}\n");
    following.until(20);
    // Renamed, with lines that nobody has read yet, and others after them in a new file.
    append(&log, &lines(20..25));
    fs::rename(&log, user.path("logs/app.log.1")).unwrap();
    append(&user.path("logs/app.log.1"), &lines(25..28));
    following.until(28);
    // Who has it open goes on writing to it for a while, and leaves the last line open.
    append(&user.path("logs/app.log.1"), lines(28..30).trim_end());
    following.until(30);
    append(&log, &lines(30..40));
    following.until(40);
    // Copied and cut to nothing, as logrotate's `copytruncate` does.
    append(&log, &lines(40..45));
    fs::copy(&log, user.path("logs/app.log.2")).unwrap();
    fs::write(&log, "").unwrap();
    append(&log, &lines(45..50));
    following.until(50);
    let ended = following.end();
    let report = &ended.succeeded().json()[0];
    assert_eq!(
        (&report["rows_written"], &report["stopped"]),
        (&50.into(), &true.into())
    );
    // A run that does not follow finds nothing left.
    let again = user.run(&["write", "numbers", "--from", "logs/app.log", "--json"]);
    assert_eq!(again.succeeded().json()[0]["rows_written"], 0);
}

#[test]
fn new_files_of_a_folder_are_found_and_a_writer_goes_on_where_another_was_killed() {
    let user = user();
    user.file("logs/a.log", lines(0..10));
    let mut following = Following::start(&user, "logs");
    following.until(10);
    user.file("logs/b.log", lines(10..20));
    following.until(20);
    drop(following);
    append(&user.path("logs/a.log"), &lines(20..30));
    let mut following = Following::start(&user, "logs");
    following.until(30);
    // Whole though no line end follows: what is compressed has an end of its own.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(lines(30..40).trim_end().as_bytes())
        .unwrap();
    user.file("logs/c.log.gz", encoder.finish().unwrap());
    following.until(40);
    following.end().succeeded();
}

#[test]
fn what_cannot_be_followed_is_told() {
    let user = user();
    user.run(&["write", "numbers", "--from", "-", "--follow"])
        .failed(2, &["standard input", "leave out --follow"]);
    user.run(&["write", "numbers", "--from", "gone.log", "--follow"])
        .failed(2, &["gone.log", "no such file"]);
}
