//! `init`: the dataset file that it infers takes all of its sample.

use std::io::Write as _;

use crate::User;

/// Lines with every kind of value and of oddity that a sample may have.
const ODD: &str = r#"{"@timestamp":"2024-05-01T10:00:00.123Z","id":1,"ratio":0.5,"ok":true,"name":"a","mix":1,"geo":{"country":"DE","point":{"lat":1.5}},"tags":["a"],"ts":1730000000123}
{"@timestamp":"2024-05-01T10:00:00.123456789+02:00","id":-5,"ratio":3,"ok":false,"name":"","mix":"x","geo":{"asn":7},"tags":[],"ts":1730000000124,"a.b":1,"a b":2,"Host":"x","host":"y"}
{"@timestamp":"2024-05-02T00:00:00Z","id":9223372036854775807,"big":12345678901234567890,"mix":{"a":[1]},"objs":[{"a":1},{"b":null}],"uid":"0190a5d4-0000-7000-8000-000000000000","day":"2024-02-29","local":"2024-01-01T00:00:00"}

{"mix":[true,null],"empty":{},"none":null,"list":[],"lists":[[1],[2,3]],"mixed list":[1,"a",{"b":2}],"huge":1e400,"exact":9007199254740993}
{"exact":0.5,"deep":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}}}}}}},"labels":{"x y":1,"z/w":2},"$x":1,"/slash":2,"2xx":3,"_rescued":"mine","":0}
{"text":"\u00e9\ud83d\ude00 \"q\" \\","created_at":1730000000,"time_text":"10:00:00","_file":"reserved","ordinal":1730000000}
"#;

#[test]
fn nothing_of_its_own_sample_is_rescued() {
    let user = User::new();
    user.file("in/odd.ndjson", ODD);
    user.run(&["init", "in/odd.ndjson"]).succeeded();
    let report = &user.json(&["check", "odd", "--sample", "in/odd.ndjson", "--json"])[0];
    assert_eq!(report["records_read"], 6, "{report}");
    assert_eq!(
        (
            &report["rows"],
            &report["rows_rescued"],
            &report["dead_letters"]
        ),
        (&6.into(), &0.into(), &0.into()),
        "{report}"
    );
    let file = std::fs::read_to_string(user.path("schemas/odd.toml")).unwrap();
    for line in [
        r#"partition_by = ["day(timestamp)"]"#,
        r#"{ name = "timestamp", type = "timestamptz", from = "@timestamp" }"#,
        r#"{ name = "id", type = "long" }"#,
        r#"{ name = "ratio", type = "double" }"#,
        r#"{ name = "ok", type = "boolean" }"#,
        r#"{ name = "geo", type = "struct<country: string, point: struct<lat: double>, asn: long>" }"#,
        r#"{ name = "tags", type = "list<string>" }"#,
        r#"{ name = "ts", type = "timestamptz", parse = "epoch_ms" }"#,
        r#"{ name = "created_at", type = "timestamptz", parse = "epoch_s" }"#,
        r#"{ name = "uid", type = "uuid" }"#,
        r#"{ name = "day", type = "date" }"#,
    ] {
        assert!(file.contains(line), "no {line} in\n{file}");
    }
}

#[test]
fn an_existing_file_is_kept_unless_forced() {
    let user = User::new();
    user.file("web.ndjson", "{\"a\":1}\n");
    let path = user.file("schemas/web.toml", "# mine\n");
    user.run(&["init", "web.ndjson"])
        .failed(2, &["schemas/web.toml", "--force"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    user.run(&["init", "web.ndjson", "--stdout"]).succeeded();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    user.run(&["init", "web.ndjson", "--force"]).succeeded();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains(r#"name = "a""#)
    );
    assert_eq!(std::fs::read_dir(user.path("schemas")).unwrap().count(), 1);
}

#[test]
fn standard_input_needs_a_name() {
    let user = User::new();
    user.run_with_input(&["init", "-"], b"{\"a\":1}\n")
        .failed(2, &["--name"]);
    user.run_with_input(&["init", "-", "--name", "x/y"], b"{\"a\":1}\n")
        .failed(2, &["letters"]);
    user.run_with_input(&["init", "-", "--name", "piped"], b"{\"a\":1}\n")
        .succeeded();
    assert!(user.path("schemas/piped.toml").exists());
}

#[test]
fn compressed_samples_are_read() {
    let user = User::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"inside\":1}\n").unwrap();
    user.file("web.2024.json.gz", gzip.finish().unwrap());
    let ended = user.run(&["init", "web.2024.json.gz", "--json"]);
    let told = &ended.succeeded().json()[0];
    assert_eq!(told["dataset"], "web");
    assert_eq!(told["columns"], serde_json::json!(["inside"]));
}

#[test]
fn text_becomes_one_column_and_says_so() {
    let user = User::new();
    user.file("dpkg.log", "2024-05-01 startup\n2024-05-01 upgrade a b\n\n");
    let ended = user.run(&["init", "dpkg.log"]);
    let told = &ended.succeeded().stdout;
    assert!(told.contains("2 columns from 2 lines"), "{told}");
    assert!(told.contains("no format that frazil knows"), "{told}");
    assert!(!told.contains("jq"), "{told}");
    user.file("pretty.json", "{\n  \"a\": 1\n}\n");
    let ended = user.run(&["init", "pretty.json"]);
    assert!(ended.succeeded().stdout.contains("jq -c ."), "{ended:?}");
    let report = &user.json(&["check", "dpkg", "--sample", "dpkg.log", "--json"])[0];
    assert_eq!(
        (&report["rows"], &report["dead_letters"]),
        (&3.into(), &0.into()),
        "{report}"
    );
}

#[test]
fn a_sample_that_cannot_be_used_is_told() {
    let user = User::new();
    user.run(&["init", "nope.ndjson"])
        .failed(2, &["nope.ndjson", "path"]);
    user.run(&["init", "."]).failed(2, &["name"]);
    user.file("empty.ndjson", "\n\n");
    user.run(&["init", "empty.ndjson"])
        .failed(2, &["no records"]);
    user.file("cut.ndjson.gz", [0x1f, 0x8b, 8, 0, 0]);
    user.run(&["init", "cut.ndjson.gz"])
        .failed(2, &["cut.ndjson.gz"]);
    user.file("binary.bin", [0xff, 0xfe, 0, 1, b'\n', 0, 0, b'\n']);
    user.run(&["init", "binary.bin"]).succeeded();
}
