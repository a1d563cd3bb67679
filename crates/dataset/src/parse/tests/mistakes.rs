//! Each kind of mistake, and what is said of it.

use crate::parse_dataset;

/// What is said of a file, with `web.toml:` before each place.
pub(super) fn said(text: &str) -> String {
    match parse_dataset(text, "web.toml", "web") {
        Ok(_) => "no mistake".to_owned(),
        Err(diagnostics) => diagnostics.render(),
    }
}

pub(super) fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(said(text), *expected, "of the file:\n{text}");
    }
}

/// A file that is right but for what is added above its one column.
fn check_added(cases: &[(&str, &str)]) {
    for (added, expected) in cases {
        let text = format!("columns = [{{ name = \"t\", type = \"string\" }}]\n{added}");
        assert_eq!(said(&text), *expected, "of the file:\n{text}");
    }
}

#[test]
fn all_mistakes_are_told_in_the_files_order() {
    let text = r#"
dataset = "we b"
colums = []
format = "jsn"
columns = [
  { name = "time", type = "datetime" },
  { name = "Host", type = "string", requird = true },
  { name = "host", type = "varchar(20)" },
]
partition_by = ["days(time)", "bucket(host, 16)", "hots"]

[checkpoint]
interval = "5m"
bytes = 512
partition = 1
"#;
    let expected = "\
web.toml:2:11: `dataset`: the name `we b` holds a space; names are of letters, digits, `_` and `-`
  help: `we_b`?
web.toml:3:1: unknown key `colums`
  help: did you mean `columns`?
web.toml:4:10: unknown format `jsn`
  help: did you mean `json`?
web.toml:6:28: unknown type `datetime`
  help: here that is `timestamptz` (an instant) or `timestamp` (without a zone)
web.toml:7:37: unknown key `requird` in a column
  help: did you mean `required`?
web.toml:8:12: `host` and the column `Host` differ in case only
  help: Hive, Trino and Spark do not tell upper from lower case in columns' names
web.toml:8:28: unknown type `varchar`
  help: here that is `string`
web.toml:10:17: `partition_by`: unknown transform `days`
  help: did you mean `day`?
web.toml:10:31: `partition_by`: the number of buckets comes first in `bucket`
  help: `bucket(16, host)`
web.toml:10:51: `partition_by`: there is no column `hots`
  help: did you mean `host`?
web.toml:13:12: `checkpoint.interval`: `m` may be minutes or months
  help: minutes are \"5min\"; a month is \"30d\"
web.toml:14:9: `checkpoint.bytes` takes a size in bytes, such as \"512MiB\", not an integer
web.toml:15:1: unknown key `partition` in `[checkpoint]`
  help: did you mean `partition_by`, at the top level, above the first `[section]`?";
    assert_eq!(said(text), expected);
}

#[test]
fn syntax() {
    check(&[
        (
            "format = json",
            "web.toml:1:10: string values must be quoted, expected literal string\n  help: text stands in quotes: `format = \"json\"`",
        ),
        (
            "format: json",
            "web.toml:1:9: key with no value, expected `=`\n  help: TOML writes `format = \"json\"`",
        ),
        (
            "format = \"json\"\nformat = \"raw\"",
            "web.toml:2:1: duplicate key\n  help: a key stands once in its section",
        ),
        ("columns = [", "web.toml:1:12: unclosed array, expected `]`"),
        (
            "\u{feff}fromat = 1\ncolumns = []",
            "web.toml:1:1: unknown key `fromat`\n  help: did you mean `format`?\nweb.toml:2:11: `columns` has no column\n  help: `columns = [{ name = \"time\", type = \"timestamptz\" }]`",
        ),
        (
            "# größer\r\nä = \"ö\" ü",
            "web.toml:2:9: unexpected key or value, expected newline, `#`",
        ),
    ]);
    let large = "#".repeat(crate::FILE_BYTES_MAX + 1);
    assert_eq!(
        said(&large),
        "web.toml:1:1: the file has 4194305 bytes, of at most 4194304"
    );
}

#[test]
fn keys_that_are_unknown_or_misplaced() {
    check_added(&[
        (
            "zebra = 1",
            "web.toml:2:1: unknown key `zebra`\n  help: known keys are `dataset`, `table`, `catalog`, `project`, `owner`, `format`, `multiline`, `columns`, `partition_by`, `sort_by`, `unknown_fields`, `rescued`, `profile`, `source`, `dedup`, `checkpoint`, `complete`, `limits`, `retention`, `dead_letters`, `snapshots`, `maintenance` and `properties`",
        ),
        (
            "schema = 1",
            "web.toml:2:1: unknown key `schema`\n  help: did you mean `columns`?",
        ),
        (
            "order_by = 1",
            "web.toml:2:1: unknown key `order_by`\n  help: did you mean `sort_by`?",
        ),
        (
            "interval = 1",
            "web.toml:2:1: `interval` does not belong at the top level\n  help: it belongs in `[checkpoint]`",
        ),
        (
            "paths = 1",
            "web.toml:2:1: `paths` does not belong at the top level\n  help: it belongs in `[source.files]`",
        ),
        (
            "from = 1",
            "web.toml:2:1: `from` does not belong at the top level\n  help: it belongs in a column",
        ),
        (
            "[checkpoint]\npartition_by = []",
            "web.toml:3:1: `partition_by` does not belong in `[checkpoint]`\n  help: it belongs at the top level, above the first `[section]`",
        ),
        (
            "[limits]\nrecords = 1",
            "web.toml:3:1: `records` does not belong in `[limits]`\n  help: it belongs in `[checkpoint]`",
        ),
        (
            "[checkpoint]\nintervall = \"1s\"",
            "web.toml:3:1: unknown key `intervall` in `[checkpoint]`\n  help: did you mean `interval`?",
        ),
        (
            "[source.file]\npaths = []",
            "web.toml:2:9: unknown key `file` in `[source]`\n  help: did you mean `files`?",
        ),
        (
            "checkpoint = 5",
            "web.toml:2:14: `checkpoint` takes a section: `[checkpoint]`, not an integer",
        ),
        (
            "[[checkpoint]]\nbytes = \"1B\"",
            "web.toml:2:3: `checkpoint` takes a section: `[checkpoint]`, not an array of sections",
        ),
    ]);
}

#[test]
fn keys_that_nothing_acts_on_yet() {
    let remove = "nothing in this version acts on it; remove it";
    for (added, place, what) in [
        ("[retention]\nkeep = \"30d\"", "2:2", "retention"),
        ("[[retention.rules]]\nkeep = \"30d\"", "2:3", "retention"),
        ("[maintenance]\nevery = \"15min\"", "2:2", "maintenance"),
    ] {
        let text = format!("columns = [{{ name = \"t\", type = \"string\" }}]\n{added}");
        assert_eq!(
            said(&text),
            format!("web.toml:{place}: `{what}` is not supported yet\n  help: {remove}")
        );
    }
    check_added(&[(
        "unknown_fields = \"add\"",
        "web.toml:2:18: `unknown_fields = \"add\"` is not supported yet\n  help: `rescue` keeps them in the rescued column",
    )]);
}

#[test]
fn formats_and_their_options() {
    check_added(&[
        (
            "format = { type = \"json\", delimiter = \";\" }",
            "web.toml:2:27: `delimiter` does nothing for the format `json`\n  help: it is an option of `csv`",
        ),
        (
            "format = { type = \"csv\", delimiter = \"ab\", quote = true }",
            "web.toml:2:38: `format.delimiter` takes one character, such as \";\"\n  help: an ASCII character that is no letter, digit or line end; a tab is \"\\t\"\nweb.toml:2:52: `format.quote` takes one character, such as \";\", not a boolean",
        ),
        (
            "format = { type = \"csv\", quote = \",\" }",
            "web.toml:2:34: `format.quote` and `format.delimiter` are the same character\n  help: `quote = false` where cells are never quoted",
        ),
        (
            "format = { type = \"tsv\", header = true, columns = [\"a\", \"a\"] }",
            "web.toml:2:35: `header = true` and `columns` both name the cells\n  help: `header = false`, or leave `columns` out: the header names the cells\nweb.toml:2:57: `format.columns` has `a` twice",
        ),
        (
            "format = \"regex\"",
            "web.toml:2:10: the format `regex` has no `pattern`\n  help: `format = { type = \"regex\", pattern = '^(?P<level>\\w+) (?P<message>.*)$' }`",
        ),
        (
            "format = { type = \"regex\", pattern = '(?P<a>x)(?=y)' }",
            "web.toml:2:47: `format.pattern`: look-around, including look-ahead and look-behind, is not supported\n  help: regular expressions here have no look-around and no back-references: each takes linear time",
        ),
        (
            "[format]\ntype = \"grok\"\npattern = \"x %{NUMBR:n}\"\n[format.patterns]\nA = 1",
            "web.toml:6:5: `format.patterns.A` takes a pattern in quotes, not an integer",
        ),
        (
            "format = { type = \"grok\", pattern = \"x %{NUMBR:n}\" }",
            "web.toml:2:40: `format.pattern`: there is no pattern `NUMBR`\n  help: did you mean `NUMBER`?",
        ),
        (
            "format = { type = \"syslog\", year = 2026 }",
            "web.toml:2:36: `format.year` takes \"ingested_at\", not an integer",
        ),
        (
            "[multiline]\nlines_max = 0",
            "web.toml:2:2: `multiline` has no `start`\n  help: `start = '^\\d{4}-'`: what the first line of each record matches",
        ),
        (
            "multiline = { start = 'a(', lines_max = 0, bytes_max = \"2MiB\" }",
            "web.toml:2:25: `multiline.start`: unclosed group\nweb.toml:2:41: `multiline.lines_max` takes a number of lines, such as 1000, not an integer\nweb.toml:2:56: `multiline.bytes_max` is more than a record may be long, or nothing\n  help: up to `limits.record_bytes_max`, which is \"1MiB\" unless stated",
        ),
        (
            "format = \"csv\"\nmultiline = { start = 'a' }",
            "web.toml:3:13: `multiline` is not for `csv` and `tsv`\n  help: cells in quotes may hold line ends by themselves",
        ),
        (
            "format = \"nginx\"",
            "web.toml:2:10: unknown format `nginx`\n  help: did you mean `combined_log`?",
        ),
    ]);
}

#[test]
fn names_and_choices() {
    check_added(&[
        (
            "dataset = \"\"",
            "web.toml:2:11: `dataset`: the name `` is empty",
        ),
        (
            "dataset = \"-x\"",
            "web.toml:2:11: `dataset`: the name `-x` begins with `-`, as a flag does\n  help: `x`?",
        ),
        (
            "dataset = 5",
            "web.toml:2:11: `dataset` takes a dataset's name, not an integer",
        ),
        (
            "catalog = \"a/b\"",
            "web.toml:2:11: `catalog`: the name `a/b` holds `/`; names are of letters, digits, `_` and `-`\n  help: `a_b`?",
        ),
        (
            "table = \"web\"",
            "web.toml:2:9: `table`: `web` has no namespace\n  help: `table = \"logs.web\"`",
        ),
        (
            "table = \"logs..web\"",
            "web.toml:2:15: `table`: the name `` in `logs..web` is empty",
        ),
        (
            "table = \"logs.größe\"",
            "web.toml:2:15: `table`: the name `größe` in `logs.größe` holds `ö`; names are of letters, digits, `_` and `-`",
        ),
        (
            "table = \"a.b.c.d.e.f.g.h.i.j\"",
            "web.toml:2:9: `table`: the namespace has 9 levels, of at most 8",
        ),
        (
            "table = \"logs.web__dead_letters\"",
            "web.toml:2:9: `table`: `web__dead_letters` has the name of a dead-letter table\n  help: `<table>__dead_letters` is made beside each table for what cannot be a row",
        ),
        (
            "dataset = \"web__dead_letters\"",
            "web.toml:1:1: the table `web__dead_letters` has the name of a dead-letter table\n  help: `<table>__dead_letters` is made beside each table for what cannot be a row",
        ),
        (
            "project = \"\"",
            "web.toml:2:11: `project` is a label: one line, not empty, of at most 256 bytes",
        ),
        (
            "owner = [\"a\"]",
            "web.toml:2:9: `owner` takes a text, not an array",
        ),
        (
            "format = \"ndjson\"",
            "web.toml:2:10: unknown format `ndjson`\n  help: did you mean `json`?",
        ),
        (
            "format = \"avro\"",
            "web.toml:2:10: unknown format `avro`\n  help: formats are `json`, `raw`, `csv`, `tsv`, `logfmt`, `syslog`, `common_log`, `combined_log`, `regex` and `grok`",
        ),
        (
            "format = 1",
            "web.toml:2:10: `format` takes a format's name, such as \"json\", or a table with its options, not an integer",
        ),
        (
            "format = { delimiter = \";\" }",
            "web.toml:2:10: `format` has no `type`\n  help: `format = { type = \"json\" }`",
        ),
        (
            "profile = \"sloppy\"",
            "web.toml:2:11: unknown coercion profile `sloppy`\n  help: profiles are `strict`, `standard` and `lenient`",
        ),
        (
            "profile = \"Strict\"",
            "web.toml:2:11: unknown coercion profile `Strict`\n  help: did you mean `strict`?",
        ),
        (
            "unknown_fields = \"drop\"",
            "web.toml:2:18: `unknown_fields` does not know `drop`\n  help: it takes `rescue` and `ignore`",
        ),
        (
            "rescued = true",
            "web.toml:2:11: `rescued` takes a column's name, or false for none, not a boolean",
        ),
        (
            "rescued = \"a.b\"",
            "web.toml:2:11: `rescued`: the name `a.b` holds `.`, which engines do not take in a column's name",
        ),
        (
            "rescued = \"T\"",
            "web.toml:2:11: the column `t` has the name of the rescued column\n  help: give the one or the other another name: `rescued = \"_unfit\"`; `rescued = false` makes none",
        ),
    ]);
    let diagnostics = parse_dataset(
        "columns = [{ name = \"t\", type = \"int\" }]",
        "my logs.toml",
        "my logs",
    );
    assert_eq!(
        diagnostics.expect_err("the name is wrong").render(),
        "my logs.toml:1:1: the file's name, `my logs`, is no dataset's name: it holds a space; names are of letters, \
         digits, `_` and `-`\n  help: add `dataset = \"my_logs\"`, or rename the file"
    );
}

#[test]
fn sections() {
    check_added(&[
        (
            "[source]",
            "web.toml:2:2: `[source]` names no source\n  help: `[source.files]` with `paths`, `[source.kafka]` with `topics`, or no section and `--from` when writing",
        ),
        (
            "[source.files]",
            "web.toml:2:9: `[source.files]` has no `paths`\n  help: `paths = [\"/var/log/app/*.log\"]`",
        ),
        (
            "source.files.paths = []",
            "web.toml:2:22: `source.files.paths` names no file\n  help: `paths = [\"/var/log/app/*.log\"]`",
        ),
        (
            "source.files.paths = \"/a\"",
            "web.toml:2:22: `source.files.paths` takes an array of files, folders and globs, such as [\"/var/log/app/*.log\"], not a string",
        ),
        (
            "source.files.paths = [\"\"]",
            "web.toml:2:23: `source.files.paths`: the path is empty\n  help: `paths = [\"/var/log/app/*.log\"]`",
        ),
        (
            "source.files.paths = [\"-\"]",
            "web.toml:2:23: `source.files.paths`: `-` is not a file\n  help: standard input is named when writing: `--from -`",
        ),
        (
            "source.files.paths = [\"s3://in/*.csv\"]",
            "web.toml:2:23: `source.files.paths`: files of `s3:` are not supported yet\n  help: a path of this machine",
        ),
        (
            "checkpoint.interval = \"0s\"",
            "web.toml:2:23: `checkpoint.interval` is out of range\n  help: from \"1ms\" to \"1d\"",
        ),
        (
            "checkpoint.interval = \"2d\"",
            "web.toml:2:23: `checkpoint.interval` is out of range\n  help: from \"1ms\" to \"1d\"",
        ),
        (
            "checkpoint.interval = 60",
            "web.toml:2:23: `checkpoint.interval` takes a duration, such as \"1min\", not an integer",
        ),
        (
            "checkpoint.bytes = \"0B\"",
            "web.toml:2:20: `checkpoint.bytes` is zero\n  help: at least \"1B\"",
        ),
        (
            "checkpoint.bytes = \"512M\"",
            "web.toml:2:20: `checkpoint.bytes`: `M` is not a unit of size\n  help: \"512MiB\" counts in 1024s, \"512MB\" in 1000s",
        ),
        (
            "checkpoint.records = 0",
            "web.toml:2:22: `checkpoint.records` is at least 1",
        ),
        (
            "checkpoint.records = \"many\"",
            "web.toml:2:22: `checkpoint.records` takes a number of records, such as 1000000, not a string",
        ),
        (
            "limits.then = \"halt\"",
            "web.toml:2:15: `limits.then` does not know `halt`\n  help: it takes `stop` or `warn`",
        ),
        (
            "limits.window = \"0s\"",
            "web.toml:2:17: `limits.window` is out of range\n  help: from \"1s\" to \"1d\"",
        ),
        (
            "limits.dead_letters_max = 0.05",
            "web.toml:2:27: `limits.dead_letters_max` takes a percentage, such as \"5%\", not a float",
        ),
        (
            "limits.dead_letters_max = \"5\"",
            "web.toml:2:27: `limits.dead_letters_max`: `5` is not a percentage\n  help: write \"5%\"",
        ),
        (
            "limits.record_bytes_max = \"2GiB\"",
            "web.toml:2:27: `limits.record_bytes_max` is out of range\n  help: from \"1B\" to \"1GiB\"",
        ),
        (
            "[properties]\nwrite.x = \"1\"",
            "web.toml:3:1: `write` in `[properties]` is not quoted\n  help: a property's key is one text with dots: `\"write.parquet.compression-codec\" = \"zstd\"`",
        ),
        (
            "[properties]\n\"frazil.state\" = \"1\"",
            "web.toml:3:1: the property `frazil.state` cannot be set\n  help: properties that begin with `frazil.` are the table's own state",
        ),
        (
            "[properties]\n\"format-version\" = \"3\"",
            "web.toml:3:1: the property `format-version` cannot be set\n  help: Iceberg keeps it itself",
        ),
        (
            "[properties]\n\"write.x\" = 1",
            "web.toml:3:13: the property `write.x` takes a text\n  help: put the value in quotes",
        ),
        (
            "[properties]\n\"\" = \"1\"",
            "web.toml:3:1: a property's key is empty",
        ),
        (
            "properties = []",
            "web.toml:2:14: `properties` takes a section: `[properties]`, not an array",
        ),
    ]);
}

#[test]
fn of_very_many_mistakes_some_are_shown() {
    let text: Vec<String> = (0..150).map(|i| format!("zebra{i} = 1\n")).collect();
    let text = text.concat();
    let diagnostics = parse_dataset(&text, "web.toml", "web").expect_err("nothing in it is known");
    assert_eq!(diagnostics.list.len(), 101);
    assert!(
        diagnostics
            .render()
            .ends_with("\nweb.toml: 51 more mistakes are not shown")
    );
}
