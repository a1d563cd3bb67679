//! Where a REST catalog is, who we are to it, and how long is waited for it.

use std::{fmt, time::Duration};

use frazil_service::secret::Secret;

use crate::catalog::tls::TlsOptions;

/// A REST catalog. Secrets are read at each use.
#[derive(Debug, Clone)]
pub struct RestOptions {
    /// The address that `/v1/config` is under: `https://catalog.example.com/api/catalog`.
    pub uri: String,
    /// Which warehouse the server is asked for: a name, a location, an ARN, as the server likes it.
    pub warehouse: Option<String>,
    /// The `prefix` of all paths, where the server's configuration names none.
    pub prefix: Option<String>,
    /// Who we are.
    pub authorization: Authorization,
    /// Headers of each request. None of them may be one that frazil sets itself.
    pub headers: Vec<(String, HeaderText)>,
    /// Certificates.
    pub tls: TlsOptions,
    /// How access to a table's files is asked for (header `X-Iceberg-Access-Delegation`).
    pub access_delegation: AccessDelegation,
    /// How long a connection may take to be made, with TLS.
    pub connect_timeout: Duration,
    /// How long one reading request may take, to the last byte of its answer.
    pub read_timeout: Duration,
    /// How long one changing request may take. After it the outcome is unknown.
    pub commit_timeout: Duration,
    /// Reading requests that are made before giving up, the first included. Changing requests are made once.
    pub read_attempts_max: u32,
    /// The longest answer with a table's metadata that is taken, in bytes.
    pub metadata_bytes_max: u64,
}

impl RestOptions {
    /// The catalog at that address, everything else by default.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            warehouse: None,
            prefix: None,
            authorization: Authorization::None,
            headers: Vec::new(),
            tls: TlsOptions::default(),
            access_delegation: AccessDelegation::VendedCredentials,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(1),
            read_attempts_max: 3,
            metadata_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Who we are to a REST catalog.
#[derive(Debug, Clone, Default)]
pub enum Authorization {
    /// Nobody; or the proxy, the client certificate or the headers say.
    #[default]
    None,
    /// Who holds this token (`Authorization: Bearer`).
    Bearer(Secret),
    /// Who may have a token for these credentials.
    OAuth2(OAuth2Options),
    /// Who holds AWS credentials (Signature Version 4, as AWS Glue, S3 Tables and API Gateway want it).
    SigV4(SigV4Options),
}

/// OAuth2 client credentials (RFC 6749, section 4.4). The client's id and secret are sent in the
/// form, as Iceberg's other clients do.
#[derive(Debug, Clone)]
pub struct OAuth2Options {
    /// `client-id:client-secret`, or the secret alone.
    pub credential: Secret,
    /// Where tokens are given out. `None`: the catalog's own `v1/oauth/tokens`.
    pub server_uri: Option<String>,
    /// The scope that is asked for; Iceberg's clients say `catalog`.
    pub scope: String,
    /// The `audience` that is asked for.
    pub audience: Option<String>,
    /// The `resource` that is asked for (RFC 8707).
    pub resource: Option<String>,
}

impl OAuth2Options {
    /// These credentials, everything else by default.
    pub fn new(credential: Secret) -> Self {
        Self {
            credential,
            server_uri: None,
            scope: "catalog".to_owned(),
            audience: None,
            resource: None,
        }
    }
}

/// AWS Signature Version 4.
#[derive(Debug, Clone)]
pub struct SigV4Options {
    /// The region: `eu-central-1`.
    pub region: String,
    /// The service's signing name: `glue`, `s3tables`, `execute-api`.
    pub service: String,
    /// Where the keys come from.
    pub keys: SigV4Keys,
}

/// Where AWS keys come from.
#[derive(Debug, Clone)]
pub enum SigV4Keys {
    /// These.
    Given {
        /// The access key's id.
        access_key_id: Secret,
        /// The access key.
        secret_access_key: Secret,
        /// The session's token, for keys that are lent.
        session_token: Option<Secret>,
    },
    /// The first that is found where AWS's own tools look: `AWS_*` variables, profile files, web
    /// identity, the container's and the machine's metadata.
    Environment,
}

/// The text of a header.
#[derive(Clone)]
pub enum HeaderText {
    /// This.
    Plain(String),
    /// A secret.
    Secret(Secret),
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What a person wrote in plain may be a secret all the same.
            Self::Plain(_) => f.write_str("Plain(…)"),
            Self::Secret(secret) => f.debug_tuple("Secret").field(secret).finish(),
        }
    }
}

/// How access to a table's files is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessDelegation {
    /// Credentials for the table's files come with the table, where the server lends them.
    #[default]
    VendedCredentials,
    /// None: the deployment's own storage credentials serve.
    None,
}
