//! A bucket's settings with the secrets read, and the operator that they make.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use frazil_service::secret::{Secret, SecretText};
use opendal::{
    ErrorKind, Operator,
    services::{Azdls, Gcs, S3},
};

use super::failure::{Service, Target, words};
use crate::storage::{
    location::Root,
    options::{
        AzureCredentials, AzureOptions, GcsCredentials, GcsOptions, S3Checksum, S3Credentials,
        S3Encryption, S3Options,
    },
    vended::{Vended, VendedGcs},
};

/// Object stores take no smaller parts.
pub(super) const PART_BYTES_MIN: usize = 5 * 1024 * 1024;
const CUSTOMER_KEY_BYTES: usize = 32;
const REGION_DEFAULT: &str = "us-east-1";
const GCS_ENDPOINT: &str = "https://storage.googleapis.com";

/// What makes a bucket's client. Two that are equal make the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectSettings {
    S3 {
        bucket: String,
        options: S3Options,
        keys: Option<Keys>,
        customer_key: Option<SecretText>,
    },
    Gcs {
        bucket: String,
        endpoint: Option<String>,
        credentials: GcsCredentials,
        token: Option<SecretText>,
    },
    Azure {
        container: String,
        account: String,
        endpoint: String,
        credentials: AzureCredentials,
        /// The account key, the SAS or the client secret.
        secret: Option<SecretText>,
    },
}

/// A pair of S3's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) access_key_id: SecretText,
    pub(crate) secret_access_key: SecretText,
    pub(crate) session_token: Option<SecretText>,
}

/// Chooses the cryptography of TLS, once for the process. Who was first chose the same, or knows better.
/// Neither an operator nor a client for HTTP can be made before.
pub(crate) fn install_tls() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

fn read(secret: &Secret) -> Result<SecretText, String> {
    secret.read().map_err(|error| format!("failed to {error}"))
}

impl ObjectSettings {
    /// S3's, for a bucket. Reads the secrets.
    pub(crate) fn s3(
        bucket: &str,
        options: &S3Options,
        vended: Option<&Vended>,
    ) -> Result<Self, String> {
        let mut options = options.clone();
        let mut keys = None;
        if let Some(vended) = vended {
            keys.clone_from(&vended.s3.keys);
            vended.s3.apply(&mut options);
        }
        if let (None, S3Credentials::Keys { .. }) = (&keys, &options.credentials) {
            keys = Some(read_keys(&options.credentials)?);
        }
        let customer_key = match &options.encryption {
            S3Encryption::Customer { key } => Some(read(key)?),
            _ => None,
        };
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            options,
            keys,
            customer_key,
        })
    }

    /// Google's, for a bucket.
    pub(crate) fn gcs(bucket: &str, options: &GcsOptions, vended: Option<&Vended>) -> Self {
        // As with S3, its endpoint counts only beside its token.
        let (endpoint, token) = match vended.map(|vended| &vended.gcs) {
            Some(VendedGcs {
                token: Some(token),
                endpoint,
            }) => (endpoint.clone(), Some(token.clone())),
            _ => (None, None),
        };
        Self::Gcs {
            bucket: bucket.to_owned(),
            endpoint: endpoint.or_else(|| options.endpoint.clone()),
            credentials: options.credentials.clone(),
            token,
        }
    }

    /// Azure's, for a container. Reads the secret.
    pub(crate) fn azure(
        root: (&str, &str, &str),
        options: &AzureOptions,
        vended: Option<&Vended>,
    ) -> Result<Self, String> {
        let (account, host, container) = root;
        let sas_token = vended.and_then(|vended| vended.azure.sas_token(account, host));
        let (credentials, secret) = match (sas_token, &options.credentials) {
            (Some(token), _) => (AzureCredentials::Chain, Some(token)),
            (None, credentials) => (credentials.clone(), azure_secret(credentials)?),
        };
        Ok(Self::Azure {
            container: container.to_owned(),
            account: account.to_owned(),
            endpoint: options
                .endpoint
                .clone()
                .unwrap_or_else(|| format!("https://{host}")),
            credentials,
            secret,
        })
    }

    /// Those of a root that is an object store's.
    pub(crate) fn of(
        root: &Root,
        options: &crate::storage::options::StorageOptions,
        vended: Option<&Vended>,
    ) -> Option<Result<Self, String>> {
        match root {
            Root::S3 { bucket } => Some(Self::s3(bucket, &options.s3, vended)),
            Root::Gcs { bucket } => Some(Ok(Self::gcs(bucket, &options.gcs, vended))),
            Root::Azure {
                account,
                host,
                container,
            } => Some(Self::azure(
                (account, host, container),
                &options.azure,
                vended,
            )),
            Root::Hdfs { .. } => None,
        }
    }

    /// Whom it talks to.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::S3 {
                bucket, options, ..
            } => Target {
                service: Service::S3,
                bucket: format!("bucket {bucket}"),
                endpoint: match (&options.endpoint, &options.region) {
                    (Some(endpoint), _) => endpoint.clone(),
                    (None, Some(region)) => format!("S3 in {region}"),
                    (None, None) => "S3".to_owned(),
                },
            },
            Self::Gcs {
                bucket, endpoint, ..
            } => Target {
                service: Service::Gcs,
                bucket: format!("bucket {bucket}"),
                endpoint: endpoint.clone().unwrap_or_else(|| GCS_ENDPOINT.to_owned()),
            },
            Self::Azure {
                container,
                endpoint,
                ..
            } => Target {
                service: Service::Azure,
                bucket: format!("container {container}"),
                endpoint: endpoint.clone(),
            },
        }
    }

    /// The operator, without layers.
    pub(super) fn operator(&self) -> Result<Operator, String> {
        install_tls();
        match self {
            Self::S3 {
                bucket,
                options,
                keys,
                customer_key,
            } => s3_operator(bucket, options, keys.as_ref(), customer_key.as_ref()),
            Self::Gcs {
                bucket,
                endpoint,
                credentials,
                token,
            } => {
                let mut builder = Gcs::default().bucket(bucket);
                if let Some(endpoint) = endpoint {
                    builder = builder.endpoint(endpoint.trim_end_matches('/'));
                }
                builder = match (token, credentials) {
                    (Some(token), _) => builder.token(token.expose().to_owned()),
                    (None, GcsCredentials::Chain) => builder,
                    (None, GcsCredentials::Anonymous) => builder.skip_signature(),
                    (None, GcsCredentials::File(path)) => {
                        builder.credential_path(&path.to_string_lossy())
                    }
                };
                finished(Operator::new(builder).map(opendal::OperatorBuilder::finish))
            }
            Self::Azure {
                container,
                account,
                endpoint,
                credentials,
                secret,
            } => {
                let builder = Azdls::default()
                    .filesystem(container)
                    .account_name(account)
                    .endpoint(endpoint);
                let builder = azure_builder(builder, credentials, secret.as_ref());
                finished(Operator::new(builder).map(opendal::OperatorBuilder::finish))
            }
        }
    }
}

fn finished(operator: opendal::Result<Operator>) -> Result<Operator, String> {
    operator.map_err(|error| words(&error))
}

fn read_keys(credentials: &S3Credentials) -> Result<Keys, String> {
    let S3Credentials::Keys {
        access_key_id,
        secret_access_key,
        session_token,
    } = credentials
    else {
        return Err("there are no keys".to_owned());
    };
    Ok(Keys {
        access_key_id: read(access_key_id)?,
        secret_access_key: read(secret_access_key)?,
        session_token: session_token.as_ref().map(read).transpose()?,
    })
}

fn s3_operator(
    bucket: &str,
    options: &S3Options,
    keys: Option<&Keys>,
    customer_key: Option<&SecretText>,
) -> Result<Operator, String> {
    let build = |region: Option<&str>| {
        let mut builder = s3_builder(bucket, options, keys);
        if let Some(region) = region {
            builder = builder.region(region);
        }
        if let Some(key) = customer_key {
            builder = builder.server_side_encryption_with_customer_key("AES256", &customer(key)?);
        }
        Ok::<_, String>(Operator::new(builder).map(opendal::OperatorBuilder::finish))
    };
    match build(options.region.as_deref())? {
        // The region may also come from the environment, which only the client reads.
        Err(error)
            if error.kind() == ErrorKind::ConfigInvalid
                && options.region.is_none()
                && error.message().contains("region") =>
        {
            if options.endpoint.is_none() {
                return Err(
                    "the region is not known; set region in [storage.s3], or AWS_REGION".to_owned(),
                );
            }
            finished(build(Some(REGION_DEFAULT))?)
        }
        operator => finished(operator),
    }
}

fn s3_builder(bucket: &str, options: &S3Options, keys: Option<&Keys>) -> S3 {
    let mut builder = S3::default().bucket(bucket);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint(endpoint);
    }
    // A dot in a bucket's name does not fit Amazon's certificates.
    if !options.path_style && !bucket.contains('.') {
        builder = builder.enable_virtual_host_style();
    }
    match (keys, &options.credentials) {
        (Some(keys), _) => {
            builder = builder
                .access_key_id(keys.access_key_id.expose())
                .secret_access_key(keys.secret_access_key.expose());
            if let Some(token) = &keys.session_token {
                builder = builder.session_token(token.expose());
            }
        }
        (None, S3Credentials::Anonymous) => builder = builder.skip_signature(),
        (None, _) => {}
    }
    match &options.encryption {
        S3Encryption::Bucket | S3Encryption::Customer { .. } => {}
        S3Encryption::S3 => builder = builder.server_side_encryption_with_s3_key(),
        S3Encryption::Kms { key_id: None } => {
            builder = builder.server_side_encryption_with_aws_managed_kms_key();
        }
        S3Encryption::Kms { key_id: Some(key) } => {
            builder = builder.server_side_encryption_with_customer_managed_kms_key(key);
        }
    }
    match options.checksum {
        S3Checksum::Crc32c => builder.checksum_algorithm("crc32c"),
        S3Checksum::None => builder,
    }
}

/// A customer's key, decoded.
fn customer(key: &SecretText) -> Result<Vec<u8>, String> {
    match BASE64_STANDARD.decode(key.expose()) {
        Ok(bytes) if bytes.len() == CUSTOMER_KEY_BYTES => Ok(bytes),
        _ => Err(format!(
            "customer_key in [storage.s3] is not {CUSTOMER_KEY_BYTES} bytes in base64"
        )),
    }
}

fn azure_secret(credentials: &AzureCredentials) -> Result<Option<SecretText>, String> {
    match credentials {
        AzureCredentials::Chain | AzureCredentials::Managed { .. } => Ok(None),
        AzureCredentials::AccountKey(secret) | AzureCredentials::SasToken(secret) => {
            read(secret).map(Some)
        }
        AzureCredentials::ClientSecret { client_secret, .. } => read(client_secret).map(Some),
    }
}

fn azure_builder(
    builder: Azdls,
    credentials: &AzureCredentials,
    secret: Option<&SecretText>,
) -> Azdls {
    let secret = secret.map(SecretText::expose);
    match (credentials, secret) {
        (AzureCredentials::Managed { client_id }, _) => builder.client_id(client_id),
        (AzureCredentials::AccountKey(_), Some(key)) => builder.account_key(key),
        (
            AzureCredentials::ClientSecret {
                tenant_id,
                client_id,
                authority_host,
                ..
            },
            Some(secret),
        ) => {
            let builder = builder
                .tenant_id(tenant_id)
                .client_id(client_id)
                .client_secret(secret);
            match authority_host {
                Some(host) => builder.authority_host(host),
                None => builder,
            }
        }
        // A vended token has no options of its own.
        (AzureCredentials::SasToken(_) | AzureCredentials::Chain, Some(token)) => {
            builder.sas_token(token.trim_start_matches('?'))
        }
        (_, None) => builder,
    }
}

#[cfg(test)]
mod tests;
