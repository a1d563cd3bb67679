//! What a deployment says, as the parts take it: what it leaves out is theirs to know.

use std::path::PathBuf;

use frazil_dataset::{self as dataset, AccessKeys};
use frazil_service::secret::Secret;
use frazil_table::{
    catalog::{
        hive::{Enforcement, HiveAddress, HiveOptions},
        postgres::PostgresOptions,
        rest::{
            AccessDelegation, Authorization, HeaderText, OAuth2Options, RestOptions, SigV4Keys,
            SigV4Options,
        },
        tls::TlsOptions,
    },
    storage::options::{
        AzureCredentials, AzureOptions, GcsCredentials, GcsOptions, HdfsOptions, S3Checksum,
        S3Credentials, S3Encryption, S3Options, StorageLimits, StorageOptions,
    },
};

fn set<T>(option: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *option = said;
    }
}

fn size(said: Option<u32>) -> Option<usize> {
    said.map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

pub(crate) fn postgres(said: &dataset::PostgresSettings) -> PostgresOptions {
    let mut options = PostgresOptions::new(&said.uri);
    options.password = said.credential.clone().map(Secret::new);
    options.tls = tls(&said.tls);
    set(&mut options.connect_timeout, said.connect_timeout);
    set(&mut options.acquire_timeout, said.acquire_timeout);
    set(&mut options.statement_timeout, said.statement_timeout);
    set(&mut options.lock_timeout, said.lock_timeout);
    let idle = said.idle_in_transaction_timeout;
    set(&mut options.idle_in_transaction_timeout, idle);
    set(&mut options.connections_max, said.connections_max);
    options
}

/// Reads after "failed to …" where an address is none.
pub(crate) fn hive(said: &dataset::HiveSettings) -> Result<HiveOptions, String> {
    let addresses = HiveAddress::list(&said.addresses.join(","))
        .map_err(|reason| format!("read the address of the Hive Metastore: {reason}"))?;
    let mut options = HiveOptions::new(addresses);
    set(&mut options.lock, said.lock);
    options.enforces_expected_value = match said.enforces_expected_value {
        None => Enforcement::Auto,
        Some(true) => Enforcement::True,
        Some(false) => Enforcement::False,
    };
    options.user.clone_from(&said.user);
    set(&mut options.connect_timeout, said.connect_timeout);
    set(&mut options.call_timeout, said.call_timeout);
    set(&mut options.lock_wait_max, said.lock_wait_max);
    set(&mut options.lock_hold_max, said.lock_hold_max);
    set(&mut options.late_alter_wait_max, said.late_alter_wait_max);
    let chars_max = size(said.parameter_value_chars_max);
    set(&mut options.parameter_value_chars_max, chars_max);
    Ok(options)
}

pub(crate) fn rest(said: &dataset::RestSettings, warehouse: Option<&str>) -> RestOptions {
    let mut options = RestOptions::new(&said.uri);
    options.warehouse = warehouse.map(str::to_owned);
    options.prefix.clone_from(&said.prefix);
    options.authorization = authorization(&said.authorization);
    let header = |(name, text): &(String, dataset::HeaderText)| {
        let text = match text {
            dataset::HeaderText::Plain(text) => HeaderText::Plain(text.clone()),
            dataset::HeaderText::Secret(secret) => HeaderText::Secret(Secret::new(secret.clone())),
        };
        (name.clone(), text)
    };
    options.headers = said.headers.iter().map(header).collect();
    options.tls = tls(&said.tls);
    if said.vended_credentials == Some(false) {
        options.access_delegation = AccessDelegation::None;
    }
    set(&mut options.connect_timeout, said.connect_timeout);
    set(&mut options.read_timeout, said.read_timeout);
    set(&mut options.commit_timeout, said.commit_timeout);
    set(&mut options.read_attempts_max, said.read_attempts_max);
    set(&mut options.metadata_bytes_max, said.metadata_bytes_max);
    options
}

fn tls(said: &dataset::TlsSettings) -> TlsOptions {
    TlsOptions {
        ca_file: said.ca.as_ref().map(PathBuf::from),
        certificate_file: said.certificate.as_ref().map(PathBuf::from),
        key: said.key.clone().map(Secret::new),
    }
}

fn authorization(said: &dataset::Authorization) -> Authorization {
    match said {
        dataset::Authorization::None => Authorization::None,
        dataset::Authorization::Bearer(token) => Authorization::Bearer(Secret::new(token.clone())),
        dataset::Authorization::OAuth2(said) => {
            let mut options = OAuth2Options::new(Secret::new(said.credential.clone()));
            options.server_uri.clone_from(&said.server_uri);
            set(&mut options.scope, said.scope.clone());
            options.audience.clone_from(&said.audience);
            options.resource.clone_from(&said.resource);
            Authorization::OAuth2(options)
        }
        dataset::Authorization::SigV4(said) => Authorization::SigV4(SigV4Options {
            region: said.region.clone(),
            service: said.name.clone(),
            keys: match &said.keys {
                None => SigV4Keys::Environment,
                Some(keys) => SigV4Keys::Given {
                    access_key_id: Secret::new(keys.access_key_id.clone()),
                    secret_access_key: Secret::new(keys.secret_access_key.clone()),
                    session_token: keys.session_token.clone().map(Secret::new),
                },
            },
        }),
    }
}

pub(crate) fn storage(said: &dataset::StorageSettings) -> StorageOptions {
    StorageOptions {
        s3: s3(&said.s3),
        hdfs: HdfsOptions {
            conf_dir: said.hdfs.conf_dir.as_ref().map(PathBuf::from),
            properties: said.hdfs.properties.clone(),
            user: said.hdfs.user.clone(),
            kerberos_principal: said.hdfs.kerberos_principal.clone(),
            kerberos_keytab: said.hdfs.kerberos_keytab.as_ref().map(PathBuf::from),
        },
        gcs: GcsOptions {
            endpoint: said.gcs.endpoint.clone(),
            credentials: match &said.gcs.credentials {
                dataset::GcsCredentials::Chain => GcsCredentials::Chain,
                dataset::GcsCredentials::Anonymous => GcsCredentials::Anonymous,
                dataset::GcsCredentials::File(path) => GcsCredentials::File(PathBuf::from(path)),
            },
        },
        azure: AzureOptions {
            endpoint: said.azure.endpoint.clone(),
            credentials: azure_credentials(&said.azure.credentials),
        },
        limits: limits(&said.transfer),
    }
}

fn s3(said: &dataset::S3Settings) -> S3Options {
    S3Options {
        endpoint: said.endpoint.clone(),
        region: said.region.clone(),
        path_style: said.path_style.unwrap_or_else(|| {
            // An address has no names below it that a bucket could be.
            said.endpoint.as_deref().is_some_and(is_of_an_address)
        }),
        credentials: match &said.credentials {
            dataset::S3Credentials::Chain => S3Credentials::Chain,
            dataset::S3Credentials::Anonymous => S3Credentials::Anonymous,
            dataset::S3Credentials::Keys(AccessKeys {
                access_key_id,
                secret_access_key,
                session_token,
            }) => S3Credentials::Keys {
                access_key_id: Secret::new(access_key_id.clone()),
                secret_access_key: Secret::new(secret_access_key.clone()),
                session_token: session_token.clone().map(Secret::new),
            },
        },
        encryption: match &said.encryption {
            dataset::S3Encryption::Bucket => S3Encryption::Bucket,
            dataset::S3Encryption::S3 => S3Encryption::S3,
            dataset::S3Encryption::Kms { key_id } => S3Encryption::Kms {
                key_id: key_id.clone(),
            },
            dataset::S3Encryption::Customer { key } => S3Encryption::Customer {
                key: Secret::new(key.clone()),
            },
        },
        checksum: match said.checksum {
            Some(dataset::S3Checksum::Crc32c) | None => S3Checksum::Crc32c,
            Some(dataset::S3Checksum::None) => S3Checksum::None,
        },
    }
}

/// Whether a server is named by its IP address.
fn is_of_an_address(endpoint: &str) -> bool {
    let authority = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    authority.starts_with('[')
        || authority
            .split(':')
            .next()
            .is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok())
}

fn azure_credentials(said: &dataset::AzureCredentials) -> AzureCredentials {
    match said {
        dataset::AzureCredentials::Chain => AzureCredentials::Chain,
        dataset::AzureCredentials::Managed { client_id } => AzureCredentials::Managed {
            client_id: client_id.clone(),
        },
        dataset::AzureCredentials::AccountKey(key) => {
            AzureCredentials::AccountKey(Secret::new(key.clone()))
        }
        dataset::AzureCredentials::SasToken(token) => {
            AzureCredentials::SasToken(Secret::new(token.clone()))
        }
        dataset::AzureCredentials::ClientSecret {
            tenant_id,
            client_id,
            client_secret,
            authority_host,
        } => AzureCredentials::ClientSecret {
            tenant_id: tenant_id.clone(),
            client_id: client_id.clone(),
            client_secret: Secret::new(client_secret.clone()),
            authority_host: authority_host.clone(),
        },
    }
}

fn limits(said: &dataset::TransferSettings) -> StorageLimits {
    let mut limits = StorageLimits::default();
    let part_bytes = said
        .part_bytes
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    set(&mut limits.part_bytes, part_bytes);
    set(
        &mut limits.requests_in_flight_max,
        size(said.requests_in_flight_max),
    );
    set(&mut limits.attempts_max, size(said.attempts_max));
    set(&mut limits.retry_wait_min, said.retry_wait_min);
    set(&mut limits.retry_wait_max, said.retry_wait_max);
    // A wait that was made longer than the longest one is the longest.
    limits.retry_wait_max = limits.retry_wait_max.max(limits.retry_wait_min);
    set(&mut limits.connect_timeout, said.connect_timeout);
    set(&mut limits.call_timeout, said.call_timeout);
    set(&mut limits.upload_timeout, said.upload_timeout);
    limits
}
