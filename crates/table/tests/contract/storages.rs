//! The contract of storages, over local files, a real S3 server and a real HDFS. Every implementation runs
//! [`contract`].

mod hdfs;
mod s3;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use frazil_service::clock::{Clock as _, SystemClock};
use frazil_table::storage::{
    FileStat, Storage, StorageErrorKind, StorageWriter, local::LocalStorage,
};
use futures::{StreamExt as _, stream};

use crate::support::{Lake, counted, name, numbers, write};

/// More than any call of a test takes on a busy machine, and less than a person waits.
const PATIENCE: Duration = Duration::from_mins(1);
/// Clocks of servers and files are coarser than ours.
const CLOCKS_DIFFER_MS: i64 = 5_000;

/// What every storage must do, under `root`, where nothing is yet.
async fn contract(storage: &dyn Storage, root: &str) {
    whole_files(storage, root).await;
    files_in_parts(storage, root).await;
    given_up(storage, root).await;
    missing(storage, root).await;
    listing(storage, root).await;
    odd_names(storage, root).await;
    many_at_once(storage, root).await;
}

async fn whole_files(storage: &dyn Storage, root: &str) {
    let path = format!("{root}/whole/a/b/file.avro");
    storage.write(&path, "0123456789".into()).await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "0123456789");
    for (range, text) in [
        (0..10, "0123456789"),
        (0..1, "0"),
        (3..7, "3456"),
        (9..10, "9"),
        (5..5, ""),
    ] {
        assert_eq!(storage.read_range(&path, range).await.unwrap(), text);
    }
    for range in [5..11, 20..21] {
        let error = storage.read_range(&path, range).await.unwrap_err();
        assert!(error.reason.contains("ends before"), "{error}");
        assert_eq!(error.kind, StorageErrorKind::Other, "{error}");
    }
    storage.write(&path, "shorter".into()).await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "shorter");
    assert_eq!(storage.stat(&path).await.unwrap().unwrap().size, 7);
    storage.write(&path, Bytes::new()).await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "");
    assert_eq!(storage.stat(&path).await.unwrap().unwrap().size, 0);
    let large = pattern(0, 6 * 1024 * 1024);
    storage.write(&path, large.clone()).await.unwrap();
    assert!(storage.read(&path).await.unwrap() == large);
}

/// Bytes of a file that tell where they are.
fn pattern(start: usize, end: usize) -> Bytes {
    (start..end)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect::<Vec<u8>>()
        .into()
}

async fn files_in_parts(storage: &dyn Storage, root: &str) {
    const LENGTH: usize = 40 * 1024 * 1024;
    let path = format!("{root}/parts/data.parquet");
    let mut writer = storage.writer(&path).await.unwrap();
    let mut start = 0;
    // Lengths that fit no part and no block.
    for step in [1, 700_001, 3, 12_345_678].iter().cycle() {
        let end = (start + step).min(LENGTH);
        writer.write(pattern(start, end)).await.unwrap();
        start = end;
        if start == LENGTH {
            break;
        }
    }
    assert_eq!(
        storage.stat(&path).await.unwrap(),
        None,
        "it is seen only when it is whole"
    );
    writer.close().await.unwrap();
    let stat = storage.stat(&path).await.unwrap().unwrap();
    assert_eq!(stat.size, LENGTH as u64);
    assert!(storage.read(&path).await.unwrap() == pattern(0, LENGTH));
    for start in [0, 8 * 1024 * 1024 - 5, 16 * 1024 * 1024 - 5, LENGTH - 10] {
        let range = start as u64..start as u64 + 10;
        assert_eq!(
            storage.read_range(&path, range).await.unwrap(),
            pattern(start, start + 10)
        );
    }
    // Without a byte, and closed at once.
    let path = format!("{root}/parts/empty");
    let writer = storage.writer(&path).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "");
    assert_eq!(list(storage, &format!("{root}/parts/")).await.len(), 2);
}

async fn begun(storage: &dyn Storage, path: &str) -> Box<dyn StorageWriter> {
    let mut writer = storage.writer(path).await.unwrap();
    for _ in 0..4 {
        writer.write(pattern(0, 5_000_000)).await.unwrap();
    }
    writer
}

async fn given_up(storage: &dyn Storage, root: &str) {
    let folder = format!("{root}/given-up/");
    let path = format!("{folder}file");
    begun(storage, &path).await.abort().await.unwrap();
    assert_eq!(list(storage, &folder).await, [""; 0]);
    assert_eq!(storage.stat(&path).await.unwrap(), None);
    drop(begun(storage, &path).await);
    until(async || list(storage, &folder).await.is_empty()).await;
    // The name is free.
    storage.write(&path, "new".into()).await.unwrap();
    assert_eq!(list(storage, &folder).await, [path]);
}

/// Waits for what another task, or a server, does.
async fn until(done: impl AsyncFn() -> bool) {
    let wait = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

async fn missing(storage: &dyn Storage, root: &str) {
    let path = format!("{root}/missing/file");
    assert_eq!(storage.stat(&path).await.unwrap(), None);
    for error in [
        storage.read(&path).await.unwrap_err(),
        storage.read_range(&path, 0..1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StorageErrorKind::NotFound, "{error}");
        assert_eq!(error.path, path);
    }
    storage.delete(&path).await.unwrap();
    assert_eq!(list(storage, &format!("{root}/missing/")).await, [""; 0]);
    storage.write(&path, "x".into()).await.unwrap();
    storage.delete(&path).await.unwrap();
    storage.delete(&path).await.unwrap();
    assert_eq!(storage.stat(&path).await.unwrap(), None);
}

async fn list(storage: &dyn Storage, folder: &str) -> Vec<String> {
    let mut paths: Vec<String> = storage
        .list(folder)
        .await
        .unwrap()
        .into_iter()
        .map(|file| file.path)
        .collect();
    paths.sort();
    paths
}

async fn listing(storage: &dyn Storage, root: &str) {
    let before = SystemClock.now_millis() - CLOCKS_DIFFER_MS;
    let folder = format!("{root}/logs/web/");
    let mut written = vec![
        format!("{folder}metadata/00000-a.metadata.json"),
        format!("{folder}data/day=2024-01-02/a.parquet"),
        format!("{folder}data/day=2024-01-02/b.parquet"),
        format!("{folder}top"),
    ];
    for (length, path) in written.iter().enumerate() {
        storage.write(path, pattern(0, length)).await.unwrap();
    }
    let other = format!("{root}/logs/web__dead_letters/data/a.parquet");
    storage.write(&other, "x".into()).await.unwrap();
    let after = SystemClock.now_millis() + CLOCKS_DIFFER_MS;

    for folder in [&folder, folder.trim_end_matches('/')] {
        let mut listed: Vec<FileStat> = storage.list(folder).await.unwrap();
        listed.sort_by_key(|file| file.size);
        let paths: Vec<&String> = listed.iter().map(|file| &file.path).collect();
        assert_eq!(paths, written.iter().collect::<Vec<_>>());
        for (length, file) in listed.iter().enumerate() {
            assert_eq!(file.size, length as u64, "{file:?}");
            let modified = file.modified_ms.unwrap();
            assert!((before..after).contains(&modified), "{file:?}");
            assert_eq!(storage.stat(&file.path).await.unwrap().as_ref(), Some(file));
        }
    }
    written.push(other);
    written.sort();
    assert_eq!(list(storage, &format!("{root}/logs/")).await, written);
}

async fn odd_names(storage: &dyn Storage, root: &str) {
    let folder = format!("{root}/odd/");
    let mut paths: Vec<String> = [
        "day=2024-01-02/x",
        "with space/a b",
        "100%",
        "a%20b",
        "a%2Fb",
        "%25",
        "é/日本語",
        "a+b&c",
        "it's (1)!",
        "a,b;c@d$e",
        "~x_.-*",
        "question?mark#hash",
        "[bracket]{brace}",
        "back\\slash",
    ]
    .iter()
    .map(|name| format!("{folder}{name}"))
    .collect();
    for path in &paths {
        storage.write(path, path.clone().into()).await.unwrap();
    }
    for path in &paths {
        assert_eq!(storage.read(path).await.unwrap(), path.as_str());
        let mut writer = storage.writer(path).await.unwrap();
        writer.write(path.clone().into()).await.unwrap();
        writer.close().await.unwrap();
        let size = storage.stat(path).await.unwrap().unwrap().size;
        assert_eq!(size, path.len() as u64);
    }
    paths.sort();
    assert_eq!(list(storage, &folder).await, paths);
    for path in &paths {
        storage.delete(path).await.unwrap();
    }
    assert_eq!(list(storage, &folder).await, [""; 0]);
}

async fn many_at_once(storage: &dyn Storage, root: &str) {
    let folder = format!("{root}/many/");
    let path = |number: usize| format!("{folder}{number:02}/f");
    let write = async |number: usize| {
        let bytes = pattern(number, number + 100_000);
        storage.write(&path(number), bytes.clone()).await.unwrap();
        assert!(storage.read(&path(number)).await.unwrap() == bytes);
    };
    stream::iter(0..64).for_each_concurrent(64, write).await;
    let written: Vec<String> = (0..64).map(path).collect();
    assert_eq!(list(storage, &folder).await, written);
}

/// A table that is made, committed to, loaded and read over the storage.
async fn table(storage: Arc<dyn Storage>, root: &str) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::over(folder, storage, root.to_owned()).await;
    let creation = crate::support::creation(&[]);
    lake.committer().create(&name(), creation).await.unwrap();
    write(&lake, &[25, 25, 60]).await;
    let table = lake.load().await;
    assert_eq!(table.metadata.location(), format!("{root}/logs/web"));
    assert!(table.metadata_location.starts_with(root));
    assert_eq!(numbers(&table).await, counted(0..60));
    assert_eq!(lake.state().await.sources[&1].position, 60);
    let files = lake.files().await;
    assert!(files.contains(&table.metadata_location), "{files:?}");
    assert!(files.iter().all(|file| file.starts_with(root)));
}

#[tokio::test]
async fn local_files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let root = LocalStorage::uri(folder.path()).unwrap();
    contract(&LocalStorage::new(), &root).await;
}
