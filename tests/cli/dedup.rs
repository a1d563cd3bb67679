//! `[dedup]` of a dataset file, as its user meets it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::User;

const WEB: &str = r#"format = "json"
columns = [
  { name = "time", type = "timestamptz" },
  { name = "id", type = "string" },
  { name = "n", type = "long" },
]
"#;

const DEDUP: &str = "[dedup]\nkey = [\"id\"]\ntime = \"time\"\nwindow = \"1h\"\n";

fn user(dedup: &str) -> User {
    let user = User::new();
    user.file("schemas/web.toml", format!("{WEB}{dedup}"));
    user
}

fn line(minute: u32, id: &str, n: u32) -> String {
    format!(
        "{{\"time\":\"2026-05-01T{:02}:{:02}:00Z\",\"id\":{id},\"n\":{n}}}\n",
        minute / 60,
        minute % 60
    )
}

fn counts(report: &Value) -> [u64; 5] {
    [
        "records_read",
        "rows_written",
        "dead_letters",
        "duplicates",
        "dedup_unchecked",
    ]
    .map(|name| report[name].as_u64().unwrap())
}

fn write(user: &User, name: &str, content: &str) -> [u64; 5] {
    user.file(name, content);
    counts(&user.json(&["write", "web", "--from", name, "--json"])[0])
}

fn numbers(user: &User) -> Vec<u64> {
    let rows = user.json(&["sql", "SELECT n FROM web ORDER BY n", "--json"]);
    rows.iter().map(|row| row["n"].as_u64().unwrap()).collect()
}

#[test]
fn rows_of_a_key_are_there_once_within_the_window_also_after_a_start() {
    let user = user(DEDUP);
    let mut first = String::new();
    for (minute, id, n) in [
        (0, "\"a\"", 1),
        (1, "\"b\"", 2),
        (2, "\"a\"", 3), // again
        (3, "null", 4),  // like no other
        (4, "null", 5),
        (61, "\"a\"", 6),  // more than an hour after the row
        (62, "\"a\"", 7),  // again
        (1, "\"c\"", 8),   // before the window
        (30, "\"d\"", 9),  // late
        (62, "\"d\"", 10), // again
    ] {
        first += &line(minute, id, n);
    }
    first += "{\"time\":null,\"id\":\"d\",\"n\":11}\n"; // no time
    first += "no record\n";
    assert_eq!(write(&user, "1.ndjson", &first), [12, 8, 1, 3, 2]);
    // Another process, another file.
    let second = [
        line(90, "\"a\"", 12), // again
        line(89, "\"d\"", 13), // again
        line(90, "\"e\"", 14),
    ];
    assert_eq!(write(&user, "2.ndjson", &second.concat()), [3, 1, 0, 2, 0]);
    assert_eq!(numbers(&user), [1, 2, 4, 5, 6, 8, 9, 11, 14]);
    let told = user.run(&["write", "web", "--from", "1.ndjson"]);
    assert!(
        told.succeeded().stdout.contains("+ 0 duplicates"),
        "{told:?}"
    );
}

#[test]
fn all_columns_but_some_make_a_key() {
    let user = user("[dedup]\nkey_except = [\"n\"]\ntime = \"time\"\n");
    let lines = [
        line(0, "\"a\"", 1),
        line(0, "\"a\"", 2), // again
        line(0, "null", 3),
        line(0, "null", 4), // again: here nulls are alike
        line(1, "\"a\"", 5),
        line(1, "\"a\"", 6).replace('}', ",\"more\":1}"), // its rescued column is another
        line(1, "\"a\"", 7).replace('}', ",\"more\":1}"), // again
    ];
    assert_eq!(write(&user, "1.ndjson", &lines.concat()), [7, 4, 0, 3, 0]);
    assert_eq!(numbers(&user), [1, 3, 5, 6]);
}

#[test]
fn what_comes_in_many_blocks_and_workers_is_kept_once() {
    let user = user(
        &format!("partition_by = [\"bucket(4, id)\"]\n{WEB}{DEDUP}[checkpoint]\nrecords = 3000\n")
            .replace(WEB, ""),
    );
    let mut lines = String::new();
    for n in 0..30_000_u32 {
        let (id, minute) = (n % 7_000, n / 600);
        writeln!(
            lines,
            "{}",
            line(minute, &format!("\"{id:060}\""), n).trim_end()
        )
        .unwrap();
    }
    user.file("1.ndjson", &lines);
    let report = &user.json(&[
        "write",
        "web",
        "--from",
        "1.ndjson",
        "--json",
        "--workers",
        "3",
    ])[0];
    assert_eq!(counts(report), [30_000, 7_000, 0, 23_000, 0], "{report}");
    assert_eq!(numbers(&user), (0..7_000).collect::<Vec<_>>());
    // A copy that is another source: none of it is new.
    let again = user.json(&[
        "write",
        "web",
        "--from",
        "1.ndjson",
        "--as-new-source",
        "--json",
    ]);
    assert_eq!(counts(&again[0]), [30_000, 0, 0, 30_000, 0]);
}

#[test]
fn a_definition_that_cannot_be_kept_is_exit_code_2() {
    for (dedup, told) in [
        (
            "[dedup]\nkey = [\"idd\"]\ntime = \"time\"\n",
            "did you mean `id`?",
        ),
        ("[dedup]\nkey = [\"id\"]\n", "`[dedup]` has no `time`"),
        (
            "[dedup]\nkey = [\"id\"]\ntime = \"n\"\n",
            "is of type `long`",
        ),
    ] {
        let user = user(dedup);
        user.file("1.ndjson", line(0, "\"a\"", 1));
        for arguments in [
            &["check", "web", "--sample", "1.ndjson"][..],
            &["write", "web", "--from", "1.ndjson"],
        ] {
            user.run(arguments).failed(2, &[told]);
        }
    }
}
