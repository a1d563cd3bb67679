//! The records of the corpus in each format of text: the same ten fields, as far as the format has them.

use std::fmt::Write as _;

use serde_json::Value;

/// A format: its name, a dataset file, and one record a line.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) dataset_file: String,
    pub(crate) text: String,
}

const CELLS: [(&str, &str); 10] = [
    ("request_id", "string"),
    ("@timestamp", "timestamptz"),
    ("clientip", "string"),
    ("verb", "string"),
    ("request", "string"),
    ("response", "int"),
    ("bytes", "long"),
    ("referrer", "string"),
    ("agent", "string"),
    ("latency_ms", "double"),
];

/// The JSON records in all formats.
pub(crate) fn samples(json: &str) -> Vec<Sample> {
    let records: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("the corpus is JSON"))
        .collect();
    let columns = columns(&CELLS);
    let names: Vec<String> = CELLS
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let names = names.join(", ");
    let access = "{ name = \"host\", type = \"string\" }, { name = \"time\", type = \"timestamptz\", parse = \"%d/%b/%Y:%H:%M:%S %z\" }, { name = \"method\", type = \"string\" }, { name = \"path\", type = \"string\" }, { name = \"protocol\", type = \"string\" }, { name = \"status\", type = \"int\" }, { name = \"bytes\", type = \"long\" }";
    let combined = format!(
        "{access}, {{ name = \"referer\", type = \"string\" }}, {{ name = \"user_agent\", type = \"string\" }}"
    );
    let syslog = "{ name = \"facility\", type = \"string\" }, { name = \"severity\", type = \"string\" }, { name = \"time\", type = \"timestamptz\" }, { name = \"version\", type = \"int\" }, { name = \"hostname\", type = \"string\" }, { name = \"app_name\", type = \"string\" }, { name = \"proc_id\", type = \"int\" }, { name = \"message\", type = \"string\" }";
    let groups = "{ name = \"time\", type = \"timestamptz\" }, { name = \"level\", type = \"string\" }, { name = \"host\", type = \"string\" }, { name = \"message\", type = \"string\" }";
    let sample = |name, format: &str, columns: &str, write: &dyn Fn(&Value, &mut String)| {
        let mut text = String::new();
        for record in &records {
            write(record, &mut text);
            text.push('\n');
        }
        Sample {
            name,
            dataset_file: format!("format = {format}\ncolumns = [{columns}]"),
            text,
        }
    };
    vec![
        sample("json", "\"json\"", &columns, &|record, text| {
            let fields = CELLS.map(|(name, _)| format!("\"{name}\":{}", record[name]));
            let _ = write!(text, "{{{}}}", fields.join(","));
        }),
        sample(
            "csv",
            &format!("{{ type = \"csv\", columns = [{names}] }}"),
            &columns,
            &|record, text| {
                let cells = CELLS.map(|(name, _)| {
                    let cell = plain(&record[name]);
                    let is_quoted = cell.contains(',') || name == "agent";
                    if is_quoted {
                        format!("\"{cell}\"")
                    } else {
                        cell
                    }
                });
                text.push_str(&cells.join(","));
            },
        ),
        sample(
            "tsv",
            &format!("{{ type = \"tsv\", columns = [{names}] }}"),
            &columns,
            &|record, text| {
                text.push_str(&CELLS.map(|(name, _)| plain(&record[name])).join("\t"));
            },
        ),
        sample("logfmt", "\"logfmt\"", &columns, &|record, text| {
            let pairs = CELLS.map(|(name, _)| {
                let value = plain(&record[name]);
                if value.contains(' ') {
                    format!("{name}=\"{value}\"")
                } else {
                    format!("{name}={value}")
                }
            });
            text.push_str(&pairs.join(" "));
        }),
        sample(
            "combined_log",
            "\"combined_log\"",
            &combined,
            &|record, text| {
                access_log(record, text);
                let _ = write!(text, " {} {}", record["referrer"], record["agent"]);
            },
        ),
        sample("common_log", "\"common_log\"", access, &|record, text| {
            access_log(record, text);
        }),
        sample("syslog", "\"syslog\"", syslog, &|record, text| {
            let _ = write!(
                text,
                "<134>1 {} web-1.example nginx 4711 - - {} {} {}",
                plain(&record["@timestamp"]),
                plain(&record["verb"]),
                plain(&record["request"]),
                plain(&record["agent"]),
            );
        }),
        sample(
            "regex",
            "{ type = \"regex\", pattern = '^(?P<time>\\S+) (?P<level>[A-Z]+) +\\[(?P<host>[^\\]]*)\\] (?P<message>.*)$' }",
            groups,
            &application_line,
        ),
        sample(
            "grok",
            "{ type = \"grok\", pattern = \"^%{TIMESTAMP_ISO8601:time} %{LOGLEVEL:level} +\\\\[%{IPORHOST:host}\\\\] %{GREEDYDATA:message}$\" }",
            groups,
            &application_line,
        ),
    ]
}

fn columns(cells: &[(&str, &str)]) -> String {
    let columns: Vec<String> = cells
        .iter()
        .map(|(name, kind)| format!("{{ name = \"{name}\", type = \"{kind}\" }}"))
        .collect();
    columns.join(", ")
}

/// Text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or(value.to_string(), str::to_owned)
}

fn access_log(record: &Value, text: &mut String) {
    let _ = write!(
        text,
        "{} - - [01/May/2024:10:00:00 +0000] \"{} {} HTTP/1.1\" {} {}",
        plain(&record["clientip"]),
        plain(&record["verb"]),
        plain(&record["request"]),
        record["response"],
        record["bytes"],
    );
}

fn application_line(record: &Value, text: &mut String) {
    let _ = write!(
        text,
        "{} INFO  [{}] {} {} took {} ms",
        plain(&record["@timestamp"]),
        plain(&record["clientip"]),
        plain(&record["verb"]),
        plain(&record["request"]),
        record["latency_ms"],
    );
}
