//! Datasets beside each other in one process, each on its own; and what the process tells of them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Broker, Ended, User};

/// What is awaited comes sooner, or never.
const AWAITED_MAX: Duration = Duration::from_mins(2);

/// A running `frazil write`.
pub(crate) struct Writer {
    child: Child,
    /// Where it listens.
    address: String,
    stderr: std::thread::JoinHandle<String>,
}

impl Writer {
    pub(crate) fn start(user: &User, arguments: &[&str]) -> Self {
        let mut all = vec!["write", "--embedded", "--listen", "0"];
        all.extend(arguments);
        let mut child = user
            .command(&all)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        let address = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            told.extend([line.as_str(), "\n"]);
            if let Some((_, address)) = line.split_once("listening at http://") {
                break address.trim().to_owned();
            }
        };
        let stderr = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.extend([line.as_str(), "\n"]);
            }
            told
        });
        Self {
            child,
            address,
            stderr,
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// A dataset's part of what `/health/ready` says, and whether all is ready.
    fn ready(&self, dataset: &str) -> (bool, Value) {
        let (status, body) = self.get("/health/ready");
        let all: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, if all["ready"] == true { 200 } else { 503 });
        let one = all["datasets"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["dataset"] == dataset)
            .cloned()
            .unwrap_or_default();
        (all["ready"] == true, one)
    }

    /// A metric's value, by its name and labels as they stand.
    fn metric(&self, name: &str) -> Option<f64> {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = body.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().parse().unwrap())
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < AWAITED_MAX,
                "{what}: {}\n{}",
                self.get("/health/ready").1,
                self.get("/metrics").1
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn written(&self, dataset: &str) -> u64 {
        let of = format!("dataset=\"{dataset}\",outcome=\"written\"");
        let name = format!("frazil_records_total{{{of},project=\"\",reason=\"\"}}");
        self.metric(&name).unwrap_or(0.0) as u64
    }

    fn signal(&self, name: &str) {
        let told = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    fn end(mut self) -> Ended {
        self.signal("-TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        let stderr = std::mem::replace(&mut self.stderr, std::thread::spawn(String::new));
        Ended {
            code,
            stdout: String::new(),
            stderr: stderr.join().unwrap(),
        }
    }
}

/// A dataset file of numbers, and a text that comes to be.
fn dataset(user: &User, name: &str, columns: &str, more: &str) {
    let text = format!(
        "format = \"json\"\ncolumns = [{columns}]\n[source.kafka]\ntopics = [\"{name}\"]\n[checkpoint]\ninterval = \"300ms\"\n{more}"
    );
    user.file(&format!("schemas/{name}.toml"), text);
}

const NUMBER: &str = "{ name = \"n\", type = \"long\", required = true },";

fn rows(user: &User, table: &str) -> u64 {
    let query = format!("SELECT count(*) AS c FROM logs.{table}");
    user.sql(&query)[0]["c"].as_u64().unwrap()
}

#[test]
fn what_is_wrong_of_one_dataset_leaves_the_others_running() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    for name in ["a", "b", "c"] {
        broker.create_topic(name, 1, &[]);
        broker.producer().numbers(name, 0..100, 1);
        dataset(&user, name, NUMBER, "");
    }
    user.file("schemas/b.toml", "format = \"jsn\"\n".to_owned());
    broker.delete_topic("c");
    let writer = Writer::start(&user, &["a", "b", "c", "d"]);
    writer.until("a is written", |writer| writer.written("a") == 100);
    writer.until("the others are told", |writer| {
        ["b", "c", "d"]
            .iter()
            .all(|name| writer.ready(name).1["state"] == "stopped")
    });
    let (all, b) = writer.ready("b");
    assert!(!all);
    assert!(b["error"].as_str().unwrap().contains("jsn"), "{b}");
    let (_, c) = writer.ready("c");
    assert!(
        c["error"].as_str().unwrap().contains("no such topic"),
        "{c}"
    );
    assert_eq!(writer.get("/health/live").0, 200);
    // What is mended goes on; what is still wrong is told again, and stays.
    dataset(&user, "b", NUMBER, "");
    writer.signal("-HUP");
    writer.until("b is written", |writer| writer.written("b") == 100);
    broker.producer().numbers("a", 100..200, 1);
    writer.until("a goes on", |writer| writer.written("a") == 200);
    let ended = writer.end();
    ended.failed(2, &["write dataset c", "write dataset d", "SIGHUP"]);
    assert_eq!((rows(&user, "a"), rows(&user, "b")), (200, 100));
}

#[test]
fn a_definition_that_changes_is_taken_at_sighup_and_a_bad_one_is_not() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    broker.create_topic("a", 2, &[]);
    dataset(&user, "a", NUMBER, "");
    let producer = broker.producer();
    producer.numbers("a", 0..50, 2);
    let writer = Writer::start(&user, &["a"]);
    writer.until("the first are written", |writer| writer.written("a") == 50);
    let both = format!("{NUMBER}\n{{ name = \"text\", type = \"string\" }},");
    dataset(&user, "a", &both, "");
    writer.signal("-HUP");
    writer.until("it begins again", |_| {
        let shown = user.run(&["table", "describe", "a"]);
        shown.stdout.contains("text")
    });
    user.file("schemas/a.toml", "columns = 7".to_owned());
    writer.signal("-HUP");
    for n in 50..100 {
        let record = format!("{{\"n\":{n},\"text\":\"t{n}\"}}");
        producer.send("a", n % 2, &record);
    }
    producer.flush();
    writer.until("all are written", |writer| writer.written("a") == 100);
    let ended = writer.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("the definition before it stays"),
        "{ended:?}"
    );
    let query = "SELECT count(DISTINCT n) AS c, count(text) AS t FROM logs.a";
    let counted = user.sql(query).remove(0);
    assert_eq!((&counted["c"], &counted["t"]), (&100.into(), &50.into()));
}

#[test]
fn a_parked_dataset_goes_on_once_it_is_decided() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    user.write_once();
    broker.producer().numbers("web", 100..200, 1);
    broker.delete_before("web", 0, 150);
    let writer = Writer::start(&user, &["web", "--on-stop", "park"]);
    writer.until("it is parked", |writer| {
        writer.ready("web").1["state"] == "parked"
    });
    let (_, web) = writer.ready("web");
    assert!(
        web["next"].as_str().unwrap().starts_with("frazil offsets "),
        "{web}"
    );
    let decision = [
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        "150",
        "--yes",
    ];
    user.run(&decision).succeeded();
    writer.until("it goes on", |writer| writer.written("web") == 50);
    assert!(writer.ready("web").0);
    let ended = writer.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(user.numbers(), (150, 150));
}

#[test]
fn a_stream_of_dead_letters_is_not_committed() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    broker.create_topic("web", 1, &[]);
    let producer = broker.producer();
    producer.numbers("web", 0..500, 1);
    for n in 0..2_000 {
        producer.send("web", 0, &format!("{{\"m\":\"secret{n}\"}}"));
    }
    producer.flush();
    let stopped = user.write(&["--once"]);
    stopped.failed(
        4,
        &["2000 of the last 2500 records", "--accept-dead-letters"],
    );
    assert!(!stopped.stderr.contains("secret"), "{stopped:?}");
    assert_eq!(user.numbers(), (0, 0));
    assert_eq!(user.positions(), [0]);
    let rejects = user.run(&["rejects", "web", "--json"]);
    let rejects = rejects.succeeded().json().remove(0);
    let samples = rejects["stopped"]["samples"].as_array().unwrap();
    assert_eq!(samples[0]["position"], 500, "{rejects}");
    assert_eq!(samples[0]["record"], "{\"m\":\"secret0\"}");
    let accepted = user.write(&["--once", "--accept-dead-letters"]);
    accepted.succeeded();
    assert_eq!(user.numbers(), (500, 500));
    let rejects = user.run(&["rejects", "web", "--json"]);
    let rejects = rejects.succeeded().json().remove(0);
    assert_eq!(rejects["dead_letters"], 2_000);
    assert!(rejects.get("stopped").is_none(), "{rejects}");
}

#[test]
fn lag_and_commits_are_told() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    let writer = Writer::start(&user, &["web"]);
    let of = "dataset=\"web\",project=\"\"";
    let partition = "{dataset=\"web\",partition=\"0\",project=\"\",topic=\"web\"}";
    writer.until("no lag is left", |writer| {
        writer.written("web") == 100
            && writer.metric(&format!("frazil_source_lag_records{partition}")) == Some(0.0)
    });
    let margin = format!("frazil_source_margin_records{partition}");
    assert_eq!(writer.metric(&margin), Some(100.0));
    for (name, least) in [
        ("frazil_commits_total", 1.0),
        ("frazil_data_files_total", 1.0),
        ("frazil_bytes_read_total", 500.0),
        ("frazil_dataset_ready", 1.0),
        ("frazil_commit_seconds_count", 1.0),
        ("frazil_last_commit_timestamp_seconds", 1.7e9),
    ] {
        let value = writer.metric(&format!("{name}{{{of}}}"));
        assert!(
            value.is_some_and(|value| value >= least),
            "{name}: {value:?}"
        );
    }
    let ended = writer.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A writer with nothing to commit is told by no commit that positions were moved.
#[test]
fn a_writer_at_the_end_notices_that_positions_were_moved() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    let writer = Writer::start(&user, &["web"]);
    let lag =
        "frazil_source_lag_records{dataset=\"web\",partition=\"0\",project=\"\",topic=\"web\"}";
    writer.until("all is written", |writer| {
        writer.written("web") == 100 && writer.metric(lag) == Some(0.0)
    });
    user.run(&["offsets", "set", "web", "0=40", "--yes"])
        .succeeded();
    writer.until("it reads again", |writer| writer.written("web") == 160);
    let ended = writer.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(user.numbers(), (160, 100));
}
