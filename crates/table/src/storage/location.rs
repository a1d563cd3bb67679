//! What a URI names: which service, which bucket of it, and which file in there.
//!
//! A file's name is what follows the bucket, byte for byte. Nothing is percent-decoded, and no slash is
//! folded: Iceberg's readers take paths as the metadata spells them, so one that is changed is another file.

use super::{StorageError, StorageErrorKind};

/// A service's bucket: what one client is for. Spellings of a scheme come to one normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    /// A bucket of S3.
    S3 {
        /// Its name.
        bucket: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// Its name.
        bucket: String,
    },
    /// A container of an Azure storage account.
    Azure {
        /// The account's name.
        account: String,
        /// The account's host: `<account>.dfs.core.windows.net`.
        host: String,
        /// Its name.
        container: String,
    },
    /// A name node, name service or mount table of HDFS.
    Hdfs {
        /// Its URL, without a path.
        url: String,
    },
}

/// Where a URI points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location<'a> {
    /// A file of this machine, by `file:` URI.
    Local,
    /// A file of a service.
    Remote {
        /// Whose.
        root: Root,
        /// Its name there, without the slash before it.
        key: &'a str,
    },
}

impl<'a> Location<'a> {
    /// What that URI names.
    pub(crate) fn parse(operation: &'static str, uri: &'a str) -> Result<Self, StorageError> {
        let failed = |reason: String| StorageError {
            operation,
            path: uri.to_owned(),
            kind: StorageErrorKind::Other,
            reason,
        };
        let (scheme, rest) = uri.split_once(':').ok_or_else(|| {
            failed("it has no scheme, such as s3: (table metadata names files by full URIs)".into())
        })?;
        if scheme == "file" {
            return Ok(Self::Local);
        }
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| failed(format!("two slashes are missing after {scheme}:")))?;
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let root = Root::parse(scheme, authority).map_err(failed)?;
        if let Some(reason) = misfit(&root, key) {
            return Err(failed(reason));
        }
        Ok(Self::Remote { root, key })
    }
}

impl Root {
    fn parse(scheme: &str, authority: &str) -> Result<Self, String> {
        let bucket = || match authority {
            "" => Err(format!("it names no bucket ({scheme}://bucket/file does)")),
            bucket => Ok(bucket.to_owned()),
        };
        match scheme {
            "s3" | "s3a" | "s3n" => bucket().map(|bucket| Self::S3 { bucket }),
            "gs" | "gcs" => bucket().map(|bucket| Self::Gcs { bucket }),
            // Without an authority: `fs.defaultFS` of Hadoop's configuration.
            "hdfs" | "viewfs" => Ok(Self::Hdfs {
                url: format!("{scheme}://{authority}"),
            }),
            "abfss" | "abfs" | "wasbs" | "wasb" => azure(scheme, authority),
            _ => Err(format!(
                "no storage is known for {scheme}: (there are file, s3, s3a, s3n, hdfs, viewfs, gs, abfss and wasbs)"
            )),
        }
    }
}

/// `container@account.dfs.core.windows.net`; the blob service's host is the same account's.
fn azure(scheme: &str, authority: &str) -> Result<Root, String> {
    let parts = authority
        .split_once('@')
        .and_then(|(container, host)| Some((container, host, host.split_once('.')?)));
    match parts {
        Some((container, _, (account, domain))) if !container.is_empty() && !account.is_empty() => {
            let domain = domain
                .strip_prefix("blob.")
                .map_or_else(|| domain.to_owned(), |rest| format!("dfs.{rest}"));
            Ok(Root::Azure {
                account: account.to_owned(),
                host: format!("{account}.{domain}"),
                container: container.to_owned(),
            })
        }
        _ => Err(format!(
            "it names no container and account ({scheme}://container@account.dfs.core.windows.net/file does)"
        )),
    }
}

/// Why the service's client would take the key for another one.
fn misfit(root: &Root, key: &str) -> Option<String> {
    if key.contains('\0') {
        return Some("it holds a NUL".to_owned());
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Some("it holds a part . or .., which HTTP and HDFS fold away".to_owned());
    }
    if key.starts_with('/') && !matches!(root, Root::Hdfs { .. }) {
        return Some("its key begins with a slash, which this client cannot name".to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
