//! A deployment file, and the environment variables that stand for its keys.
//!
//! `FRAZIL_CATALOG__URI` is `uri` in `[catalog]`: two underscores are a level, and a variable goes
//! before the file. An empty variable is as none. Variables with single underscores only are left
//! alone (container platforms set `FRAZIL_PORT` and the like for a service of that name), but for
//! those that are one underscore short of a key.

use std::collections::BTreeMap;

use super::{
    parse_toml,
    report::{Place, Report},
    section::{Entry, Section},
};
use crate::{
    CatalogKind, CatalogSettings, Deployment, Diagnostics, SecretReference,
    keys::{DEPLOYMENT_KEYS, is_not_supported_yet},
    names, suggest,
};

const PREFIX: &str = "FRAZIL_";
const CATALOGS_MAX: usize = 1_000;

/// A value and where it stands.
type Placed<T> = Option<(T, Place)>;

/// A catalog as it is put together from file and environment, unchecked.
#[derive(Debug, Default)]
struct Draft {
    /// Where it begins; `None`: in the environment only.
    at: Option<Place>,
    kind: Placed<String>,
    uri: Placed<String>,
    warehouse: Placed<String>,
    credential: Placed<SecretReference>,
    /// Whether a part was wrong, and is reported.
    broken: bool,
}

/// The drafts: `None` is `[catalog]`.
type Drafts = Vec<(Option<String>, Draft)>;

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
    let Some(document) = parse_toml(text, &mut report) else {
        return report.finish(None);
    };
    let root = Section::new("", document.as_table(), 0);
    root.check_keys(DEPLOYMENT_KEYS, &mut report);
    let mut drafts = from_file(root, &mut report);
    from_variables(variables, &mut drafts, &mut report);
    let deployment = check(drafts, &mut report);
    report.finish(Some(deployment))
}

/// A deployment without a file, of variables only.
///
/// # Errors
/// All mistakes, each with its variable.
pub fn parse_environment(variables: &BTreeMap<String, String>) -> Result<Deployment, Diagnostics> {
    parse_deployment("", "the environment", variables)
}

fn from_file<'t>(root: Section<'t>, report: &mut Report<'t>) -> Drafts {
    let mut drafts = Drafts::new();
    if let Some(section) = root
        .get("catalog")
        .and_then(|entry| entry.section("catalog", report))
    {
        drafts.push((None, draft(section, report)));
    }
    let Some(catalogs) = root
        .get("catalogs")
        .and_then(|entry| entry.section("catalogs", report))
    else {
        return drafts;
    };
    if catalogs.entries().len() > CATALOGS_MAX {
        report.error(
            catalogs.at,
            format!("there are more than {CATALOGS_MAX} catalogs"),
            None,
        );
        return drafts;
    }
    for (name, entry) in catalogs.entries() {
        if DEPLOYMENT_KEYS
            .iter()
            .any(|one| one.path == "catalog" && one.keys.contains(&name))
            && entry.as_section("catalog").is_none()
        {
            let help = "`[catalog]`, or `[catalogs.main]` for one of several";
            report.error(
                entry.key_at,
                format!("`{name}` in `[catalogs]` is of no catalog"),
                Some(help.to_owned()),
            );
            continue;
        }
        if let Err(why) = names::check_name(name) {
            report.error(
                entry.key_at,
                format!("the catalog's name `{name}` {why}"),
                None,
            );
        }
        if let Some(section) = entry.section("catalog", report) {
            drafts.push((Some(name.to_owned()), draft(section, report)));
        }
    }
    drafts
}

fn draft<'t>(section: Section<'t>, report: &mut Report<'t>) -> Draft {
    section.check_keys(DEPLOYMENT_KEYS, report);
    let mut draft = Draft {
        at: Some(section.at.into()),
        ..Draft::default()
    };
    for (key, what) in [
        ("type", "a catalog's kind, such as \"sql\""),
        ("uri", "an address, such as \"sqlite:/data/catalog.db\""),
        ("warehouse", "a folder, such as \"file:///data/warehouse\""),
    ] {
        let Some(entry) = section.get(key) else {
            continue;
        };
        match entry.text(what, report) {
            Some(text) => *draft.field(key) = Some((text.value.to_owned(), text.at.into())),
            None => draft.broken = true,
        }
    }
    if let Some(entry) = section.get("credential") {
        match secret(&entry, report) {
            Some(secret) => draft.credential = Some((secret, entry.at.into())),
            None => draft.broken = true,
        }
    }
    draft
}

impl Draft {
    fn field(&mut self, key: &str) -> &mut Placed<String> {
        match key {
            "type" => &mut self.kind,
            "uri" => &mut self.uri,
            _ => &mut self.warehouse,
        }
    }
}

const SECRET_HELP: &str =
    "a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`";

fn secret<'t>(entry: &Entry<'t>, report: &mut Report<'t>) -> Option<SecretReference> {
    let help = || Some(SECRET_HELP.to_owned());
    let Some(section) = entry.as_section("catalog.credential") else {
        // The value itself is not shown: it may be the secret.
        report.error(
            entry.at,
            "`catalog.credential` does not take the secret itself",
            help(),
        );
        return None;
    };
    section.check_keys(DEPLOYMENT_KEYS, report);
    let env = section.get("env");
    let file = section.get("file");
    let text = |entry: &Entry<'t>, report: &mut Report<'t>| {
        let text = entry.text("a name", report)?;
        if text.value.is_empty() {
            report.error(text.at, format!("`{}` is empty", entry.path), help());
            return None;
        }
        Some(text.value.to_owned())
    };
    match (env, file) {
        (Some(env), None) => text(&env, report).map(SecretReference::Variable),
        (None, Some(file)) => text(&file, report).map(SecretReference::File),
        (Some(_), Some(_)) => {
            report.error(
                entry.at,
                "`catalog.credential` has both `env` and `file`",
                help(),
            );
            None
        }
        (None, None) => {
            report.error(
                entry.at,
                "`catalog.credential` has neither `env` nor `file`",
                help(),
            );
            None
        }
    }
}

fn from_variables(
    variables: &BTreeMap<String, String>,
    drafts: &mut Drafts,
    report: &mut Report<'_>,
) {
    for (variable, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(rest) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let levels: Vec<&str> = rest.split("__").collect();
        match levels[..] {
            ["CATALOG", ref key @ ..] if !key.is_empty() => {
                set(draft_of(drafts, None), variable, value, key, report);
            }
            ["CATALOGS", name, ref key @ ..] if !key.is_empty() => {
                let name = catalog_name(name, drafts);
                if let Err(why) = names::check_name(&name) {
                    let place = Place::Variable(variable.clone());
                    report.error(place, format!("the catalog's name `{name}` {why}"), None);
                    continue;
                }
                set(draft_of(drafts, Some(name)), variable, value, key, report);
            }
            [_] => short_of_a_key(variable, rest, report),
            _ => unknown_variable(variable, rest, report),
        }
    }
}

/// The file's catalog of that name, whose case and dashes a variable cannot say; else the name in lower case.
fn catalog_name(name: &str, drafts: &Drafts) -> String {
    let as_variable = |known: &String| known.to_uppercase().replace('-', "_") == name;
    let known = drafts
        .iter()
        .filter_map(|(known, _)| known.as_ref())
        .find(|known| as_variable(known));
    known.cloned().unwrap_or_else(|| name.to_lowercase())
}

fn draft_of(drafts: &mut Drafts, name: Option<String>) -> &mut Draft {
    let index = drafts
        .iter()
        .position(|(known, _)| *known == name)
        .unwrap_or_else(|| {
            drafts.push((name, Draft::default()));
            drafts.len() - 1
        });
    &mut drafts[index].1
}

fn set(draft: &mut Draft, variable: &str, value: &str, key: &[&str], report: &mut Report<'_>) {
    let place = Place::Variable(variable.to_owned());
    match key {
        [key @ ("TYPE" | "URI" | "WAREHOUSE")] => {
            *draft.field(&key.to_lowercase()) = Some((value.to_owned(), place));
        }
        ["CREDENTIAL", "ENV"] => {
            draft.credential = Some((SecretReference::Variable(value.to_owned()), place));
        }
        ["CREDENTIAL", "FILE"] => {
            draft.credential = Some((SecretReference::File(value.to_owned()), place));
        }
        ["CREDENTIAL"] => {
            let help = format!(
                "`{variable}__ENV` names the variable that holds it, `{variable}__FILE` the file"
            );
            report.error(
                place,
                "a variable of frazil does not take the secret itself",
                Some(help),
            );
            draft.broken = true;
        }
        _ => {
            unknown_variable(variable, &variable[PREFIX.len()..], report);
            draft.broken = true;
        }
    }
}

const VARIABLES: [&str; 5] = [
    "CATALOG__TYPE",
    "CATALOG__URI",
    "CATALOG__WAREHOUSE",
    "CATALOG__CREDENTIAL__ENV",
    "CATALOG__CREDENTIAL__FILE",
];

fn short_of_a_key(variable: &str, rest: &str, report: &mut Report<'_>) {
    if let Some(meant) = VARIABLES
        .iter()
        .find(|known| known.replace("__", "_") == rest)
    {
        let place = Place::Variable(variable.to_owned());
        let help = format!("`{PREFIX}{meant}`, with two underscores between section and key");
        report.error(place, "the variable stands for no key", Some(help));
    }
}

fn unknown_variable(variable: &str, rest: &str, report: &mut Report<'_>) {
    let place = Place::Variable(variable.to_owned());
    if rest.starts_with("KAFKA__") {
        report.error(
            place,
            "`kafka` is not supported yet",
            Some("unset it".to_owned()),
        );
        return;
    }
    let help = suggest::nearest(rest, VARIABLES).map_or_else(
        || {
            format!(
                "variables are {}",
                suggest::listed(
                    VARIABLES
                        .map(|known| format!("{PREFIX}{known}"))
                        .iter()
                        .map(String::as_str)
                )
            )
        },
        |near| format!("did you mean `{PREFIX}{near}`?"),
    );
    report.error(place, "the variable stands for no key", Some(help));
}

fn check(drafts: Drafts, report: &mut Report<'_>) -> Deployment {
    let mut deployment = Deployment::default();
    for (name, draft) in drafts {
        let catalog = catalog(name.as_deref(), draft, report);
        match (name, catalog) {
            (_, None) => {}
            (None, catalog) => deployment.catalog = catalog,
            (Some(name), Some(catalog)) => deployment.catalogs.push((name, catalog)),
        }
    }
    deployment
}

fn catalog(name: Option<&str>, draft: Draft, report: &mut Report<'_>) -> Option<CatalogSettings> {
    let section = name.map_or_else(|| "catalog".to_owned(), |name| format!("catalogs.{name}"));
    let prefix = format!(
        "{PREFIX}{}",
        section.to_uppercase().replace('.', "__").replace('-', "_")
    );
    let any = [&draft.uri, &draft.warehouse, &draft.kind]
        .into_iter()
        .find_map(|one| one.as_ref().map(|(_, at)| at));
    let place = draft.at.as_ref().or(any).cloned().unwrap_or(Place::Byte(0));
    let kind = draft
        .kind
        .as_ref()
        .map(|(kind, at)| check_kind(kind, at, report));
    let Some((uri, uri_at)) = &draft.uri else {
        if !draft.broken {
            let help =
                format!("`uri = \"sqlite:/data/catalog.db\"`, or the variable `{prefix}__URI`");
            report.error(&place, format!("`[{section}]` has no `uri`"), Some(help));
        }
        return None;
    };
    let uri_kind = check_uri(uri, uri_at, kind == Some(None), report);
    let warehouse = draft
        .warehouse
        .as_ref()
        .map(|(warehouse, at)| check_warehouse(warehouse, at, report));
    // Where a file says which catalog, the folder of its tables is not to depend on the working folder.
    if warehouse.is_none() && !draft.broken && (draft.at.is_some() || name.is_some()) {
        let help = format!(
            "`warehouse = \"file:///data/warehouse\"`, or the variable `{prefix}__WAREHOUSE`"
        );
        report.error(
            &place,
            format!("`[{section}]` has no `warehouse`"),
            Some(help),
        );
        return None;
    }
    Some(CatalogSettings {
        kind: kind.unwrap_or(uri_kind)?,
        uri: uri_kind.map(|_| uri.clone())?,
        warehouse: draft.warehouse.map(|(warehouse, _)| warehouse),
        credential: draft.credential.map(|(credential, _)| credential),
    })
}

fn check_kind(kind: &str, at: &Place, report: &mut Report<'_>) -> Option<CatalogKind> {
    const KINDS: [&str; 3] = ["sql", "hive", "rest"];
    if kind == "sql" {
        return Some(CatalogKind::Sql);
    }
    if is_not_supported_yet("type", Some(kind)) {
        let help = "`type = \"sql\"` with a `sqlite:` address is".to_owned();
        report.error(
            at,
            format!("`type = \"{kind}\"` is not supported yet"),
            Some(help),
        );
        return None;
    }
    let near = match kind.to_lowercase().as_str() {
        "sqlite" | "postgres" | "postgresql" | "jdbc" | "embedded" => Some("sql"),
        "hms" | "metastore" | "thrift" => Some("hive"),
        _ => suggest::nearest(kind, KINDS),
    };
    let help = near.map_or_else(
        || format!("kinds are {}", suggest::listed(KINDS)),
        |near| format!("did you mean `{near}`?"),
    );
    report.error(at, format!("`{kind}` is not a kind of catalog"), Some(help));
    None
}

/// Checks a catalog's address. It may hold a password: messages show its scheme only.
fn check_uri(uri: &str, at: &Place, said: bool, report: &mut Report<'_>) -> Option<CatalogKind> {
    let help = || Some("`sqlite:/data/catalog.db`".to_owned());
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    match scheme {
        "sqlite" => {
            let path = rest.trim_start_matches('/');
            if path.is_empty() {
                report.error(at, "the address of the catalog names no file", help());
                return None;
            }
            if rest.contains(['?', '#', '%']) || rest.starts_with(":memory:") {
                report.error(
                    at,
                    "the address of a SQLite catalog is a plain path",
                    help(),
                );
                return None;
            }
            return Some(CatalogKind::Sql);
        }
        // Reported with its kind already.
        _ if said => {}
        "postgres" | "postgresql" | "mysql" | "thrift" | "http" | "https" => {
            let message = format!("catalogs at `{scheme}:` are not supported yet");
            report.error(at, message, Some("`sqlite:` is".to_owned()));
        }
        _ => report.error(
            at,
            "the address of a catalog begins with its scheme",
            help(),
        ),
    }
    None
}

fn check_warehouse(warehouse: &str, at: &Place, report: &mut Report<'_>) -> bool {
    const LATER: [&str; 13] = [
        "s3", "s3a", "s3n", "hdfs", "gs", "gcs", "abfs", "abfss", "wasb", "wasbs", "az", "oss",
        "viewfs",
    ];
    let help = || Some("`file:///data/warehouse`, or a path".to_owned());
    if warehouse.trim().is_empty() {
        report.error(at, "the warehouse is empty", help());
        return false;
    }
    let Some((scheme, rest)) = warehouse
        .split_once(':')
        .filter(|(scheme, _)| !scheme.contains('/'))
    else {
        return true;
    };
    if LATER.contains(&scheme) {
        report.error(
            at,
            format!("warehouses at `{scheme}:` are not supported yet"),
            help(),
        );
        return false;
    }
    if scheme != "file" {
        report.error(at, format!("`{scheme}:` is not a storage"), help());
        return false;
    }
    // `file:///x` and `file:/x`; `file://host/x` is another machine's.
    if rest.starts_with("///") || (rest.starts_with('/') && !rest.starts_with("//")) {
        return true;
    }
    report.error(
        at,
        "a `file:` warehouse is an absolute path of this machine",
        help(),
    );
    false
}
