//! Each kind of mistake in columns, and in what refers to them.

use super::mistakes::{check, said};

/// A file of one column.
fn check_column(cases: &[(&str, &str)]) {
    for (column, expected) in cases {
        let text = format!("columns = [\n  {{ {column} }},\n]");
        assert_eq!(said(&text), *expected, "of the file:\n{text}");
    }
}

#[test]
fn columns_as_a_whole() {
    let example = "\n  help: `columns = [{ name = \"time\", type = \"timestamptz\" }]`";
    check(&[
        (
            "format = \"json\"",
            &format!("web.toml:1:1: `columns` is missing{example}"),
        ),
        ("", &format!("web.toml: `columns` is missing{example}")),
        (
            "columns = []",
            &format!("web.toml:1:11: `columns` has no column{example}"),
        ),
        (
            "columns = \"time\"",
            "web.toml:1:11: `columns` takes an array of tables, one a column, not a string",
        ),
        (
            "columns = [\"time\"]",
            "web.toml:1:12: `columns` takes tables, one a column; this is a string",
        ),
        (
            "[columns]\ntime = \"int\"",
            "web.toml:1:2: `columns` takes an array of tables, one a column, not a section",
        ),
        (
            "[[columns]]\ntype = \"int\"",
            &format!("web.toml:1:1: the column has no `name`{example}"),
        ),
    ]);
    let many: Vec<String> = (0..2_001)
        .map(|i| format!("{{ name = \"c{i}\", type = \"int\" }},\n"))
        .collect();
    let many = many.concat();
    assert_eq!(
        said(&format!("columns = [{many}]")),
        "web.toml:1:11: there are 2001 columns, of at most 2000\n  help: a `struct<…>` or a `map<string, …>` holds many fields"
    );
    let fields: Vec<String> = (0..1_000).map(|i| format!("f{i}: int,")).collect();
    let fields = fields.concat();
    let wide: Vec<String> = (0..10)
        .map(|i| {
            format!(
                "{{ name = \"c{i}\", type = \"struct<{}>\" }},\n",
                fields.trim_end_matches(',')
            )
        })
        .collect();
    let wide = wide.concat();
    assert_eq!(
        said(&format!("columns = [{wide}]")),
        "web.toml:1:11: the columns' types have 10010 fields, of at most 10000"
    );
}

#[test]
fn a_column() {
    check_column(&[
        (
            "type = \"int\"",
            "web.toml:2:3: the column has no `name`\n  help: `columns = [{ name = \"time\", type = \"timestamptz\" }]`",
        ),
        (
            "name = 1, type = \"int\"",
            "web.toml:2:12: `columns.name` takes a column's name, not an integer",
        ),
        (
            "name = \"a.b\", type = \"int\"",
            "web.toml:2:12: the column's name `a.b` holds `.`, which engines do not take in a column's name\n  help: `name = \"a_b\", from = \"a.b\"`",
        ),
        (
            "name = \"_pos\", type = \"int\"",
            "web.toml:2:12: the column's name `_pos` is reserved by Iceberg",
        ),
        (
            "name = \"_rescued\", type = \"string\"",
            "web.toml:2:12: the column `_rescued` has the name of the rescued column\n  help: give the one or the other another name: `rescued = \"_unfit\"`; `rescued = false` makes none",
        ),
        (
            "name = \"a\"",
            "web.toml:2:12: the column `a` has no `type`\n  help: `type = \"string\"`",
        ),
        (
            "name = \"a\", type = 5",
            "web.toml:2:24: `columns.type` takes a type, such as \"string\", not an integer",
        ),
        (
            "name = \"a\", type = \"map<string, struct<ä: int, b: bigint>>\"",
            "web.toml:2:55: unknown type `bigint`\n  help: here that is `long`",
        ),
        (
            "name = \"a\", type = \"list<\\u0069nt64>\"",
            "web.toml:2:24: unknown type `int64`\n  help: here that is `long`",
        ),
        (
            "name = \"a\", type = \"int\", required = \"yes\"",
            "web.toml:2:42: `columns.required` takes true or false, not a string",
        ),
        (
            "name = \"a\", type = \"int\", coerce = \"lax\"",
            "web.toml:2:40: unknown coercion profile `lax`\n  help: profiles are `strict`, `standard` and `lenient`",
        ),
        (
            "name = \"a\", type = \"int\", doc = 1",
            "web.toml:2:37: `columns.doc` takes a description, not an integer",
        ),
        (
            "name = \"a\", type = \"int\", from = []",
            "web.toml:2:38: `columns.from` names no field\n  help: leave it out, or name a field",
        ),
        (
            "name = \"a\", type = \"int\", from = 1",
            "web.toml:2:38: `columns.from` takes a field's name, or an array of them, not an integer",
        ),
        (
            "name = \"a\", type = \"int\", from = [\"x\", 1]",
            "web.toml:2:44: `columns.from` takes a field's name, or an array of them; this is an integer",
        ),
        (
            "name = \"a\", type = \"int\", from = [\"x\", \"x\"]",
            "web.toml:2:44: `columns.from` has `x` twice",
        ),
        (
            "name = \"a\", type = \"int\", from = \"\"",
            "web.toml:2:38: `from` names no field\n  help: write a field's name",
        ),
        (
            "name = \"a\", type = \"string\", from = \"$topik\"",
            "web.toml:2:41: unknown source `$topik`\n  help: did you mean `$topic`? A field of the name `$topik` is written `$$topik`",
        ),
        (
            "name = \"a\", type = \"int\", from = \"$offset\"",
            "web.toml:2:38: `$offset` does not go into a column of type `int`\n  help: `type = \"long\"`",
        ),
        (
            "name = \"a\", type = \"string\", parse = \"rfc3339\"",
            "web.toml:2:42: `parse` does nothing on a column of type `string`\n  help: `parse` is for `date`, `time`, `timestamp` and `timestamptz`; remove it or change the type",
        ),
        (
            "name = \"a\", type = \"timestamptz\", timezone = \"Mars\"",
            "web.toml:2:50: `Mars` is not a time zone\n  help: an IANA name such as `Europe/Berlin`, or an offset such as `+02:00`",
        ),
        (
            "name = \"a\", type = \"date\", timezone = \"UTC\"",
            "web.toml:2:43: `timezone` does nothing on a column of type `date`\n  help: `timezone` is for `timestamptz`: the zone of times that carry none; remove it or change the type",
        ),
        (
            "name = \"a\", type = \"int\" }, { name = \"a\", type = \"int\"",
            "web.toml:2:42: there is a column `a` already",
        ),
    ]);
}

#[test]
fn columns_of_raw_lines() {
    for (columns, expected) in [
        (
            "{ name = \"a\", type = \"string\", from = \"field\" }",
            "web.toml:2:50: `field` is a field, and lines of the format `raw` have none\n  help: `from = \"$raw\"` is the line",
        ),
        (
            "{ name = \"a\", type = \"string\" }, { name = \"b\", type = \"string\" }",
            "web.toml:2:21: the column `a` has no `from`, and lines of the format `raw` have no fields\n  help: `from = \"$raw\"` is the line\nweb.toml:2:54: the column `b` has no `from`, and lines of the format `raw` have no fields\n  help: `from = \"$raw\"` is the line",
        ),
        (
            "{ name = \"a\", type = \"list<string>\" }",
            "web.toml:2:21: `$raw` does not go into a column of type `list<string>`\n  help: `type = \"string\"`",
        ),
    ] {
        assert_eq!(
            said(&format!("format = \"raw\"\ncolumns = [{columns}]")),
            expected
        );
    }
}

#[test]
fn partitions_and_order() {
    let columns = "columns = [{ name = \"time\", type = \"timestamptz\" }, { name = \"d\", type = \"date\" }, \
                   { name = \"n\", type = \"double\" }, { name = \"host\", type = \"string\" }, \
                   { name = \"host_bucket\", type = \"int\" }, { name = \"geo\", type = \"struct<asn: int>\" }]";
    let none = "columns are `time`, `d`, `n`, `host`, `host_bucket` and `geo`";
    for (key, value, expected) in [
        ("partition_by", "\"day(time)\"", "16: `partition_by` takes an array of transforms, such as [\"day(time)\"], not a string".to_owned()),
        ("partition_by", "[1]", "17: `partition_by` takes an array of transforms, such as [\"day(time)\"]; this is an integer".to_owned()),
        ("partition_by", "[\"\"]", "17: `partition_by`: it names no column\n  help: `day(time)`, `bucket(16, host)`, `host`".to_owned()),
        ("partition_by", "[\"day(time\"]", "17: `partition_by`: `day(time` does not end in `)`".to_owned()),
        ("partition_by", "[\"day()\"]", "17: `partition_by`: `day()` names no column\n  help: `day(time)`".to_owned()),
        ("partition_by", "[\"day(7, time)\"]", "17: `partition_by`: `day` takes a column only\n  help: `day(time)`".to_owned()),
        ("partition_by", "[\"weekly(time)\"]", "17: `partition_by`: unknown transform `weekly`\n  help: transforms are `identity`, `bucket`, `truncate`, `year`, `month`, `day`, `hour` and `void`".to_owned()),
        ("partition_by", "[\"bucket(host)\"]", "17: `partition_by`: `bucket` needs its number of buckets\n  help: `bucket(16, host)`".to_owned()),
        ("partition_by", "[\"bucket(0, host)\"]", "17: `partition_by`: a number of buckets is from 1 to 2147483647, not 0".to_owned()),
        ("partition_by", "[\"truncate(wide, host)\"]", "17: `partition_by`: `wide` is not a width\n  help: `truncate(16, host)`".to_owned()),
        ("partition_by", "[\"zebra\"]", format!("17: `partition_by`: there is no column `zebra`\n  help: {none}")),
        ("partition_by", "[\"geo.asn\"]", "17: `partition_by`: to partition by a field within a column is not supported yet\n  help: give it a column of its own: `{ name = \"geo_asn\", from = \"geo.asn\", … }`".to_owned()),
        ("partition_by", "[\"hour(d)\"]", "17: `partition_by`: `hour` does not take a `date`\n  help: it takes timestamp and timestamptz".to_owned()),
        ("partition_by", "[\"day(host)\"]", "17: `partition_by`: `day` does not take a `string`\n  help: it takes date, timestamp and timestamptz".to_owned()),
        ("partition_by", "[\"bucket(4, n)\"]", "17: `partition_by`: `bucket` does not take a `double`\n  help: it takes int, long, decimal, date, time, timestamp, timestamptz, string, uuid, fixed and binary".to_owned()),
        ("partition_by", "[\"truncate(4, d)\"]", "17: `partition_by`: `truncate` does not take a `date`\n  help: it takes int, long, decimal, string and binary".to_owned()),
        ("partition_by", "[\"geo\"]", "17: `partition_by`: `identity` does not take a `struct<asn: int>`\n  help: it takes all but struct, list and map".to_owned()),
        ("partition_by", "[\"day(time)\", \"hour(time)\"]", "30: `partition_by`: `hour(time)` and `day(time)` cut one column twice\n  help: the finer of the two prunes for both: keep that one".to_owned()),
        ("partition_by", "[\"host\", \"identity(host)\"]", "25: `partition_by`: `host` and `host` are one transform of one column".to_owned()),
        ("partition_by", "[\"bucket(4, host)\"]", "17: `partition_by`: the partition of `bucket(4, host)` is called as the column `host_bucket` is\n  help: give the column another name".to_owned()),
        ("sort_by", "\"host\"", "11: `sort_by` takes an array of columns, such as [\"host\", \"time desc\"], not a string".to_owned()),
        ("sort_by", "[\"\"]", "12: `sort_by`: it names no column\n  help: `host`, `time desc`".to_owned()),
        ("sort_by", "[\"hots\"]", "12: `sort_by`: there is no column `hots`\n  help: did you mean `host`?".to_owned()),
        ("sort_by", "[\"host down\"]", "12: `sort_by`: `down` is not a direction\n  help: `asc` or `desc`".to_owned()),
        ("sort_by", "[\"host asc nulls last\"]", "12: `sort_by`: `nulls` in an order is not supported yet\n  help: nulls come first in ascending order and last in descending".to_owned()),
        ("sort_by", "[\"day(time) desc\"]", "12: `sort_by`: a transform in an order is not supported yet\n  help: sort by the column itself: that keeps the order of its transforms too".to_owned()),
        ("sort_by", "[\"geo\"]", "12: `sort_by`: a `struct<asn: int>` has no order\n  help: sort by columns that are no struct, list or map".to_owned()),
        ("sort_by", "[\"host\", \"host desc\"]", "20: `sort_by`: the column `host` is there twice".to_owned()),
    ] {
        assert_eq!(said(&format!("{columns}\n{key} = {value}")), format!("web.toml:2:{expected}"), "{key} = {value}");
    }
}
