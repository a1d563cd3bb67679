use super::*;

fn root() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let uri = LocalStorage::uri(folder.path()).unwrap();
    (folder, uri)
}

#[tokio::test]
async fn writes_reads_stats_lists_deletes() {
    let (_folder, root) = root();
    let storage = LocalStorage::new();
    let path = format!("{root}/a/b/c.bin");
    storage
        .write(&path, Bytes::from_static(b"hello"))
        .await
        .unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "hello");
    assert_eq!(storage.read_range(&path, 1..4).await.unwrap(), "ell");
    assert_eq!(storage.stat(&path).await.unwrap().unwrap().size, 5);
    let listed = storage.list(&format!("{root}/a/")).await.unwrap();
    assert_eq!(listed.iter().map(|f| &f.path).collect::<Vec<_>>(), [&path]);
    storage.delete(&path).await.unwrap();
    storage.delete(&path).await.unwrap();
    assert_eq!(storage.stat(&path).await.unwrap(), None);
    assert!(
        storage
            .list(&format!("{root}/none/"))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_file_appears_only_when_closed() {
    let (_folder, root) = root();
    let storage = LocalStorage::new();
    let path = format!("{root}/x/part.bin");
    let mut writer = storage.writer(&path).await.unwrap();
    writer.write(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(storage.stat(&path).await.unwrap(), None);
    writer.write(Bytes::from_static(b"two")).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "onetwo");
    assert_eq!(storage.list(&format!("{root}/")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn aborted_and_dropped_writers_leave_nothing() {
    let (_folder, root) = root();
    let storage = LocalStorage::new();
    let mut writer = storage.writer(&format!("{root}/a")).await.unwrap();
    writer.write(Bytes::from_static(b"one")).await.unwrap();
    writer.abort().await.unwrap();
    let mut writer = storage.writer(&format!("{root}/b")).await.unwrap();
    writer.write(Bytes::from_static(b"one")).await.unwrap();
    drop(writer);
    assert!(storage.list(&format!("{root}/")).await.unwrap().is_empty());
}

#[tokio::test]
async fn odd_names_are_taken_as_they_are() {
    let (folder, root) = root();
    let storage = LocalStorage::new();
    for name in ["host=a%2Fb", "a b", "50%", "a?b#c", "é", "a+b&c=d", "%"] {
        let path = format!("{root}/{name}/f");
        storage
            .write(&path, Bytes::from_static(b"x"))
            .await
            .unwrap();
        assert!(folder.path().join(name).join("f").is_file(), "{name}");
        let listed = storage.list(&format!("{root}/{name}/")).await.unwrap();
        assert_eq!(listed[0].path, path);
    }
}

#[tokio::test]
async fn forms_of_the_uri_name_the_same_file() {
    let (folder, root) = root();
    let storage = LocalStorage::new();
    storage
        .write(&format!("{root}/f"), Bytes::from_static(b"x"))
        .await
        .unwrap();
    let bare = folder.path().join("f").display().to_string();
    for uri in [
        format!("file:{bare}"),
        format!("file://localhost{bare}"),
        format!("file://{bare}"),
    ] {
        assert_eq!(storage.read(&uri).await.unwrap(), "x", "{uri}");
    }
}

#[tokio::test]
async fn other_schemes_and_hosts_are_refused_by_name() {
    let storage = LocalStorage::new();
    let error = storage.read("s3://bucket/key").await.unwrap_err();
    assert!(error.to_string().contains("s3 scheme"), "{error}");
    for uri in [
        "file://host/share/f",
        "file:relative",
        "/bare/path",
        "file://",
        "",
    ] {
        assert!(storage.read(uri).await.is_err(), "{uri}");
    }
    assert!(LocalStorage::uri(Path::new("relative")).is_err());
}

#[tokio::test]
async fn errors_have_their_kind() {
    let (folder, root) = root();
    let storage = LocalStorage::new();
    let missing = storage.read(&format!("{root}/none")).await.unwrap_err();
    assert_eq!(missing.kind, StorageErrorKind::NotFound);
    fs::write(folder.path().join("file"), b"x").unwrap();
    let under_a_file = storage
        .write(&format!("{root}/file/x"), Bytes::new())
        .await
        .unwrap_err();
    assert!(
        under_a_file.to_string().contains("not a folder"),
        "{under_a_file}"
    );
    let beyond = storage
        .read_range(&format!("{root}/file"), 0..9)
        .await
        .unwrap_err();
    assert_eq!(beyond.kind, StorageErrorKind::Other);
    for (io, kind) in [
        (io::ErrorKind::StorageFull, StorageErrorKind::Full),
        (io::ErrorKind::QuotaExceeded, StorageErrorKind::Full),
        (io::ErrorKind::PermissionDenied, StorageErrorKind::Denied),
        (io::ErrorKind::ReadOnlyFilesystem, StorageErrorKind::Denied),
    ] {
        assert_eq!(storage_error("write", "file:///x", &io.into()).kind, kind);
    }
}

#[tokio::test]
async fn a_folder_removed_behind_our_back_is_made_again() {
    let (folder, root) = root();
    let storage = LocalStorage::new();
    storage
        .write(&format!("{root}/a/b/1"), Bytes::new())
        .await
        .unwrap();
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    storage
        .write(&format!("{root}/a/b/2"), Bytes::new())
        .await
        .unwrap();
    assert_eq!(storage.list(&format!("{root}/a/")).await.unwrap().len(), 1);
}
