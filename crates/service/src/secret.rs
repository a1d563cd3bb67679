//! Secrets, which are only ever given by reference, and read again at each use: a mounted file may change.

use std::{fmt, path::PathBuf};

use frazil_dataset::SecretReference;

/// Longest secret that is read, in bytes: a key with its chain of certificates is far shorter.
const SECRET_BYTES_MAX: u64 = 1024 * 1024;

/// Where a secret is. Shows the place, never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(SecretReference);

/// A secret's text. It has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// A secret cannot be read. Reads after "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("read the secret in {place}: {reason}")]
pub struct SecretError {
    place: String,
    reason: String,
}

impl Secret {
    /// The secret at that place.
    pub fn new(reference: SecretReference) -> Self {
        Self(reference)
    }

    /// Reads it, without spaces and line ends around it.
    ///
    /// # Errors
    /// There is none, it is empty, or it is not text.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        let text = match &self.0 {
            SecretReference::Variable(name) => variable(name),
            SecretReference::File(path) => file(&PathBuf::from(path)),
        };
        let text = text.and_then(|text| match text.trim() {
            "" => Err("it is empty".to_owned()),
            text => Ok(SecretText(text.to_owned())),
        });
        text.map_err(|reason| SecretError {
            place: self.place(),
            reason,
        })
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match &self.0 {
            SecretReference::Variable(name) => format!("the variable {name}"),
            SecretReference::File(path) => format!("the file {path}"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a secret's variable is named by the settings, and read as late as possible"
)]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => "it is not set".to_owned(),
        std::env::VarError::NotUnicode(_) => "it is not text".to_owned(),
    })
}

fn file(path: &std::path::Path) -> Result<String, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > SECRET_BYTES_MAX {
        return Err(format!("it is longer than {SECRET_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

impl SecretText {
    /// A secret that was handed over, as a catalog does with credentials for its tables.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_its_text_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = Secret::new(SecretReference::File(path.to_string_lossy().into_owned()));
        assert!(secret.read().unwrap_err().to_string().contains("password"));
        for text in ["one", "two"] {
            std::fs::write(&path, format!("{text}\n")).unwrap();
            let read = secret.read().unwrap();
            assert_eq!(read.expose(), text);
            assert!(!format!("{read:?} {secret:?}").contains(text));
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(secret.read().unwrap_err().to_string().contains("empty"));
    }
}
