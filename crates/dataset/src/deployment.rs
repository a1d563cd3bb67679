//! A deployment file's values: where this deployment's catalogs and storages are.

/// A deployment: its catalogs. Without a file, the embedded default.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where its tables lie, as a URI or a path.
    pub warehouse: Option<String>,
}

/// The kinds of catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogKind {
    /// SQLite (later PostgreSQL) with the tables of Iceberg's JDBC catalog.
    Sql,
}
