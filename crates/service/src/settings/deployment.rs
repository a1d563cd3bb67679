//! The deployment that a process works in, and its catalogs with absolute addresses.

use std::path::{Component, Path, PathBuf};

use frazil_dataset::{
    CatalogSettings, Connection, Deployment, SqliteSettings, parse_deployment, parse_environment,
};

use super::{Environment, SettingsError, choice, read_text};

const DEPLOYMENT_FILE: &str = "frazil.toml";
const DATA_FOLDER: &str = "frazil-data";
const CATALOG_FILE: &str = "catalog.db";
const WAREHOUSE_FOLDER: &str = "warehouse";

/// A deployment as found, and what it is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What file and environment say.
    pub deployment: Deployment,
    /// The deployment file; `None` where there is none.
    pub file: Option<PathBuf>,
    /// The folder of the embedded default, absolute.
    pub data_dir: PathBuf,
    working_folder: PathBuf,
}

/// A catalog that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCatalog {
    /// How it is reached, with absolute paths.
    pub connection: Connection,
    /// Where its tables lie, absolute and without a slash at the end: `file:///data/warehouse`; of a REST catalog, as
    /// the deployment says it, and `None` is the server's own.
    pub warehouse: Option<String>,
    /// Whether it is the embedded default, which nobody asked for by name or address.
    pub embedded: bool,
}

impl Settings {
    /// Loads the deployment of this process: `--config`, else `FRAZIL_CONFIG`, else `frazil.toml` in the working
    /// folder, else the embedded default under `--data-dir`, `FRAZIL_DATA_DIR` or `frazil-data`.
    ///
    /// # Errors
    /// A file that was named is not there, or file or environment have mistakes.
    pub fn load(config: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load_from(&Environment::of_process()?, config, data_dir)
    }

    /// As [`Self::load`], in an environment that is given.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_from(
        environment: &Environment,
        config: Option<&Path>,
        data_dir: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let working_folder = environment.working_folder.clone();
        let named = match config {
            Some(path) => Some((path.to_owned(), "--config")),
            None => environment
                .path_variable("FRAZIL_CONFIG")
                .map(|path| (path, "FRAZIL_CONFIG")),
        };
        let file = match named {
            Some((path, by)) => {
                if !working_folder.join(&path).exists() {
                    let folder = working_folder.display();
                    let message = format!(
                        "there is no deployment file `{}` in {folder}, as {by} says",
                        path.display()
                    );
                    return Err(SettingsError::Missing(message));
                }
                Some(path)
            }
            None => Some(PathBuf::from(DEPLOYMENT_FILE))
                .filter(|path| working_folder.join(path).exists()),
        };
        let deployment = match &file {
            Some(file) => {
                let text = read_text(&working_folder.join(file))?;
                parse_deployment(&text, &file.display().to_string(), &environment.variables)?
            }
            None => parse_environment(&environment.variables)?,
        };
        let data_dir = data_dir
            .map(Path::to_owned)
            .or_else(|| environment.path_variable("FRAZIL_DATA_DIR"))
            .unwrap_or_else(|| PathBuf::from(DATA_FOLDER));
        let data_dir = absolute(&working_folder, &data_dir);
        Ok(Self {
            deployment,
            file,
            data_dir,
            working_folder,
        })
    }

    /// The catalog of that name; without one, the deployment's own, or else the embedded default.
    ///
    /// # Errors
    /// There is no catalog of that name, or its paths cannot be written as addresses.
    pub fn catalog(&self, name: Option<&str>) -> Result<ResolvedCatalog, SettingsError> {
        let settings = match name {
            None => self.deployment.catalog.as_ref(),
            Some(name) => Some(self.named(name)?),
        };
        let Some(settings) = settings else {
            let path = self.data_dir.join(CATALOG_FILE);
            return Ok(ResolvedCatalog {
                connection: sqlite(&path)?,
                warehouse: Some(self.embedded_warehouse()?),
                embedded: true,
            });
        };
        let connection = match &settings.connection {
            Connection::Sqlite(file) => {
                sqlite(&absolute(&self.working_folder, Path::new(&file.path)))?
            }
            server => server.clone(),
        };
        let warehouse = match (&settings.warehouse, &connection) {
            (warehouse, Connection::Rest(_)) => warehouse.clone(),
            (Some(warehouse), _) => Some(self.warehouse(warehouse)?),
            (None, _) => Some(self.embedded_warehouse()?),
        };
        Ok(ResolvedCatalog {
            connection,
            warehouse,
            embedded: false,
        })
    }

    fn named(&self, name: &str) -> Result<&CatalogSettings, SettingsError> {
        let catalogs = &self.deployment.catalogs;
        if let Some((_, settings)) = catalogs.iter().find(|(known, _)| known == name) {
            return Ok(settings);
        }
        let file = self.file.as_deref().unwrap_or(Path::new(DEPLOYMENT_FILE));
        let mut message = format!(
            "there is no catalog `{name}`: `[catalogs.{name}]` is not in {}",
            file.display()
        );
        if self.file.is_none() {
            message += ", since there is no such file";
        }
        let names: Vec<String> = catalogs.iter().map(|(name, _)| name.clone()).collect();
        message += &choice(name, &names, "catalogs there");
        Err(SettingsError::Missing(message))
    }

    fn embedded_warehouse(&self) -> Result<String, SettingsError> {
        Ok(format!(
            "file://{}",
            address(&self.data_dir.join(WAREHOUSE_FOLDER))?
        ))
    }

    fn warehouse(&self, warehouse: &str) -> Result<String, SettingsError> {
        if warehouse.contains("://") && !warehouse.starts_with("file:") {
            return Ok(warehouse.trim_end_matches('/').to_owned());
        }
        let path = warehouse
            .strip_prefix("file:")
            .map_or(warehouse, |rest| rest.strip_prefix("//").unwrap_or(rest));
        let path = absolute(&self.working_folder, Path::new(path));
        Ok(format!("file://{}", address(&path)?))
    }
}

fn sqlite(path: &Path) -> Result<Connection, SettingsError> {
    let path = address(path)?.to_owned();
    Ok(Connection::Sqlite(SqliteSettings { path }))
}

/// An absolute path without `.`; with `..`, what exists of it is resolved, since links make it mean another folder.
fn absolute(working_folder: &Path, path: &Path) -> PathBuf {
    let joined: PathBuf = working_folder.join(path).components().collect();
    if !joined.components().any(|one| one == Component::ParentDir) {
        return joined;
    }
    let mut resolved = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::ParentDir => {
                resolved = resolved.canonicalize().unwrap_or(resolved);
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

/// A path within an address. Readers disagree on what `%`, `?` and `#` in one mean, so there are none.
fn address(path: &Path) -> Result<&str, SettingsError> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(['%', '?', '#']) && !text.chars().any(char::is_control));
    text.ok_or_else(|| {
        let message = format!(
            "the path {} cannot be written in a catalog's or table's address: it is not UTF-8, or holds one of % ? #",
            path.display()
        );
        SettingsError::Missing(message)
    })
}
