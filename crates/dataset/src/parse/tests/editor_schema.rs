//! `schemas/dataset.schema.json` offers to editors what this crate reads: no key more, no key less.

use serde_json::Value;

use crate::keys::{DATASET_KEYS, is_not_supported_yet};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../../schemas/dataset.schema.json"))
        .expect("the schema is JSON")
}

/// The part of the schema that describes a section, if it has one.
fn part<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    match path {
        "" => Some(schema),
        "columns" => schema.pointer("/properties/columns/items"),
        "format" => schema.pointer("/properties/format/anyOf/1"),
        path => schema.pointer(&format!(
            "/properties/{}",
            path.replace('.', "/properties/")
        )),
    }
}

#[test]
fn keys_are_those_that_are_read() {
    let schema = schema();
    for section in DATASET_KEYS {
        let nothing_acts_on_it = is_not_supported_yet(section.path, None)
            || section.path.split('.').next() == Some("retention");
        let Some(part) = part(&schema, section.path) else {
            assert!(nothing_acts_on_it, "{} is not in the schema", section.path);
            continue;
        };
        assert_eq!(part["additionalProperties"], false, "{}", section.path);
        let mut offered: Vec<&str> = part["properties"]
            .as_object()
            .map(|properties| properties.keys().map(String::as_str).collect())
            .expect("a section has properties");
        let join = |key: &str| {
            if section.path.is_empty() {
                key.to_owned()
            } else {
                format!("{}.{key}", section.path)
            }
        };
        let mut read: Vec<&str> = section
            .keys
            .iter()
            .copied()
            .filter(|key| !is_not_supported_yet(&join(key), None))
            .collect();
        offered.sort_unstable();
        read.sort_unstable();
        assert_eq!(offered, read, "[{}]", section.path);
    }
}

#[test]
fn choices_are_those_that_are_read() {
    let schema = schema();
    for (pointer, key) in [
        ("/definitions/format_name/enum", "format"),
        ("/definitions/profile/enum", "profile"),
        ("/properties/unknown_fields/enum", "unknown_fields"),
    ] {
        let values = schema
            .pointer(pointer)
            .and_then(Value::as_array)
            .expect(pointer);
        for value in values {
            let value = value.as_str().expect("a choice is a text");
            let text =
                format!("{key} = \"{value}\"\ncolumns = [{{ name = \"a\", type = \"string\" }}]");
            assert!(
                crate::parse_dataset(&text, "f.toml", "f").is_ok(),
                "{key} = {value}"
            );
        }
    }
    let types = schema
        .pointer("/properties/columns/items/properties/type/examples")
        .and_then(Value::as_array);
    for example in types.expect("types have examples") {
        let example = example.as_str().expect("a type is a text");
        assert!(crate::types::parse_type(example).is_ok(), "{example}");
    }
}
