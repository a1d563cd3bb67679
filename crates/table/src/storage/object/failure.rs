//! What a service's error means, in words that say what to do, and without its request: that may hold secrets.

use std::error::Error as _;

use opendal::{Error, ErrorKind};

use crate::storage::{StorageError, StorageErrorKind};

/// Longest text of a service that is passed on, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// What services call a file that is not there. Some use the same status for buckets and for users.
const MISSING_FILE: [&str; 7] = [
    "NoSuchKey",
    "NoSuchVersion",
    "NoSuchUpload",
    "NotFound",
    "BlobNotFound",
    "PathNotFound",
    "ResourceNotFound",
];

/// Whom a client talks to, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The service as people know it, and the section of its settings.
    pub(crate) service: Service,
    /// `bucket lake`, `container lake`.
    pub(crate) bucket: String,
    /// Its address.
    pub(crate) endpoint: String,
}

/// The services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azure,
}

impl Service {
    fn settings(self) -> &'static str {
        match self {
            Self::S3 => "[storage.s3]",
            Self::Gcs => "[storage.gcs]",
            Self::Azure => "[storage.azure]",
        }
    }

    fn rights(self) -> &'static str {
        match self {
            Self::S3 => {
                "s3:GetObject, PutObject, DeleteObject and AbortMultipartUpload on its objects and ListBucket on the bucket"
            }
            Self::Gcs => "the role Storage Object User on the bucket",
            Self::Azure => "the role Storage Blob Data Contributor on the container",
        }
    }
}

impl Target {
    /// The error in our terms.
    pub(crate) fn failed(&self, operation: &'static str, uri: &str, error: &Error) -> StorageError {
        let (kind, reason) = self.meaning(error);
        StorageError {
            operation,
            path: uri.to_owned(),
            kind,
            reason,
        }
    }

    /// Whether it says that there is no such file (and not: no such bucket).
    pub(crate) fn is_missing_file(&self, error: &Error) -> bool {
        self.meaning(error).0 == StorageErrorKind::NotFound
    }

    fn meaning(&self, error: &Error) -> (StorageErrorKind, String) {
        let words = words(error);
        let is = |names: &[&str]| names.iter().any(|name| words.contains(name));
        let status = status(error);
        let Self {
            bucket, endpoint, ..
        } = self;
        if is(&[
            "NoSuchBucket",
            "FilesystemNotFound",
            "ContainerNotFound",
            "bucket does not exist",
        ]) {
            let reason = format!(
                "there is no {bucket} at {endpoint}; make it, or mend the path's beginning"
            );
            return (StorageErrorKind::Other, reason);
        }
        let code = quoted(error.message(), "code").unwrap_or_default();
        if error.kind() == ErrorKind::NotFound
            && (code.is_empty() || MISSING_FILE.contains(&code.as_str()))
        {
            return (
                StorageErrorKind::NotFound,
                "there is no such file".to_owned(),
            );
        }
        if let Some(reason) = self.denied(error, status, &words) {
            return (StorageErrorKind::Denied, reason);
        }
        if status == Some(507) || is(&["Quota", "StorageFull", "InsufficientCapacity"]) {
            let reason = format!("the storage at {endpoint} is full; free or add space ({words})");
            return (StorageErrorKind::Full, reason);
        }
        let reason = match error.kind() {
            ErrorKind::RangeNotSatisfied => SHORT.to_owned(),
            _ if is(&["PermanentRedirect", "AuthorizationHeaderMalformed"]) => format!(
                "the {bucket} is in another region; set region in {} ({words})",
                self.service.settings()
            ),
            ErrorKind::RateLimited => {
                format!(
                    "{endpoint} asks for fewer requests; lower requests_in_flight_max ({words})"
                )
            }
            ErrorKind::ConfigInvalid => {
                let settings = self.service.settings();
                format!("{settings} cannot be used: {words}")
            }
            _ if words.contains("too little data") => SHORT.to_owned(),
            _ if words.contains("timeout") => format!(
                "{endpoint} did not answer in time; see that it is up and can be reached from here"
            ),
            _ if words.contains("send http request") => {
                format!(
                    "{endpoint} cannot be reached; see that it is up, and its address ({words})"
                )
            }
            _ => format!("{endpoint} says: {words}"),
        };
        (StorageErrorKind::Other, reason)
    }

    /// Why we may not, and what to do.
    fn denied(&self, error: &Error, status: Option<u16>, words: &str) -> Option<String> {
        let is = |names: &[&str]| names.iter().any(|name| words.contains(name));
        let (settings, endpoint) = (self.service.settings(), &self.endpoint);
        let expired = is(&["ExpiredToken", "TokenRefreshRequired", "InvalidToken"]);
        let unsigned = words.contains("signing http request");
        let unknown = is(&["InvalidAccessKeyId", "InvalidAccessKey", "UserNotFound"]);
        if !(expired
            || unsigned
            || unknown
            || error.kind() == ErrorKind::PermissionDenied
            || status == Some(401))
        {
            return None;
        }
        Some(if unsigned {
            format!(
                "we have no credentials for {endpoint}: give them in {settings}, or see the chain's sources ({words})"
            )
        } else if expired {
            format!("our credentials for {endpoint} have expired; renew them ({words})")
        } else if is(&["SignatureDoesNotMatch"]) {
            format!(
                "{endpoint} knows our access key id, but the secret in {settings} is not its own"
            )
        } else if unknown {
            format!("{endpoint} does not know the access key id in {settings}")
        } else if is(&["RequestTimeTooSkewed"]) {
            "this machine's clock is wrong; set it by NTP".to_owned()
        } else if status == Some(401) || is(&["AuthenticationFailed"]) {
            format!("{endpoint} does not accept our credentials; see {settings} ({words})")
        } else {
            let rights = self.service.rights();
            let bucket = &self.bucket;
            format!("we may not, in {bucket} at {endpoint}; give this identity {rights} ({words})")
        })
    }
}

const SHORT: &str = "the file ends before the part that was asked for";

/// The file ends too early.
pub(crate) fn short(operation: &'static str, uri: &str) -> StorageError {
    StorageError {
        operation,
        path: uri.to_owned(),
        kind: StorageErrorKind::Other,
        reason: SHORT.to_owned(),
    }
}

/// Whether it is that one.
pub(crate) fn is_short(error: &StorageError) -> bool {
    error.reason == SHORT
}

/// What the service, or the network, said: code and message, or the innermost cause.
pub(crate) fn words(error: &Error) -> String {
    let message = error.message();
    let said = match (quoted(message, "code"), quoted(message, "message")) {
        (Some(code), Some(text)) if !text.is_empty() => format!("{code}: {text}"),
        (Some(code), _) => code,
        (None, Some(text)) if !text.is_empty() => text,
        _ => message.to_owned(),
    };
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    let said = match (cause, status(error)) {
        (Some(cause), _) => format!("{said}: {cause}"),
        (None, Some(status)) if said.is_empty() => format!("HTTP status {status}"),
        (None, _) => said,
    };
    let said = without_queries(&said.replace(['\n', '\r'], " "));
    match said.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

/// The value of `name: "…"` in the debug form of a service's error.
fn quoted(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("{name}: \""))?;
    let mut value = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return Some(value),
            '\\' => value.extend(letters.next()),
            letter => value.push(letter),
        }
    }
}

/// The answer's status, which opendal keeps only within its text.
fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status: ")?;
    rest.get(..3)?.parse().ok()
}

/// The text without the queries of URLs: a signature or a token may be in one.
fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut in_query = false;
    for letter in text.chars() {
        if in_query && (letter.is_whitespace() || matches!(letter, ')' | '"' | ',' | '>')) {
            in_query = false;
        }
        if letter == '?' {
            in_query = true;
            clean.push_str("?…");
        } else if !in_query {
            clean.push(letter);
        }
    }
    clean
}

#[cfg(test)]
mod tests;
