//! What a deployment names must be there before anybody is asked: secrets and files.
//!
//! A server would say that it knows nobody without a password, and a client that some file is not
//! there. Here the key is known that names it, and nothing was touched yet.

use std::path::Path;

use frazil_dataset::{
    AccessKeys, Authorization, AzureCredentials, Connection, GcsCredentials, HeaderText,
    S3Credentials, S3Encryption, SecretReference, StorageSettings, TlsSettings,
};
use frazil_service::{secret::Secret, settings::ResolvedCatalog};

use crate::exit::Failure;

/// What is named, by its key within the section of the catalog, or of the storage.
enum Named<'d> {
    Secret(String, &'d SecretReference),
    Path(&'static str, &'d str),
}

/// Looks for what the catalog names, and the storage that its warehouse is in.
pub(crate) fn check(resolved: &ResolvedCatalog, storage: &StorageSettings) -> Result<(), Failure> {
    let mut named = Vec::new();
    of_catalog(&resolved.connection, &mut named);
    let warehouse = resolved.warehouse.as_deref().unwrap_or_default();
    let scheme = warehouse.split_once("://").map_or("", |(scheme, _)| scheme);
    of_storage(scheme, storage, &mut named);
    for one in named {
        match one {
            Named::Secret(key, reference) => {
                if let Err(error) = Secret::new(reference.clone()).read() {
                    let what = format!("use the deployment's `{key}`");
                    return Err(Failure::usage(what).because(format!("failed to {error}")));
                }
            }
            Named::Path(key, path) => {
                if let Err(error) = Path::new(path).metadata() {
                    let what = format!("use the deployment's `{key}`");
                    return Err(Failure::usage(what).because(format!("{path}: {error}")));
                }
            }
        }
    }
    Ok(())
}

fn of_catalog<'d>(connection: &'d Connection, named: &mut Vec<Named<'d>>) {
    match connection {
        Connection::Sqlite(_) | Connection::Hive(_) => {}
        Connection::Postgres(postgres) => {
            secret("credential", postgres.credential.as_ref(), named);
            of_tls(&postgres.tls, named);
        }
        Connection::Rest(rest) => {
            match &rest.authorization {
                Authorization::None => {}
                Authorization::Bearer(token) => secret("token", Some(token), named),
                Authorization::OAuth2(oauth2) => {
                    secret("credential", Some(&oauth2.credential), named);
                }
                Authorization::SigV4(sigv4) => of_keys("sigv4.", sigv4.keys.as_ref(), named),
            }
            for (name, text) in &rest.headers {
                if let HeaderText::Secret(reference) = text {
                    secret(&format!("headers.{name}"), Some(reference), named);
                }
            }
            of_tls(&rest.tls, named);
        }
    }
}

fn of_tls<'d>(tls: &'d TlsSettings, named: &mut Vec<Named<'d>>) {
    path("tls.ca", tls.ca.as_deref(), named);
    path("tls.certificate", tls.certificate.as_deref(), named);
    secret("tls.key", tls.key.as_ref(), named);
}

fn of_keys<'d>(section: &str, keys: Option<&'d AccessKeys>, named: &mut Vec<Named<'d>>) {
    if let Some(keys) = keys {
        let mut of = |key, reference| secret(&format!("{section}{key}"), reference, named);
        of("access_key_id", Some(&keys.access_key_id));
        of("secret_access_key", Some(&keys.secret_access_key));
        of("session_token", keys.session_token.as_ref());
    }
}

fn of_storage<'d>(scheme: &str, storage: &'d StorageSettings, named: &mut Vec<Named<'d>>) {
    match scheme {
        "s3" | "s3a" | "s3n" => {
            if let S3Credentials::Keys(keys) = &storage.s3.credentials {
                of_keys("storage.s3.", Some(keys), named);
            }
            if let S3Encryption::Customer { key } = &storage.s3.encryption {
                secret("storage.s3.customer_key", Some(key), named);
            }
        }
        "hdfs" | "viewfs" => {
            let hdfs = &storage.hdfs;
            path("storage.hdfs.conf_dir", hdfs.conf_dir.as_deref(), named);
            let keytab = hdfs.kerberos_keytab.as_deref();
            path("storage.hdfs.kerberos_keytab", keytab, named);
        }
        "gs" | "gcs" => {
            if let GcsCredentials::File(file) = &storage.gcs.credentials {
                path("storage.gcs.credential_file", Some(file), named);
            }
        }
        "abfss" | "abfs" | "wasbs" | "wasb" => match &storage.azure.credentials {
            AzureCredentials::Chain | AzureCredentials::Managed { .. } => {}
            AzureCredentials::AccountKey(key) => {
                secret("storage.azure.account_key", Some(key), named);
            }
            AzureCredentials::SasToken(token) => {
                secret("storage.azure.sas_token", Some(token), named);
            }
            AzureCredentials::ClientSecret { client_secret, .. } => {
                secret("storage.azure.client_secret", Some(client_secret), named);
            }
        },
        _ => {}
    }
}

fn secret<'d>(key: &str, reference: Option<&'d SecretReference>, named: &mut Vec<Named<'d>>) {
    named.extend(reference.map(|reference| Named::Secret(key.to_owned(), reference)));
}

fn path<'d>(key: &'static str, path: Option<&'d str>, named: &mut Vec<Named<'d>>) {
    named.extend(path.map(|path| Named::Path(key, path)));
}
