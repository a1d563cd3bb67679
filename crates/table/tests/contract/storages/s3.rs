//! S3, on a server of our own.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use frazil_dataset::SecretReference;
use frazil_service::{clock::RandomIds, secret::Secret};
use frazil_table::storage::{
    Storage, StorageErrorKind,
    options::{S3Checksum, S3Credentials, S3Options, StorageLimits, StorageOptions},
    storages::Storages,
};

use super::{PATIENCE, begun, contract, pattern, table, until};
use crate::stack::Stack;

/// Of no bytes.
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Server {
    stack: Stack,
    secrets: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        Self {
            stack: Stack::start("s3", &[]),
            secrets: tempfile::tempdir().unwrap(),
        }
    }

    fn secret(&self, name: &str, text: &str) -> Secret {
        let path = self.secrets.path().join(name);
        std::fs::write(&path, text).unwrap();
        Secret::new(SecretReference::File(path.to_string_lossy().into_owned()))
    }

    /// Options whose limits let a failure show soon.
    fn options(&self) -> StorageOptions {
        let (id, key) = (
            self.stack.address("access_key"),
            self.stack.address("secret_key"),
        );
        StorageOptions {
            s3: S3Options {
                endpoint: Some(self.stack.address("endpoint").to_owned()),
                region: Some(self.stack.address("region").to_owned()),
                path_style: true,
                credentials: S3Credentials::Keys {
                    access_key_id: self.secret("id", id),
                    secret_access_key: self.secret("key", key),
                    session_token: None,
                },
                ..S3Options::default()
            },
            limits: StorageLimits {
                attempts_max: 3,
                retry_wait_min: Duration::from_millis(20),
                ..StorageLimits::default()
            },
            ..StorageOptions::default()
        }
    }

    fn storages(&self, change: impl FnOnce(&mut StorageOptions)) -> Storages {
        let mut options = self.options();
        change(&mut options);
        Storages::new(options, Arc::new(RandomIds))
    }

    fn root(&self, folder: &str) -> String {
        format!("s3://{}/{folder}", self.stack.address("bucket"))
    }

    /// What the server answers to another client.
    fn curl(&self, path_and_query: &str) -> String {
        let url = format!(
            "{}/{}{path_and_query}",
            self.stack.address("endpoint"),
            self.stack.address("bucket")
        );
        let user = format!(
            "{}:{}",
            self.stack.address("access_key"),
            self.stack.address("secret_key")
        );
        let signature = format!("aws:amz:{}:s3", self.stack.address("region"));
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--aws-sigv4", &signature, "--user", &user])
            .args(["-H", &format!("x-amz-content-sha256:{SHA256_OF_NOTHING}")])
            .arg(url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The multipart uploads that nobody ended, as the server lists them.
    fn uploads(&self) -> usize {
        self.curl("?uploads=").matches("<Upload>").count()
    }
}

#[tokio::test]
async fn s3_keeps_the_contract() {
    let server = Server::start();
    let storage = server.storages(|_| {});
    contract(&storage, &server.root("contract")).await;
    assert_eq!(server.uploads(), 0);
    // Another spelling of the scheme names the same files, and comes back as it was asked.
    let path = server.root("spelled/f");
    storage.write(&path, "x".into()).await.unwrap();
    let folder = server.root("spelled/").replace("s3:", "s3a:");
    let listed = storage.list(&folder).await.unwrap();
    assert_eq!(listed[0].path, format!("{folder}f"));
    // As another client sees them.
    storage
        .write(&server.root("other/a=b c%20d"), "seen".into())
        .await
        .unwrap();
    assert_eq!(server.curl("/other/a%3Db%20c%2520d"), "seen");
}

#[tokio::test]
async fn uploads_that_are_given_up_leave_nothing_on_s3() {
    let server = Server::start();
    let storage = server.storages(|_| {});
    let path = server.root("given-up");
    // While it is under way the server has an upload: the listing would show one that was left.
    let writer = begun(&storage, &path).await;
    until(async || server.uploads() == 1).await;
    writer.abort().await.unwrap();
    assert_eq!(server.uploads(), 0);
    let writer = begun(&storage, &path).await;
    until(async || server.uploads() == 1).await;
    drop(writer);
    until(async || server.uploads() == 0).await;
    assert_eq!(storage.stat(&path).await.unwrap(), None);
}

#[tokio::test]
async fn checksums_and_encryption_are_taken_by_the_server() {
    let server = Server::start();
    let storage = server.storages(|options| options.s3.checksum = S3Checksum::None);
    let path = server.root("unchecked");
    storage.write(&path, pattern(0, 20_000_000)).await.unwrap();
    let checked = server.storages(|_| {});
    assert!(checked.read(&path).await.unwrap() == pattern(0, 20_000_000));
}

#[tokio::test]
async fn whom_the_server_does_not_know_is_denied_soon_and_without_the_secret() {
    let server = Server::start();
    let good = server.storages(|_| {});
    let path = server.root("f");
    good.write(&path, "x".into()).await.unwrap();
    let keys = |id: &str, key: &str| S3Credentials::Keys {
        access_key_id: server.secret(&format!("id-{id}-{key}"), id),
        secret_access_key: server.secret(&format!("key-{id}-{key}"), key),
        session_token: None,
    };
    for (credentials, advice) in [
        (
            keys(server.stack.address("access_key"), "wrong-secret-key"),
            "secret",
        ),
        (keys("nobody", "wrong-secret-key"), "access key id"),
        (S3Credentials::Anonymous, "may not"),
    ] {
        let storage = server.storages(|options| options.s3.credentials = credentials);
        let start = Instant::now();
        for error in [
            storage.read(&path).await.unwrap_err(),
            storage.write(&path, "y".into()).await.unwrap_err(),
            storage.list(&server.root("")).await.unwrap_err(),
            storage.stat(&path).await.unwrap_err(),
            storage
                .writer(&path)
                .await
                .unwrap()
                .close()
                .await
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, StorageErrorKind::Denied, "{error}");
            assert!(error.reason.contains(advice), "{error}");
            assert!(!format!("{error} {error:?}").contains("wrong-secret-key"));
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(good.read(&path).await.unwrap(), "x");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_server_that_is_not_are_said() {
    let server = Server::start();
    let storage = server.storages(|_| {});
    for error in [
        storage.read("s3://none/f").await.unwrap_err(),
        storage.write("s3://none/f", "x".into()).await.unwrap_err(),
        storage.list("s3://none/a/").await.unwrap_err(),
        storage.stat("s3://none/f").await.unwrap_err(),
        storage.read_range("s3://none/f", 0..1).await.unwrap_err(),
    ] {
        assert!(error.reason.contains("there is no bucket none"), "{error}");
        assert_eq!(error.kind, StorageErrorKind::Other);
    }
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let dead = format!("http://127.0.0.1:{port}");
    let storage = server.storages(|options| options.s3.endpoint = Some(dead.clone()));
    let start = Instant::now();
    let error = storage.read(&server.root("f")).await.unwrap_err();
    assert!(
        error.reason.contains(&dead) && error.reason.contains("cannot be reached"),
        "{error}"
    );
    assert!(error.reason.contains("refused"), "{error}");
    assert!(start.elapsed() < PATIENCE / 4);
}

#[tokio::test]
async fn what_a_catalog_hands_out_opens_the_bucket() {
    let server = Server::start();
    let address = |key: &str| server.stack.address(key).to_owned();
    let storage = Storages::new(StorageOptions::default(), Arc::new(RandomIds))
        .with_properties(
            &[
                ("s3.endpoint", address("endpoint")),
                ("s3.access-key-id", address("access_key")),
                ("s3.secret-access-key", address("secret_key")),
                ("s3.path-style-access", "true".to_owned()),
                ("client.region", address("region")),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        )
        .unwrap();
    let path = server.root("vended");
    storage.write(&path, "x".into()).await.unwrap();
    assert_eq!(storage.read(&path).await.unwrap(), "x");
}

#[tokio::test]
async fn a_table_lives_in_s3() {
    let server = Server::start();
    let storage = Arc::new(server.storages(|_| {}));
    table(storage, &server.root("warehouse")).await;
}
