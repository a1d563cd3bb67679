//! Credentials that a catalog hands out with a table, by the property names of Iceberg's REST specification.
//!
//! They go over the deployment's own options for URIs that begin with their prefix; of several, the
//! longest prefix counts. Properties that are not known here are left alone: catalogs send many.

use std::{collections::HashMap, fmt};

use frazil_service::secret::SecretText;

use super::{
    StorageError, StorageErrorKind,
    object::Keys,
    options::{S3Credentials, S3Encryption, S3Options},
};

/// What a catalog said of one prefix.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Vended {
    /// The beginning of the URIs that it is for.
    pub(crate) prefix: String,
    pub(crate) s3: VendedS3,
    pub(crate) gcs: VendedGcs,
    pub(crate) azure: VendedAzure,
}

/// Of S3.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct VendedS3 {
    pub(crate) keys: Option<Keys>,
    endpoint: Option<String>,
    region: Option<String>,
    path_style: Option<bool>,
    encryption: Option<S3Encryption>,
}

/// Of Google Cloud Storage.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct VendedGcs {
    pub(crate) token: Option<SecretText>,
    pub(crate) endpoint: Option<String>,
}

/// Of Azure.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct VendedAzure {
    /// By account or its host; of any account under "".
    sas_tokens: HashMap<String, SecretText>,
}

impl fmt::Debug for Vended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vended")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Vended {
    /// What the properties say for URIs that begin with `prefix`.
    pub(crate) fn parse(
        prefix: &str,
        properties: &HashMap<String, String>,
    ) -> Result<Self, StorageError> {
        let properties = Properties { prefix, properties };
        Ok(Self {
            prefix: prefix.to_owned(),
            s3: properties.s3()?,
            gcs: VendedGcs {
                token: properties.secret("gcs.oauth2.token"),
                endpoint: properties.text("gcs.service.host"),
            },
            azure: properties.azure(),
        })
    }
}

impl VendedS3 {
    /// Puts what was said over the options. The endpoint counts only beside keys: ours sign no requests to a server
    /// that somebody else chose.
    pub(crate) fn apply(&self, options: &mut S3Options) {
        if let (Some(endpoint), Some(_)) = (&self.endpoint, &self.keys) {
            options.endpoint = Some(endpoint.clone());
        }
        if let Some(region) = &self.region {
            options.region = Some(region.clone());
        }
        if let Some(path_style) = self.path_style {
            options.path_style = path_style;
        }
        if let Some(encryption) = &self.encryption {
            options.encryption = encryption.clone();
        }
        if self.keys.is_some() {
            options.credentials = S3Credentials::Chain;
        }
    }
}

impl VendedAzure {
    /// The token for an account.
    pub(crate) fn sas_token(&self, account: &str, host: &str) -> Option<SecretText> {
        [host, account, ""]
            .iter()
            .find_map(|name| self.sas_tokens.get(*name))
            .cloned()
    }
}

struct Properties<'a> {
    prefix: &'a str,
    properties: &'a HashMap<String, String>,
}

impl Properties<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.properties
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn secret(&self, name: &str) -> Option<SecretText> {
        self.text(name).map(SecretText::new)
    }

    fn failed(&self, reason: String) -> StorageError {
        StorageError {
            operation: "use the credentials that the catalog hands out for",
            path: match self.prefix {
                "" => "the table".to_owned(),
                prefix => prefix.to_owned(),
            },
            kind: StorageErrorKind::Other,
            reason,
        }
    }

    fn s3(&self) -> Result<VendedS3, StorageError> {
        let keys = match (
            self.secret("s3.access-key-id"),
            self.secret("s3.secret-access-key"),
        ) {
            (Some(access_key_id), Some(secret_access_key)) => Some(Keys {
                access_key_id,
                secret_access_key,
                session_token: self.secret("s3.session-token"),
            }),
            (None, None) => None,
            _ => {
                return Err(self.failed(
                    "there is only one of s3.access-key-id and s3.secret-access-key".to_owned(),
                ));
            }
        };
        let path_style = match self.text("s3.path-style-access").as_deref() {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Some(text) => {
                return Err(self.failed(format!(
                    "s3.path-style-access is `{text}`, not true or false"
                )));
            }
        };
        Ok(VendedS3 {
            keys,
            endpoint: self.text("s3.endpoint"),
            region: self
                .text("client.region")
                .or_else(|| self.text("s3.region")),
            path_style,
            encryption: self.encryption()?,
        })
    }

    fn encryption(&self) -> Result<Option<S3Encryption>, StorageError> {
        match self.text("s3.sse.type").as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(S3Encryption::Bucket)),
            Some("s3") => Ok(Some(S3Encryption::S3)),
            Some("kms") => Ok(Some(S3Encryption::Kms {
                key_id: self.text("s3.sse.key"),
            })),
            Some(other) => Err(self.failed(format!(
                "its s3.sse.type is `{other}`; frazil takes none, s3 and kms from a catalog"
            ))),
        }
    }

    fn azure(&self) -> VendedAzure {
        let tokens = self.properties.iter().filter_map(|(name, value)| {
            let account = name.strip_prefix("adls.sas-token")?;
            let account = match account.strip_prefix('.') {
                Some(account) => account,
                None if account.is_empty() => "",
                // `adls.sas-token-expires-at-ms` and its like.
                None => return None,
            };
            let token = Some(value).filter(|value| !value.is_empty())?;
            Some((account.to_owned(), SecretText::new(token.clone())))
        });
        VendedAzure {
            sas_tokens: tokens.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
