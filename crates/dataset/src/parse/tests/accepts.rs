use std::time::Duration;

use crate::{
    CheckpointPolicy, Dataset, FieldPath, FieldSource, Format, Limits, OverLimit, Profile, Share,
    SourceSpec, SpecialSource, TimeFormat, Transform, UnknownFields, parse_dataset, stated_name,
};

fn parse(text: &str) -> Dataset {
    match parse_dataset(text, "schemas/web.toml", "web") {
        Ok(dataset) => dataset,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

#[test]
fn the_least_that_a_file_may_say() {
    let dataset = parse("columns = [{ name = \"host\", type = \"string\" }]");
    assert_eq!(dataset.name, "web");
    assert_eq!(dataset.table.to_string(), "logs.web");
    assert_eq!(dataset.format, Format::Json);
    assert_eq!(dataset.rescued.as_deref(), Some("_rescued"));
    assert_eq!(dataset.profile, Profile::Standard);
    assert_eq!(dataset.unknown_fields, UnknownFields::Rescue);
    assert_eq!(dataset.source, None);
    let minute = Duration::from_mins(1);
    assert_eq!(
        dataset.checkpoint,
        CheckpointPolicy {
            interval: minute,
            bytes: 512 << 20,
            records: u64::MAX
        }
    );
    assert_eq!(
        dataset.limits,
        Limits {
            dead_letters_max: Share(0.5),
            window: Duration::from_mins(5),
            then: OverLimit::Stop,
            record_bytes_max: 1 << 20
        }
    );
    let column = &dataset.columns[0];
    assert!(!column.required);
    let own = FieldPath {
        text: "host".to_owned(),
        steps: vec!["host".to_owned()],
        pointer: false,
    };
    assert_eq!(column.from, [FieldSource::Field(own)]);
}

#[test]
fn all_that_a_file_may_say() {
    let dataset = parse(
        r#"
dataset = "shop"
table = "prod.logs.shop"
catalog = "main"
project = "shop"
owner = "team-shop@example.com"
format = { type = "json" }
partition_by = ["day(time)", " bucket( 16 , host )", "truncate(4, path)", "identity(host)", "void(status)"]
sort_by = ["host", "time desc", "status ASC"]
unknown_fields = "ignore"
rescued = false
profile = "lenient"

[[columns]]
name = "time"
type = "timestamptz"
from = ["@timestamp", "ts"]
parse = "%Y-%m-%d %H:%M:%S"
timezone = "Europe/Berlin"
required = true

[[columns]]
name = "host"
type = "string"
from = "$$host"

[[columns]]
name = "path"
type = "string"
from = "/http/path"
coerce = "strict"
doc = "The path"

[[columns]]
name = "status"
type = "int"

[source.files]
paths = ["/var/log/app/*.log", "more"]

[checkpoint]
interval = "30s"
bytes = "64MiB"
records = 1_000_000

[limits]
dead_letters_max = "0.1%"
window = "1h"
then = "warn"
record_bytes_max = "64KiB"

[properties]
"write.parquet.compression-codec" = "zstd"
"a.b" = ""
"#,
    );
    assert_eq!(
        (dataset.name.as_str(), dataset.table.to_string().as_str()),
        ("shop", "prod.logs.shop")
    );
    assert_eq!(dataset.catalog.as_deref(), Some("main"));
    assert_eq!(dataset.project.as_deref(), Some("shop"));
    assert_eq!(dataset.owner.as_deref(), Some("team-shop@example.com"));
    assert_eq!(
        (dataset.rescued, dataset.unknown_fields, dataset.profile),
        (None, UnknownFields::Ignore, Profile::Lenient)
    );
    let partitions: Vec<String> = dataset
        .partition_by
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        partitions,
        [
            "day(time)",
            "bucket(16, host)",
            "truncate(4, path)",
            "host",
            "void(status)"
        ]
    );
    assert_eq!(dataset.partition_by[3].transform, Transform::Identity);
    let order: Vec<String> = dataset.sort_by.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["host", "time desc", "status"]);
    let time = &dataset.columns[0];
    assert_eq!(
        time.parse,
        Some(TimeFormat::Strftime("%Y-%m-%d %H:%M:%S".to_owned()))
    );
    assert_eq!(time.timezone.as_deref(), Some("Europe/Berlin"));
    assert!(time.required);
    assert_eq!(time.from.len(), 2);
    assert_eq!(dataset.columns[2].coerce, Some(Profile::Strict));
    assert_eq!(dataset.columns[2].doc.as_deref(), Some("The path"));
    assert_eq!(
        dataset.source,
        Some(SourceSpec::Files {
            paths: vec!["/var/log/app/*.log".to_owned(), "more".to_owned()]
        })
    );
    let interval = Duration::from_secs(30);
    assert_eq!(
        dataset.checkpoint,
        CheckpointPolicy {
            interval,
            bytes: 64 << 20,
            records: 1_000_000
        }
    );
    assert!((dataset.limits.dead_letters_max.0 - 0.001).abs() < 1e-12);
    assert_eq!(dataset.limits.window, Duration::from_hours(1));
    assert_eq!(dataset.limits.then, OverLimit::Warn);
    assert_eq!(dataset.limits.record_bytes_max, 65_536);
    let properties = [("write.parquet.compression-codec", "zstd"), ("a.b", "")];
    assert_eq!(
        dataset.properties,
        properties.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}

#[test]
fn columns_keep_the_files_order() {
    let names = ["zeta", "alpha", "m10", "m9", "B", "a"];
    let columns: Vec<String> = names
        .iter()
        .map(|name| format!("{{ name = \"{name}\", type = \"int\" }}"))
        .collect();
    let tables: Vec<String> = names
        .iter()
        .map(|name| format!("[[columns]]\nname = \"{name}\"\ntype = \"int\"\n"))
        .collect();
    for text in [
        format!("columns = [{}]", columns.join(", ")),
        tables.concat(),
    ] {
        let dataset = parse(&text);
        let found: Vec<&str> = dataset
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(found, names);
    }
}

#[test]
fn the_line_goes_to_the_column_without_from() {
    let raw = FieldSource::Special(SpecialSource::Raw);
    for (columns, expected) in [
        ("{ name = \"line\", type = \"string\" }", vec![0]),
        ("{ name = \"n\", type = \"long\" }", vec![0]),
        (
            "{ name = \"at\", type = \"long\", from = \"$offset\" }, { name = \"line\", type = \"string\" }",
            vec![1],
        ),
        (
            "{ name = \"a\", type = \"string\", from = \"$raw\" }, { name = \"b\", type = \"binary\", from = \"$raw\" }",
            vec![0, 1],
        ),
        (
            "{ name = \"f\", type = \"string\", from = \"$topic\" }, { name = \"raw\", type = \"string\" }",
            vec![1],
        ),
    ] {
        let dataset = parse(&format!("format = \"raw\"\ncolumns = [{columns}]"));
        let taken: Vec<usize> = (0..dataset.columns.len())
            .filter(|index| dataset.columns[*index].from == [raw.clone()])
            .collect();
        assert_eq!(taken, expected, "{columns}");
    }
}

#[test]
fn the_example_files_are_right() {
    let web = include_str!("../../../../../schemas/web.toml");
    let dataset = parse(web);
    assert_eq!((dataset.columns.len(), dataset.partition_by.len()), (14, 1));
    let lines = include_str!("../../../../../schemas/lines.toml");
    assert_eq!(parse(lines).format, Format::Raw);
}

/// The whole of `schemas/web.toml` as read: what changes in it changes what is written to tables.
#[test]
fn the_example_is_read_as_ever() {
    let dataset = parse(include_str!("../../../../../schemas/web.toml"));
    let columns: Vec<String> = dataset
        .columns
        .iter()
        .map(|column| {
            format!(
                "{} {}{}",
                column.name,
                column.column_type,
                if column.required { " required" } else { "" }
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            "time timestamptz required",
            "request_id uuid required",
            "host string",
            "method string",
            "path string",
            "status int",
            "bytes long",
            "duration_ms double",
            "client_ip string",
            "user_agent string",
            "referer string",
            "cached boolean",
            "geo struct<country: string, asn: int>",
            "tags list<string>",
        ]
    );
}

#[test]
fn a_file_says_its_own_name() {
    assert_eq!(
        stated_name("dataset = \"x\"\nwrong = 1"),
        Some("x".to_owned())
    );
    assert_eq!(stated_name("dataset = 1"), None);
    assert_eq!(stated_name("["), None);
    assert_eq!(stated_name(""), None);
}

#[test]
fn records_of_several_lines() {
    let multiline = |section: &str| {
        let text = format!("columns = [{{ name = \"a\", type = \"string\" }}]\n{section}");
        crate::parse_dataset(&text, "f.toml", "f")
            .unwrap()
            .multiline
            .unwrap()
    };
    let found = multiline("[multiline]\nstart = '^\\d{4}-'");
    assert_eq!(
        (found.start.as_str(), found.lines_max, found.bytes_max),
        ("^\\d{4}-", 1000, 1 << 20)
    );
    let found = multiline("multiline = { start = 'x', lines_max = 5, bytes_max = \"1KiB\" }");
    assert_eq!((found.lines_max, found.bytes_max), (5, 1024));
}

#[test]
fn formats() {
    let format = |format: &str| {
        let text = format!("columns = [{{ name = \"a\", type = \"string\" }}]\nformat = {format}");
        crate::parse_dataset(&text, "f.toml", "f").unwrap().format
    };
    let cells = crate::Separated {
        delimiter: b',',
        quote: Some(b'"'),
        escapes: false,
        header: true,
        columns: Vec::new(),
    };
    assert_eq!(format("\"csv\""), Format::Separated(cells.clone()));
    assert_eq!(
        format("{ type = \"csv\", delimiter = \"\\t\", quote = false, columns = [\"x\", \"\"] }"),
        Format::Separated(crate::Separated {
            delimiter: b'\t',
            quote: None,
            header: false,
            columns: vec!["x".to_owned(), String::new()],
            ..cells.clone()
        })
    );
    assert_eq!(
        format("{ type = \"tsv\", escapes = true, header = false }"),
        Format::Separated(crate::Separated {
            delimiter: b'\t',
            quote: None,
            escapes: true,
            header: false,
            ..cells
        })
    );
    assert_eq!(
        format("{ type = \"syslog\", year = \"ingested_at\" }"),
        Format::Syslog(crate::Syslog {
            year_of_ingestion: true
        })
    );
    for (name, expected) in [
        ("logfmt", Format::Logfmt),
        ("common_log", Format::CommonLog),
        ("combined_log", Format::CombinedLog),
    ] {
        assert_eq!(format(&format!("\"{name}\"")), expected);
    }
    let Format::Pattern(pattern) = format(
        "{ type = \"grok\", pattern = \"%{ID:id} %{WORD:w}\", patterns = { ID = 'i\\d+' } }",
    ) else {
        panic!("a pattern");
    };
    assert_eq!(pattern.names(), ["id", "w"]);
}
