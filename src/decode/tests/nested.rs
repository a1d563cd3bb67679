//! Structs, lists and maps within records.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};
use frazil_dataset::{Dataset, Format};
use serde_json::json;

use super::support::{NOW_MICROS, block, column, dataset, json, row, rows};
use crate::{decode::decoder, record::RowBlock};

#[test]
fn a_bad_element_costs_itself_alone() {
    let decoded = json(
        vec![column("tags", "list<int>")],
        r#"{"tags":[1,"x",3,4.5,null]}"#,
    );
    assert_eq!(
        row(&decoded),
        json!({"tags": [1, null, 3, null, null], "_rescued": {
            "tags[1]": {"value": "x", "reason": "unparsable"},
            "tags[3]": {"value": 4.5, "reason": "inexact"},
        }})
    );
}

#[test]
fn paths_lead_through_lists_and_structs() {
    let columns = vec![column(
        "items",
        "list<struct<name: string, prices: list<int>>>",
    )];
    let decoded = json(
        columns,
        r#"{"items":[{"name":"a","prices":[1,"no"]},7,{"prices":{},"more":true}]}"#,
    );
    assert_eq!(
        row(&decoded),
        json!({"items": [{"name": "a", "prices": [1, null]}, null, {}], "_rescued": {
            "items[0].prices[1]": {"value": "no", "reason": "unparsable"},
            "items[1]": {"value": 7, "reason": "wrong_type"},
            "items[2].prices": {"value": {}, "reason": "wrong_type"},
            "items[2].more": {"value": true, "reason": "unknown_field"},
        }})
    );
}

#[test]
fn maps_take_the_last_of_duplicate_keys() {
    let columns = vec![column("labels", "map<string, int>")];
    let decoded = json(columns, r#"{"labels":{"a":1,"b":"x","\u0061":2,"c":null}}"#);
    assert_eq!(
        row(&decoded),
        json!({"labels": {"a": 2}, "_rescued": {
            "labels.a": {"value": 1, "reason": "duplicate_key"},
            "labels.b": {"value": "x", "reason": "unparsable"},
        }})
    );
}

#[test]
fn keys_of_maps_are_coerced_from_their_text() {
    let columns = vec![column("by_code", "map<int, string>")];
    let decoded = json(columns, r#"{"by_code":{"1":"one","no":"two"}}"#);
    let shown = arrow_cast::display::array_value_to_string(decoded.rows.column(0), 0).unwrap();
    assert_eq!(shown, "{1: one}");
    let rescued = arrow_cast::display::array_value_to_string(decoded.rows.column(1), 0).unwrap();
    assert_eq!(
        rescued,
        r#"{"by_code.no":{"value":"two","reason":"unparsable"}}"#
    );
}

/// A table whose `geo` and `tags` have members that may not be null.
fn with_required_members(text: &str, nullable: bool) -> RowBlock {
    let asn: Fields = vec![
        Field::new("country", DataType::Utf8, true),
        Field::new("asn", DataType::Int32, false),
    ]
    .into();
    let element = Field::new("element", DataType::Int32, false);
    let schema = Schema::new(vec![
        Field::new("geo", DataType::Struct(asn), nullable),
        Field::new("tags", DataType::List(Arc::new(element)), true),
        Field::new("_rescued", DataType::Utf8, true),
    ]);
    let dataset: Dataset = dataset(Format::Json, Vec::new());
    let mut decoder = decoder(&dataset, &Arc::new(schema)).unwrap();
    decoder.decode(&block(text), NOW_MICROS)
}

#[test]
fn a_member_that_may_not_be_null_makes_the_whole_a_misfit() {
    let decoded = with_required_members(
        concat!(
            r#"{"geo":{"country":"DE","asn":1},"tags":[1,2]}"#,
            "\n",
            r#"{"geo":{"country":"FR","asn":"x","more":1},"tags":[3,null]}"#,
            "\n",
            r#"{"geo":{"country":"IT"},"tags":[4]}"#,
        ),
        true,
    );
    assert_eq!(
        rows(&decoded.rows),
        [
            json!({"geo": {"country": "DE", "asn": 1}, "tags": [1, 2]}),
            json!({"_rescued": {
                "geo": {"value": {"country": "FR", "asn": "x", "more": 1}, "reason": "missing_required"},
                "geo.more": {"value": 1, "reason": "unknown_field"},
                "tags": {"value": [3, null], "reason": "missing_required"},
            }}),
            json!({"tags": [4], "_rescued": {
                "geo": {"value": {"country": "IT"}, "reason": "missing_required"},
            }}),
        ]
    );
}

#[test]
fn a_table_column_that_may_not_be_null_is_required() {
    let decoded = with_required_members("{\"geo\":{\"asn\":1}}\n{\"geo\":{}}\n{}\n", false);
    assert_eq!(decoded.rows.num_rows(), 1);
    let reasons: Vec<_> = decoded.rejects.iter().map(|one| one.reason).collect();
    assert_eq!(reasons, ["unfit_required", "missing_required"]);
    assert!(decoded.rejects[1].detail.contains("\"geo\""));
}

#[test]
fn a_column_without_definition_takes_the_field_of_its_own_name() {
    let decoded = with_required_members(r#"{"tags":[7],"geo":{"asn":3}}"#, true);
    assert_eq!(row(&decoded), json!({"geo": {"asn": 3}, "tags": [7]}));
}
