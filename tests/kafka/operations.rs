//! What operators do: look how a dataset stands, set positions beside a writer, take a running pipeline over.

use std::time::{Duration, Instant};

use frazil_dataset::TableName;
use frazil_table::catalog::{
    pointer::{PointerStore as _, SwapOutcome},
    sqlite::SqlitePointers,
};
use serde_json::{Value, json};

use crate::{
    Broker, User,
    faults::{start, terminate, until},
};

impl User {
    fn status(&self) -> Value {
        let told = self.run(&["status", "web", "--json"]);
        told.succeeded().json().remove(0)
    }

    fn set(&self, arguments: &[&str]) {
        let all = [&["offsets", "set", "web", "--yes"], arguments].concat();
        self.run(&all).succeeded();
    }
}

#[test]
fn status_tells_what_is_missing_from_the_table_and_what_would_stop_a_writer() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    broker.producer().numbers("web", 0..100, 2);
    let user = User::of_numbers(&broker);
    let stands = |told: &Value| json!([told["state"], told["lag_records"], told["next"]]);
    let told = user.status();
    assert_eq!(stands(&told), json!(["not begun", 100, null]), "{told}");
    let age = told["oldest_uncommitted_seconds"].as_f64().unwrap();
    assert!((0.0..600.0).contains(&age), "{told}");

    user.write_once();
    let told = user.status();
    assert_eq!(stands(&told), json!(["up to date", 0, null]), "{told}");
    assert_eq!(told["oldest_uncommitted_seconds"], Value::Null, "{told}");
    assert_eq!(
        (&told["records_read"], &told["dead_share"]),
        (&json!(100), &json!(0.0)),
        "{told}"
    );
    assert!(told["last_commit"]["at"].is_string(), "{told}");

    broker.producer().numbers("web", 100..200, 2);
    assert_eq!(stands(&user.status()), json!(["behind", 100, null]));
    broker.delete_before("web", 1, 70);
    let told = user.status();
    assert_eq!(told["state"], "stopped", "{told}");
    let error = told["error"].as_str().unwrap();
    assert!(
        error.contains("web[1] at offset 50") && error.contains("begins at 70"),
        "{told}"
    );
    assert!(
        error.contains("`frazil offsets set web web:1=OFFSET`"),
        "{told}"
    );

    broker.delete_topic("web");
    broker.create_topic("web", 2, &[]);
    let told = user.status();
    assert_eq!(
        stands(&told),
        json!(["stopped", null, "frazil offsets set web --forget-topic web"]),
        "{told}"
    );
    let shown = user.run(&["status"]).succeeded().stdout.clone();
    assert!(shown.contains("deleted and made again"), "{shown}");
    assert!(
        shown.contains("next: frazil offsets set web --forget-topic web"),
        "{shown}"
    );
}

#[test]
fn status_finds_a_group_that_stands_where_there_is_no_table() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..10, 1);
    broker.set_group_offset("frazil-web", "web", 0, 4);
    let user = User::of_numbers(&broker);
    let told = user.status();
    assert_eq!(
        json!([told["state"], told["next"]]),
        json!(["stopped", "frazil offsets set web --from-group frazil-web"]),
        "{told}"
    );
}

#[test]
fn a_server_that_does_not_answer_does_not_hold_the_other_datasets() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    let user = User::of_numbers(&broker);
    user.write_once();
    let deployment = std::fs::read_to_string(user.folder.path().join("frazil.toml")).unwrap();
    // Nobody listens on port 1.
    user.file(
        "frazil.toml",
        format!("{deployment}[kafka.gone]\nbrokers = [\"127.0.0.1:1\"]\n"),
    );
    let dataset = |cluster: &str| {
        format!(
            "format = \"raw\"\ncolumns = [{{ name = \"line\", type = \"string\", from = \"$raw\" }}]\n\
             [source.kafka]\ntopics = [\"web\"]\ncluster = \"{cluster}\"\n"
        )
    };
    user.file("schemas/gone.toml", dataset("gone"));
    let web = std::fs::read_to_string(user.folder.path().join("schemas/web.toml")).unwrap();
    let web = web.replace("[source.kafka]\n", "[source.kafka]\ncluster = \"main\"\n");
    user.file("schemas/web.toml", web);
    // Long enough for the server that does answer, on a machine that is busy with other tests.
    let told = user.run(&["status", "--json", "--timeout", "15s"]);
    let told = told.succeeded().json();
    let states: Vec<_> = told
        .iter()
        .map(|one| json!([one["dataset"], one["state"]]))
        .collect();
    let expected = [json!(["gone", "unreachable"]), json!(["web", "up to date"])];
    assert_eq!(states, expected, "{told:?}");
    assert!(
        told[0]["error"].as_str().unwrap().contains("within 15 s"),
        "{told:?}"
    );
}

#[test]
fn positions_are_set_by_partition_several_in_one_change() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    broker.producer().numbers("web", 0..100, 2);
    let user = User::of_numbers(&broker);
    user.write_once();
    for (given, told) in [
        (&["2=5"][..], "no such partition"),
        (&["0=five"], "0=1200"),
        (&["0=1", "web:0=2"], "named twice"),
        (&["0=10", "shop:1=5"], "no such partition"),
    ] {
        let all = [&["offsets", "set", "web", "--yes"], given].concat();
        user.run(&all).failed(2, &[told, "the partitions are 0, 1"]);
    }
    let beyond = user.run(&["offsets", "set", "web", "--yes", "1=51"]);
    beyond.failed(2, &["web[1] to offset 51", "holds 0 to 50"]);
    assert_eq!(user.positions(), [50, 50], "nothing was changed");

    user.set(&["0=20", "web:1=45", "--reason", "a bad deploy"]);
    assert_eq!(user.positions(), [20, 45]);
    let shown = user.run(&["offsets", "show", "web", "--json"]);
    let shown = shown.succeeded().json().remove(0);
    assert_eq!(shown["last_action"]["why"], "a bad deploy", "{shown}");
    assert_eq!(user.write_once()["rows_written"], json!(35));
    assert_eq!(user.numbers(), (135, 100));
    user.set(&["1=30"]);
    user.set(&["1=50"]);
    assert_eq!(user.write_once()["rows_written"], json!(0));
}

/// Each change of positions fences the writer, which goes on from them: nothing that comes later is lost, and what lies
/// behind a position that was set back is written again.
#[test]
fn positions_are_set_beside_a_living_writer() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    let producer = broker.producer();
    producer.numbers("web", 0..1_000, 2);
    let user = User::of_numbers(&broker);
    user.write_once();
    let mut writer = start(&user);
    user.set(&["0=100", "1=400", "--reason", "rows were deleted by hand"]);
    until(&user, 1_500);
    assert_eq!(user.numbers(), (1_500, 1_000));
    let mut sent = 1_000;
    for round in 1..=5 {
        producer.numbers("web", sent..sent + 400, 2);
        sent += 400;
        user.set(&[&format!("0={}", round * 100)]);
    }
    while user.numbers().1 < sent {
        until(&user, user.numbers().0 + 1);
    }
    assert!(writer.try_wait().unwrap().is_none(), "it goes on");
    terminate(&mut writer);
    assert_eq!(user.write_once()["records_read"], json!(0));
    assert_eq!(user.numbers().1, sent);
}

/// Has the table look as if another engine had made and filled it: no property, no summary and no dead-letter table of
/// frazil's.
fn forget_frazil(user: &User) {
    let data = user.folder.path().join("frazil-data");
    let catalog = data.join("catalog.db");
    let name = TableName {
        namespace: vec!["logs".to_owned()],
        table: "web".to_owned(),
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let pointers = SqlitePointers::open(&catalog).await.unwrap();
        let pointer = pointers.get(&name).await.unwrap().unwrap();
        let path = pointer.strip_prefix("file://").unwrap();
        let mut metadata: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let is_ours = |key: &String| key.starts_with("frazil.");
        let properties = metadata["properties"].as_object_mut().unwrap();
        properties.retain(|key, _| !is_ours(key));
        for snapshot in metadata["snapshots"].as_array_mut().unwrap() {
            let summary = snapshot["summary"].as_object_mut().unwrap();
            summary.retain(|key, _| !is_ours(key));
        }
        assert!(!metadata.to_string().contains("frazil."));
        let (folder, _) = pointer.rsplit_once('/').unwrap();
        let foreign = format!("{folder}/00009-00000000-0000-4000-8000-000000000009.metadata.json");
        std::fs::write(
            foreign.strip_prefix("file://").unwrap(),
            metadata.to_string(),
        )
        .unwrap();
        drop(pointers);
        std::fs::remove_file(&catalog).unwrap();
        let pointers = SqlitePointers::open(&catalog).await.unwrap();
        pointers.create_namespace(&name.namespace).await.unwrap();
        assert_eq!(pointers.insert(&name, &foreign).await, SwapOutcome::Swapped);
    });
}

#[test]
fn a_table_that_another_pipeline_filled_is_taken_over_where_its_group_stands() {
    let broker = Broker::start();
    broker.create_topic("web", 3, &[]);
    broker.producer().numbers("web", 0..150, 3);
    let user = User::of_numbers(&broker);
    // What the old pipeline had written: 20 records of one partition, 30 of another.
    let of = |partition: u64, records: u64| (0..records).map(move |n| n * 3 + partition);
    let lines = of(0, 20).chain(of(1, 30));
    let lines: Vec<String> = lines.map(|n| format!("{{\"n\":{n}}}")).collect();
    let old = user.file("old.ndjson", lines.join("\n"));
    user.write(&["--from", old.to_str().unwrap()]).succeeded();
    forget_frazil(&user);
    broker.set_group_offset("old-sink", "web", 0, 20);
    broker.set_group_offset("old-sink", "web", 1, 30);
    assert_eq!(user.numbers(), (50, 50));

    let stopped = user.write(&["--once"]);
    stopped.failed(
        3,
        &[
            "rows of another writer's",
            "`frazil offsets set DATASET --from-group GROUP`",
            "--at earliest",
        ],
    );
    let told = user.status();
    assert_eq!(
        json!([told["state"], told["next"]]),
        json!(["stopped", "frazil offsets set web --from-group GROUP"]),
        "{told}"
    );
    assert_eq!(user.numbers(), (50, 50), "nothing was written");

    let all = ["offsets", "set", "web", "--from-group", "old-sink", "--yes"];
    let living = broker.member("old-sink", "web");
    user.run(&all)
        .failed(1, &["it has 1 member", "stop all who read by it"]);
    drop(living);
    let set = user.run(&all);
    assert!(
        set.succeeded()
            .stderr
            .contains("web[2]: stays without a position"),
        "{set:?}"
    );
    assert_eq!(user.positions(), [20, 30]);
    let report = user.write_once();
    assert_eq!(report["rows_written"], json!(100), "{report}");
    assert_eq!(user.numbers(), (150, 150));
    assert_eq!(user.status()["state"], "up to date");
}

#[test]
fn doctor_tells_what_kafka_lets_us_do() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    let user = User::of_numbers(&broker);
    let checks = user.run(&["doctor", "--json"]);
    let checks = checks.succeeded().json();
    let of_kafka: Vec<_> = checks
        .iter()
        .filter(|one| one["check"].as_str().unwrap().starts_with("kafka-"))
        .map(|one| json!([one["check"], one["status"]]))
        .collect();
    let expected = [
        "kafka-connect",
        "kafka-reach",
        "kafka-topics",
        "kafka-offsets",
        "kafka-group",
    ];
    assert_eq!(
        of_kafka,
        expected.map(|name| json!([name, "ok"])),
        "{checks:?}"
    );

    let with = |topics: &str| {
        let dataset = std::fs::read_to_string(user.folder.path().join("schemas/web.toml")).unwrap();
        let lines = dataset.lines().map(|line| {
            if line.starts_with("topics") {
                topics
            } else {
                line
            }
        });
        user.file("schemas/web.toml", lines.collect::<Vec<_>>().join("\n"));
        user.run(&["doctor", "web"])
    };
    let missing = with("topics = [\"web\", \"shop\"]");
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stdout.contains("find topic shop"), "{missing:?}");
    let none = with("topics_pattern = \"shop.*\"");
    assert!(
        none.succeeded().stdout.contains("warning  kafka-topics"),
        "{none:?}"
    );
    let wrong = with("topics_pattern = \"web(\"");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stdout.contains("no regular expression"), "{wrong:?}");
}

#[test]
fn a_column_that_others_add_is_filled_without_a_restart() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    let producer = broker.producer();
    let user = User::of_numbers(&broker);
    let mut writer = start(&user);
    let record = |n: u64| format!("{{\"n\":{n},\"country\":\"x\"}}");
    producer.send("web", 0, &record(0));
    until(&user, 1);
    // Another definition of the same table adds its column.
    user.file(
        "schemas/other.toml",
        "format = \"json\"\ntable = \"logs.web\"\n\
         columns = [{ name = \"n\", type = \"long\", required = true }, { name = \"country\", type = \"string\" }]\n"
            .to_owned(),
    );
    user.file("more.ndjson", "{\"n\":1000000}\n".to_owned());
    let added = ["write", "other", "--from", "more.ndjson", "--embedded"];
    user.run(&added).succeeded();
    // What was decoded before the column was seen has its value among the rescued ones.
    let query = "SELECT count(country) AS filled, count(*) AS rows, count(DISTINCT n) AS numbers FROM logs.web";
    let begun = Instant::now();
    let mut sent = 1;
    loop {
        producer.send("web", 0, &record(sent));
        producer.flush();
        sent += 1;
        let found = user.sql(query).remove(0);
        assert_eq!(found["rows"], found["numbers"], "{found}");
        if found["filled"].as_u64().unwrap() > 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "{found}");
        std::thread::sleep(Duration::from_millis(200));
    }
    terminate(&mut writer);
    assert_eq!(user.numbers(), (sent + 1, sent + 1));
}
