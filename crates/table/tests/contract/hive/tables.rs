//! What a metastore shows of a table, and what others keep there.

use std::sync::Arc;

use frazil_service::clock::{Ids as _, RandomIds};
use frazil_table::{
    catalog::{CatalogError, CommitError, Creation},
    state::{FileIdentity, SourceIdentity, SourceState, State, wire as state_wire},
};
use iceberg::{
    TableUpdate,
    spec::{NestedField, PrimitiveType, Schema, SortOrder, StructType, Type, UnboundPartitionSpec},
};

use super::{
    lake, put, server,
    wire::{V, fields, text, texts},
};
use crate::{
    on::On,
    support::{creation, name},
};

super::on_each_hive! {
    nothing_that_others_keep_is_lost,
    a_table_shows_what_other_engines_look_for,
    the_state_of_a_thousand_sources_stays_out,
    columns_follow_the_schema,
    a_table_of_hive_is_none_of_ours,
    what_hive_cannot_hold_is_refused,
    a_table_within_the_folder_of_managed_ones,
}

/// The table of a client of Hive 4 that uses all there is.
fn foreign(database: &str, location: &str, metadata_location: &str) -> V {
    let column = |name: &str, comment: &str| {
        V::Struct(fields([
            (1, text(name)),
            (2, text("bigint")),
            (3, text(comment)),
        ]))
    };
    let serde = V::Struct(fields([
        (1, text("their-serde")),
        (
            2,
            text("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"),
        ),
        (3, texts(&[("serde.theirs", "1")])),
        (4, text("the serde's description")),
    ]));
    let storage = V::Struct(fields([
        (
            1,
            V::List(12, vec![column("n", "their n"), column("m", "their m")]),
        ),
        (2, text(location)),
        (3, text("org.apache.hadoop.mapred.FileInputFormat")),
        (4, text("org.apache.hadoop.mapred.FileOutputFormat")),
        (5, V::Bool(false)),
        (6, V::I32(7)),
        (7, serde),
        (8, V::List(11, vec![text("n")])),
        (10, texts(&[("sd.theirs", "1")])),
    ]));
    let parameters = [
        ("EXTERNAL", "TRUE"),
        ("table_type", "iceberg"),
        ("metadata_location", metadata_location),
        ("theirs", "héllo"),
        ("comment", "their comment"),
        // As Java's library leaves it after a commit of its own.
        ("frazil.state", "copied"),
        ("frazil.state.0", "copied"),
    ];
    V::Struct(fields([
        (1, text("theirs")),
        (2, text(database)),
        (3, text("analysts")),
        (4, V::I32(1_700_000_000)),
        (6, V::I32(77)),
        (7, storage),
        (8, V::List(12, vec![])),
        (9, texts(&parameters)),
        (12, text("EXTERNAL_TABLE")),
        (18, V::I32(2)),
    ]))
}

async fn nothing_that_others_keep_is_lost(on: On) {
    let (_folder, lake) = lake(on);
    let made = lake.make().await;
    let database = lake.database();
    let mut client = lake.client().await;
    let location = format!("{}/theirs", lake.root);
    let table = foreign(&database, &location, &made.metadata_location);
    client.ok("create_table", fields([(1, table)])).await;
    let before = client.table(&database, "theirs").await;
    if on != On::Hive2 {
        assert_eq!(before.at(18), &V::I32(2), "the owner is a role");
    }

    let catalog = lake.catalog(lake.options());
    let mut theirs = name();
    "theirs".clone_into(&mut theirs.table);
    let base = catalog.load(&theirs).await.unwrap().unwrap();
    let committed = put(catalog.as_ref(), &base, "1").await.unwrap();

    let after = client.table(&database, "theirs").await;
    let mut expected = before.at(9).map();
    let mut parameters = after.at(9).map();
    for (key, value) in [
        ("metadata_location", committed.metadata_location.as_str()),
        ("previous_metadata_location", &made.metadata_location),
        ("table_type", "ICEBERG"),
        ("put", "1"),
    ] {
        assert_eq!(parameters[key], value);
        expected.insert(key.to_owned(), value.to_owned());
    }
    for copied in ["frazil.state", "frazil.state.0"] {
        assert!(expected.remove(copied).is_some());
    }
    for (key, value) in &expected {
        if key != "transient_lastDdlTime" {
            assert_eq!(parameters.remove(key).as_ref(), Some(value), "{key}");
        }
    }
    let shown = [
        "uuid",
        "current-schema",
        "default-partition-spec",
        "snapshot-count",
    ];
    parameters.remove("transient_lastDdlTime");
    parameters.retain(|key, _| !shown.contains(&key.as_str()));
    assert!(parameters.is_empty(), "{parameters:?}");
    // All else is what it was, to the last field.
    let rest = |table: &V| {
        let mut rest = table.clone();
        rest.set(9, texts(&[]));
        rest
    };
    assert_eq!(rest(&after), rest(&before));
}

async fn a_table_shows_what_other_engines_look_for(on: On) {
    let (_folder, lake) = lake(on);
    let made = lake.make().await;
    let table = lake.client().await.table(&lake.database(), "web").await;
    let parameters = table.at(9).map();
    let uuid = made.metadata.uuid().to_string();
    for (key, value) in [
        ("table_type", "ICEBERG"),
        ("EXTERNAL", "TRUE"),
        ("metadata_location", made.metadata_location.as_str()),
        ("uuid", &uuid),
        ("snapshot-count", "0"),
    ] {
        assert_eq!(parameters[key], value);
    }
    assert!(!parameters.contains_key("previous_metadata_location"));
    assert_eq!(table.at(12).str(), "EXTERNAL_TABLE");
    assert_eq!(table.at(3).str(), "frazil");
    let location = table.at(7).at(2).str().trim_start_matches("file:");
    let wanted = made.metadata.location().trim_start_matches("file:");
    assert_eq!(
        location.trim_start_matches('/'),
        wanted.trim_start_matches('/')
    );
}

async fn the_state_of_a_thousand_sources_stays_out(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let mut state = State::new(base.metadata.uuid());
    for source in 1..=1_000u64 {
        let path = format!("/var/log/some-application/instance-{source}/access.log");
        let source_state = SourceState {
            identity: SourceIdentity::File(FileIdentity {
                path,
                head_length: 4_096,
                head_hash: RandomIds.uuid().simple().to_string(),
                tail_hash: RandomIds.uuid().simple().to_string(),
                at_end: true,
            }),
            position: source * 1_000_000,
            commit: base.metadata.uuid(),
        };
        state.sources.insert(source, source_state);
    }
    let updates = vec![TableUpdate::SetProperties {
        updates: state_wire::encode(&state).into_iter().collect(),
    }];
    let catalog = lake.catalog(lake.options());
    catalog.commit(&base, vec![], updates).await.unwrap();
    let read = state_wire::decode(lake.load().await.metadata.properties());
    assert_eq!(read.unwrap(), Some(state));
    let table = lake.client().await.table(&lake.database(), "web").await;
    for (key, value) in table.at(9).map() {
        assert!(!key.starts_with("frazil.state"), "{key}");
        assert!(value.len() <= 4_000, "{key}: {} bytes", value.len());
    }
}

async fn columns_follow_the_schema(on: On) {
    let (_folder, lake) = lake(on);
    let optional = |id: i32, name: &str, of: Type| Arc::new(NestedField::optional(id, name, of));
    let primitive = |of| Type::Primitive(of);
    let mut all = vec![
        optional(1, "time", primitive(PrimitiveType::Timestamptz)),
        optional(2, "Host", primitive(PrimitiveType::String)),
    ];
    let schema = |fields: &[Arc<NestedField>]| {
        let fields = fields.to_vec();
        Schema::builder().with_fields(fields).build().unwrap()
    };
    let creation = Creation {
        schema: schema(&all),
        partition_spec: UnboundPartitionSpec::default(),
        sort_order: SortOrder::unsorted_order(),
        properties: vec![],
    };
    let catalog = lake.catalog(lake.options());
    let base = catalog.create(&name(), creation).await.unwrap();
    let shown = async || {
        let table = lake.client().await.table(&lake.database(), "web").await;
        let columns = table.at(7).at(1).list();
        columns
            .iter()
            .map(|column| (column.at(1).str().to_owned(), column.at(2).str().to_owned()))
            .collect::<Vec<_>>()
    };
    let zoned = match on {
        // It knows no other, and no alter of a table that has one.
        On::Hive2 => "timestamp",
        _ => "timestamp with local time zone",
    };
    let mut expected = vec![
        ("time".to_owned(), zoned.to_owned()),
        ("Host".to_owned(), "string".to_owned()),
    ];
    let lower = |columns: &[(String, String)]| {
        let lower = columns
            .iter()
            .map(|(name, of)| (name.to_lowercase(), of.clone()));
        lower.collect::<Vec<_>>()
    };
    assert_eq!(lower(&shown().await), lower(&expected));

    let geo = StructType::new(vec![
        optional(4, "country", primitive(PrimitiveType::String)),
        optional(5, "asn", primitive(PrimitiveType::Int)),
    ]);
    all.push(optional(3, "geo", Type::Struct(geo)));
    let updates = vec![
        TableUpdate::AddSchema {
            schema: schema(&all),
        },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
    ];
    catalog.commit(&base, vec![], updates).await.unwrap();
    expected.push((
        "geo".to_owned(),
        "struct<country:string,asn:int>".to_owned(),
    ));
    assert_eq!(lower(&shown().await), lower(&expected));
}

async fn a_table_of_hive_is_none_of_ours(on: On) {
    let (_folder, lake) = lake(on);
    let base = lake.make().await;
    let mut client = lake.client().await;
    let mut table = client.table(&lake.database(), "web").await;
    table.set(9, texts(&[("EXTERNAL", "TRUE")]));
    client.alter(table).await;
    let catalog = lake.catalog(lake.options());
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains("not of Iceberg's"), "{error}");
    assert!(catalog.list().await.unwrap().is_empty());
    let taken = catalog.create(&name(), creation(&[])).await;
    assert!(matches!(taken, Err(CommitError::Conflict(_))), "{taken:?}");
    let gone = put(catalog.as_ref(), &base, "1").await;
    assert!(matches!(gone, Err(CommitError::Conflict(_))), "{gone:?}");
}

async fn what_hive_cannot_hold_is_refused(on: On) {
    let (_folder, lake) = lake(on);
    let catalog = lake.catalog(lake.options());
    let mut upper = name();
    "Web".clone_into(&mut upper.table);
    let mut nested = name();
    nested.namespace.push("b".to_owned());
    for (name, reason) in [(upper, "name it web"), (nested, "2 levels")] {
        let error = catalog.create(&name, creation(&[])).await.unwrap_err();
        assert!(matches!(error, CommitError::Rejected(_)), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        let error = catalog.load(&name).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    // A name that the server itself refuses.
    let mut odd = name();
    "web\u{1}".clone_into(&mut odd.table);
    let error = catalog.create(&odd, creation(&[])).await.unwrap_err();
    assert!(error.to_string().contains("valid"), "{error}");
}

async fn a_table_within_the_folder_of_managed_ones(on: On) {
    let (_folder, mut lake) = lake(on);
    lake.root = format!("{}/lake", server(on).address("managed"));
    let catalog = lake.catalog(lake.options());
    let made = catalog.create(&name(), creation(&[])).await;
    if on == On::Hive4 {
        let error = made.unwrap_err();
        assert!(matches!(error, CommitError::Rejected(_)), "{error:?}");
        assert!(error.to_string().contains("another warehouse"), "{error}");
    } else {
        made.unwrap();
    }
}
