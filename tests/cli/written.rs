//! Commands that look at tables, on tables that `write` made.

use serde_json::{Value, json};

use crate::User;

const WEB: &str = r#"format = "json"
partition_by = ["day(time)"]
columns = [
  { name = "time", type = "timestamptz", required = true },
  { name = "n", type = "long" },
  { name = "userId", type = "uuid" },
  { name = "price", type = "decimal(20,2)" },
  { name = "ratio", type = "double" },
  { name = "day", type = "date" },
  { name = "host", type = "string" },
  { name = "geo", type = "struct<country: string>" },
  { name = "tags", type = "list<string>" },
]
"#;

const ROWS: i64 = 300;

/// Rows over three days in which every tenth value is missing, two values that do not fit, two dead letters.
fn sample() -> String {
    let mut lines = Vec::new();
    for n in 0..ROWS {
        let tags = &["a", "b"][..(n % 3) as usize];
        let mut row = json!({
            "time": format!("2024-05-{:02}T{:02}:00:00.{:03}Z", 1 + n / 100, n % 24, n),
            "n": n,
            "userId": format!("00000000-0000-4000-8000-{n:012}"),
            "price": format!("{n}.50"),
            "ratio": n as f64 / 4.0,
            "day": format!("2024-02-{:02}", 1 + n % 28),
            "host": format!("Host-{}, \"{}\"", n % 7, "x".repeat(n as usize)),
            "geo": { "country": if n % 2 == 0 { "DE" } else { "FR" } },
            "tags": tags,
        });
        if n % 10 == 0 {
            let fields = row.as_object_mut().unwrap();
            for name in ["userId", "price", "ratio", "day", "host", "geo", "tags"] {
                fields.remove(name);
            }
        }
        lines.push(row.to_string());
    }
    lines.push(r#"{"time":"2024-05-01T00:00:00Z","n":"many","more":[1]}"#.to_owned());
    lines.push(r#"{"n":1}"#.to_owned());
    lines.push("not json".to_owned());
    lines.join("\n") + "\n"
}

fn user() -> User {
    let user = User::new();
    user.file("schemas/web.toml", WEB);
    user.file("web.ndjson", sample());
    let report = &user.json(&["write", "web", "--from", "web.ndjson", "--json"])[0];
    assert_eq!(
        (&report["rows_written"], &report["dead_letters"]),
        (&(ROWS + 1).into(), &2.into()),
        "{report}"
    );
    user
}

fn one(user: &User, query: &str) -> Value {
    let rows = user.json(&["sql", query, "--json"]);
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    rows[0]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .clone()
}

#[test]
fn filters_find_what_a_whole_read_holds() {
    let user = user();
    for (filter, expected) in [
        ("true", ROWS + 1),
        ("n = 5", 1),
        ("n = '5'", 1),
        ("n IN (1, 2, 3000)", 2),
        ("n BETWEEN 10 AND 19.5", 10),
        ("NOT (n > 5)", 6),
        ("n IS NULL", 1),
        ("n < 3 OR n > 297", 5),
        ("time >= '2024-05-02T00:00:00Z'", 200),
        (
            "time < timestamp '2024-05-02 00:00:00' AND n IS NOT NULL",
            100,
        ),
        ("date_trunc('day', time) = '2024-05-03'", 100),
        ("userId = '00000000-0000-4000-8000-000000000007'", 1),
        ("userid > '00000000-0000-4000-8000-000000000297'", 2),
        ("USERID IS NULL", 31),
        ("price = 7.50", 1),
        ("price > 297.5", 2),
        ("ratio > 74.25", 2),
        ("ratio = 'x'", 0),
        ("day = '2024-02-29'", 0),
        ("day = date '2024-02-08'", 11),
        ("host LIKE 'Host-1,%'", 39),
        ("host = 'Host-1, \"x\"'", 1),
        ("geo['country'] = 'FR'", 150),
        ("array_length(tags) = 2", 90),
        ("_rescued IS NOT NULL", 1),
    ] {
        let found = one(&user, &format!("SELECT count(*) FROM web WHERE {filter}"));
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn rows_are_printed_in_every_format() {
    let user = user();
    let query = "SELECT n, userId, price, geo, tags, day FROM web WHERE n IN (1, 10) ORDER BY n";
    let ended = user.run(&["sql", query, "--format", "csv"]);
    assert_eq!(
        ended.succeeded().stdout,
        "n,userId,price,geo,tags,day\n\
         1,00000000-0000-4000-8000-000000000001,1.50,\"{\"\"country\"\":\"\"FR\"\"}\",\"[\"\"a\"\"]\",2024-02-02\n\
         10,,,,,\n"
    );
    let rows = user.json(&["sql", query, "--format", "json"]);
    assert_eq!(rows[0]["geo"], json!({ "country": "FR" }));
    assert_eq!(rows[1]["userId"], Value::Null);
    let table = user.run(&["sql", query]);
    assert!(
        table.succeeded().stdout.contains("| 10 | NULL "),
        "{}",
        table.stdout
    );
}

#[test]
fn a_column_that_was_added_is_null_in_older_rows() {
    let user = user();
    let last = "{ name = \"tags\", type = \"list<string>\" },";
    user.file(
        "schemas/web.toml",
        WEB.replace(
            last,
            &format!("{last} {{ name = \"late\", type = \"long\" }},"),
        ),
    );
    user.file(
        "empty.ndjson",
        "{\"time\":\"2024-05-04T00:00:00Z\",\"late\":1}\n",
    );
    user.run(&["write", "web", "--from", "empty.ndjson"])
        .succeeded();
    assert_eq!(
        one(&user, "SELECT count(*) FROM web WHERE late IS NULL"),
        ROWS + 1
    );
    assert_eq!(one(&user, "SELECT count(late) FROM web"), 1);
}

#[test]
fn rejects_are_told_by_reason_with_a_sample() {
    let user = user();
    let told = &user.json(&["rejects", "web", "--json"])[0];
    assert_eq!(
        (&told["dead_letters"], &told["rows_rescued"]),
        (&2.into(), &1.into()),
        "{told}"
    );
    assert_eq!(told["dead_letters_pending"], 0, "{told}");
    let records: Vec<_> = told["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["record"].as_str().unwrap())
        .collect();
    assert!(
        records.contains(&"not json") && records.contains(&"{\"n\":1}"),
        "{told}"
    );
    let paths: Vec<_> = told["rescued_reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["more", "n"], "{told}");
    let text = user.run(&["rejects", "web"]);
    assert!(
        text.succeeded().stdout.contains("web.ndjson at "),
        "{}",
        text.stdout
    );
    assert_eq!(
        one(
            &user,
            "SELECT count(*) FROM web__dead_letters WHERE record::text = 'not json'"
        ),
        1
    );
}

#[test]
fn files_and_snapshots_add_up() {
    let user = user();
    let files = user.json(&["table", "files", "web", "--json"]);
    let sum: i64 = files
        .iter()
        .map(|file| file["rows"].as_i64().unwrap())
        .sum();
    assert_eq!(sum, ROWS + 1);
    let mut days: Vec<_> = files
        .iter()
        .map(|file| file["partition"]["time_day"].as_str().unwrap())
        .collect();
    days.sort_unstable();
    days.dedup();
    assert_eq!(days, ["2024-05-01", "2024-05-02", "2024-05-03"]);
    let snapshots = user.json(&["table", "snapshots", "web", "--json"]);
    assert_eq!(snapshots.len(), 1);
    assert_eq!(
        snapshots[0]["summary"]["total-records"],
        (ROWS + 1).to_string()
    );
    let described = &user.json(&["table", "describe", "web", "--json"])[0];
    assert_eq!(described["rows"], ROWS + 1);
    assert_eq!(described["snapshot_id"], snapshots[0]["snapshot_id"]);
    assert_eq!(described["data_files"], files.len());
    assert!(user.run(&["ls"]).succeeded().stdout.contains("logs.web"));
}

#[test]
fn a_position_set_back_reads_again_and_forward_leaves_out() {
    let user = user();
    let length = sample().len() as u64;
    let shown = &user.json(&["offsets", "show", "web", "--json"])[0]["sources"][0];
    assert_eq!(
        (&shown["id"], &shown["position"], &shown["at_end"]),
        (&1.into(), &length.into(), &true.into()),
        "{shown}"
    );
    let set = |to: &str| {
        user.json(&[
            "offsets",
            "set",
            "web",
            "--source",
            "1",
            "--position",
            to,
            "--yes",
            "--json",
        ])
    };
    let write = || {
        user.json(&["write", "web", "--from", "web.ndjson", "--json"])
            .remove(0)
    };

    set("0");
    assert_eq!(write()["rows_written"], ROWS + 1);
    let last = length - "not json\n".len() as u64;
    set(&last.to_string());
    let ended = user.run(&["write", "web", "--from", "web.ndjson", "--json"]);
    assert_eq!(
        ended.code,
        Some(4),
        "dead letters and not one row: {ended:?}"
    );
    assert_eq!(ended.json()[0]["dead_letters"], 1);
    let beyond = (length + 1).to_string();
    user.run(&[
        "offsets",
        "set",
        "web",
        "--source",
        "1",
        "--position",
        &beyond,
        "--yes",
    ])
    .failed(2, &["ends before"]);
    user.json(&[
        "offsets", "set", "web", "--source", "1", "--forget", "--yes", "--json",
    ]);
    assert_eq!(write()["rows_written"], ROWS + 1);
    assert_eq!(one(&user, "SELECT count(*) FROM web"), 3 * (ROWS + 1));
}

#[test]
fn a_check_compares_with_the_table_that_is_there() {
    let user = user();
    assert!(
        user.run(&["check", "web"])
            .succeeded()
            .stdout
            .contains("fits table logs.web")
    );
    user.file(
        "schemas/web.toml",
        WEB.replace("\"n\", type = \"long\"", "\"n\", type = \"string\""),
    );
    user.run(&["check", "web"])
        .failed(2, &["`n`", "long", "string"]);
}
