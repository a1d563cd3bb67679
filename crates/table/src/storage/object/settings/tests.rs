use std::collections::HashMap;

use frazil_dataset::SecretReference;

use super::*;

/// A secret in a file.
fn secret(folder: &tempfile::TempDir, name: &str, text: &str) -> Secret {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    Secret::new(SecretReference::File(path.to_string_lossy().into_owned()))
}

fn s3(options: &S3Options) -> Result<Operator, String> {
    ObjectSettings::s3("lake", options, None)?.operator()
}

#[test]
fn options_become_an_operator_of_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let options = S3Options {
        endpoint: Some("http://minio:9000".to_owned()),
        region: Some("eu-north-1".to_owned()),
        path_style: true,
        credentials: S3Credentials::Keys {
            access_key_id: secret(&folder, "id", "AK"),
            secret_access_key: secret(&folder, "key", "hidden"),
            session_token: Some(secret(&folder, "token", "hidden")),
        },
        encryption: S3Encryption::Kms { key_id: None },
        checksum: S3Checksum::None,
    };
    let settings = ObjectSettings::s3("lake", &options, None).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
    assert_eq!(settings.operator().unwrap().info().name(), "lake");
    assert_eq!(settings.target().endpoint, "http://minio:9000");
    // The region is not asked for where there is an endpoint.
    let options = S3Options {
        region: None,
        ..options
    };
    s3(&options).unwrap();
}

#[test]
fn secrets_that_cannot_be_read_or_used_are_said_by_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Secret::new(SecretReference::File("/none/such".to_owned()));
    let keys = |secret_access_key| S3Options {
        region: Some("x".to_owned()),
        credentials: S3Credentials::Keys {
            access_key_id: secret(&folder, "id", "AK"),
            secret_access_key,
            session_token: None,
        },
        ..S3Options::default()
    };
    let reason = s3(&keys(missing)).unwrap_err();
    assert!(reason.contains("the file /none/such"), "{reason}");
    let customer = |text: &str| {
        s3(&S3Options {
            region: Some("x".to_owned()),
            encryption: S3Encryption::Customer {
                key: secret(&folder, "customer", text),
            },
            ..S3Options::default()
        })
    };
    for text in ["hidden", "aGlkZGVu"] {
        let reason = customer(text).unwrap_err();
        assert!(reason.contains("32 bytes in base64"), "{reason}");
        assert!(!reason.contains(text), "{reason}");
    }
    customer(&BASE64_STANDARD.encode([7; 32])).unwrap();
}

#[test]
fn what_a_catalog_hands_out_replaces_our_credentials() {
    let missing = Secret::new(SecretReference::File("/none/such".to_owned()));
    let properties: HashMap<String, String> = [
        ("s3.access-key-id", "AK"),
        ("s3.secret-access-key", "hidden"),
        ("s3.endpoint", "http://other:9000"),
        ("adls.sas-token.acme", "sig=hidden"),
        ("gcs.oauth2.token", "hidden"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let vended = Vended::parse("", &properties).unwrap();
    let options = S3Options {
        credentials: S3Credentials::Keys {
            access_key_id: missing.clone(),
            secret_access_key: missing.clone(),
            session_token: None,
        },
        ..S3Options::default()
    };
    let settings = ObjectSettings::s3("lake", &options, Some(&vended)).unwrap();
    assert_eq!(settings.target().endpoint, "http://other:9000");
    settings.operator().unwrap();
    let options = AzureOptions {
        credentials: AzureCredentials::AccountKey(missing),
        ..AzureOptions::default()
    };
    let root = ("acme", "acme.dfs.core.windows.net", "lake");
    let settings = ObjectSettings::azure(root, &options, Some(&vended)).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
    settings.operator().unwrap();
    assert!(ObjectSettings::azure(root, &options, None).is_err());
    let settings = ObjectSettings::gcs("lake", &GcsOptions::default(), Some(&vended));
    assert!(!format!("{settings:?}").contains("hidden"));
    settings.operator().unwrap();
}

#[test]
fn our_credentials_never_go_where_a_catalog_says() {
    let said = |name: &str, value: &str| {
        Vended::parse("", &HashMap::from([(name.to_owned(), value.to_owned())])).unwrap()
    };
    let ours = Some("https://ours".to_owned());
    let vended = said("s3.endpoint", "http://other:9000");
    let options = S3Options {
        endpoint: ours.clone(),
        ..S3Options::default()
    };
    let settings = ObjectSettings::s3("lake", &options, Some(&vended)).unwrap();
    assert_eq!(settings.target().endpoint, "https://ours");
    let settings = ObjectSettings::s3("lake", &S3Options::default(), Some(&vended)).unwrap();
    assert!(!settings.target().endpoint.contains("other"));
    let options = GcsOptions {
        endpoint: ours,
        ..GcsOptions::default()
    };
    let vended = said("gcs.service.host", "http://other:9000");
    let settings = ObjectSettings::gcs("lake", &options, Some(&vended));
    assert_eq!(settings.target().endpoint, "https://ours");
}

#[test]
fn azures_credentials_are_each_taken() {
    let folder = tempfile::tempdir().unwrap();
    let root = ("acme", "acme.dfs.core.windows.net", "lake");
    for credentials in [
        AzureCredentials::Chain,
        AzureCredentials::Managed {
            client_id: "id".to_owned(),
        },
        AzureCredentials::AccountKey(secret(&folder, "key", "aGlkZGVu")),
        AzureCredentials::SasToken(secret(&folder, "sas", "?sig=hidden")),
        AzureCredentials::ClientSecret {
            tenant_id: "tenant".to_owned(),
            client_id: "id".to_owned(),
            client_secret: secret(&folder, "client", "hidden"),
            authority_host: Some("https://login.example.com".to_owned()),
        },
    ] {
        let options = AzureOptions {
            endpoint: None,
            credentials,
        };
        let settings = ObjectSettings::azure(root, &options, None).unwrap();
        assert_eq!(
            settings.target().endpoint,
            "https://acme.dfs.core.windows.net"
        );
        assert_eq!(settings.operator().unwrap().info().name(), "lake");
    }
}
