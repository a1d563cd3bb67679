//! What SQL catalogs share: the tables of Iceberg's JDBC catalog, schema V1, and the statements on
//! them. SQLite and PostgreSQL take the same text, with `$1` for the first argument.

use frazil_dataset::TableName;

use super::pointer::SwapOutcome;

/// The catalog's name within its tables.
const CATALOG: &str = "frazil";

pub(super) const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (\
    catalog_name VARCHAR(255) NOT NULL, \
    table_namespace VARCHAR(255) NOT NULL, \
    table_name VARCHAR(255) NOT NULL, \
    metadata_location VARCHAR(1000), \
    previous_metadata_location VARCHAR(1000), \
    iceberg_type VARCHAR(5), \
    PRIMARY KEY (catalog_name, table_namespace, table_name))";

pub(super) const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (\
    catalog_name VARCHAR(255) NOT NULL, \
    namespace VARCHAR(255) NOT NULL, \
    property_key VARCHAR(255), \
    property_value VARCHAR(1000), \
    PRIMARY KEY (catalog_name, namespace, property_key))";

/// Makes a V0 catalog, as older Java and PyIceberg make it, one of V1. This is Java's own upgrade.
pub(super) const ADD_TYPE: &str = "ALTER TABLE iceberg_tables ADD COLUMN iceberg_type VARCHAR(5)";

/// The column that V0 lacks.
pub(super) const TYPE_COLUMN: &str = "iceberg_type";

// Tables, not views: V0 catalogs leave the type null.
const SWAP: &str = "UPDATE iceberg_tables \
    SET metadata_location = $1, previous_metadata_location = $2 \
    WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5 \
    AND metadata_location = $2 AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";

const INSERT: &str = "INSERT INTO iceberg_tables (metadata_location, previous_metadata_location, \
    catalog_name, table_namespace, table_name, iceberg_type) VALUES ($1, NULL, $2, $3, $4, 'TABLE')";

const GET: &str = "SELECT metadata_location FROM iceberg_tables \
    WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 \
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";

const LIST: &str = "SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = $1 \
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY table_namespace, table_name";

const CREATE_NAMESPACE: &str = "INSERT INTO iceberg_namespace_properties \
    (catalog_name, namespace, property_key, property_value) VALUES ($1, $2, 'exists', 'true') \
    ON CONFLICT DO NOTHING";

/// A statement and its arguments, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: &'static str,
    pub(super) arguments: Vec<String>,
}

/// A table's pointer: one row, one column, null where the table has no metadata file.
pub(super) fn get(name: &TableName) -> Statement {
    Statement {
        text: GET,
        arguments: vec![
            CATALOG.into(),
            level_names(&name.namespace),
            name.table.clone(),
        ],
    }
}

/// All tables: namespace and name.
pub(super) fn list() -> Statement {
    Statement {
        text: LIST,
        arguments: vec![CATALOG.into()],
    }
}

/// A name from a row of [`list`].
pub(super) fn listed(namespace: &str, table: String) -> TableName {
    TableName {
        namespace: namespace.split('.').map(str::to_owned).collect(),
        table,
    }
}

/// Makes a namespace where it is not there yet.
pub(super) fn create_namespace(namespace: &[String]) -> Statement {
    Statement {
        text: CREATE_NAMESPACE,
        arguments: vec![CATALOG.into(), level_names(namespace)],
    }
}

/// A change for a transaction that is given up: it takes the locks and the rights of one that is not.
pub(super) fn rehearsal() -> Statement {
    create_namespace(&["frazil-doctor".to_owned()])
}

fn level_names(namespace: &[String]) -> String {
    namespace.join(".")
}

/// One change of a pointer. It is done if it touches one row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    Swap {
        name: &'a TableName,
        expected: &'a str,
        new: &'a str,
    },
    Insert {
        name: &'a TableName,
        new: &'a str,
    },
}

impl Change<'_> {
    pub(super) fn statement(&self) -> Statement {
        let (text, values, name) = match self {
            Change::Swap {
                name,
                expected,
                new,
            } => (SWAP, vec![*new, *expected], name),
            Change::Insert { name, new } => (INSERT, vec![*new], name),
        };
        let mut arguments: Vec<String> = values.into_iter().map(str::to_owned).collect();
        arguments.push(CATALOG.into());
        arguments.push(level_names(&name.namespace));
        arguments.push(name.table.clone());
        Statement { text, arguments }
    }

    /// What it is when another was first.
    pub(super) fn conflict(&self) -> SwapOutcome {
        SwapOutcome::Conflict(match self {
            Change::Swap { name, .. } => format!("table {name} was changed meanwhile"),
            Change::Insert { name, .. } => format!("table {name} was made meanwhile"),
        })
    }
}
