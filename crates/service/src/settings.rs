//! Where this process finds its deployment and its datasets.
//!
//! The only place that reads the environment and looks for files of settings. What they say is
//! checked by `frazil_dataset`, which does no I/O.

mod deployment;

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use frazil_dataset::{Dataset, Diagnostics, FILE_BYTES_MAX, nearest, parse_dataset, stated_name};

pub use deployment::{ResolvedCatalog, Settings};

/// The folder of dataset files, under the working folder.
pub const SCHEMAS_FOLDER: &str = "schemas";
/// More names than these are counted and not listed in a message.
const LISTED_MAX: usize = 20;

/// Why settings or a dataset cannot be had. A message for people; the remedy is theirs (exit code 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A file, or the environment, says something that is wrong.
    #[error(transparent)]
    Definition(#[from] Diagnostics),
    /// Something is not there, or cannot be read.
    #[error("{0}")]
    Missing(String),
}

/// What a process is started with: its working folder and the variables that are frazil's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The working folder, absolute.
    pub working_folder: PathBuf,
    /// The variables that begin with `FRAZIL_`.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// This process's own.
    ///
    /// # Errors
    /// There is no working folder any more, or a variable of frazil is not UTF-8.
    pub fn of_process() -> Result<Self, SettingsError> {
        let working_folder = std::env::current_dir().map_err(|error| {
            SettingsError::Missing(format!("the working folder cannot be found: {error}"))
        })?;
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("FRAZIL_")) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| SettingsError::Missing(format!("the variable {name} is not UTF-8")))?;
            variables.insert(name.to_owned(), value);
        }
        Ok(Self {
            working_folder,
            variables,
        })
    }

    fn path_variable(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// The files of datasets in `schemas/`, by name. None where there is no such folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn dataset_files(&self) -> Result<Vec<PathBuf>, SettingsError> {
        let folder = self.working_folder.join(SCHEMAS_FOLDER);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(|error| unreadable(&folder, &error))?
                .file_name();
            if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(Path::new(SCHEMAS_FOLDER).join(name));
            }
        }
        files.sort();
        Ok(files)
    }

    /// The file of a DATASET argument: a path, or a name found in `schemas/` (a file's, or the one that a file states).
    ///
    /// # Errors
    /// There is none; the message says what was looked for and which there are.
    pub fn find_dataset(&self, argument: &str) -> Result<PathBuf, SettingsError> {
        let path = Path::new(argument);
        let is_path = argument.contains(['/', '\\'])
            || path
                .extension()
                .is_some_and(|extension| extension == "toml");
        if is_path {
            let full = self.working_folder.join(path);
            if full.is_file() || (full.exists() && !full.is_dir()) {
                return Ok(path.to_owned());
            }
            return Err(self.no_such_file(argument, &full));
        }
        if argument.is_empty() {
            return Err(SettingsError::Missing(
                "a dataset has no empty name".to_owned(),
            ));
        }
        let file = Path::new(SCHEMAS_FOLDER).join(format!("{argument}.toml"));
        if self.working_folder.join(&file).is_file() {
            return Ok(file);
        }
        let files = self.dataset_files()?;
        for file in &files {
            let text = read_text(&self.working_folder.join(file));
            if text.is_ok_and(|text| stated_name(&text).as_deref() == Some(argument)) {
                return Ok(file.clone());
            }
        }
        Err(self.no_such_dataset(argument, &files))
    }

    fn no_such_file(&self, argument: &str, full: &Path) -> SettingsError {
        if full.is_dir() {
            return SettingsError::Missing(format!("`{argument}` is a folder, not a dataset file"));
        }
        let mut message = format!(
            "there is no file `{argument}` in {}",
            self.working_folder.display()
        );
        let named = full.with_extension("toml");
        if full.extension().is_none() && named.is_file() {
            message += "\n  help: did you mean `";
            message += argument;
            message += ".toml`?";
        } else if let Ok(files) = self.dataset_files() {
            let files: Vec<String> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            message += &choice(argument, &files, "dataset files");
        }
        SettingsError::Missing(message)
    }

    fn no_such_dataset(&self, argument: &str, files: &[PathBuf]) -> SettingsError {
        let folder = self.working_folder.join(SCHEMAS_FOLDER);
        let mut message = format!(
            "there is no dataset `{argument}`: looked for {argument}.toml in {}",
            folder.display()
        );
        let names: Vec<String> = files
            .iter()
            .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
            .collect();
        if names.is_empty() {
            let help = "\n  help: a dataset is a file in `schemas/`: `frazil init SAMPLE` writes one, or give its path";
            message += help;
        } else {
            message += &choice(argument, &names, "datasets there");
        }
        SettingsError::Missing(message)
    }

    /// Reads the dataset of a DATASET argument.
    ///
    /// # Errors
    /// There is none, it cannot be read, or its file has mistakes: all of them.
    pub fn load_dataset(&self, argument: &str) -> Result<Dataset, SettingsError> {
        let file = self.find_dataset(argument)?;
        let text = read_text(&self.working_folder.join(&file))?;
        let name = file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(parse_dataset(&text, &file.display().to_string(), &name)?)
    }
}

/// The help line of a name that is not known: the nearest, or all.
fn choice(given: &str, known: &[String], what: &str) -> String {
    if let Some(near) = nearest(given, known.iter().map(String::as_str)) {
        return format!("\n  help: did you mean `{near}`?");
    }
    if known.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = known.iter().take(LISTED_MAX).map(String::as_str).collect();
    let more = known.len() - shown.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("\n  help: {what}: {}{more}", shown.join(", "))
}

fn unreadable(path: &Path, error: &std::io::Error) -> SettingsError {
    SettingsError::Missing(format!("{} cannot be read: {error}", path.display()))
}

/// A whole text file, of a size that people write.
fn read_text(path: &Path) -> Result<String, SettingsError> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more; the parser reports it.
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!(
            "{} is larger than {FILE_BYTES_MAX} bytes, so it is no definition",
            path.display()
        );
        return Err(SettingsError::Missing(message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let line = before.matches('\n').count() + 1;
        SettingsError::Missing(format!(
            "{}:{line}: the file is not UTF-8 (byte {at})",
            path.display()
        ))
    })
}

/// Reads the dataset of a DATASET argument, in this process's working folder: a path, or a name found in `schemas/`.
///
/// # Errors
/// There is none, it cannot be read, or its file has mistakes: all of them.
pub fn load_dataset(argument: &str) -> Result<Dataset, SettingsError> {
    Environment::of_process()?.load_dataset(argument)
}

#[cfg(test)]
mod tests;
