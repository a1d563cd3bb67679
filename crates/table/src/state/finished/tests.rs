use iceberg::{io::FileIO, puffin::PuffinReader};

use super::*;
use crate::state::FileIdentity;

fn sources(ids: impl Iterator<Item = u64>) -> BTreeMap<u64, SourceState> {
    ids.map(|id| {
        let hash = |what: &str| format!("{:032x}", xxh3_128(format!("{what}{id}").as_bytes()));
        let identity = SourceIdentity::File(FileIdentity {
            path: format!("/var/log/application/access.log.{id}"),
            head_length: 4_096,
            head_hash: hash("head"),
            tail_hash: hash("tail"),
            at_end: true,
        });
        let source = SourceState {
            identity,
            position: id * 100_003,
            commit: Uuid::from_u128(u128::from(id / 50)),
        };
        (id, source)
    })
    .collect()
}

#[test]
fn what_is_encoded_is_decoded_and_the_same_sources_give_the_same_file() {
    for count in [0, 1, 500] {
        let sources = sources(1..=count);
        let encoded = encode(&sources);
        let file = FinishedFile::of(&encoded, "file:///w/metadata", Uuid::nil());
        assert_eq!(file.decode(&encoded.bytes).unwrap(), sources);
        assert_eq!(
            file,
            FinishedFile::of(&encode(&sources), "file:///w/metadata", Uuid::nil())
        );
        // The same bytes, written at another time, are a file of another name.
        let again = FinishedFile::of(&encoded, "file:///w/metadata", Uuid::max());
        assert_eq!(again.hash, file.hash);
        assert_ne!(again.path, file.path);
        assert!(file.path.contains(&file.hash) && file.path.ends_with(".puffin"));
    }
}

#[test]
fn a_source_takes_some_fifty_bytes() {
    let bytes = encode(&sources(1..=100_000)).bytes.len();
    println!("100,000 finished sources: {bytes} bytes");
    assert!(bytes < 5_500_000, "{bytes}");
}

#[test]
fn what_was_changed_or_cut_is_never_taken_for_the_file() {
    let encoded = encode(&sources(1..=10));
    let file = FinishedFile::of(&encoded, "file:///w", Uuid::nil());
    for place in 0..encoded.bytes.len() {
        let mut changed = encoded.bytes.clone();
        changed[place] ^= 1;
        assert!(file.decode(&changed).is_err(), "byte {place}");
        assert!(
            file.decode(&encoded.bytes[..place]).is_err(),
            "cut at {place}"
        );
        // Below the hash, damage is an error or nothing that matters, never a panic.
        let _ = decode(&changed);
        let _ = decode(&encoded.bytes[..place]);
    }
    let other = encode(&sources(1..=9));
    let lying = FinishedFile {
        sources: 10,
        ..FinishedFile::of(&other, "file:///w", Uuid::nil())
    };
    assert!(
        lying
            .decode(&other.bytes)
            .unwrap_err()
            .contains("9 sources")
    );
}

#[tokio::test]
async fn other_implementations_read_it_as_a_puffin_file() {
    let encoded = encode(&sources(1..=100));
    let memory = FileIO::new_with_memory();
    let path = "memory:/finished.puffin";
    let output = memory.new_output(path).unwrap();
    output.write(encoded.bytes.clone().into()).await.unwrap();
    let reader = PuffinReader::new(memory.new_input(path).unwrap());
    let metadata = reader.file_metadata().await.unwrap();
    assert_eq!(metadata.blobs().len(), 1);
    let blob = reader.blob(&metadata.blobs()[0]).await.unwrap();
    assert_eq!(
        (blob.blob_type(), blob.fields()),
        (BLOB_TYPE, &[] as &[i32])
    );
    let content: Content = serde_json::from_slice(blob.data()).unwrap();
    assert_eq!(content.sources.len(), 100);
    let before_footer = MAGIC.len() + metadata.blobs()[0].length() as usize;
    assert_eq!(
        encoded.footer_bytes as usize,
        encoded.bytes.len() - before_footer
    );
}

#[test]
fn few_finished_sources_stay_and_many_move_at_once() {
    let by = Uuid::from_u128(77);
    let mut state = State::new(Uuid::from_u128(7));
    state.sources = sources(1..=4);
    if let SourceIdentity::File(file) = &mut state.sources.get_mut(&2).unwrap().identity {
        file.at_end = false;
    }
    for (id, commit) in [(5, by), (6, Uuid::from_u128(1))] {
        let source = SourceState {
            identity: SourceIdentity::StandardInput,
            position: 9,
            commit,
        };
        state.sources.insert(id, source);
    }
    let before = state.clone();
    assert!(take(&mut state, by, 4).is_empty());
    assert_eq!(state, before);
    let taken = take(&mut state, by, 3);
    assert_eq!(taken.keys().copied().collect::<Vec<_>>(), [1, 3, 4, 6]);
    assert_eq!(state.sources.keys().copied().collect::<Vec<_>>(), [2, 5]);
}
