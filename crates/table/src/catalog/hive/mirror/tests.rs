use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, NestedField, NullOrder, Operation, PrimitiveType, Schema, Snapshot,
    SortDirection, SortField, SortOrder, Summary, TableMetadataBuilder, Transform, Type,
    UnboundPartitionSpec,
};

use super::*;
use crate::state::{FileIdentity, SourceIdentity, SourceState, State, wire};

const CHARS_MAX: usize = 4_000;

fn schema(names: &[&str]) -> Schema {
    let fields = (1..).zip(names).map(|(id, name)| {
        Arc::new(NestedField::optional(
            id,
            *name,
            Type::Primitive(PrimitiveType::String),
        ))
    });
    Schema::builder().with_fields(fields).build().unwrap()
}

fn table(names: &[&str], properties: &[(&str, &str)]) -> TableMetadata {
    TableMetadataBuilder::new(
        schema(names),
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        "file:///w/logs/web".to_string(),
        FormatVersion::V2,
        properties
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect(),
    )
    .unwrap()
    .build()
    .unwrap()
    .metadata
}

fn shown(mirror: &Mirror, key: &str) -> Option<String> {
    mirror.parameters.get(key).cloned().flatten()
}

#[test]
fn a_new_table_shows_what_java_s_does() {
    let metadata = table(&["a", "b"], &[("gc.enabled", "false"), ("owner.team", "x")]);
    let mirror = Mirror::new(None, &metadata, CHARS_MAX);
    let uuid = metadata.uuid().to_string();
    for (key, value) in [
        ("table_type", "ICEBERG"),
        ("uuid", uuid.as_str()),
        ("snapshot-count", "0"),
        ("owner.team", "x"),
        ("external.table.purge", "false"),
    ] {
        assert_eq!(shown(&mirror, key).as_deref(), Some(value), "{key}");
    }
    assert!(
        shown(&mirror, "current-schema")
            .unwrap()
            .contains("\"name\":\"a\"")
    );
    for absent in [
        "gc.enabled",
        "metadata_location",
        "storage_handler",
        "default-partition-spec",
        "default-sort-order",
        "current-snapshot-id",
        "numRows",
    ] {
        assert_eq!(shown(&mirror, absent), None, "{absent}");
    }
    assert_eq!(mirror.location.as_deref(), Some("file:///w/logs/web"));
    assert_eq!(mirror.columns.unwrap().len(), 2);
    assert_eq!(mirror.formats, Some(NO_FORMATS));
}

#[test]
fn a_commit_shows_its_snapshot_and_what_is_gone() {
    let base = table(&["a"], &[("old", "1"), ("kept", "1")]);
    let summary = [
        ("total-records", "7"),
        ("total-data-files", "2"),
        ("total-files-size", "512"),
    ]
    .map(|(key, value)| (key.to_string(), value.to_string()));
    let snapshot = Snapshot::builder()
        .with_snapshot_id(99)
        .with_sequence_number(1)
        .with_timestamp_ms(base.last_updated_ms() + 1)
        .with_manifest_list("file:///w/logs/web/metadata/l.avro")
        .with_summary(Summary {
            operation: Operation::Append,
            additional_properties: summary.into(),
        })
        .with_schema_id(0)
        .build();
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(1, "a_bucket", Transform::Bucket(4))
        .unwrap()
        .build();
    let order = SortOrder::builder()
        .with_sort_field(
            SortField::builder()
                .source_id(1)
                .transform(Transform::Identity)
                .direction(SortDirection::Ascending)
                .null_order(NullOrder::First)
                .build(),
        )
        .build_unbound()
        .unwrap();
    let metadata = base
        .clone()
        .into_builder(None)
        .remove_properties(&["old".to_string()])
        .unwrap()
        .set_branch_snapshot(snapshot, "main")
        .unwrap()
        .add_default_partition_spec(spec)
        .unwrap()
        .add_sort_order(order)
        .unwrap()
        .set_default_sort_order(-1)
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    let mirror = Mirror::new(Some(&base), &metadata, CHARS_MAX);
    assert_eq!(mirror.parameters["old"], None, "to be removed");
    for (key, value) in [
        ("kept", "1"),
        ("numRows", "7"),
        ("numFiles", "2"),
        ("totalSize", "512"),
        ("snapshot-count", "1"),
        ("current-snapshot-id", "99"),
        (
            "current-snapshot-summary",
            r#"{"total-data-files":"2","total-files-size":"512","total-records":"7"}"#,
        ),
    ] {
        assert_eq!(shown(&mirror, key).as_deref(), Some(value), "{key}");
    }
    assert!(shown(&mirror, "default-partition-spec").is_some());
    assert!(shown(&mirror, "default-sort-order").is_some());
    assert_eq!(
        (mirror.columns, mirror.location, mirror.formats),
        (None, None, None)
    );
}

/// As a table of another writer may have it: what is shown there of it must go, too.
#[test]
fn the_state_of_a_thousand_sources_is_not_shown() {
    let base = table(&["a"], &[]);
    let mut state = State::new(base.uuid());
    for source in 1..=1_000u64 {
        let identity = SourceIdentity::File(FileIdentity {
            path: format!("/var/log/some-application/instance-{source}/access.log"),
            head_length: 4_096,
            head_hash: format!("{source:032x}"),
            tail_hash: format!("{source:032x}"),
            at_end: true,
        });
        state.sources.insert(
            source,
            SourceState {
                identity,
                position: source * 1_000_000,
                commit: base.uuid(),
            },
        );
    }
    let properties = wire::encode(&state);
    assert!(properties.len() > 20, "{} properties", properties.len());
    let metadata = base
        .clone()
        .into_builder(None)
        .set_properties(properties.clone().into_iter().collect())
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    let mirror = Mirror::new(Some(&base), &metadata, CHARS_MAX);
    for key in properties.keys() {
        assert_eq!(mirror.parameters[key], None, "{key}");
    }
    let longest = mirror.parameters.values().flatten().map(String::len).max();
    assert!(longest < Some(CHARS_MAX), "{longest:?}");
}

#[test]
fn what_does_not_fit_is_not_shown() {
    let fits = "x".repeat(CHARS_MAX);
    let long = "x".repeat(CHARS_MAX + 1);
    // Each is two units of UTF-16.
    let wide = "😀".repeat(CHARS_MAX / 2 + 1);
    let key = "k".repeat(257);
    let metadata = table(
        &["a"],
        &[
            ("fits", &fits),
            ("long", &long),
            ("wide", &wide),
            (&key, "1"),
            // A property of that name must not become the pointer.
            ("metadata_location", "file:///elsewhere"),
            ("EXTERNAL", "FALSE"),
            ("table_type", "VIEW"),
        ],
    );
    let mirror = Mirror::new(None, &metadata, CHARS_MAX);
    assert_eq!(shown(&mirror, "fits"), Some(fits));
    assert_eq!(mirror.parameters["long"], None, "an older value is removed");
    assert_eq!(mirror.parameters["wide"], None);
    assert_eq!(shown(&mirror, "table_type").as_deref(), Some("ICEBERG"));
    for absent in [key.as_str(), "metadata_location", "EXTERNAL"] {
        assert!(!mirror.parameters.contains_key(absent), "{absent}");
    }
    let many: Vec<String> = (0..300).map(|number| format!("column_{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let wide = Mirror::new(None, &table(&many, &[]), CHARS_MAX);
    assert_eq!(wide.parameters["current-schema"], None);
    assert_eq!(wide.columns.unwrap().len(), 300);
}

#[test]
fn columns_change_only_with_the_schema() {
    let base = table(&["a"], &[]);
    let metadata = base
        .clone()
        .into_builder(None)
        .add_current_schema(schema(&["a", "b"]))
        .unwrap()
        .build()
        .unwrap()
        .metadata;
    let mirror = Mirror::new(Some(&base), &metadata, CHARS_MAX);
    let names: Vec<String> = mirror
        .columns
        .unwrap()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn hive_itself_reads_a_table_that_says_so() {
    let plain = table(&["a"], &[]);
    let on = table(&["a"], &[(HIVE_ENGINE, "true")]);
    let off = table(&["a"], &[(HIVE_ENGINE, "false")]);
    let to_on = Mirror::new(Some(&plain), &on, CHARS_MAX);
    assert_eq!(to_on.formats, Some(ICEBERG_FORMATS));
    assert_eq!(
        shown(&to_on, STORAGE_HANDLER).as_deref(),
        Some(ICEBERG_STORAGE_HANDLER)
    );
    let to_off = Mirror::new(Some(&on), &off, CHARS_MAX);
    assert_eq!(to_off.formats, Some(NO_FORMATS));
    assert_eq!(to_off.parameters[STORAGE_HANDLER], None);
    // Without a word of ours another's stays.
    let silent = Mirror::new(Some(&plain), &plain, CHARS_MAX);
    assert!(!silent.parameters.contains_key(STORAGE_HANDLER));
    assert_eq!(silent.formats, None);
}

#[test]
fn a_table_turns_locks_off_as_java_reads_it() {
    for (value, off) in [
        ("false", true),
        ("False", true),
        ("no", true),
        ("true", false),
    ] {
        assert_eq!(locks_are_off(&table(&["a"], &[(LOCK_ENABLED, value)])), off);
    }
    assert!(!locks_are_off(&table(&["a"], &[])));
}
