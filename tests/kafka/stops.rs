//! What a person must decide: each by its name, with the command that decides, and exit code 3.

use serde_json::json;

use crate::{Broker, User, lake::Lake, many::Writer};

#[test]
fn a_topic_that_was_made_again() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    let user = User::of_numbers(&broker);
    user.write_once();
    broker.delete_topic("web");
    let stopped = user.write(&["--once"]);
    stopped.failed(3, &["topic web", "it is gone from the cluster"]);
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 100..300, 1);
    let stopped = user.write(&["--once"]);
    stopped.failed(3, &["deleted and made again", "--forget-topic web"]);
    user.run(&["offsets", "set", "web", "--forget-topic", "web", "--yes"])
        .succeeded();
    assert_eq!(user.write_once()["rows_written"], json!(200));
    assert_eq!(user.numbers(), (300, 300));
}

#[test]
fn positions_that_retention_took() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..100, 1);
    let user = User::of_numbers(&broker);
    user.write_once();
    broker.producer().numbers("web", 100..200, 1);
    broker.delete_before("web", 0, 150);
    let stopped = user.write(&["--once"]);
    stopped.failed(
        3,
        &[
            "web[0] at offset 100",
            "begins at 150",
            "frazil offsets set",
        ],
    );
    user.run(&[
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        "150",
        "--yes",
    ])
    .succeeded();
    assert_eq!(user.write_once()["rows_written"], json!(50));
    assert_eq!(user.numbers(), (150, 150));
}

#[test]
fn a_group_that_stands_where_the_table_has_no_position() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    broker.producer().numbers("web", 0..100, 2);
    broker.set_group_offset("frazil-web", "web", 0, 20);
    broker.set_group_offset("frazil-web", "web", 1, 30);
    let user = User::of_numbers(&broker);
    let stopped = user.write(&["--once"]);
    stopped.failed(3, &["no position", "--from-group frazil-web"]);
    user.run(&[
        "offsets",
        "set",
        "web",
        "--from-group",
        "frazil-web",
        "--yes",
    ])
    .succeeded();
    assert_eq!(user.positions(), [20, 30]);
    assert_eq!(user.write_once()["rows_written"], json!(50));
}

#[test]
fn mistakes_end_with_code_2() {
    let broker = Broker::start();
    let user = User::of_numbers(&broker);
    let stopped = user.write(&["--once"]);
    stopped.failed(2, &["topic web", "the cluster has no such topic"]);
    let stopped = user.run(&["write", "web", "--once"]);
    stopped.failed(2, &["no catalog is named", "--embedded"]);
}

/// A newer frazil of the same group writes a state that ours does not know: ours stop by name, and hand nothing on.
#[test]
fn a_newer_frazil_in_the_group() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    let user = User::of_numbers(&broker);
    let mut older = [(); 2].map(|()| Writer::start(&user, &["web"]));
    broker.producer().numbers("web", 0..1_000, 2);
    let written = |older: &[Writer; 2]| older[0].written("web") + older[1].written("web");
    older[0].until("all are written", |_| written(&older) == 1_000);
    let version = |from: &'static str, to: &'static str| {
        Lake::web(&user).change(|metadata| {
            let header = metadata["properties"]["frazil.state"].as_str().unwrap();
            let other = header.replace(from, to);
            assert_ne!(other, header);
            metadata["properties"]["frazil.state"] = other.into();
        });
    };
    version("\"version\":2", "\"version\":9");
    broker.producer().numbers("web", 1_000..2_000, 2);
    for one in &mut older {
        one.wait().failed(3, &["version 9", "newer frazil"]);
    }
    // Who knows that state goes on where the table stands.
    version("\"version\":9", "\"version\":2");
    assert_eq!(user.write_once()["rows_written"], json!(1_000));
    assert_eq!(user.numbers(), (2_000, 2_000));
}
