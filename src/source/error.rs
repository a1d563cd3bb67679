//! What can go wrong with a source, and what is to be done about it.

use std::{
    fmt::{self, Display},
    io,
    path::PathBuf,
};

use super::Compression;

/// What a caller does about a [`SourceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again may help: what was read so far is sound, and the next run goes on from there.
    Retry,
    /// The command line or an input is wrong.
    Usage,
    /// A person must decide: going on could lose or double records.
    Stop,
}

impl Remedy {
    /// The exit code of a run that ended by such an error.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Retry => 1,
            Self::Usage => 2,
            Self::Stop => 3,
        }
    }
}

/// Why a source could not be found, identified or read. Each message reads on after "failed to …: " and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is nothing at a path that was given.
    #[error("read {}: no such file or folder; check the path given with --from or in [source.files]", .path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A file that was found is no longer there: renamed or removed meanwhile.
    #[error("read {}: it was there when files were looked for, and is gone; run again to find it by its content", .path.display())]
    Gone {
        /// The path as found.
        path: PathBuf,
    },
    /// A path cannot be listed, opened or looked at.
    #[error("read {}: {cause}{}", .path.display(), advice(.cause))]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A path that was given by name is a pipe, a socket or a device.
    #[error("read {}: not a regular file or a folder, so it cannot be read again after a stop; pipe it in with `--from -`", .path.display())]
    NotRegular {
        /// The path as given.
        path: PathBuf,
    },
    /// A pattern is malformed.
    #[error(
        "read {pattern}: not a valid pattern: {detail}; put special characters in brackets, as in [[]"
    )]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A pattern matches no file.
    #[error(
        "read {pattern}: no file matches; hidden files match only a pattern whose name begins with a dot"
    )]
    NothingMatched {
        /// The pattern as given.
        pattern: String,
    },
    /// A folder holds no file that would be read.
    #[error("read {}: the folder holds no file that is not hidden{}", .path.display(), if *.subfolders { "; sub-folders are not searched: give 'FOLDER/**/*' for those" } else { "" })]
    EmptyFolder {
        /// The folder as given.
        path: PathBuf,
        /// Whether it has sub-folders.
        subfolders: bool,
    },
    /// A folder leads back into itself by a link.
    #[error("read {pattern}: the folder {} leads back into itself by a link; give a pattern that leaves it out", .path.display())]
    FolderLoop {
        /// The pattern as given.
        pattern: String,
        /// The folder that is its own ancestor.
        path: PathBuf,
    },
    /// Too many files at once.
    #[error("read {given}: over {files_max} files; give fewer at a time")]
    TooManyFiles {
        /// What was given when the limit was met.
        given: String,
        /// The limit.
        files_max: usize,
    },
    /// A path on a storage that files are not read from.
    #[error(
        "read {url}: reading files from {scheme}:// is not supported yet; copy them to a local folder, or pipe them in with `--from -`"
    )]
    UnsupportedScheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The extension names a compression, the bytes are neither that nor text.
    #[error(
        "read {path}: named as {expected}, but its first bytes are neither that nor text; check that it is whole"
    )]
    NotCompressed {
        /// The path as given.
        path: String,
        /// What the extension names.
        expected: Compression,
    },
    /// The bytes are of a format that holds no lines.
    #[error("read {path}: {format} is not read; {advice}")]
    UnsupportedFormat {
        /// The path as given.
        path: String,
        /// What its first bytes say it is.
        format: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// Reading failed.
    #[error(
        "read {path} at byte {position}: {cause}; what was read before is kept, run again to go on from there"
    )]
    Read {
        /// The path as given.
        path: String,
        /// The byte of the decompressed content up to which reading went well.
        position: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// Compressed content is corrupt or ends early.
    #[error(
        "decompress {path} past byte {position} of its content: {compression} data {cause}; the records before are kept, put a whole copy in its place and run again to go on from there"
    )]
    Corrupt {
        /// The path as given.
        path: String,
        /// The byte of the decompressed content up to which records were read.
        position: u64,
        /// The compression.
        compression: Compression,
        /// What the decoder said.
        cause: String,
    },
    /// The file was truncated or overwritten while it was being read.
    #[error(
        "read {path} past byte {position}: {change} while it was being read; the records before are kept, run again to find what was read by its content"
    )]
    ChangedWhileReading {
        /// The path as given.
        path: String,
        /// The byte of the decompressed content up to which records were read.
        position: u64,
        /// What happened to it.
        change: String,
    },
    /// A file that was not read to its end is no longer to be found by its content.
    #[error(
        "find {path} again: source {source_id} was read up to byte {position} and not to its end, and neither that path nor another file in its folder begins with what was read; bring it back, or decide: `frazil offsets set DATASET --source {source_id} --forget` leaves the rest of it unread"
    )]
    Lost {
        /// Where it was last seen.
        path: String,
        /// Its id in the table's state.
        source_id: u64,
        /// Up to where the table holds it.
        position: u64,
    },
    /// A file still begins as it did, but no longer holds all that was read of it.
    #[error(
        "go on with {path}: its first {head_length} bytes are those of source {source_id}, but not all of the {position} that were read (it has {file_bytes} bytes now); was it edited, cut or is it being copied? Wait, bring it back, or decide: `frazil offsets set DATASET --source {source_id} --position BYTE` goes on there in the file as it is now, `--as-new-source` reads it from its first byte, so that what was read before is there twice"
    )]
    Altered {
        /// Where it was last seen.
        path: String,
        /// Its id in the table's state.
        source_id: u64,
        /// Up to where the table holds it.
        position: u64,
        /// How many bytes are unchanged for certain.
        head_length: u64,
        /// How long the file is now, compressed as it is.
        file_bytes: u64,
    },
    /// The task that reads ended without a word: a defect.
    #[error("read {path}: the reader ended without reaching the end; run again, and report this")]
    ReaderGone {
        /// The path as given.
        path: String,
    },
}

impl SourceError {
    /// What a caller does about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreadable { cause, .. } if is_passing(cause) => Remedy::Retry,
            Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::NotRegular { .. }
            | Self::BadPattern { .. }
            | Self::NothingMatched { .. }
            | Self::EmptyFolder { .. }
            | Self::FolderLoop { .. }
            | Self::TooManyFiles { .. }
            | Self::UnsupportedScheme { .. }
            | Self::NotCompressed { .. }
            | Self::UnsupportedFormat { .. } => Remedy::Usage,
            Self::Gone { .. }
            | Self::Read { .. }
            | Self::Corrupt { .. }
            | Self::ChangedWhileReading { .. }
            | Self::ReaderGone { .. } => Remedy::Retry,
            Self::Lost { .. } | Self::Altered { .. } => Remedy::Stop,
        }
    }

    /// Whether what was given is not there, or not yet.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::Gone { .. }
                | Self::NothingMatched { .. }
                | Self::EmptyFolder { .. }
        )
    }

    /// The error for a path that could not be looked at, listed or opened.
    pub(super) fn at_path(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        let path = path.into();
        if cause.kind() == io::ErrorKind::NotFound {
            Self::NotFound { path }
        } else {
            Self::Unreadable { path, cause }
        }
    }

    /// The same for a path at which a file was found before.
    pub(super) fn at_found(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        match Self::at_path(path, cause) {
            Self::NotFound { path } => Self::Gone { path },
            error => error,
        }
    }
}

/// Whether the machine is short of something, rather than the path being wrong.
fn is_passing(cause: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, OutOfMemory, ResourceBusy, StaleNetworkFileHandle, TimedOut, WouldBlock,
    };
    // Too many open files (EMFILE, ENFILE) and a failing device (EIO) have no kind of their own.
    matches!(cause.raw_os_error(), Some(5 | 23 | 24))
        || matches!(
            cause.kind(),
            Interrupted
                | OutOfMemory
                | ResourceBusy
                | StaleNetworkFileHandle
                | TimedOut
                | WouldBlock
        )
}

/// What to do about an error of the system, as the end of a message.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "; let the user that runs frazil read it (a folder also needs the right to enter it)"
        }
        _ if is_passing(cause) => "; try again",
        _ => "",
    }
}

/// A failure of the file below a decompressor, told apart from the decompressor's own complaints.
#[derive(Debug)]
pub(super) enum RawFailure {
    /// The system's error.
    Io(io::Error),
    /// The file is no longer the one that was being read.
    Changed(String),
    /// Nobody waits for the content any more.
    Cancelled,
}

impl Display for RawFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(cause) => cause.fmt(f),
            Self::Changed(change) => f.write_str(change),
            Self::Cancelled => f.write_str("reading was given up"),
        }
    }
}

impl std::error::Error for RawFailure {}

impl From<RawFailure> for io::Error {
    fn from(failure: RawFailure) -> Self {
        io::Error::other(failure)
    }
}

/// Whether an error comes from below a decompressor.
pub(super) fn is_raw(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<RawFailure>)
}

/// The error for reading that failed at `position` of the content.
pub(super) fn reading(
    path: &str,
    position: u64,
    compression: Compression,
    error: io::Error,
) -> SourceError {
    let path = path.to_owned();
    if !is_raw(&error) {
        let cause = if error.kind() == io::ErrorKind::UnexpectedEof {
            "ends early".to_owned()
        } else {
            format!("is corrupt ({error})")
        };
        return SourceError::Corrupt {
            path,
            position,
            compression,
            cause,
        };
    }
    match error
        .into_inner()
        .and_then(|inner| inner.downcast::<RawFailure>().ok())
    {
        Some(failure) => match *failure {
            RawFailure::Io(cause) => SourceError::Read {
                path,
                position,
                cause,
            },
            RawFailure::Changed(change) => SourceError::ChangedWhileReading {
                path,
                position,
                change,
            },
            RawFailure::Cancelled => SourceError::ReaderGone { path },
        },
        None => SourceError::ReaderGone { path },
    }
}
