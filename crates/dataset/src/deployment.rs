//! A deployment file's values: where this deployment's catalogs and storages are.

/// A deployment: its catalogs. Without a file, the embedded default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// `[catalog]`; `None` is the embedded default under the data folder.
    pub catalog: Option<CatalogSettings>,
    /// `[catalogs.<name>]`, in the file's order.
    pub catalogs: Vec<(String, CatalogSettings)>,
}

/// One catalog of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSettings {
    /// Which kind.
    pub kind: CatalogKind,
    /// Its address: `sqlite:PATH`.
    pub uri: String,
    /// Where its tables lie: a path or a `file:` URI, relative to the working folder where it is relative.
    /// `None`, which only the environment can leave it, is the embedded default's.
    pub warehouse: Option<String>,
    /// What it asks of who connects.
    pub credential: Option<SecretReference>,
}

/// The kinds of catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogKind {
    /// SQLite (later PostgreSQL) with the tables of Iceberg's JDBC catalog.
    Sql,
}

/// Where a secret is: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// `{ env = "X" }`: in that environment variable.
    Variable(String),
    /// `{ file = "…" }`: the content of that file, read again when it changes.
    File(String),
}
