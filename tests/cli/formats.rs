//! A sample of each format, as a new user meets it: `init`, `check`, `write`, `sql`.

use serde_json::{Value, json};

use crate::User;

/// `init`, `check`, `write` and `sql` of a sample, of which all records become rows with nothing rescued.
fn through(file: &str, sample: &str, query: &str) -> (User, Vec<Value>) {
    let user = User::new();
    user.file(file, sample);
    let name = file.split('.').next().unwrap();
    user.json(&["init", file, "--json"]);
    let checked = &user.json(&["check", name, "--sample", file, "--json"])[0];
    assert_eq!(
        (&checked["dead_letters"], &checked["rows_rescued"]),
        (&0.into(), &0.into()),
        "{checked}"
    );
    let written = &user.json(&["write", name, "--from", file, "--json"])[0];
    assert_eq!(written["rows_written"], checked["rows"], "{written}");
    let rows = user.json(&["sql", query, "--json"]);
    (user, rows)
}

#[test]
fn csv_with_line_ends_in_cells_goes_on_with_its_header() {
    let sample = "time,host,text\n2024-05-01T10:00:00Z,a,\"one\ntwo\"\n2024-05-02T10:00:00Z,b,\n";
    let query = "SELECT host, text FROM web ORDER BY time";
    let (user, rows) = through("web.csv", sample, query);
    let mut expected = vec![
        json!({"host": "a", "text": "one\ntwo"}),
        json!({"host": "b", "text": null}),
    ];
    assert_eq!(rows, expected);
    user.file("web.csv", format!("{sample}2024-05-03T10:00:00Z,c,\"\"\n"));
    let written = &user.json(&["write", "web", "--from", "web.csv", "--json"])[0];
    assert_eq!(
        (&written["rows_written"], &written["dead_letters"]),
        (&1.into(), &0.into())
    );
    expected.push(json!({"host": "c", "text": ""}));
    assert_eq!(user.json(&["sql", query, "--json"]), expected);
}

#[test]
fn formats_of_text_become_typed_rows() {
    for (file, line, query, expected) in [
        (
            "app.log",
            "time=2024-05-01T10:00:00Z level=info msg=\"a \\\"b\\\"\" n=5",
            "SELECT msg, n + 1 AS n FROM app",
            json!({"msg": "a \"b\"", "n": 6}),
        ),
        (
            "access.log",
            "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl\"",
            "SELECT path, status, user_agent, CAST(time AS STRING) AS time FROM access",
            json!({"path": "/a", "status": 200, "user_agent": "curl", "time": "2000-10-10T20:55:36Z"}),
        ),
        (
            "sys.log",
            "Jun 14 15:16:01 combo sshd[19939]: failure",
            "SELECT hostname, app_name, proc_id, message FROM sys",
            json!({"hostname": "combo", "app_name": "sshd", "proc_id": 19939, "message": "failure"}),
        ),
        (
            "zoo.log",
            "2015-07-29 17:41:44,747 - INFO  [Peer[myid=1]/0:0@774] - time out: 3200",
            "SELECT level, thread, message FROM zoo WHERE time > TIMESTAMP '2015-07-29 17:41:44'",
            json!({"level": "INFO", "thread": "Peer[myid=1]/0:0@774", "message": "time out: 3200"}),
        ),
    ] {
        let (_, rows) = through(file, &format!("{line}\n"), query);
        assert_eq!(rows, [expected], "{line}");
    }
}

#[test]
fn dead_letters_of_text_keep_their_bytes_and_say_where_they_were() {
    let user = User::new();
    user.file(
        "schemas/web.toml",
        "format = { type = \"csv\" }\ncolumns = [{ name = \"a\", type = \"long\" }, { name = \"b\", type = \"string\" }]\n",
    );
    user.file("web.csv", "a,b\n1,\"x\ny\"\n2,\"never closed\n3,z,more\n");
    let ended = user.run(&["check", "web", "--sample", "web.csv"]);
    assert!(ended.stdout.contains("web.csv line 4"), "{}", ended.stdout);
    let written = &user.json(&["write", "web", "--from", "web.csv", "--json"])[0];
    assert_eq!(
        [
            &written["rows_written"],
            &written["rows_rescued"],
            &written["dead_letters"]
        ],
        [&2.into(), &1.into(), &1.into()] as [&Value; 3]
    );
    let dead = user.json(&[
        "sql",
        "SELECT reason, \"offset\", CAST(record AS STRING) AS record FROM logs.web__dead_letters",
        "--json",
    ]);
    assert_eq!(
        dead,
        [json!({"reason": "invalid_csv", "offset": 12, "record": "2,\"never closed"})]
    );
}
