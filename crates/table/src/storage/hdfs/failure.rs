//! What HDFS's errors mean, in words that say what to do.

use std::time::Duration;

use hdfs_native::HdfsError;

use crate::storage::{StorageError, StorageErrorKind};

/// Longest text of a server that is passed on, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    Hdfs(HdfsError),
    /// There was no answer within that time.
    Timeout(Duration),
    /// The file ends before the part that was asked for.
    Short,
    /// An earlier call on the same file failed, or was cancelled.
    Broken,
}

impl Failure {
    /// The Java class of the server's exception, and its message.
    fn exception(&self) -> Option<(&str, &str)> {
        match self {
            Self::Hdfs(
                HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message),
            ) => Some((class, message)),
            _ => None,
        }
    }

    fn is_exception(&self, names: &[&str]) -> bool {
        // The name may be of the exception itself, or, wrapped in another, in its message.
        self.exception().is_some_and(|(class, message)| {
            names
                .iter()
                .any(|name| class.contains(name) || message.contains(name))
        })
    }

    /// Whether it says that there is no such file or folder.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Hdfs(HdfsError::FileNotFound(_)))
            || self
                .exception()
                .is_some_and(|(class, _)| class.ends_with("FileNotFoundException"))
    }

    /// Whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Short | Self::Broken => false,
            Self::Hdfs(error) => match error {
                HdfsError::IOError(_)
                | HdfsError::DataTransferError(_)
                | HdfsError::ChecksumError
                | HdfsError::OperationFailed(_)
                | HdfsError::BlocksNotFound(_)
                | HdfsError::InvalidRPCResponse(_) => true,
                HdfsError::RPCError(..) | HdfsError::FatalRPCError(..) => self.is_exception(&[
                    "RetriableException",
                    "StandbyException",
                    "SafeModeException",
                    "ServerTooBusy",
                ]),
                _ => false,
            },
        }
    }

    /// What was said: the first line, which has the message, of what may be a stack trace.
    pub(super) fn words(&self) -> String {
        let text = match self {
            Self::Hdfs(error) => match self.exception() {
                Some((class, message)) => format!("{class}: {message}"),
                None => error.to_string(),
            },
            Self::Timeout(limit) => format!("no answer within {} s", limit.as_secs_f32()),
            Self::Short => "the file ends before the part that was asked for".to_owned(),
            Self::Broken => "an earlier write to it failed or was cancelled".to_owned(),
        };
        let line = text.lines().next().unwrap_or_default();
        line.chars().take(WORDS_CHARS_MAX).collect()
    }

    /// The error in our terms. `url` is the name service's.
    pub(super) fn into_error(self, url: &str, operation: &'static str, uri: &str) -> StorageError {
        let (kind, reason) = self.meaning(url);
        StorageError {
            operation,
            path: uri.to_owned(),
            kind,
            reason,
        }
    }

    fn meaning(&self, url: &str) -> (StorageErrorKind, String) {
        use StorageErrorKind::{Denied, Full, NotFound, Other};
        let words = self.words();
        if self.is_missing() {
            return (NotFound, "there is no such file".to_owned());
        }
        if self.is_exception(&["AccessControlException", "AuthorizationException"]) {
            let reason = format!(
                "we may not; give this user rights on the folder, or name another by user in [storage.hdfs] ({words})"
            );
            return (Denied, reason);
        }
        if let Self::Hdfs(
            HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism,
        ) = self
        {
            let reason = format!(
                "{url} does not know who we are; see the Kerberos ticket or keytab and hadoop.security.authentication ({words})"
            );
            return (Denied, reason);
        }
        if self.is_exception(&["QuotaExceededException"]) {
            let reason = format!("the folder's quota is used up; free space or raise it ({words})");
            return (Full, reason);
        }
        if self.is_exception(&["could only be written to", "DiskOutOfSpaceException"]) {
            let reason = format!(
                "no DataNode takes the block: they are full, or none can be reached by {url} ({words})"
            );
            return (Full, reason);
        }
        if self.is_exception(&["SafeModeException"]) {
            let reason = format!("{url} is in safe mode; wait until it has left it ({words})");
            return (Other, reason);
        }
        let reason = match self {
            Self::Timeout(_) => {
                format!("{url} did not answer in time; see that it is up ({words})")
            }
            Self::Hdfs(HdfsError::IOError(error)) => {
                format!("{url} cannot be reached; see that it is up, and its address ({error})")
            }
            Self::Short | Self::Broken => words,
            Self::Hdfs(_) => format!("{url} says: {words}"),
        };
        (Other, reason)
    }
}

#[cfg(test)]
mod tests;
