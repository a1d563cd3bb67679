mod fake;
mod services;

use frazil_dataset::SecretReference;
use frazil_service::{clock::RandomIds, secret::Secret};

use super::*;
use crate::storage::options::{S3Credentials, S3Options};

pub(super) fn storages(options: StorageOptions) -> Storages {
    Storages::new(options, Arc::new(RandomIds))
}

fn properties(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn files_of_this_machine_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let storages = storages(StorageOptions::default());
    let path = format!("file://{}/a/b=1/c", folder.path().display());
    storages.write(&path, "abc".into()).await.unwrap();
    assert_eq!(storages.read(&path).await.unwrap(), "abc");
    let listed = storages
        .list(&format!("file://{}/a", folder.path().display()))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].path, path);
}

#[tokio::test]
async fn what_names_no_file_is_refused_before_anybody_is_asked() {
    let storages = storages(StorageOptions::default());
    for path in ["s3://lake", "s3://lake/", "s3://lake/a/", "hdfs://nn:1/"] {
        let error = storages.read(path).await.unwrap_err();
        assert!(error.reason.contains("names no file"), "{error}");
    }
    let error = storages.write("ftp://host/a", Bytes::new()).await;
    assert!(error.unwrap_err().reason.contains("ftp:"));
    let error = storages.list("hdfs://unknown/a/").await.unwrap_err();
    assert!(error.reason.contains("hdfs://unknown"), "{error}");
}

#[tokio::test]
async fn a_bucket_has_one_client_however_its_scheme_is_spelled() {
    let storages = storages(StorageOptions {
        s3: S3Options {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            ..S3Options::default()
        },
        ..StorageOptions::default()
    });
    for uri in ["s3://lake/a", "s3a://lake/b", "s3n://lake/c", "s3://lake/d"] {
        storages.place("read", uri).unwrap();
    }
    assert_eq!(storages.clients.lock().unwrap().len(), 1);
    storages.place("read", "s3://other/a").unwrap();
    storages.place("read", "hdfs://nn:8020/a").unwrap();
    storages.place("read", "hdfs://nn:8020/b").unwrap();
    assert_eq!(storages.clients.lock().unwrap().len(), 3);
}

#[test]
fn of_a_catalogs_credentials_the_longest_prefix_counts() {
    let endpoint = |host: &str| {
        properties(&[
            ("s3.endpoint", host),
            ("s3.access-key-id", "AK"),
            ("s3.secret-access-key", "hidden"),
        ])
    };
    let storages = storages(StorageOptions::default())
        .with_properties(&endpoint("http://all"))
        .unwrap()
        .with_credentials("s3://lake/logs/", &endpoint("http://logs"))
        .unwrap()
        .with_credentials("s3a://lake/logs/web/", &endpoint("http://old"))
        .unwrap()
        .with_credentials("s3a://lake/logs/web/", &endpoint("http://web"))
        .unwrap();
    let endpoint = |uri: &str| {
        let index = storages.vended_for(uri).unwrap();
        let settings =
            ObjectSettings::s3("lake", &S3Options::default(), Some(&storages.vended[index]));
        settings.unwrap().target().endpoint
    };
    assert_eq!(endpoint("s3://other/x"), "http://all");
    assert_eq!(endpoint("s3://lake/logs/app/x"), "http://logs");
    assert_eq!(endpoint("s3n://lake/logs/web/x"), "http://web");
    assert_eq!(storages.vended.len(), 3);
}

#[tokio::test]
async fn a_secret_that_changed_makes_the_client_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let secret = Secret::new(SecretReference::File(path.to_string_lossy().into_owned()));
    let storages = storages(StorageOptions {
        s3: S3Options {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            credentials: S3Credentials::Keys {
                access_key_id: secret.clone(),
                secret_access_key: secret,
                session_token: None,
            },
            ..S3Options::default()
        },
        ..StorageOptions::default()
    });
    let settings = || {
        storages.place("read", "s3://lake/a").map(|_| ())?;
        let clients = storages.clients.lock().unwrap();
        let kept = clients.values().next().unwrap();
        Ok::<_, StorageError>(kept.settings.clone())
    };
    let age = || {
        for kept in storages.clients.lock().unwrap().values_mut() {
            kept.checked -= SECRETS_AGE_MAX;
        }
    };
    assert!(settings().unwrap_err().reason.contains("secret"));
    std::fs::write(&path, "one").unwrap();
    let first = settings().unwrap();
    std::fs::write(&path, "two").unwrap();
    // Not looked at again so soon.
    assert_eq!(settings().unwrap(), first);
    age();
    let second = settings().unwrap();
    assert_ne!(second, first);
    age();
    assert_eq!(settings().unwrap(), second);
}
