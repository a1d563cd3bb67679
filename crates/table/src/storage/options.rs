//! What a deployment says of its storages: plain values, checked when a storage is first used.
//!
//! Each field names the key of the deployment file that it stands for. Secrets are references
//! (`{ env = "X" }` or `{ file = "…" }`), read when a client is made and again when they change.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use frazil_service::secret::Secret;

/// All storages of a deployment. `[storage]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageOptions {
    /// `[storage.s3]`: `s3:`, `s3a:` and `s3n:` URIs, whatever the bucket.
    pub s3: S3Options,
    /// `[storage.hdfs]`: `hdfs:` and `viewfs:` URIs, whatever the name service.
    pub hdfs: HdfsOptions,
    /// `[storage.gcs]`: `gs:` and `gcs:` URIs.
    pub gcs: GcsOptions,
    /// `[storage.azure]`: `abfss:`, `abfs:`, `wasbs:` and `wasb:` URIs, whatever the account.
    pub azure: AzureOptions,
    /// Keys of `[storage]` itself: what one client may use, and how long it tries.
    pub limits: StorageLimits,
}

/// Amazon S3, and servers that speak its protocol. `[storage.s3]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// `endpoint`: the server's address with its scheme (`https://minio:9000`). None: Amazon's, by region.
    pub endpoint: Option<String>,
    /// `region`. None: `AWS_REGION` or `AWS_DEFAULT_REGION`; without these, `us-east-1` where there is an endpoint.
    pub region: Option<String>,
    /// `path_style`: the bucket in the address's path (most servers other than Amazon's) and not in its host name.
    pub path_style: bool,
    /// `access_key_id`, `secret_access_key`, `session_token`, or `anonymous = true`.
    pub credentials: S3Credentials,
    /// `encryption`, `kms_key_id`, `customer_key`.
    pub encryption: S3Encryption,
    /// `checksum`.
    pub checksum: S3Checksum,
}

/// Who we are to S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum S3Credentials {
    /// None of the keys: environment (`AWS_ACCESS_KEY_ID`, …), profile files, web identity, the container's and the
    /// machine's role, in this order.
    #[default]
    Chain,
    /// `anonymous = true`: requests are not signed.
    Anonymous,
    /// A pair of keys, with a token where they are temporary.
    Keys {
        /// `access_key_id`.
        access_key_id: Secret,
        /// `secret_access_key`.
        secret_access_key: Secret,
        /// `session_token`.
        session_token: Option<Secret>,
    },
}

/// How S3 encrypts what it stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// `encryption` absent: as the bucket does by itself.
    #[default]
    Bucket,
    /// `encryption = "s3"`: with S3's own keys (SSE-S3).
    S3,
    /// `encryption = "kms"`: with a key of the key service (SSE-KMS).
    Kms {
        /// `kms_key_id`. None: the account's default key.
        key_id: Option<String>,
    },
    /// `encryption = "customer"`: with a key that each request carries (SSE-C). Readers need it, too.
    Customer {
        /// `customer_key`: 32 bytes in base64.
        key: Secret,
    },
}

/// The checksum that uploads carry, for the server to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum S3Checksum {
    /// `checksum = "crc32c"`, the default.
    #[default]
    Crc32c,
    /// `checksum = "none"`: for servers that refuse it.
    None,
}

/// Hadoop's file system. `[storage.hdfs]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HdfsOptions {
    /// `conf_dir`: the folder of `core-site.xml` and `hdfs-site.xml`. None: `HADOOP_CONF_DIR`, `HADOOP_HOME`, or no files.
    pub conf_dir: Option<PathBuf>,
    /// `[storage.hdfs.properties]`: properties as in those files, which they override (name services, failover, protection).
    pub properties: BTreeMap<String, String>,
    /// `user`: who we are where authentication is simple, or whom we act for with Kerberos. None: `HADOOP_USER_NAME`, or
    /// the process's user.
    pub user: Option<String>,
    /// `kerberos_principal`. None: the credential cache's.
    pub kerberos_principal: Option<String>,
    /// `kerberos_keytab`: the principal's keys, for processes that outlive a ticket. None: the credential cache.
    pub kerberos_keytab: Option<PathBuf>,
}

/// Google Cloud Storage. `[storage.gcs]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcsOptions {
    /// `endpoint`. None: Google's.
    pub endpoint: Option<String>,
    /// `credential_file`, or `anonymous = true`.
    pub credentials: GcsCredentials,
}

/// Who we are to Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GcsCredentials {
    /// Neither key: `GOOGLE_APPLICATION_CREDENTIALS`, the user's login of `gcloud`, the machine's account, in this order.
    #[default]
    Chain,
    /// `anonymous = true`: requests are not signed.
    Anonymous,
    /// `credential_file`: a service account's or a federated identity's JSON file.
    File(PathBuf),
}

/// Azure Data Lake Storage Gen2. `[storage.azure]`. The account is the URI's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureOptions {
    /// `endpoint`, in place of `https://<account>.dfs.core.windows.net`.
    pub endpoint: Option<String>,
    /// `account_key`, `sas_token`, or `client_id`, `client_secret` and `tenant_id`.
    pub credentials: AzureCredentials,
}

/// Who we are to Azure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AzureCredentials {
    /// None of the secrets: the login of the `az` command, or the machine's managed identity.
    #[default]
    Chain,
    /// `client_id` alone: that one of the machine's managed identities.
    Managed {
        /// `client_id`.
        client_id: String,
    },
    /// `account_key`: the account's shared key, in base64.
    AccountKey(Secret),
    /// `sas_token`: a shared access signature.
    SasToken(Secret),
    /// A service principal.
    ClientSecret {
        /// `tenant_id`.
        tenant_id: String,
        /// `client_id`.
        client_id: String,
        /// `client_secret`.
        client_secret: Secret,
        /// `authority_host`. None: `https://login.microsoftonline.com`.
        authority_host: Option<String>,
    },
}

/// What one client may use, and how long it tries. A client is for one bucket, container or name service.
///
/// A call that finds nobody at the address, or no answer, ends within about
/// `attempts_max × call_timeout` and the waits between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageLimits {
    /// `part_bytes`: what a file is uploaded in. Object stores allow no less than 5 MiB, and 10,000 parts a file.
    /// One part is sent while the next is filled: a file being written holds up to `3 × part_bytes` of memory.
    pub part_bytes: usize,
    /// `requests_in_flight_max`: calls of one client that are under way at once. More only wait for each other at the server.
    pub requests_in_flight_max: usize,
    /// `attempts_max`: how often a call that may be repeated is tried. 1 is no retry.
    pub attempts_max: usize,
    /// `retry_wait_min`: the wait before the second attempt. It doubles, with jitter.
    pub retry_wait_min: Duration,
    /// `retry_wait_max`: no wait is longer.
    pub retry_wait_max: Duration,
    /// `connect_timeout`: for a connection to be made.
    pub connect_timeout: Duration,
    /// `call_timeout`: for one attempt of a small call (look, delete, a page of a listing), or for the next bytes of a read.
    pub call_timeout: Duration,
    /// `upload_timeout`: for one attempt to send a part, or to have the server put a file together.
    pub upload_timeout: Duration,
}

impl Default for StorageLimits {
    fn default() -> Self {
        Self {
            part_bytes: 8 * 1024 * 1024,
            requests_in_flight_max: 128,
            attempts_max: 4,
            retry_wait_min: Duration::from_millis(200),
            retry_wait_max: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(15),
            upload_timeout: Duration::from_mins(1),
        }
    }
}
