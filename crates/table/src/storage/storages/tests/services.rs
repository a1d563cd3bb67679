//! The object stores over HTTP, against a server that answers what a test says.

use std::time::{Duration, Instant};

use frazil_dataset::SecretReference;
use frazil_service::secret::Secret;

use super::{
    super::*,
    fake::{Answer, Fake, Request},
    properties, storages,
};
use crate::storage::options::{
    AzureOptions, GcsCredentials, GcsOptions, S3Credentials, S3Encryption, S3Options,
};

const PART_BYTES: usize = 5 * 1024 * 1024;

fn limits() -> StorageLimits {
    StorageLimits {
        part_bytes: PART_BYTES,
        attempts_max: 3,
        retry_wait_min: Duration::from_millis(1),
        retry_wait_max: Duration::from_millis(5),
        call_timeout: Duration::from_millis(300),
        upload_timeout: Duration::from_millis(300),
        ..StorageLimits::default()
    }
}

fn s3_options(fake: &Fake) -> S3Options {
    S3Options {
        endpoint: Some(fake.endpoint.clone()),
        path_style: true,
        credentials: S3Credentials::Anonymous,
        ..S3Options::default()
    }
}

fn s3(fake: &Fake) -> Storages {
    storages(StorageOptions {
        s3: s3_options(fake),
        limits: limits(),
        ..StorageOptions::default()
    })
}

#[expect(clippy::unnecessary_wraps, reason = "an answer may also be none")]
fn text(status: u16, body: &str) -> Answer {
    Some((status, "", body.to_owned()))
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_not() {
    let fake = Fake::start(|_, number| text(if number < 3 { 503 } else { 200 }, "abc")).await;
    assert_eq!(s3(&fake).read("s3://lake/a").await.unwrap(), "abc");
    assert_eq!(fake.asked().len(), 3);

    let fake = Fake::start(|_, _| text(503, "")).await;
    let error = s3(&fake).read("s3://lake/a").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Other, "{error}");
    assert_eq!(fake.asked().len(), 3);

    let fake = Fake::start(|_, _| text(403, "")).await;
    let error = s3(&fake).read("s3://lake/a").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Denied, "{error}");
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let fake = Fake::start(|_, _| None).await;
    let storages = s3(&fake);
    let start = Instant::now();
    for error in [
        storages.read("s3://lake/a").await.unwrap_err(),
        storages.stat("s3://lake/a").await.unwrap_err(),
        storages.delete("s3://lake/a").await.unwrap_err(),
        storages.list("s3://lake/a/").await.unwrap_err(),
        storages.write("s3://lake/a", "x".into()).await.unwrap_err(),
    ] {
        assert!(error.reason.contains("did not answer in time"), "{error}");
    }
    assert_eq!(fake.asked().len(), 15);
    // Five calls of three attempts of 0.3 s: 4.5 s, and what a busy machine adds.
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_part_of_a_file_that_is_shorter_is_refused() {
    let fake = Fake::start(|_, _| text(206, "abc")).await;
    let error = s3(&fake).read_range("s3://lake/a", 0..5).await.unwrap_err();
    assert!(error.reason.contains("ends before"), "{error}");
    assert_eq!(s3(&fake).read_range("s3://lake/a", 7..7).await.unwrap(), "");
}

/// S3's answers to an upload in parts, of which the completion's reply is lost.
fn lost_completion(request: &Request, length: usize) -> Answer {
    match (request.method.as_str(), &request.target) {
        ("POST", target) if target.ends_with("?uploads") => text(
            200,
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        ("PUT", _) => Some((200, "etag: \"e\"\r\n", String::new())),
        ("POST", _) => text(404, "<Error><Code>NoSuchUpload</Code></Error>"),
        ("HEAD", _) if length > 0 => Some((
            200,
            Box::leak(format!("content-length: {length}\r\n").into_boxed_str()),
            String::new(),
        )),
        ("HEAD", _) => text(404, ""),
        ("GET", _) => text(404, "<Error><Code>NoSuchKey</Code></Error>"),
        _ => text(204, ""),
    }
}

#[tokio::test]
async fn a_completion_whose_reply_was_lost_is_looked_up() {
    let length = PART_BYTES + 7;
    let upload = |there: usize| async move {
        let fake = Fake::start(move |request, _| lost_completion(request, there)).await;
        let mut writer = s3(&fake).writer("s3://lake/a").await.unwrap();
        writer.write(vec![b'x'; length].into()).await.unwrap();
        (writer.close().await, fake.asked())
    };
    let (closed, asked) = upload(length).await;
    closed.unwrap();
    let parts: Vec<usize> = asked
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.body.len())
        .collect();
    assert_eq!(parts, [PART_BYTES, 7]);
    // Not there, or not ours: the upload is given up.
    for there in [0, 3] {
        let (closed, asked) = upload(there).await;
        let error = closed.unwrap_err();
        assert!(error.reason.contains("has ended its upload"), "{error}");
        assert!(asked.iter().any(|request| request.method == "DELETE"));
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_gives_its_upload_up() {
    let fake = Fake::start(|request, _| lost_completion(request, 0)).await;
    let storages = s3(&fake);
    let mut writer = storages.writer("s3://lake/a").await.unwrap();
    writer
        .write(vec![b'x'; 2 * PART_BYTES + 1].into())
        .await
        .unwrap();
    drop(writer);
    let abort = async {
        while !fake
            .asked()
            .iter()
            .any(|request| request.method == "DELETE" && request.target.contains("uploadId=u"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), abort)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_being_written_holds_no_more_than_three_parts() {
    let fake = Fake::start(|request, _| match request.method.as_str() {
        "PUT" => None,
        _ => lost_completion(request, 0),
    })
    .await;
    let storages = storages(StorageOptions {
        s3: s3_options(&fake),
        limits: StorageLimits {
            upload_timeout: Duration::from_mins(10),
            ..limits()
        },
        ..StorageOptions::default()
    });
    let mut writer = storages.writer("s3://lake/a").await.unwrap();
    let part = Bytes::from(vec![b'x'; PART_BYTES]);
    // One is sent, one waits in the client, and what comes now must wait for the first.
    for _ in 0..2 {
        writer.write(part.clone()).await.unwrap();
    }
    let third = writer.write(part.clone());
    assert!(
        tokio::time::timeout(Duration::from_millis(300), third)
            .await
            .is_err()
    );
    // Who gave up in the middle cannot go on.
    let error = writer.write(part).await.unwrap_err();
    assert!(error.reason.contains("cancelled"), "{error}");
}

#[tokio::test]
async fn encryption_and_checksums_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customer");
    std::fs::write(&path, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let key = Secret::new(SecretReference::File(path.to_string_lossy().into_owned()));
    let fake = Fake::start(|_, _| Some((200, "etag: \"e\"\r\n", String::new()))).await;
    for (encryption, asked) in [
        (S3Encryption::Bucket, "x-amz-checksum-crc32c: qtxfkw=="),
        (S3Encryption::S3, "x-amz-server-side-encryption: aes256"),
        (
            S3Encryption::Kms {
                key_id: Some("key-1".to_owned()),
            },
            "x-amz-server-side-encryption-aws-kms-key-id: key-1",
        ),
        (
            S3Encryption::Kms { key_id: None },
            "x-amz-server-side-encryption: aws:kms",
        ),
        (
            S3Encryption::Customer { key: key.clone() },
            "x-amz-server-side-encryption-customer-algorithm: aes256",
        ),
    ] {
        let storages = storages(StorageOptions {
            s3: S3Options {
                encryption,
                ..s3_options(&fake)
            },
            limits: limits(),
            ..StorageOptions::default()
        });
        storages.write("s3://lake/a", "x".into()).await.unwrap();
        let head = fake.asked().pop().unwrap().head;
        assert!(head.contains(asked), "{head}");
    }
}

fn gcs(fake: &Fake, credentials: GcsCredentials) -> Storages {
    storages(StorageOptions {
        gcs: GcsOptions {
            endpoint: Some(fake.endpoint.clone()),
            credentials,
        },
        limits: limits(),
        ..StorageOptions::default()
    })
}

#[tokio::test]
async fn google_is_asked_by_bucket_and_encoded_name() {
    let fake = Fake::start(|request, _| match request.target.as_str() {
        target if target.contains("/o?prefix=") => text(
            200,
            r#"{"items": [{"name": "a b/x=1/f", "size": "3", "updated": "2024-01-02T03:04:05.678Z"},
                          {"name": "a b/", "size": "0", "updated": "2024-01-02T03:04:05Z"}]}"#,
        ),
        target if target.contains("none") => text(404, "Not Found"),
        target if target.contains("bucket") => text(
            404,
            r#"{"error": {"code": 404, "message": "The specified bucket does not exist."}}"#,
        ),
        target if target.contains("theirs") => {
            text(403, r#"{"error": {"code": 403, "message": "no"}}"#)
        }
        target if target.contains("old") => text(401, ""),
        _ => text(200, "abc"),
    })
    .await;
    let storages = gcs(&fake, GcsCredentials::Anonymous);
    assert_eq!(
        storages.read("gs://lake/a b/x=1/f%20").await.unwrap(),
        "abc"
    );
    assert_eq!(
        fake.asked()[0].target,
        "/storage/v1/b/lake/o/a%20b%2Fx%3D1%2Ff%2520?alt=media"
    );
    let listed = storages.list("gcs://lake/a b/").await.unwrap();
    assert_eq!(
        listed,
        [FileStat {
            path: "gcs://lake/a b/x=1/f".to_owned(),
            size: 3,
            modified_ms: Some(1_704_164_645_678),
        }]
    );
    let kind = async |path: &str| storages.read(path).await.unwrap_err().kind;
    assert_eq!(kind("gs://lake/none").await, StorageErrorKind::NotFound);
    assert_eq!(kind("gs://lake/bucket").await, StorageErrorKind::Other);
    assert_eq!(kind("gs://lake/theirs").await, StorageErrorKind::Denied);
    assert_eq!(kind("gs://lake/old").await, StorageErrorKind::Denied);
    assert_eq!(storages.stat("gs://lake/none").await.unwrap(), None);
    storages.delete("gs://lake/none").await.unwrap();
}

#[tokio::test]
async fn google_takes_a_token_and_names_with_percents_in_parts() {
    let fake = Fake::start(|request, _| lost_completion(request, 0)).await;
    let storages = gcs(&fake, GcsCredentials::Chain)
        .with_properties(&properties(&[("gcs.oauth2.token", "hidden")]))
        .unwrap();
    let mut writer = storages.writer("gs://lake/h=a%2Fb/f").await.unwrap();
    writer
        .write(vec![b'x'; PART_BYTES + 1].into())
        .await
        .unwrap();
    let error = writer.close().await.unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
    let asked = fake.asked();
    assert!(
        asked
            .iter()
            .all(|request| request.head.contains("authorization: bearer hidden"))
    );
    // A slash may be encoded or not.
    let uploads: Vec<String> = asked
        .iter()
        .filter(|request| request.method != "GET")
        .map(|request| {
            request
                .target
                .split('?')
                .next()
                .unwrap()
                .replace("%2F", "/")
        })
        .collect();
    assert!(uploads.len() >= 4);
    assert!(
        uploads.iter().all(|path| path == "/lake/h%3Da%252Fb/f"),
        "{uploads:?}"
    );
}

#[tokio::test]
async fn azure_is_written_by_append_and_flush_and_listed_by_folder() {
    let fake = Fake::start(|request, _| {
        let target = request.target.as_str();
        match request.method.as_str() {
            "PUT" if target.contains("theirs") => text(
                403,
                "<?xml version=\"1.0\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>no</Message></Error>",
            ),
            "PUT" => text(201, ""),
            "PATCH" if target.contains("broken") => text(400, ""),
            "PATCH" => text(202, ""),
            "DELETE" => text(200, ""),
            "HEAD" => text(404, ""),
            _ if target.contains("directory=a&") || target.ends_with("directory=a") => text(
                200,
                r#"{"paths": [
                    {"name": "a/b", "isDirectory": "true", "contentLength": "0", "lastModified": "Tue, 02 Jan 2024 03:04:05 GMT"},
                    {"name": "a/f", "contentLength": "3", "lastModified": "Tue, 02 Jan 2024 03:04:05 GMT"}]}"#,
            ),
            _ if target.contains("directory=a") => text(
                200,
                r#"{"paths": [{"name": "a/b/g", "contentLength": "4", "lastModified": "Tue, 02 Jan 2024 03:04:05 GMT"}]}"#,
            ),
            _ => text(404, ""),
        }
    })
    .await;
    let storages = storages(StorageOptions {
        azure: AzureOptions {
            endpoint: Some(fake.endpoint.clone()),
            ..AzureOptions::default()
        },
        limits: limits(),
        ..StorageOptions::default()
    })
    .with_properties(&properties(&[("adls.sas-token.acme", "sv=1&sig=hidden")]))
    .unwrap();
    let at = |path: &str| format!("abfss://lake@acme.dfs.core.windows.net/{path}");
    storages.write(&at("a/h=1"), "abc".into()).await.unwrap();
    let asked = fake.asked();
    let path = |request: &Request| request.target.split("&sv=").next().unwrap().to_owned();
    assert_eq!(
        asked.iter().map(path).collect::<Vec<_>>(),
        [
            "/lake/a/h%3D1?resource=file",
            "/lake/a/h%3D1?action=append&position=0",
            "/lake/a/h%3D1?action=flush&position=3&close=true",
        ]
    );
    assert!(
        asked
            .iter()
            .all(|request| request.target.contains("sig=hidden"))
    );

    let mut listed = storages.list(&at("a/")).await.unwrap();
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    let listed: Vec<(String, u64)> = listed.into_iter().map(|f| (f.path, f.size)).collect();
    assert_eq!(listed, [(at("a/b/g"), 4), (at("a/f"), 3)]);

    let error = storages.write(&at("theirs"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Denied, "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert_eq!(storages.stat(&at("none")).await.unwrap(), None);

    // What was begun is removed where it failed.
    let error = storages.write(&at("broken"), "x".into()).await.unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
    let last = fake.asked().pop().unwrap();
    assert_eq!(last.method, "DELETE");
    assert!(last.target.starts_with("/lake/broken"), "{}", last.target);
}
