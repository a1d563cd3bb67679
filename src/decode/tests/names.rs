//! Which field goes into which column.

use frazil_dataset::{Column, Format};
use serde_json::{Value, json};

use super::support::{column, dataset, decode, field, row, rows};

fn from(name: &str, column_type: &str, sources: &[&str]) -> Column {
    let mut column = column(name, column_type);
    column.from = sources.iter().map(|source| field(source)).collect();
    column
}

fn one(columns: Vec<Column>, record: &str) -> Value {
    row(&decode(&dataset(Format::Json, columns), record))
}

#[test]
fn a_field_of_exactly_that_name_comes_before_the_path() {
    let country = || vec![from("country", "string", &["geo.country"])];
    assert_eq!(
        one(country(), r#"{"geo":{"country":"DE"}}"#),
        json!({"country": "DE"})
    );
    assert_eq!(
        one(country(), r#"{"geo.country":"DE"}"#),
        json!({"country": "DE"})
    );
    assert_eq!(
        one(
            country(),
            r#"{"geo":{"country":"DE","city":"B"},"geo.country":"FR"}"#
        ),
        json!({"country": "FR", "_rescued": {
            "geo.country": {"value": "DE", "reason": "shadowed"},
            "geo.city": {"value": "B", "reason": "unknown_field"},
        }})
    );
}

#[test]
fn a_json_pointer_is_a_path_alone() {
    let trace = || {
        vec![
            from("trace", "string", &["/trace.id"]),
            from("b", "int", &["/a~1b/c~0d"]),
        ]
    };
    assert_eq!(
        one(trace(), r#"{"trace.id":"x","a/b":{"c~d":1}}"#),
        json!({"trace": "x", "b": 1})
    );
    assert_eq!(
        one(trace(), r#"{"trace":{"id":"x"}}"#),
        json!({"_rescued": {"trace.id": {"value": "x", "reason": "unknown_field"}}})
    );
}

#[test]
fn a_pointer_steps_into_arrays() {
    let columns = vec![
        from("first", "string", &["/tags/0"]),
        from("x", "int", &["/items/1/x"]),
    ];
    assert_eq!(
        one(
            columns,
            r#"{"tags":["a","b"],"items":[{"x":1},{"x":2,"y":3},[]]}"#
        ),
        json!({"first": "a", "x": 2, "_rescued": {
            "tags[1]": {"value": "b", "reason": "unknown_field"},
            "items[0].x": {"value": 1, "reason": "unknown_field"},
            "items[1].y": {"value": 3, "reason": "unknown_field"},
            "items[2]": {"value": [], "reason": "unknown_field"},
        }})
    );
}

#[test]
fn the_first_alias_with_a_value_counts() {
    let time = || vec![from("t", "int", &["@timestamp", "ts"])];
    assert_eq!(one(time(), r#"{"ts":1}"#), json!({"t": 1}));
    assert_eq!(
        one(time(), r#"{"@timestamp":null,"ts":1}"#),
        json!({"t": 1})
    );
    assert_eq!(
        one(time(), r#"{"ts":1,"@timestamp":2}"#),
        json!({"t": 2, "_rescued": {"ts": {"value": 1, "reason": "shadowed"}}})
    );
    assert_eq!(
        one(time(), r#"{"ts":1,"@timestamp":"x"}"#),
        json!({"_rescued": {
            "ts": {"value": 1, "reason": "shadowed"},
            "@timestamp": {"value": "x", "reason": "unparsable"},
        }})
    );
}

#[test]
fn a_value_that_another_column_takes_is_not_shadowed() {
    let columns = vec![from("a", "int", &["x", "y"]), from("b", "int", &["y"])];
    assert_eq!(one(columns, r#"{"x":1,"y":2}"#), json!({"a": 1, "b": 2}));
}

#[test]
fn one_field_fills_several_columns() {
    let columns = vec![
        from("country", "string", &["geo.country"]),
        column("geo", "struct<country: string, asn: int>"),
        from("text", "string", &["geo"]),
    ];
    assert_eq!(
        one(columns, r#"{"geo":{"country":"DE","asn":1}}"#),
        json!({"country": "DE", "geo": {"country": "DE", "asn": 1},
            "text": "{\"country\":\"DE\",\"asn\":1}"})
    );
}

#[test]
fn case_is_looked_past_where_no_name_is_exact() {
    let status = || vec![column("status", "int")];
    assert_eq!(one(status(), r#"{"Status":1}"#), json!({"status": 1}));
    assert_eq!(
        one(status(), r#"{"Status":1,"status":2}"#),
        json!({"status": 2, "_rescued": {"Status": {"value": 1, "reason": "ambiguous_name"}}})
    );
    assert_eq!(
        one(status(), r#"{"status":2,"Status":1}"#),
        json!({"status": 2, "_rescued": {"Status": {"value": 1, "reason": "ambiguous_name"}}})
    );
    let neither = json!({"_rescued": {
        "Status": {"value": 1, "reason": "ambiguous_name"},
        "STATUS": {"value": 2, "reason": "ambiguous_name"},
        "sTATUS": {"value": 3, "reason": "ambiguous_name"},
    }});
    assert_eq!(
        one(status(), r#"{"Status":1,"STATUS":2,"sTATUS":3}"#),
        neither
    );
    assert_eq!(
        one(status(), r#"{"Status":1,"STATUS":2,"status":4}"#)["status"],
        json!(4)
    );
    assert_eq!(
        one(status(), r#"{"Status":1,"Status":2}"#),
        json!({"status": 2, "_rescued": {"Status": {"value": 1, "reason": "duplicate_key"}}})
    );
}

#[test]
fn a_key_that_is_as_near_to_two_columns_goes_to_neither() {
    let columns = || vec![column("Status", "int"), column("status", "int")];
    assert_eq!(
        one(columns(), r#"{"STATUS":1,"status":2}"#),
        json!({"status": 2, "_rescued": {"STATUS": {"value": 1, "reason": "ambiguous_name"}}})
    );
}

#[test]
fn disliked_characters_are_looked_past_last() {
    let agent = || vec![column("user_agent", "string")];
    assert_eq!(
        one(agent(), r#"{"User-Agent":"x"}"#),
        json!({"user_agent": "x"})
    );
    assert_eq!(
        one(agent(), r#"{"user-agent":"x","USER_AGENT":"y"}"#),
        json!({"user_agent": "y", "_rescued": {"user-agent": {"value": "x", "reason": "ambiguous_name"}}})
    );
}

#[test]
fn names_within_a_struct_are_found_the_same_way() {
    let columns = vec![column("geo", "struct<country: string, asn: int>")];
    assert_eq!(
        one(
            columns,
            r#"{"Geo":{"COUNTRY":"DE","asn":1,"asn":2,"x.y":3}}"#
        ),
        json!({"geo": {"country": "DE", "asn": 2}, "_rescued": {
            "Geo.asn": {"value": 1, "reason": "duplicate_key"},
            "/Geo/x.y": {"value": 3, "reason": "unknown_field"},
        }})
    );
}

#[test]
fn an_object_given_twice_leaves_nothing_of_the_first_in_the_columns() {
    let columns = vec![from("a", "int", &["o.a"]), from("b", "int", &["o.b"])];
    assert_eq!(
        one(columns, r#"{"o":{"a":1,"b":2},"o":{"b":3}}"#),
        json!({"b": 3, "_rescued": {"o": {"value": {"a": 1, "b": 2}, "reason": "duplicate_key"}}})
    );
}

#[test]
fn a_field_that_is_only_looked_into_and_is_no_object_is_unknown() {
    let country = || vec![from("country", "string", &["geo.country"])];
    assert_eq!(
        one(country(), r#"{"geo":"DE"}"#),
        json!({"_rescued": {"geo": {"value": "DE", "reason": "unknown_field"}}})
    );
    assert_eq!(one(country(), r#"{"geo":null}"#), json!({}));
}

#[test]
fn rescued_paths_are_ones_that_from_takes() {
    let row = one(
        vec![column("a", "int")],
        r#"{"x.y":1,"x":{"y.z":2,"":3},"/p":4,"$q":5,"":6,"q\"\u0041\n":7,"[0]":8}"#,
    );
    let paths: Vec<&String> = row["_rescued"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "", "$$q", "/", "/x/", "/x/y.z", "/~1p", "[0]", "q\"A\n", "x.y"
        ][1..]
    );
}

#[test]
fn keys_in_any_order_and_number_find_their_columns() {
    use std::fmt::Write as _;
    let columns: Vec<Column> = (0..40)
        .map(|n| column(&format!("a_rather_long_name_{n}"), "int"))
        .collect();
    let mut text = String::new();
    for line in 0..200_usize {
        text.push('{');
        for at in 0..40 {
            // Another order in each line, and each time other fields missing.
            let number = (at * 7 + line * 11) % 40;
            if (number + line) % 3 != 0 {
                let comma = if text.ends_with('{') { "" } else { "," };
                write!(text, "{comma}\"a_rather_long_name_{number}\":{number}").unwrap();
            }
        }
        writeln!(text, ",\"once_{line}\":1}}").unwrap();
    }
    let decoded = decode(&dataset(Format::Json, columns), text);
    for (line, row) in rows(&decoded.rows).iter().enumerate() {
        for number in 0..40 {
            let found = row.get(format!("a_rather_long_name_{number}"));
            let expected = ((number + line) % 3 != 0).then(|| json!(number));
            assert_eq!(found, expected.as_ref());
        }
        assert_eq!(row["_rescued"].as_object().unwrap().len(), 1);
    }
}
