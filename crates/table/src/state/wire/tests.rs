use proptest::prelude::*;

use super::*;
use crate::state::{
    FileIdentity, KafkaIdentity, KafkaTopic, SourceIdentity, SourceState, complete::Complete,
};

fn properties(state: &State) -> HashMap<String, String> {
    encode(state).into_iter().collect()
}

fn file(path: &str, position: u64) -> SourceIdentity {
    SourceIdentity::File(FileIdentity {
        path: path.to_string(),
        head_length: position.min(4_096),
        head_hash: format!("{:032x}", xxhash_rust::xxh3::xxh3_128(path.as_bytes())),
        tail_hash: format!(
            "{:032x}",
            xxhash_rust::xxh3::xxh3_128(&position.to_le_bytes())
        ),
        at_end: true,
    })
}

fn with_sources(count: u64) -> State {
    let mut state = State::new(Uuid::from_u128(7));
    for id in 1..=count {
        state.sources.insert(
            id,
            SourceState {
                identity: file(
                    &format!("/var/log/application/host-{id}/access.log"),
                    id * 100_000,
                ),
                position: id * 100_000,
                commit: Uuid::from_u128(u128::from(id / 10) << 64 | 9),
            },
        );
    }
    state.sources_version = count;
    state
}

/// What a source may take beside its path. The state is written into every metadata file, and by Hive
/// Metastore catalogs into as many rows of their database as it has properties.
const BYTES_A_FILE_MAX: usize = 130;
/// The same for a source partition that is known by names and numbers alone.
const BYTES_A_PARTITION_MAX: usize = 50;
/// The Hive Metastore's column for a parameter's value has 4,000 characters.
const CHARACTERS_A_PROPERTY_MAX: usize = 4_000;

#[test]
fn a_thousand_sources_stay_small() {
    let empty = size(&State::new(Uuid::from_u128(7))).0;
    let files = with_sources(1_000);
    let paths: usize = files.sources.values().map(path_length).sum();
    let (bytes, properties) = size(&files);
    println!("1,000 files: {bytes} bytes in {properties} properties, paths {paths}");
    assert!(bytes - empty - paths <= 1_000 * BYTES_A_FILE_MAX, "{bytes}");

    let mut partitions = with_sources(1_000);
    for source in partitions.sources.values_mut() {
        source.identity = SourceIdentity::StandardInput;
        source.position = u64::from(u32::MAX) * 1_000;
    }
    let (bytes, properties) = size(&partitions);
    println!("1,000 sources without a file: {bytes} bytes in {properties} properties");
    assert!(bytes - empty <= 1_000 * BYTES_A_PARTITION_MAX, "{bytes}");

    for (number, source) in (0..).zip(partitions.sources.values_mut()) {
        source.identity = SourceIdentity::Kafka(KafkaIdentity {
            topic: KafkaTopic {
                cluster_id: "axqyYGPFTqiP0TTg0qSSJA".to_owned(),
                topic_id: Some(Uuid::from_u128(5)),
                name: "shop.web.access".to_owned(),
            },
            partition: number,
            leader_epoch: Some(123),
        });
    }
    let (bytes, properties) = size(&partitions);
    println!("1,000 partitions of a topic: {bytes} bytes in {properties} properties");
    assert!(bytes - empty <= 1_000 * BYTES_A_PARTITION_MAX, "{bytes}");

    // The slowest is hours behind the fastest.
    let marks = (1..=1_000).map(|id| (id, 1_769_817_600 + (id as i64 * 7_919) % 9_999));
    partitions.complete = Some(Complete {
        time: "$timestamp".to_owned(),
        through_s: Some(1_769_817_600),
        sources: marks.collect(),
    });
    let (bytes, properties) = size(&partitions);
    println!("1,000 partitions, each with a time: {bytes} bytes in {properties} properties");
    assert!(bytes - empty <= 1_000 * BYTES_A_PARTITION_MAX, "{bytes}");
}

/// A state's bytes and how many properties they are in, none too long for a Hive Metastore.
fn size(state: &State) -> (usize, usize) {
    let encoded = encode(state);
    for (key, value) in &encoded {
        assert!(
            value.len() < CHARACTERS_A_PROPERTY_MAX && value.is_ascii(),
            "{key}"
        );
        assert!(key.len() < 256, "{key}");
    }
    (encoded.values().map(String::len).sum(), encoded.len())
}

fn path_length(source: &SourceState) -> usize {
    match &source.identity {
        SourceIdentity::File(file) => file.path.len(),
        SourceIdentity::StandardInput | SourceIdentity::Kafka(_) => 0,
    }
}

#[test]
fn no_state_is_none_and_half_a_state_is_damage() {
    assert_eq!(decode(&HashMap::new()), Ok(None));
    let foreign = HashMap::from([("frazil.statement".to_string(), "x".to_string())]);
    assert_eq!(decode(&foreign), Ok(None));
    let whole = properties(&with_sources(100));
    for key in whole.keys() {
        let mut part = whole.clone();
        part.remove(key);
        assert!(
            matches!(decode(&part), Err(StateError::Damaged { .. })),
            "without {key}"
        );
        let mut changed = whole.clone();
        changed.insert(key.clone(), changed[key].replace('1', "2"));
        assert!(
            matches!(
                decode(&changed),
                Err(StateError::Damaged { .. } | StateError::Newer { .. })
            ),
            "{key}"
        );
    }
}

#[test]
fn a_newer_version_is_named() {
    let header = HashMap::from([(KEY.to_string(), r#"{"version":4,"new":true}"#.to_string())]);
    let error = decode(&header).unwrap_err();
    assert_eq!(error, StateError::Newer { version: 4 });
    assert!(error.to_string().contains("version 4"), "{error}");
}

#[test]
fn a_shorter_state_names_the_chunks_that_it_leaves_behind() {
    let long = properties(&with_sources(200));
    let short = encode(&with_sources(1));
    let stale = stale_keys(&long, &short);
    assert_eq!(stale.len(), long.len() - short.len());
    let mut merged = long;
    merged.extend(short);
    for key in &stale {
        merged.remove(key);
    }
    assert_eq!(decode(&merged).unwrap().unwrap(), with_sources(1));
}

#[test]
fn the_form_of_version_1_stays() {
    let mut state = with_sources(1);
    state
        .dead_letters
        .outbox
        .insert(1, "file:///w/é.avro".to_string());
    state.sources.insert(
        2,
        SourceState {
            identity: SourceIdentity::StandardInput,
            position: 5,
            commit: Uuid::from_u128(9),
        },
    );
    let encoded = encode(&state);
    assert_eq!(
        encoded["frazil.state.0"],
        concat!(
            r#"{"table":"00000000-0000-0000-0000-000000000007","epoch":0,"sources_version":1,"#,
            r#""commits":["00000000-0000-0000-0000-000000000009"],"sources":["#,
            r#"[1,100000,0,{"file":["/var/log/application/host-1/access.log",4096,"#,
            r#""HEAD","TAIL",true]}],[2,5,0,"standard_input"]],"#,
            r#""dead":{"next":1,"outbox":[[1,"file:///w/\u00e9.avro"]]}}"#
        )
        .replace("HEAD", &head_of(&state))
        .replace("TAIL", &tail_of(&state))
    );
}

/// An older binary stops at the version, and goes on where there is nothing that it does not know.
#[test]
fn version_2_is_written_only_where_a_file_of_finished_sources_is_named() {
    let mut state = with_sources(1);
    assert!(encode(&state)[KEY].starts_with(r#"{"version":1,"#));
    state.finished = Some(FinishedFile {
        path: "file:///w/f.puffin".to_string(),
        hash: "0f".to_string(),
        bytes: 900,
        footer_bytes: 200,
        sources: 65,
    });
    let encoded = encode(&state);
    assert!(encoded[KEY].starts_with(r#"{"version":2,"#));
    let part = r#","finished":{"path":"file:///w/f.puffin","hash":"0f","bytes":900,"footer_bytes":200,"sources":65},"dead":"#;
    assert!(encoded["frazil.state.0"].contains(part), "{encoded:?}");
}

/// One that does not know it would move positions on and leave it behind.
#[test]
fn version_3_is_written_only_where_it_is_said_how_complete_the_table_is() {
    let mut state = with_sources(2);
    state.complete = Some(Complete {
        time: "time".to_owned(),
        through_s: Some(1_769_817_600),
        sources: BTreeMap::from([(2, 1_769_817_700)]),
    });
    let encoded = encode(&state);
    assert!(encoded[KEY].starts_with(r#"{"version":3,"#));
    let part = r#","complete":{"time":"time","through":1769817600,"base":1769817700,"ahead":[null,0]},"dead":"#;
    assert!(encoded["frazil.state.0"].contains(part), "{encoded:?}");
}

#[test]
fn marks_of_sources_that_are_not_there_are_damage() {
    for (ahead, base) in [
        ("[0,1]", "5"),
        ("[0]", "null"),
        ("[2]", "9223372036854775807"),
    ] {
        let json = format!(
            r#"{{"table":"{}","epoch":0,"sources_version":1,"commits":["{0}"],"sources":[[1,0,0,"standard_input"]],"complete":{{"time":"t","base":{base},"ahead":{ahead}}},"dead":{{"next":1}}}}"#,
            Uuid::nil()
        );
        let header = Header {
            version: VERSION,
            chunks: 1,
            bytes: json.len(),
            checksum: checksum(json.as_bytes()),
        };
        let properties = HashMap::from([
            (KEY.to_string(), serde_json::to_string(&header).unwrap()),
            (format!("{KEY}.0"), json),
        ]);
        let read = decode(&properties);
        assert!(
            matches!(read, Err(StateError::Damaged { .. })),
            "{ahead}: {read:?}"
        );
    }
}

fn head_of(state: &State) -> String {
    match &state.sources[&1].identity {
        SourceIdentity::File(file) => file.head_hash.clone(),
        SourceIdentity::StandardInput | SourceIdentity::Kafka(_) => unreachable!(),
    }
}

fn tail_of(state: &State) -> String {
    match &state.sources[&1].identity {
        SourceIdentity::File(file) => file.tail_hash.clone(),
        SourceIdentity::StandardInput | SourceIdentity::Kafka(_) => unreachable!(),
    }
}

fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn any_identity() -> impl Strategy<Value = SourceIdentity> {
    prop_oneof![
        Just(SourceIdentity::StandardInput),
        (
            ("[a-z]{0,3}", any::<Option<u128>>(), "[a-z]{1,3}"),
            any::<i32>(),
            any::<Option<i32>>()
        )
            .prop_map(|((cluster_id, topic_id, name), partition, leader_epoch)| {
                SourceIdentity::Kafka(KafkaIdentity {
                    topic: KafkaTopic {
                        cluster_id,
                        topic_id: topic_id.map(Uuid::from_u128),
                        name,
                    },
                    partition,
                    leader_epoch,
                })
            }),
        (
            any::<String>(),
            any::<u64>(),
            any::<String>(),
            "[0-9a-f]{32}",
            any::<bool>()
        )
            .prop_map(|(path, head_length, head_hash, tail_hash, at_end)| {
                SourceIdentity::File(FileIdentity {
                    path,
                    head_length,
                    head_hash,
                    tail_hash,
                    at_end,
                })
            }),
    ]
}

fn any_source() -> impl Strategy<Value = SourceState> {
    (any_identity(), any::<u64>(), any_uuid()).prop_map(|(identity, position, commit)| {
        SourceState {
            identity,
            position,
            commit,
        }
    })
}

prop_compose! {
    fn any_state()(
        table_uuid in any_uuid(),
        epoch in any::<u64>(),
        last in proptest::option::of((any_uuid(), any::<i64>(), any::<i64>())),
        sources_version in any::<u64>(),
        sources in proptest::collection::btree_map(any::<u64>(), any_source(), 0..40),
        finished in proptest::option::of((any::<String>(), "[0-9a-f]{32}", any::<[u64; 3]>())),
        dead in (proptest::option::of(any_uuid()), any::<u64>(), proptest::collection::btree_map(any::<u64>(), any::<String>(), 0..5)),
        complete in proptest::option::of((any::<String>(), any::<Option<i64>>(), proptest::collection::vec(any::<Option<i64>>(), 40))),
        action in proptest::option::of((any_uuid(), any::<i64>(), any::<String>(), any::<String>())),
    ) -> State {
        let complete = complete.map(|(time, through_s, marks)| Complete {
            time,
            through_s,
            sources: sources.keys().zip(marks).filter_map(|(id, mark)| Some((*id, mark?))).collect(),
        });
        State {
            table_uuid,
            epoch,
            complete,
            last_commit: last.map(|(id, snapshot_id, sequence_number)| LastCommit { id, snapshot_id, sequence_number }),
            sources_version,
            sources,
            finished: finished.map(|(path, hash, [bytes, footer_bytes, sources])| FinishedFile { path, hash, bytes, footer_bytes, sources }),
            dead_letters: DeadLetterState { table_uuid: dead.0, next: dead.1, outbox: dead.2 },
            last_action: action.map(|(id, at_ms, who, why)| OperatorAction { id, at_ms, who, why }),
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(state in any_state()) {
        let encoded = encode(&state);
        prop_assert!(encoded.values().all(|value| value.len() < 4_000 && value.is_ascii()));
        prop_assert_eq!(decode(&encoded.into_iter().collect::<HashMap<_, _>>()).unwrap().unwrap(), state);
    }
}
