//! HDFS, on a NameNode and a DataNode of our own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use frazil_service::clock::RandomIds;
use frazil_table::storage::{
    Storage, StorageErrorKind,
    options::{HdfsOptions, StorageLimits, StorageOptions},
    storages::Storages,
};
use serde_json::Value;

use super::{PATIENCE, begun, contract, list, pattern, table, until};
use crate::stack::Stack;

fn storages(user: &str) -> Storages {
    let options = StorageOptions {
        hdfs: HdfsOptions {
            user: Some(user.to_owned()),
            ..HdfsOptions::default()
        },
        limits: StorageLimits {
            attempts_max: 3,
            retry_wait_min: Duration::from_millis(20),
            ..StorageLimits::default()
        },
        ..StorageOptions::default()
    };
    Storages::new(options, Arc::new(RandomIds))
}

/// What the server answers to another client.
async fn webhdfs(stack: &Stack, path: &str, operation: &str) -> reqwest::Response {
    let url = format!(
        "{}{path}?op={operation}&user.name={}",
        stack.address("webhdfs"),
        stack.address("user")
    );
    reqwest::get(url).await.unwrap()
}

#[tokio::test]
async fn hdfs_keeps_the_contract() {
    let stack = Stack::start("hdfs", &[]);
    let storage = storages(stack.address("user"));
    blocks_are_synced(&stack, &storage).await;
    let root = format!("{}/contract", stack.address("uri"));
    contract(&storage, &root).await;
    as_another_client_sees_it(&stack, &storage).await;
    never_half(&stack, &storage).await;
    rights(&stack).await;
    let warehouse = format!("{}/warehouse", stack.address("uri"));
    table(Arc::new(storage), &warehouse).await;
}

/// How often the DataNode has synced a block.
async fn syncs(stack: &Stack) -> u64 {
    let bean = "Hadoop:service=DataNode,name=DataNodeActivity-*";
    let url = format!("{}/jmx?qry={bean}", stack.address("datanode"));
    let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    answer["beans"][0]["FsyncCount"].as_u64().unwrap()
}

async fn blocks_are_synced(stack: &Stack, storage: &Storages) {
    assert_eq!(syncs(stack).await, 0);
    // Three blocks of 16 MiB, and a bit.
    let path = format!("{}/synced", stack.address("uri"));
    let mut writer = storage.writer(&path).await.unwrap();
    writer.write(pattern(0, 51_000_000)).await.unwrap();
    writer.close().await.unwrap();
    // Its numbers are refreshed every few seconds.
    until(async || syncs(stack).await >= 4).await;
}

async fn as_another_client_sees_it(stack: &Stack, storage: &Storages) {
    let path = format!("{}/seen/a=b", stack.address("uri"));
    let bytes = pattern(0, 40_000_000);
    storage.write(&path, bytes.clone()).await.unwrap();
    let answer = webhdfs(stack, "/seen/a=b", "OPEN").await;
    assert!(answer.bytes().await.unwrap() == bytes);
    let status: Value = webhdfs(stack, "/seen/a=b", "GETFILESTATUS")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(status["FileStatus"]["owner"], stack.address("user"));
    let modified = storage.stat(&path).await.unwrap().unwrap().modified_ms;
    assert_eq!(status["FileStatus"]["modificationTime"].as_i64(), modified);
}

/// A file is written elsewhere: until the end its name has the old file, or none.
async fn never_half(stack: &Stack, storage: &Storages) {
    let folder = format!("{}/half/", stack.address("uri"));
    let path = format!("{folder}f");
    storage.write(&path, "old".into()).await.unwrap();
    let writer = begun(storage, &path).await;
    assert_eq!(storage.read(&path).await.unwrap(), "old");
    let names = list(storage, &folder).await;
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        names[0].starts_with(&format!("{folder}.frazil-")),
        "{names:?}"
    );
    writer.close().await.unwrap();
    let size = storage.stat(&path).await.unwrap().unwrap().size;
    assert_eq!(size, 20_000_000);
    assert_eq!(list(storage, &folder).await, [path]);
}

async fn rights(stack: &Stack) {
    let storage = storages("mallory");
    let path = format!("{}/seen/f", stack.address("uri"));
    let start = Instant::now();
    for error in [
        storage.write(&path, "x".into()).await.unwrap_err(),
        storage.writer(&path).await.err().unwrap(),
        storage
            .delete(&path.replace("/f", "/a=b"))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind, StorageErrorKind::Denied, "{error}");
        assert!(error.reason.contains("user=mallory"), "{error}");
        assert!(!error.reason.contains('\n'), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_name_node_that_is_not_there_is_said_in_time() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("hdfs://127.0.0.1:{port}");
    let start = Instant::now();
    let error = storages("frazil")
        .read(&format!("{url}/f"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Other);
    assert!(
        error.reason.contains(&url) && error.reason.contains("cannot be reached"),
        "{error}"
    );
    assert!(start.elapsed() < PATIENCE / 4);
    let error = storages("frazil").read("hdfs://unknown/f").await;
    let reason = error.unwrap_err().reason;
    assert!(reason.contains("hdfs://unknown"), "{reason}");
}
