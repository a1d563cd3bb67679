//! A deployment's storages.

use std::{collections::BTreeMap, time::Duration};

use super::SecretReference;

/// All storages of a deployment. Local folders need none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageSettings {
    /// `[storage.s3]`: `s3:`, `s3a:` and `s3n:` URIs.
    pub s3: S3Settings,
    /// `[storage.hdfs]`: `hdfs:` and `viewfs:` URIs.
    pub hdfs: HdfsSettings,
    /// `[storage.gcs]`: `gs:` and `gcs:` URIs.
    pub gcs: GcsSettings,
    /// `[storage.azure]`: `abfss:`, `abfs:`, `wasbs:` and `wasb:` URIs.
    pub azure: AzureSettings,
    /// The keys of `[storage]` itself.
    pub transfer: TransferSettings,
}

/// Amazon S3, and servers that speak its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3Settings {
    /// The server's address; `None`: Amazon's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket is in the address's path and not in its host name.
    pub path_style: Option<bool>,
    /// Who we are.
    pub credentials: S3Credentials,
    /// How it encrypts what it stores.
    pub encryption: S3Encryption,
    /// The checksum that uploads carry.
    pub checksum: Option<S3Checksum>,
}

/// Who we are to S3.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum S3Credentials {
    /// Whom AWS's own tools find.
    #[default]
    Chain,
    /// `anonymous = true`.
    Anonymous,
    /// `access_key_id`, `secret_access_key`, `session_token`.
    Keys(AccessKeys),
}

/// A pair of AWS keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeys {
    /// The access key's id.
    pub access_key_id: SecretReference,
    /// The access key.
    pub secret_access_key: SecretReference,
    /// The session's token, for keys that are lent.
    pub session_token: Option<SecretReference>,
}

/// How S3 encrypts what it stores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum S3Encryption {
    /// As the bucket does by itself.
    #[default]
    Bucket,
    /// `"s3"`: with S3's own keys.
    S3,
    /// `"kms"`: with a key of the key service.
    Kms {
        /// `kms_key_id`; `None`: the account's default key.
        key_id: Option<String>,
    },
    /// `"customer"`: with a key that each request carries.
    Customer {
        /// `customer_key`: 32 bytes in base64.
        key: SecretReference,
    },
}

/// The checksum that uploads carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Checksum {
    /// `"crc32c"`.
    Crc32c,
    /// `"none"`.
    None,
}

/// Hadoop's file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HdfsSettings {
    /// The folder of `core-site.xml` and `hdfs-site.xml`.
    pub conf_dir: Option<String>,
    /// Properties as in those files, which they override.
    pub properties: BTreeMap<String, String>,
    /// Who we are, or whom we act for.
    pub user: Option<String>,
    /// The Kerberos principal.
    pub kerberos_principal: Option<String>,
    /// The file of its keys.
    pub kerberos_keytab: Option<String>,
}

/// Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GcsSettings {
    /// The server's address; `None`: Google's.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: GcsCredentials,
}

/// Who we are to Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GcsCredentials {
    /// Whom Google's own tools find.
    #[default]
    Chain,
    /// `anonymous = true`.
    Anonymous,
    /// `credential_file`.
    File(String),
}

/// Azure Data Lake Storage Gen2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AzureSettings {
    /// The server's address; `None`: Microsoft's, by the URI's account.
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: AzureCredentials,
}

/// Who we are to Azure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AzureCredentials {
    /// Whom Azure's own tools find.
    #[default]
    Chain,
    /// `client_id` alone: that one of the machine's identities.
    Managed {
        /// `client_id`.
        client_id: String,
    },
    /// `account_key`.
    AccountKey(SecretReference),
    /// `sas_token`.
    SasToken(SecretReference),
    /// A service principal.
    ClientSecret {
        /// `tenant_id`.
        tenant_id: String,
        /// `client_id`.
        client_id: String,
        /// `client_secret`.
        client_secret: SecretReference,
        /// `authority_host`.
        authority_host: Option<String>,
    },
}

/// What one client of a storage may use, and how long it tries. `None`: as the storage does by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferSettings {
    /// What a file is uploaded in, in bytes.
    pub part_bytes: Option<u64>,
    /// Calls of one client that are under way at once.
    pub requests_in_flight_max: Option<u32>,
    /// How often a call is tried.
    pub attempts_max: Option<u32>,
    /// The wait before the second attempt.
    pub retry_wait_min: Option<Duration>,
    /// No wait is longer.
    pub retry_wait_max: Option<Duration>,
    /// For a connection to be made.
    pub connect_timeout: Option<Duration>,
    /// For one attempt of a small call, or for the next bytes of a read.
    pub call_timeout: Option<Duration>,
    /// For one attempt to send a part, or to have the server put a file together.
    pub upload_timeout: Option<Duration>,
}
