use proptest::prelude::*;

use super::*;

fn render(text: &str) -> String {
    match parse_type(text) {
        Ok(parsed) => parsed.to_string(),
        Err(error) => {
            let help = error
                .help
                .map(|help| format!(" ({help})"))
                .unwrap_or_default();
            format!("{}: {}{help}", error.at, error.message)
        }
    }
}

#[test]
fn types_are_icebergs() {
    for (text, same) in [
        ("boolean", "boolean"),
        ("decimal(9,2)", "decimal(9,2)"),
        (" decimal ( 38 , 38 ) ", "decimal(38,38)"),
        ("fixed(16)", "fixed(16)"),
        ("list<string>", "list<string>"),
        ("map< string ,list<int> >", "map<string, list<int>>"),
        (
            "list<struct<a: int, b: map<string, decimal(9,2)>>>",
            "list<struct<a: int, b: map<string, decimal(9,2)>>>",
        ),
        (
            "struct<@timestamp:timestamptz,häuser: uuid>",
            "struct<@timestamp: timestamptz, häuser: uuid>",
        ),
    ] {
        assert_eq!(render(text), same, "{text}");
    }
}

#[test]
fn what_is_no_type_says_what_and_where() {
    for (text, expected) in [
        ("", "0: a type is missing"),
        ("list<>", "5: a type is missing"),
        (
            "varchar",
            "0: unknown type `varchar` (here that is `string`)",
        ),
        (
            "varchar(255)",
            "0: unknown type `varchar` (here that is `string`)",
        ),
        ("bigint", "0: unknown type `bigint` (here that is `long`)"),
        ("int64", "0: unknown type `int64` (here that is `long`)"),
        ("text", "0: unknown type `text` (here that is `string`)"),
        (
            "datetime",
            "0: unknown type `datetime` (here that is `timestamptz` (an instant) or `timestamp` (without a zone))",
        ),
        ("bool", "0: unknown type `bool` (here that is `boolean`)"),
        (
            "list<bigint>",
            "5: unknown type `bigint` (here that is `long`)",
        ),
        ("strng", "0: unknown type `strng` (did you mean `string`?)"),
        (
            "String",
            "0: unknown type `String` (types are written in lower case: `string`)",
        ),
        (
            "banana",
            "0: unknown type `banana` (types are `boolean`, `int`, `long`, `float`, `double`, `decimal`, `date`, `time`, \
             `timestamp`, `timestamptz`, `string`, `uuid`, `fixed`, `binary`, `struct`, `list` and `map`)",
        ),
        (
            "int[]",
            "3: `[]` follows the type (an array is `list<int>`)",
        ),
        ("int null", "4: `null` follows the type"),
        (
            "decimal",
            "0: `decimal` needs its precision and scale (`decimal(18,2)`: 18 digits in all, 2 of them after the point)",
        ),
        (
            "decimal(9)",
            "7: `decimal` takes a precision and a scale (`decimal(18,2)`: 18 digits in all, 2 of them after the point)",
        ),
        (
            "decimal(39,0)",
            "7: a decimal's precision is from 1 to 38, not 39 (`decimal(18,2)`: 18 digits in all, 2 of them after the point)",
        ),
        (
            "decimal(4,5)",
            "7: a decimal's scale is at most its precision: 5 is more than 4 \
             (`decimal(18,2)`: 18 digits in all, 2 of them after the point)",
        ),
        (
            "fixed",
            "0: `fixed` needs its length in bytes (`fixed(16)`: 16 bytes)",
        ),
        (
            "fixed(0)",
            "5: a fixed's length is from 1 to 1048576 bytes, not 0 (`fixed(16)`: 16 bytes)",
        ),
        (
            "fixed(1,2)",
            "5: `fixed` takes one length (`fixed(16)`: 16 bytes)",
        ),
        (
            "list",
            "0: `list` needs its element's type (`list<string>`)",
        ),
        ("list<int", "8: `list<` is not closed (add `>`)"),
        (
            "list<int, int>",
            "8: `list<` is not closed before `, int>` (add `>`)",
        ),
        (
            "map",
            "0: `map` needs the types of its keys and values (`map<string, long>`)",
        ),
        (
            "map<string>",
            "10: `map` needs the type of its values (`map<string, long>`)",
        ),
        (
            "map<int, string>",
            "4: a map's keys are `string`, not `int` (the keys of a JSON object are strings)",
        ),
        (
            "struct",
            "0: `struct` needs its fields (`struct<country: string, asn: int>`)",
        ),
        (
            "struct<>",
            "7: the name `` of a struct's field is empty (`struct<country: string, asn: int>`)",
        ),
        (
            "struct<a int>",
            "7: the name `a int` of a struct's field holds a space, which engines do not take in a column's name \
             (`struct<country: string, asn: int>`)",
        ),
        (
            "struct<a>",
            "8: the field `a` needs `:` and its type (`struct<country: string, asn: int>`)",
        ),
        (
            "struct<a: int, a: int>",
            "15: the struct has the field `a` already",
        ),
        (
            "struct<a: int, A: int>",
            "15: the struct has the field `a` already (engines do not tell upper from lower case in names)",
        ),
        (
            "timestamp_ns",
            "0: `timestamp_ns` is a type of Iceberg's format version 3, which is not supported yet \
             (`timestamp` keeps microseconds)",
        ),
    ] {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested =
        |depth: usize| format!("{}int{}", "list<".repeat(depth - 1), ">".repeat(depth - 1));
    assert!(parse_type(&nested(TYPE_DEPTH_MAX)).is_ok());
    let error = parse_type(&nested(TYPE_DEPTH_MAX + 1)).expect_err("one too deep");
    assert_eq!(error.message, "types nest at most 16 deep");
    assert!(parse_type(&nested(100_000)).is_err());
}

fn any_type() -> impl Strategy<Value = ColumnType> {
    let leaf = prop_oneof![
        Just(ColumnType::Boolean),
        Just(ColumnType::Int),
        Just(ColumnType::Timestamptz),
        Just(ColumnType::String),
        (1_u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| ColumnType::Decimal { precision, scale }),
        (1_u32..=FIXED_BYTES_MAX).prop_map(ColumnType::Fixed),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|element| ColumnType::List(Box::new(element))),
            inner
                .clone()
                .prop_map(|value| ColumnType::Map(Box::new(ColumnType::String), Box::new(value))),
            proptest::collection::vec(inner, 1..4).prop_map(|types| {
                let named = types.into_iter().enumerate();
                ColumnType::Struct(
                    named
                        .map(|(i, field_type)| StructField {
                            name: format!("f{i}"),
                            field_type,
                        })
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn types_round_trip(column_type in any_type()) {
        prop_assert_eq!(parse_type(&column_type.to_string()), Ok(column_type));
    }

    #[test]
    fn no_text_panics(text in "[a-z<>(),:0-9 é]{0,40}") {
        let _ = parse_type(&text);
    }
}
