//! Each storage: all that it knows, and what goes wrong.

use std::time::Duration;

use super::*;
use crate::{
    AccessKeys, AzureCredentials, AzureSettings, GcsCredentials, GcsSettings, HdfsSettings,
    S3Checksum, S3Credentials, S3Encryption, S3Settings, StorageSettings, TransferSettings,
};

const S3: &str = r#"
[storage.s3]
endpoint = "http://minio:9000/"
allow_http = true
region = "eu-central-1"
path_style = true
access_key_id = { env = "A" }
secret_access_key = { file = "/b" }
session_token = { env = "C" }
encryption = "kms"
kms_key_id = "k"
checksum = "crc32c"
"#;

const HDFS: &str = r#"
[storage.hdfs]
conf_dir = "/etc/hadoop"
user = "frazil"
kerberos_principal = "frazil/host@REALM"
kerberos_keytab = "/frazil.keytab"
"#;

const GCS: &str = r#"
[storage.gcs]
endpoint = "https://gcs.example"
allow_http = false
credential_file = "/account.json"
"#;

const AZURE: &str = r#"
[storage.azure]
endpoint = "http://127.0.0.1:10000"
allow_http = false
tenant_id = "t"
client_id = "c"
client_secret = { env = "S" }
authority_host = "https://login.example"
"#;

const TRANSFER: &str = r#"
[storage]
part_bytes = "8MiB"
requests_in_flight_max = 3
attempts_max = 4
retry_wait_min = "5ms"
retry_wait_max = "6s"
connect_timeout = "7s"
call_timeout = "8s"
upload_timeout = "9s"
"#;

pub(super) const ALL: [&str; 10] = [
    S3,
    "[storage.s3]\nanonymous = true\nencryption = \"customer\"\ncustomer_key = { file = \"/k\" }",
    "[storage.s3]\nencryption = \"s3\"\nchecksum = \"none\"",
    HDFS,
    GCS,
    "[storage.gcs]\nanonymous = true",
    AZURE,
    "[storage.azure]\naccount_key = { env = \"K\" }",
    "[storage.azure]\nsas_token = { env = \"K\" }",
    TRANSFER,
];

fn storage(text: &str) -> Result<StorageSettings, String> {
    read(text, &[]).map(|read| read.storage)
}

fn variable(name: &str) -> SecretReference {
    SecretReference::Variable(name.to_owned())
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the fields that it fills are optional"
)]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn all_that_storages_know() {
    let s3 = S3Settings {
        endpoint: text("http://minio:9000"),
        region: text("eu-central-1"),
        path_style: Some(true),
        credentials: S3Credentials::Keys(AccessKeys {
            access_key_id: variable("A"),
            secret_access_key: SecretReference::File("/b".to_owned()),
            session_token: Some(variable("C")),
        }),
        encryption: S3Encryption::Kms { key_id: text("k") },
        checksum: Some(S3Checksum::Crc32c),
    };
    assert_eq!(storage(S3).map(|read| read.s3), Ok(s3));
    let customer = storage(ALL[1]).expect("nothing is wrong").s3;
    assert_eq!(customer.credentials, S3Credentials::Anonymous);
    let key = SecretReference::File("/k".to_owned());
    assert_eq!(customer.encryption, S3Encryption::Customer { key });
    let own = storage(ALL[2]).expect("nothing is wrong").s3;
    assert_eq!(
        (own.encryption, own.checksum),
        (S3Encryption::S3, Some(S3Checksum::None))
    );

    let properties =
        "[storage.hdfs.properties]\ndfs.nameservices = \"ns\"\n\"dfs.ha.namenodes.ns\" = \"a,b\"";
    let hdfs = HdfsSettings {
        conf_dir: text("/etc/hadoop"),
        properties: variables(&[("dfs.nameservices", "ns"), ("dfs.ha.namenodes.ns", "a,b")]),
        user: text("frazil"),
        kerberos_principal: text("frazil/host@REALM"),
        kerberos_keytab: text("/frazil.keytab"),
    };
    assert_eq!(
        storage(&format!("{HDFS}{properties}")).map(|read| read.hdfs),
        Ok(hdfs)
    );

    let gcs = GcsSettings {
        endpoint: text("https://gcs.example"),
        credentials: GcsCredentials::File("/account.json".to_owned()),
    };
    assert_eq!(storage(GCS).map(|read| read.gcs), Ok(gcs));
    assert_eq!(
        storage(ALL[5]).map(|read| read.gcs.credentials),
        Ok(GcsCredentials::Anonymous)
    );
}

#[test]
fn all_that_azure_and_transfers_know() {
    let azure = AzureSettings {
        endpoint: text("http://127.0.0.1:10000"),
        credentials: AzureCredentials::ClientSecret {
            tenant_id: "t".to_owned(),
            client_id: "c".to_owned(),
            client_secret: variable("S"),
            authority_host: text("https://login.example"),
        },
    };
    assert_eq!(storage(AZURE).map(|read| read.azure), Ok(azure));
    for (text, expected) in [
        (ALL[7], AzureCredentials::AccountKey(variable("K"))),
        (ALL[8], AzureCredentials::SasToken(variable("K"))),
        (
            "[storage.azure]\nclient_id = \"c\"",
            AzureCredentials::Managed {
                client_id: "c".to_owned(),
            },
        ),
        ("[storage.azure]", AzureCredentials::Chain),
    ] {
        assert_eq!(
            storage(text).map(|read| read.azure.credentials),
            Ok(expected),
            "{text}"
        );
    }
    let transfer = TransferSettings {
        part_bytes: Some(8 << 20),
        requests_in_flight_max: Some(3),
        attempts_max: Some(4),
        retry_wait_min: Some(Duration::from_millis(5)),
        retry_wait_max: Some(Duration::from_secs(6)),
        connect_timeout: Some(Duration::from_secs(7)),
        call_timeout: Some(Duration::from_secs(8)),
        upload_timeout: Some(Duration::from_secs(9)),
    };
    assert_eq!(storage(TRANSFER).map(|read| read.transfer), Ok(transfer));
}

#[test]
fn mistakes_of_storages() {
    let secret = "{ env = \"X\" }";
    for (text, expected) in [
        (
            "[storage.s4]\nregion = \"r\"".to_owned(),
            "1:10: unknown key `s4` in `[storage]`\n  help: did you mean `s3`?",
        ),
        (
            "[storage.s3]\nregoin = \"r\"".to_owned(),
            "2:1: unknown key `regoin` in `[storage.s3]`\n  help: did you mean `region`?",
        ),
        (
            "[storage.s3]\nforce_path_style = true".to_owned(),
            "2:1: unknown key `force_path_style` in `[storage.s3]`\n  help: did you mean `path_style`?",
        ),
        (
            "[storage]\ns3 = \"x\"".to_owned(),
            "2:6: `storage.s3` takes a section: `[storage.s3]`, not a string",
        ),
        (
            "[storage.s3]\nendpoint = \"minio:9000\"".to_owned(),
            "2:12: `storage.s3.endpoint` takes an address at `https:`\n  help: such as `https://host:8443/path`",
        ),
        (
            "[storage.s3]\nendpoint = \"http://minio:9000\"".to_owned(),
            "2:12: `storage.s3.endpoint`: by `http:` anybody on the way reads secrets and data\n  help: `https:`, or `storage.s3.allow_http = true` where the network is trusted",
        ),
        (
            "[storage.s3]\nsecret_access_key = \"hunter2\"".to_owned(),
            "2:21: `storage.s3.secret_access_key` does not take the secret itself\n  help: a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`",
        ),
        (
            format!("[storage.s3]\nsecret_access_key = {secret}"),
            "1:10: `[storage.s3]` has a part of its keys, without `access_key_id`\n  help: `access_key_id = { env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`",
        ),
        (
            format!(
                "[storage.s3]\naccess_key_id = {secret}\nsecret_access_key = {secret}\nanonymous = true"
            ),
            "4:13: `storage.s3.anonymous` does not go with `access_key_id`\n  help: leave one of them out",
        ),
        (
            "[storage.s3]\nkms_key_id = \"k\"".to_owned(),
            "2:14: `storage.s3.kms_key_id` is only for `encryption = \"kms\"`",
        ),
        (
            "[storage.s3]\nencryption = \"customer\"".to_owned(),
            "2:14: `encryption = \"customer\"` takes a `customer_key`\n  help: 32 bytes in base64: `customer_key = { file = \"/run/secrets/key\" }`",
        ),
        (
            "[storage.s3]\nencryption = \"aes\"".to_owned(),
            "2:14: `storage.s3.encryption` does not know `aes`\n  help: choices are `s3`, `kms` and `customer`",
        ),
        (
            "[storage.s3]\nencryption = true".to_owned(),
            "2:14: `storage.s3.encryption` takes one of `s3`, `kms` and `customer`, not a boolean",
        ),
        (
            "[storage.hdfs]\nkerberos_keytab = \"/k\"".to_owned(),
            "2:19: `storage.hdfs.kerberos_keytab` is without its `kerberos_principal`",
        ),
        (
            "[storage.hdfs]\nproperties = \"x\"".to_owned(),
            "2:14: `storage.hdfs.properties` takes a section: `[storage.hdfs.properties]`, not a string",
        ),
        (
            "[storage.hdfs.properties]\n\"dfs.replication\" = 2".to_owned(),
            "2:21: `storage.hdfs.properties.\"dfs.replication\"` takes a text, not an integer\n  help: put it in quotes",
        ),
        (
            "[storage.gcs]\nanonymous = true\ncredential_file = \"/f\"".to_owned(),
            "2:13: `storage.gcs.anonymous` does not go with `credential_file`\n  help: leave one of them out",
        ),
        (
            format!("[storage.azure]\naccount_key = {secret}\nsas_token = {secret}"),
            "3:13: `storage.azure.account_key` and `sas_token` both say who we are\n  help: leave one of them out",
        ),
        (
            "[storage.azure]\ntenant_id = \"t\"".to_owned(),
            "1:10: `[storage.azure]` has a part of `tenant_id`, `client_id` and `client_secret`\n  help: a service principal has all three; `client_id` alone is a managed identity",
        ),
        (
            "[storage]\npart_bytes = \"1MiB\"".to_owned(),
            "2:14: `storage.part_bytes` is not from 5MiB to 5GiB, as object stores ask for",
        ),
        (
            "[storage]\npart_bytes = 1".to_owned(),
            "2:14: `storage.part_bytes` takes a size, such as \"16MiB\", not an integer",
        ),
        (
            "[storage]\nattempts_max = 101".to_owned(),
            "2:16: `storage.attempts_max` is 101, and can be 1 to 100",
        ),
        (
            "[storage]\nretry_wait_min = \"2s\"\nretry_wait_max = \"1s\"".to_owned(),
            "2:18: `storage.retry_wait_min` is longer than `retry_wait_max`",
        ),
    ] {
        let message = storage(&text).expect_err(&text);
        assert_eq!(message, format!("frazil.toml:{expected}"), "{text}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
