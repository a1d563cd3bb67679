//! Storages, from what file and environment give.

use super::{
    address,
    given::{Table, Value},
};
use crate::{
    AccessKeys, AzureCredentials, AzureSettings, GcsCredentials, GcsSettings, HdfsSettings,
    S3Checksum, S3Credentials, S3Encryption, S3Settings, StorageSettings, TransferSettings,
    parse::report::{Place, Report},
};

/// Object stores allow no smaller part.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// And no larger one.
const PART_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// The settings of all storages.
pub(super) fn storage(table: &Table, report: &mut Report<'_>) -> StorageSettings {
    let mut settings = StorageSettings {
        transfer: transfer(table, report),
        ..StorageSettings::default()
    };
    let place = |key| table.at(key).unwrap_or(&Place::Byte(0)).clone();
    if let Some(s3) = table.table("s3") {
        settings.s3 = s3_settings(s3, &place("s3"), report);
    }
    if let Some(hdfs) = table.table("hdfs") {
        settings.hdfs = hdfs_settings(hdfs, report);
    }
    if let Some(gcs) = table.table("gcs") {
        settings.gcs = gcs_settings(gcs, report);
    }
    if let Some(azure) = table.table("azure") {
        settings.azure = azure_settings(azure, &place("azure"), report);
    }
    settings
}

fn transfer(table: &Table, report: &mut Report<'_>) -> TransferSettings {
    let settings = TransferSettings {
        part_bytes: table.bytes("part_bytes"),
        requests_in_flight_max: table.count("requests_in_flight_max"),
        attempts_max: table.count("attempts_max"),
        retry_wait_min: table.duration("retry_wait_min"),
        retry_wait_max: table.duration("retry_wait_max"),
        connect_timeout: table.duration("connect_timeout"),
        call_timeout: table.duration("call_timeout"),
        upload_timeout: table.duration("upload_timeout"),
    };
    if let (Some(bytes), Some(at)) = (settings.part_bytes, table.at("part_bytes"))
        && !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes)
    {
        let message = "`storage.part_bytes` is not from 5MiB to 5GiB, as object stores ask for";
        report.error(at, message, None);
    }
    if let (Some(min), Some(max)) = (settings.retry_wait_min, settings.retry_wait_max)
        && min > max
        && let Some(at) = table.at("retry_wait_min")
    {
        let message = "`storage.retry_wait_min` is longer than `retry_wait_max`";
        report.error(at, message, None);
    }
    settings
}

/// The address of a storage's server.
fn endpoint(table: &Table, section: &str, report: &mut Report<'_>) -> Option<String> {
    let given = table.text("endpoint")?;
    let path = format!("{section}.endpoint");
    let allow_http = table.boolean("allow_http").unwrap_or(false);
    let allow_key = format!("{section}.allow_http");
    match address::http(&path, given.value, allow_http, &allow_key) {
        Ok(endpoint) => Some(endpoint),
        Err((message, help)) => {
            report.error(given.at, message, help);
            None
        }
    }
}

fn s3_settings(table: &Table, at: &Place, report: &mut Report<'_>) -> S3Settings {
    const SECTION: &str = "storage.s3";
    let keys = access_keys(table, SECTION, at, report);
    let anonymous = table.boolean("anonymous").unwrap_or(false);
    if let (Some(_), true, Some(at)) = (&keys, anonymous, table.at("anonymous")) {
        let message = format!("`{SECTION}.anonymous` does not go with `access_key_id`");
        report.error(at, message, Some("leave one of them out".to_owned()));
    }
    S3Settings {
        endpoint: endpoint(table, SECTION, report),
        region: table.owned("region"),
        path_style: table.boolean("path_style"),
        credentials: match keys {
            Some(keys) => S3Credentials::Keys(keys),
            None if anonymous => S3Credentials::Anonymous,
            None => S3Credentials::Chain,
        },
        encryption: encryption(table, report),
        checksum: table.text("checksum").map(|text| match text.value {
            "none" => S3Checksum::None,
            _ => S3Checksum::Crc32c,
        }),
    }
}

/// `access_key_id` and what belongs to it: all that is needed, or nothing.
pub(super) fn access_keys(
    table: &Table,
    section: &str,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<AccessKeys> {
    let id = table.secret("access_key_id");
    let key = table.secret("secret_access_key");
    let session_token = table.secret("session_token");
    let missing = match (&id, &key, &session_token) {
        (Some(_), Some(_), _) => None,
        (None, None, None) => return None,
        (None, _, _) => Some("access_key_id"),
        (Some(_), None, _) => Some("secret_access_key"),
    };
    if let Some(missing) = missing
        && !table.broken
    {
        let message = format!("`[{section}]` has a part of its keys, without `{missing}`");
        let help =
            format!("`{missing} = {{ env = \"NAME\" }}` or `{{ file = \"/run/secrets/name\" }}`");
        report.error(at, message, Some(help));
    }
    Some(AccessKeys {
        access_key_id: id?,
        secret_access_key: key?,
        session_token,
    })
}

fn encryption(table: &Table, report: &mut Report<'_>) -> S3Encryption {
    let given = table.text("encryption").map(|text| text.value);
    for (key, of) in [("kms_key_id", "kms"), ("customer_key", "customer")] {
        if let Some(at) = table.at(key)
            && given != Some(of)
            && !table.broken
        {
            let message = format!("`storage.s3.{key}` is only for `encryption = \"{of}\"`");
            report.error(at, message, None);
        }
    }
    match given {
        Some("s3") => S3Encryption::S3,
        Some("kms") => S3Encryption::Kms {
            key_id: table.owned("kms_key_id"),
        },
        Some(_) => match (table.secret("customer_key"), table.at("encryption")) {
            (Some(key), _) => S3Encryption::Customer { key },
            (None, Some(at)) if !table.broken => {
                let message = "`encryption = \"customer\"` takes a `customer_key`";
                let help = "32 bytes in base64: `customer_key = { file = \"/run/secrets/key\" }`";
                report.error(at, message, Some(help.to_owned()));
                S3Encryption::Bucket
            }
            _ => S3Encryption::Bucket,
        },
        None => S3Encryption::Bucket,
    }
}

fn hdfs_settings(table: &Table, report: &mut Report<'_>) -> HdfsSettings {
    let properties = table
        .table("properties")
        .map_or(&[][..], |one| &one.entries);
    if let (Some(at), None) = (table.at("kerberos_keytab"), table.get("kerberos_principal"))
        && !table.broken
    {
        let message = "`storage.hdfs.kerberos_keytab` is without its `kerberos_principal`";
        report.error(at, message, None);
    }
    HdfsSettings {
        conf_dir: table.owned("conf_dir"),
        properties: properties
            .iter()
            .filter_map(|(name, given)| match &given.value {
                Value::Text(text) => Some((name.clone(), text.clone())),
                _ => None,
            })
            .collect(),
        user: table.owned("user"),
        kerberos_principal: table.owned("kerberos_principal"),
        kerberos_keytab: table.owned("kerberos_keytab"),
    }
}

fn gcs_settings(table: &Table, report: &mut Report<'_>) -> GcsSettings {
    let file = table.owned("credential_file");
    let anonymous = table.boolean("anonymous").unwrap_or(false);
    if let (Some(_), true, Some(at)) = (&file, anonymous, table.at("anonymous")) {
        let message = "`storage.gcs.anonymous` does not go with `credential_file`";
        report.error(at, message, Some("leave one of them out".to_owned()));
    }
    GcsSettings {
        endpoint: endpoint(table, "storage.gcs", report),
        credentials: match file {
            Some(file) => GcsCredentials::File(file),
            None if anonymous => GcsCredentials::Anonymous,
            None => GcsCredentials::Chain,
        },
    }
}

fn azure_settings(table: &Table, at: &Place, report: &mut Report<'_>) -> AzureSettings {
    AzureSettings {
        endpoint: endpoint(table, "storage.azure", report),
        credentials: azure_credentials(table, at, report),
    }
}

fn azure_credentials(table: &Table, at: &Place, report: &mut Report<'_>) -> AzureCredentials {
    let secrets = ["account_key", "sas_token", "client_secret"];
    let given: Vec<&str> = secrets
        .into_iter()
        .filter(|key| table.get(key).is_some())
        .collect();
    if let [first, second, ..] = given[..] {
        let message = format!("`storage.azure.{first}` and `{second}` both say who we are");
        let place = table.at(second).unwrap_or(at);
        report.error(place, message, Some("leave one of them out".to_owned()));
        return AzureCredentials::Chain;
    }
    if let Some(key) = table.secret("account_key") {
        return AzureCredentials::AccountKey(key);
    }
    if let Some(token) = table.secret("sas_token") {
        return AzureCredentials::SasToken(token);
    }
    let (tenant_id, client_id) = (table.owned("tenant_id"), table.owned("client_id"));
    match (tenant_id, client_id, table.secret("client_secret")) {
        (Some(tenant_id), Some(client_id), Some(client_secret)) => AzureCredentials::ClientSecret {
            tenant_id,
            client_id,
            client_secret,
            authority_host: table.owned("authority_host"),
        },
        (None, Some(client_id), None) => AzureCredentials::Managed { client_id },
        (None, None, None) => AzureCredentials::Chain,
        _ => {
            if !table.broken {
                let message =
                    "`[storage.azure]` has a part of `tenant_id`, `client_id` and `client_secret`";
                let help =
                    "a service principal has all three; `client_id` alone is a managed identity";
                report.error(at, message, Some(help.to_owned()));
            }
            AzureCredentials::Chain
        }
    }
}
