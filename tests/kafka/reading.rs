//! What becomes of a topic's records, and where reading starts and ends.

use serde_json::{Value, json};

use crate::{Broker, User};

#[test]
fn all_that_a_message_has_comes_to_a_column_or_a_dead_letter() {
    let broker = Broker::start();
    // Its records are old.
    broker.create_topic("web", 1, &[("retention.ms", "-1")]);
    let producer = broker.producer();
    producer.full("web", "k1", Some(r#"{"n":1}"#), ("trace", "abc"));
    producer.full("web", "k2", None, ("trace", "def"));
    producer.full("web", "k3", Some("no json"), ("trace", "ghi"));
    producer.flush();
    let user = User::new(
        &broker,
        r#"
        { name = "n", type = "long", required = true },
        { name = "key", type = "string", from = "$key" },
        { name = "trace", type = "string", from = "$headers.trace" },
        { name = "at", type = "timestamptz", from = "$timestamp" },
        { name = "topic", type = "string", from = "$topic" },
        { name = "position", type = "long", from = "$offset" },
        "#,
        "",
    );
    let report = user.write_once();
    assert_eq!(
        [
            &report["records_read"],
            &report["rows_written"],
            &report["dead_letters"],
            &report["filtered"]
        ],
        [&json!(3), &json!(1), &json!(1), &json!(1)],
        "{report}"
    );
    assert_eq!(
        user.sql("SELECT * FROM logs.web"),
        [json!({
            "n": 1, "key": "k1", "trace": "abc", "at": "2023-11-14T22:13:20.123Z", "topic": "web", "position": 0,
            "_rescued": null,
        })]
    );
    let dead = user.sql(
        "SELECT source, partition, \"offset\", \"timestamp\", encode(key, 'hex') AS key, encode(record, 'hex') AS record \
         FROM logs.web__dead_letters",
    );
    assert_eq!(
        dead,
        [json!({
            "source": "web", "partition": 0, "offset": 2, "timestamp": "2023-11-14T22:13:20.123Z",
            "key": "6b33", "record": "6e6f206a736f6e",
        })]
    );
    let again = user.write_once();
    assert_eq!(
        (&again["records_read"], &again["commits"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn aborted_records_are_passed_and_the_position_comes_to_the_end_all_the_same() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    let producer = broker.transactional("t");
    for (numbers, is_kept) in [(0..10, true), (10..20, false), (20..30, true)] {
        producer.begin();
        producer.numbers("web", numbers, 1);
        if is_kept {
            producer.commit();
        } else {
            producer.abort();
        }
    }
    let user = User::of_numbers(&broker);
    let report = user.write_once();
    assert_eq!(report["rows_written"], json!(20), "{report}");
    assert_eq!(user.numbers(), (20, 20));
    // Thirty records and a marker for each transaction.
    assert_eq!(user.positions(), [33]);
}

#[test]
fn the_table_decides_where_to_go_on_and_the_group_is_only_told() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    let user = User::of_numbers(&broker);
    user.write_once();
    assert_eq!(broker.group_offset("frazil-web", "web", 0), Some(100));
    for wrong in [0, 70] {
        broker.set_group_offset("frazil-web", "web", 0, wrong);
        broker.producer().numbers("web", 0..0, 1);
        let report = user.write_once();
        assert_eq!(report["records_read"], json!(0), "{report}");
    }
    broker.producer().numbers("web", 100..110, 1);
    assert_eq!(user.write_once()["rows_written"], json!(10));
    assert_eq!(user.numbers(), (110, 110));
}

#[test]
fn latest_is_asked_once_and_kept() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    broker.producer().numbers("web", 0..10, 2);
    let user = User::new(
        &broker,
        "{ name = \"n\", type = \"long\", required = true },",
        "start = \"latest\"",
    );
    assert_eq!(user.write_once()["records_read"], json!(0));
    assert_eq!(user.positions(), [5, 5]);
    broker.producer().numbers("web", 10..20, 2);
    assert_eq!(user.write_once()["rows_written"], json!(10));
    // A partition that comes later is read from its beginning.
    broker.add_partitions("web", 3);
    let producer = broker.producer();
    producer.send("web", 2, r#"{"n":20}"#);
    producer.flush();
    let rows = |report: &Value| report["rows_written"].as_u64().unwrap();
    assert_eq!(rows(&user.write_once()), 1);
    assert_eq!(user.positions(), [10, 10, 1]);
}

#[test]
fn topics_of_a_pattern_go_into_one_table() {
    let broker = Broker::start();
    for name in ["web-a", "web-b", "xweb-c", "web-d2"] {
        broker.create_topic(name, 1, &[]);
        let value = format!("{{\"n\":{}}}", name.len());
        let producer = broker.producer();
        producer.send(name, 0, &value);
        producer.flush();
    }
    let user = User::with_source(
        &broker,
        "{ name = \"n\", type = \"long\", required = true },",
        "topics_pattern = \"web-[a-z]\"",
    );
    let report = user.write_once();
    assert_eq!(report["rows_written"], json!(2), "{report}");
}
