use super::*;

fn column(name: &str, hive_type: &str, comment: Option<&str>, unchanged: bool) -> HiveColumn {
    HiveColumn {
        name: name.to_string(),
        hive_type: hive_type.to_string(),
        comment: comment.map(str::to_string),
        unchanged,
    }
}

fn nothing() -> Mirror {
    Mirror {
        parameters: BTreeMap::new(),
        columns: None,
        location: None,
        formats: None,
    }
}

/// A table with fields of all sorts, known and unknown.
fn table() -> Fields {
    vec![
        (1, Value::text("web")),
        (3, Value::text("ana")),
        (
            7,
            Value::Struct(vec![
                (
                    1,
                    Value::List(
                        kind::STRUCT,
                        vec![Value::Struct(vec![
                            (1, Value::text("a")),
                            (2, Value::text("string")),
                            (3, Value::text("theirs")),
                            (40, Value::I64(5)),
                        ])],
                    ),
                ),
                (2, Value::text("file:/w")),
                (
                    7,
                    Value::Struct(vec![(1, Value::text("s")), (4, Value::text("described"))]),
                ),
                (90, Value::Double(7)),
            ]),
        ),
        (
            9,
            Value::Map(
                kind::BYTES,
                kind::BYTES,
                vec![
                    (Value::text("table_type"), Value::text("iceberg")),
                    (Value::text("metadata_location"), Value::text("m1")),
                    (Value::text("theirs"), Value::text("1")),
                    (Value::text("frazil.state"), Value::text("copied")),
                    (Value::text("frazil.state.12"), Value::text("copied")),
                    (Value::text("frazil.statement"), Value::text("kept")),
                    (Value::Bytes(vec![0xff]), Value::Bytes(vec![0xfe])),
                ],
            ),
        ),
        (18, Value::I32(2)),
        (300, Value::Set(kind::I8, vec![Value::I8(1)])),
    ]
}

fn reply(table: Fields) -> Fields {
    vec![(0, Value::Struct(vec![(1, Value::Struct(table))]))]
}

#[test]
fn a_swap_changes_the_pointer_alone() {
    let mut swapped = HiveTable::of_result(reply(table())).unwrap();
    assert!(swapped.is_iceberg());
    assert_eq!(swapped.pointer(), Some("m1"));
    swapped.point_to("m1", "m2");
    assert_eq!(swapped.pointer(), Some("m2"));
    assert_eq!(swapped.parameter("previous_metadata_location"), Some("m1"));
    // Put back, it is what it was, but for the order of parameters.
    swapped.set_parameters(&BTreeMap::from([
        ("metadata_location".to_string(), Some("m1".to_string())),
        ("previous_metadata_location".to_string(), None),
    ]));
    let sorted = |mut fields: Fields| {
        if let Value::Map(_, _, pairs) = entry(&mut fields, 9, || Value::Bool(false)) {
            pairs.sort_by_key(|(key, _)| format!("{key:?}"));
        }
        fields
    };
    assert_eq!(sorted(swapped.0), sorted(table()));
}

#[test]
fn what_is_shown_replaces_ours_and_keeps_theirs() {
    let mut shown = HiveTable(table());
    let mirror = Mirror {
        parameters: BTreeMap::from([
            ("new".to_string(), Some("1".to_string())),
            ("gone".to_string(), None),
        ]),
        columns: Some(vec![
            column("b", "bigint", Some("ours"), false),
            // Another client may word its type otherwise.
            column("A", "binary", None, true),
        ]),
        location: Some("file:///v".to_string()),
        formats: Some(Formats {
            input: "i",
            output: "o",
            serde: "c",
        }),
    };
    shown.show(&mirror);
    assert_eq!(shown.parameter("new"), Some("1"));
    assert_eq!(shown.parameter("theirs"), Some("1"));
    assert_eq!(shown.parameter("frazil.statement"), Some("kept"));
    assert_eq!(shown.parameter("frazil.state"), None);
    assert_eq!(shown.parameter("frazil.state.12"), None);
    let Value::Map(_, _, pairs) = shown.parameters() else {
        panic!()
    };
    assert!(pairs.contains(&(Value::Bytes(vec![0xff]), Value::Bytes(vec![0xfe]))));
    let storage = shown.storage().clone();
    let Some(Value::List(_, columns)) = field(&storage, 1) else {
        panic!()
    };
    let old = Value::Struct(vec![
        (1, Value::text("a")),
        (2, Value::text("string")),
        (3, Value::text("theirs")),
        (40, Value::I64(5)),
    ]);
    assert_eq!(columns[1], old, "a column that stays keeps all");
    let Value::Struct(new) = &columns[0] else {
        panic!()
    };
    assert_eq!(field(new, 3), Some(&Value::text("ours")));
    assert_eq!(field(&storage, 2), Some(&Value::text("file:///v")));
    assert_eq!(field(&storage, 90), Some(&Value::Double(7)));
    let Some(Value::Struct(serde)) = field(&storage, 7) else {
        panic!()
    };
    assert_eq!(field(serde, 2), Some(&Value::text("c")));
    assert_eq!(field(serde, 4), Some(&Value::text("described")));
    assert_eq!(
        field(&shown.0, 18),
        Some(&Value::I32(2)),
        "the owner's type"
    );
    assert_eq!(field(&shown.0, 300), field(&table(), 300));
}

#[test]
fn what_is_missing_is_made() {
    let mut empty = HiveTable(Vec::new());
    assert_eq!(empty.pointer(), None);
    assert!(!empty.is_iceberg());
    empty.show(&nothing());
    empty.point_to("m1", "m2");
    empty.add_partition_key("p");
    assert_eq!(empty.pointer(), Some("m2"));
    // A field of another type than Hive's is replaced, not stumbled over.
    let mut odd = HiveTable(vec![(9, Value::I32(1)), (7, Value::Bool(true))]);
    odd.point_to("m1", "m2");
    odd.show(&Mirror {
        columns: Some(vec![column("a", "int", None, true)]),
        ..nothing()
    });
    assert_eq!(odd.pointer(), Some("m2"));
    assert!(HiveTable::of_result(vec![(0, Value::Bool(true))]).is_none());
    assert!(HiveTable::of_result(vec![(0, Value::Struct(vec![]))]).is_none());
}
