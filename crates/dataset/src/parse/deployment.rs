//! A deployment file, and the environment variables that stand for its keys.
//!
//! Both are read by one table of keys ([`keys`]): the file's values are checked, the variables are
//! laid over them, and what is there then becomes settings.

mod address;
mod catalog;
mod check;
mod environment;
mod given;
mod kafka;
mod kafka_properties;
mod keys;
mod storage;
mod tls;

use std::collections::BTreeMap;

use super::{Values, parse_toml, report::Report};
use crate::{Deployment, Diagnostics, StorageSettings};
use catalog::Draft;
use given::{Table, Value};

/// Reads a deployment file and the variables that stand for its keys, by their names.
///
/// # Errors
/// All mistakes of both, each with its line and column, or with its variable.
pub fn parse_deployment(
    text: &str,
    file: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Deployment, Diagnostics> {
    let mut report = Report::new(text, file);
    let Some(document) = parse_toml(text, Values::Hidden, &mut report) else {
        return report.finish(None);
    };
    let mut root = Table::of_file(document.as_table(), 0);
    check::check(&mut root, keys::root(), "", &mut report);
    environment::overlay(variables, &mut root, &mut report);
    let deployment = deployment(&root, &mut report);
    report.finish(Some(deployment))
}

/// A deployment without a file, of variables only.
///
/// # Errors
/// All mistakes, each with its variable.
pub fn parse_environment(variables: &BTreeMap<String, String>) -> Result<Deployment, Diagnostics> {
    parse_deployment("", "the environment", variables)
}

fn deployment(root: &Table, report: &mut Report<'_>) -> Deployment {
    let mut deployment = Deployment::default();
    let of = |table, section: String, at, report: &mut Report<'_>| {
        catalog::catalog(&Draft { table, section, at }, report)
    };
    if let (Some(table), Some(at)) = (root.table("catalog"), root.at("catalog")) {
        deployment.catalog = of(table, "catalog".to_owned(), at, report);
    }
    let catalogs = root
        .table("catalogs")
        .map_or(&[][..], |table| &table.entries);
    for (name, given) in catalogs {
        if let Value::Table(table) = &given.value
            && let Some(settings) = of(table, format!("catalogs.{name}"), &given.at, report)
        {
            deployment.catalogs.push((name.clone(), settings));
        }
    }
    deployment.storage = root
        .table("storage")
        .map_or_else(StorageSettings::default, |table| {
            storage::storage(table, report)
        });
    let clusters = root.table("kafka").map_or(&[][..], |table| &table.entries);
    for (name, given) in clusters {
        if let Value::Table(table) = &given.value
            && let Some(cluster) = kafka::cluster(name, table, &given.at, report)
        {
            deployment.kafka.push((name.clone(), cluster));
        }
    }
    deployment
}

/// All sections' keys, for tests.
#[cfg(test)]
pub(crate) fn all_keys() -> Vec<(&'static str, &'static str)> {
    let sections = keys::sections().iter();
    let described = sections.filter(|one| !one.path.is_empty());
    described
        .flat_map(|one| one.keys.iter().map(|key| (one.path, key.name)))
        .collect()
}

/// The names of all variables that have one form, for tests.
#[cfg(test)]
pub(crate) fn all_variables() -> Vec<String> {
    environment::all()
}
