//! Commands that look at tables, on a table that nothing was written to yet.

use std::sync::Arc;

use frazil_dataset::{Dataset, parse_dataset};
use frazil_service::clock::{RandomIds, SystemClock};
use frazil_table::{
    catalog::{Creation, pointer::PointerCatalog, sqlite::SqlitePointers},
    commit::Committer,
    schema::{partition_spec, sort_order, table_properties, table_schema},
    storage::local::LocalStorage,
};

use crate::User;

const WEB: &str = r#"format = "json"
partition_by = ["day(time)"]
columns = [
  { name = "time", type = "timestamptz" },
  { name = "userId", type = "uuid", doc = "who" },
  { name = "geo", type = "struct<country: string, asn: int>" },
]
"#;

/// Makes the dataset's empty tables as the first write does.
fn user_with_table() -> User {
    let user = User::new();
    user.file("schemas/web.toml", WEB);
    let dataset = parse_dataset(WEB, "schemas/web.toml", "web").unwrap();
    let data = user.path("frazil-data");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let pointers = SqlitePointers::open(&data.join("catalog.db"))
            .await
            .unwrap();
        let warehouse = format!("file://{}", data.join("warehouse").display());
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let catalog = PointerCatalog::new(
            pointers,
            Arc::new(LocalStorage::new()),
            &warehouse,
            clock,
            ids,
        );
        let committer = Committer::new(
            Arc::new(catalog),
            Arc::new(SystemClock),
            Arc::new(RandomIds),
        );
        committer
            .create(&dataset.table, creation(&dataset))
            .await
            .unwrap();
    });
    user
}

fn creation(dataset: &Dataset) -> Creation {
    let schema = table_schema(dataset).unwrap();
    Creation {
        partition_spec: partition_spec(dataset, &schema).unwrap(),
        sort_order: sort_order(dataset, &schema).unwrap(),
        properties: table_properties(dataset),
        schema,
    }
}

#[test]
fn a_catalog_that_nobody_made_has_no_tables_and_stays_unmade() {
    let user = User::new();
    user.file("schemas/web.toml", WEB);
    assert!(
        user.run(&["ls"])
            .succeeded()
            .stdout
            .contains("no tables yet")
    );
    assert_eq!(user.run(&["ls", "--json"]).succeeded().stdout, "");
    user.run(&["sql", "SELECT * FROM web"])
        .failed(2, &["`web`", "no tables yet"]);
    user.run(&["table", "describe", "web"])
        .failed(2, &["logs.web", "frazil write web"]);
    user.run(&["offsets", "show", "web"])
        .failed(2, &["logs.web"]);
    user.run(&["rejects", "web"]).failed(2, &["logs.web"]);
    assert!(!user.path("frazil-data").exists());
}

#[test]
fn an_empty_table_answers() {
    let user = user_with_table();
    assert_eq!(
        user.json(&["sql", "SELECT count(*) AS n FROM logs.web", "--json"])[0]["n"],
        0
    );
    assert_eq!(
        user.json(&[
            "sql",
            "SELECT count(*) AS n FROM web__dead_letters",
            "--json"
        ])[0]["n"],
        0
    );
    let header = user.run(&["sql", "SELECT * FROM web", "--format", "csv"]);
    assert_eq!(header.succeeded().stdout, "time,userId,geo,_rescued\n");
    let table = user.run(&[
        "sql",
        "SELECT USERID, geo['country'] FROM Web WHERE userid IS NOT NULL",
    ]);
    assert!(table.succeeded().stdout.contains("userId"), "{table:?}");
    assert_eq!(
        user.run(&["sql", "SELECT * FROM web", "--json"])
            .succeeded()
            .stdout,
        ""
    );
    assert_eq!(user.json(&["ls", "--json"]).len(), 2);
    assert!(
        user.run(&["table", "snapshots", "web"])
            .succeeded()
            .stdout
            .contains("snapshot")
    );
    user.run(&["table", "files", "web"]).succeeded();
    let rejects = &user.json(&["rejects", "web", "--json"])[0];
    assert_eq!(
        (&rejects["dead_letters"], &rejects["rows_rescued"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_table_is_described_for_people_and_machines() {
    let user = user_with_table();
    let told = user.run(&["table", "describe", "web"]);
    for one in [
        "logs.web",
        "day(time)",
        "userId",
        "who",
        "iceberg_scan('file://",
    ] {
        assert!(
            told.succeeded().stdout.contains(one),
            "no {one} in {}",
            told.stdout
        );
    }
    let told = &user.json(&["table", "describe", "schemas/web.toml", "--json"])[0];
    assert_eq!(told["columns"][0]["name"], "time");
    assert_eq!(told["partition_by"], serde_json::json!(["day(time)"]));
    assert_eq!(told["snapshot_id"], serde_json::Value::Null);
    let dead = &user.json(&["table", "describe", "web", "--dead-letters", "--json"])[0];
    assert_eq!(dead["table"], "logs.web__dead_letters");
}

#[test]
fn a_query_only_reads() {
    let user = user_with_table();
    for query in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW v AS SELECT * FROM web",
        "DROP TABLE web",
        "INSERT INTO web SELECT * FROM web",
        "DELETE FROM web",
        "UPDATE web SET geo = NULL",
        "COPY (SELECT 1) TO 'out.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN INSERT INTO web SELECT * FROM web",
    ] {
        user.run(&["sql", query]).failed(2, &["only reads"]);
    }
    assert!(!user.path("out.csv").exists());
    user.run(&["sql", "EXPLAIN SELECT * FROM web"]).succeeded();
    user.run(&["sql", "SELEC 1"])
        .failed(2, &["understand the query", "SELEC"]);
    user.run(&["sql", "SELECT nope FROM web"])
        .failed(2, &["nope"]);
    user.run(&["sql", "SELECT * FROM webb"])
        .failed(2, &["`webb`", "logs.web"]);
    user.run(&["sql", "SELECT 1; SELECT 2"])
        .failed(2, &["single"]);
    user.run(&["sql", ""]).failed(2, &["query"]);
}

#[test]
fn positions_are_shown_and_setting_them_wants_a_yes() {
    let user = user_with_table();
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    assert_eq!(shown["sources"], serde_json::json!([]));
    assert_eq!(shown["outbox_pending"], 0);
    user.run(&["offsets", "set", "web", "--restart"])
        .failed(2, &["--yes"]);
    user.run(&[
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        "0",
        "--yes",
    ])
    .failed(2, &["source 1"]);
    let set = &user.json(&[
        "offsets",
        "set",
        "web",
        "--restart",
        "--yes",
        "--reason",
        "a test",
        "--json",
    ])[0];
    assert!(set["snapshot_id"].is_string(), "{set}");
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0];
    assert_eq!(shown["epoch"], 1, "{shown}");
    assert_eq!(shown["last_action"]["why"], "a test", "{shown}");
    assert_eq!(user.json(&["table", "snapshots", "web", "--json"]).len(), 1);
}
