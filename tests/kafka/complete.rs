//! Up to which time a table is complete, and who waits for it.

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::{
    Broker, Ended, User,
    faults::{start, terminate, until},
};

const COLUMNS: &str = "{ name = \"n\", type = \"long\", required = true },";

/// When the records begin: long ago, so that the clock is never before them.
const BEGIN: &str = "2025-06-15T12:00:00Z";

fn user(broker: &Broker, complete: &str) -> User {
    // Records of long ago are kept.
    broker.create_topic("web", 2, &[("retention.ms", "-1")]);
    User::new(broker, COLUMNS, &format!("[complete]\n{complete}\n"))
}

/// So many seconds after the records begin.
fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = BEGIN.parse().unwrap();
    begin + seconds.seconds()
}

fn send(broker: &Broker, partition: i32, n: u64, at: Timestamp) {
    let producer = broker.producer();
    let value = format!("{{\"n\":{n}}}");
    producer.send_at("web", partition, &value, at.as_millisecond());
    producer.flush();
}

fn wait(user: &User, until: Timestamp, timeout: &str) -> Ended {
    let until = until.to_string();
    user.run(&[
        "wait",
        "web",
        "--until",
        &until,
        "--timeout",
        timeout,
        "--json",
    ])
}

/// Up to which time the table is complete now.
fn through(user: &User) -> Value {
    let told = wait(user, Timestamp::UNIX_EPOCH, "0s").json().remove(0);
    told["complete_through"].clone()
}

fn summaries(user: &User) -> Vec<Value> {
    let shown = user.run(&["table", "snapshots", "web", "--json"]);
    let snapshots = shown.succeeded().json();
    snapshots
        .into_iter()
        .map(|mut one| one["summary"].take())
        .collect()
}

/// What the snapshots say, one after the other.
fn told(user: &User) -> Vec<Timestamp> {
    let summaries = summaries(user);
    let told = summaries
        .iter()
        .filter_map(|one| one["frazil.complete-through"].as_str());
    told.map(|time| time.parse().unwrap()).collect()
}

#[test]
fn a_table_is_as_complete_as_its_slowest_partition_whoever_writes_it() {
    let broker = Broker::start();
    let user = user(&broker, "delay = \"10s\"\nidle = \"4w\"");
    let mut writer = start(&user);
    send(&broker, 0, 0, at(0));
    until(&user, 1);
    wait(&user, at(-60), "0s").failed(1, &["not yet known", "web[1] unknown"]);
    send(&broker, 1, 1, at(60));
    send(&broker, 0, 2, at(100));
    wait(&user, at(50), "2min").succeeded();
    until(&user, 3);
    wait(&user, at(51), "3s").failed(1, &["furthest behind: web[1] 2025-06-15T12:00:50Z"]);

    // Two others go on, each with one of the partitions.
    writer.kill().unwrap();
    writer.wait().unwrap();
    let mut writers = [start(&user), start(&user)];
    send(&broker, 1, 3, at(200));
    send(&broker, 0, 4, at(300));
    wait(&user, at(190), "2min").succeeded();
    until(&user, 5);
    // Nothing is waited for without end: it comes late, and is counted.
    send(&broker, 0, 5, at(0));
    until(&user, 6);
    writers.iter_mut().for_each(terminate);
    assert_eq!(through(&user), json!(at(190).to_string()));
    let told = told(&user);
    assert!(told.is_sorted(), "{told:?}");
    // How much was committed at a time nobody knows.
    let may_be = [-10, 50, 90, 190].map(at);
    assert!(told.iter().all(|one| may_be.contains(one)), "{told:?}");
    let summaries = summaries(&user);
    let late: Vec<_> = summaries
        .iter()
        .filter_map(|one| one["frazil.late-records"].as_str())
        .collect();
    assert_eq!(late, ["1"]);

    // What an operator has read again is not complete until it was.
    let set = [
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        "0",
        "--yes",
    ];
    user.run(&set).succeeded();
    wait(&user, at(0), "0s").failed(1, &["not yet known", "web[0] unknown"]);
    user.write_once();
    assert_eq!(through(&user), json!(at(290).to_string()));
}

#[test]
fn quiet_partitions_hold_nothing_back_unless_a_transaction_is_open() {
    let broker = Broker::start();
    let user = user(&broker, "delay = \"0s\"\nidle = \"1s\"");
    let mut writer = start(&user);
    send(&broker, 0, 0, at(0));
    wait(&user, Timestamp::now(), "2min").succeeded();
    let empty = |summary: &Value| {
        summary["added-records"]
            .as_str()
            .is_none_or(|rows| rows == "0")
    };
    assert!(summaries(&user).iter().filter(|one| empty(one)).count() > 1);

    let producer = broker.transactional("t");
    producer.begin();
    producer.send("web", 1, "{\"n\":1}");
    producer.flush();
    let later = Timestamp::now() + 3.seconds();
    wait(&user, later, "10s").failed(1, &["furthest behind: web[1]"]);
    producer.commit();
    wait(&user, later, "2min").succeeded();
    assert_eq!(user.numbers(), (2, 2));
    terminate(&mut writer);
    let before = told(&user);
    assert!(before.is_sorted(), "{before:?}");
    // Whoever starts again goes on from there.
    let mut writer = start(&user);
    wait(&user, Timestamp::now(), "2min").succeeded();
    terminate(&mut writer);
    let after = told(&user);
    assert!(after.starts_with(&before) && after.is_sorted(), "{after:?}");
}

#[test]
fn runs_with_an_end_tell_it_too() {
    let broker = Broker::start();
    let user = user(&broker, "delay = \"5s\"\nidle = \"1s\"");
    send(&broker, 0, 0, at(60));
    // Nothing came of the other one.
    user.write_once();
    assert_eq!(through(&user), json!(at(55).to_string()));
    let begun = Timestamp::now();
    let report = user.write_once();
    assert_eq!(
        (&report["records_read"], &report["commits"]),
        (&json!(0), &json!(1))
    );
    wait(&user, begun - 7.seconds(), "0s").succeeded();
    // The same as a column's time.
    let path = user.folder.path().join("schemas/web.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    let at_column = "{ name = \"at\", type = \"timestamptz\" },";
    let file = file.replace("columns = [", &format!("columns = [{at_column}"));
    std::fs::write(
        &path,
        file.replace("[complete]\n", "[complete]\ntime = \"at\"\n"),
    )
    .unwrap();
    let producer = broker.producer();
    for (partition, seconds) in [(0, 500), (1, 400)] {
        let value = format!("{{\"n\":{partition},\"at\":\"{}\"}}", at(seconds));
        producer.send("web", partition, &value);
    }
    producer.flush();
    user.write_once();
    assert_eq!(through(&user), json!(at(395).to_string()));
}
