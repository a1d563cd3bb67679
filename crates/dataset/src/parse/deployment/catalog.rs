//! One catalog, from what file and environment give: which kind it is, and what that kind knows.

use super::{
    address,
    check::Mistake,
    environment::variable_of,
    given::{Placed, Table, Value},
    keys, tls,
};
use crate::{
    Authorization, CatalogKind, CatalogSettings, Connection, HeaderText, HiveSettings,
    OAuth2Settings, PostgresSettings, RestSettings, SigV4Settings, SqliteSettings, TlsSettings,
    parse::report::{Place, Report},
    suggest,
};

/// A catalog's section on its way to settings.
pub(super) struct Draft<'g> {
    pub(super) table: &'g Table,
    /// Its path: `catalog`, `catalogs.main`.
    pub(super) section: String,
    /// Where it begins.
    pub(super) at: &'g Place,
}

/// The settings of a catalog; `None` where something was wrong, and is reported.
pub(super) fn catalog(draft: &Draft<'_>, report: &mut Report<'_>) -> Option<CatalogSettings> {
    let said = draft
        .table
        .text("type")
        .map(|kind| check_type(&kind, report));
    let Some(uri) = draft.table.text("uri") else {
        if !draft.table.broken {
            draft.report_missing("uri", example_of(said.flatten()), report);
        }
        return None;
    };
    let kind = kind_of(&uri, said == Some(None), report);
    if let (Some(said), Some(kind), Some(at)) = (said.flatten(), kind, draft.table.at("type"))
        && said != type_of(kind)
    {
        let help = format!("`type = \"{}\"` does, and may be left out", type_of(kind));
        let message = format!("`type = \"{said}\"` does not go with that kind of address");
        report.error(at, message, Some(help));
        return None;
    }
    let kind = kind?;
    draft.check_keys(kind, report);
    let warehouse = draft.warehouse(kind, report);
    let connection = match kind {
        CatalogKind::Sqlite => draft.sqlite(&uri),
        CatalogKind::Postgres => draft.postgres(&uri, report),
        CatalogKind::Hive => draft.hive(&uri),
        CatalogKind::Rest => draft.rest(&uri, report),
    };
    match connection {
        Ok(connection) => Some(CatalogSettings {
            connection,
            warehouse: warehouse?,
        }),
        Err((message, help)) => {
            report.error(uri.at, message, help);
            None
        }
    }
}

fn check_type(kind: &Placed<'_, &str>, report: &mut Report<'_>) -> Option<&'static str> {
    const TYPES: [&str; 3] = ["sql", "hive", "rest"];
    let text = kind.value;
    if let Some(known) = TYPES.into_iter().find(|one| *one == text) {
        return Some(known);
    }
    let near = match text.to_lowercase().as_str() {
        "sqlite" | "postgres" | "postgresql" | "jdbc" | "embedded" => Some("sql"),
        "hms" | "metastore" | "thrift" => Some("hive"),
        "http" | "https" | "polaris" | "lakekeeper" | "nessie" => Some("rest"),
        _ => suggest::nearest(text, TYPES),
    };
    let help = near.map_or_else(
        || format!("kinds are {}", suggest::listed(TYPES)),
        |near| format!("did you mean `{near}`?"),
    );
    report.error(
        kind.at,
        format!("`{text}` is not a kind of catalog"),
        Some(help),
    );
    None
}

fn type_of(kind: CatalogKind) -> &'static str {
    match kind {
        CatalogKind::Sqlite | CatalogKind::Postgres => "sql",
        CatalogKind::Hive => "hive",
        CatalogKind::Rest => "rest",
    }
}

fn example_of(kind: Option<&str>) -> &'static str {
    match kind {
        Some("hive") => "thrift://metastore:9083",
        Some("rest") => "https://catalog.example/api",
        _ => "sqlite:/data/catalog.db",
    }
}

/// The kind of catalog that an address is of. It may hold a password: messages show its scheme only.
fn kind_of(uri: &Placed<'_, &str>, reported: bool, report: &mut Report<'_>) -> Option<CatalogKind> {
    let scheme = uri.value.split_once(':').map_or("", |(scheme, _)| scheme);
    let (message, help) = match scheme {
        "sqlite" => return Some(CatalogKind::Sqlite),
        "postgres" | "postgresql" => return Some(CatalogKind::Postgres),
        "thrift" => return Some(CatalogKind::Hive),
        "http" | "https" => return Some(CatalogKind::Rest),
        // Reported with its kind already.
        _ if reported => return None,
        "jdbc" => (
            "an address here does not begin with `jdbc:`".to_owned(),
            "leave it out: `postgresql://host/database`, `sqlite:/data/catalog.db`",
        ),
        "mysql" | "mariadb" | "oracle" | "sqlserver" | "dynamodb" => (
            format!("catalogs at `{scheme}:` are not supported"),
            "`sqlite:`, `postgresql:`, `thrift:` (Hive Metastore) and `https:` (REST) are",
        ),
        _ => (
            "the address of a catalog begins with its scheme".to_owned(),
            "`sqlite:/data/catalog.db`, `postgresql://user@host/database`, `thrift://metastore:9083` or \
             `https://catalog.example/api`",
        ),
    };
    report.error(uri.at, message, Some(help.to_owned()));
    None
}

impl Draft<'_> {
    fn report_missing(&self, key: &str, example: &str, report: &mut Report<'_>) {
        let section = &self.section;
        let variable = variable_of(&format!("{section}.{key}"));
        let help = format!("`{key} = \"{example}\"`, or the variable `{variable}`");
        report.error(self.at, format!("`[{section}]` has no `{key}`"), Some(help));
    }

    /// Reports the keys that other kinds of catalogs know.
    fn check_keys(&self, kind: CatalogKind, report: &mut Report<'_>) {
        let section = keys::section(keys::CATALOG);
        for (name, given) in &self.table.entries {
            let Some(key) = section.key(name) else {
                continue;
            };
            if key.of.is_empty() || key.of.contains(&kind) {
                continue;
            }
            let kinds: Vec<String> = key.of.iter().map(ToString::to_string).collect();
            let path = &self.section;
            let message = format!(
                "`{name}` is a key of {} catalogs, and `[{path}]` is a {kind} catalog",
                kinds.join(" and ")
            );
            let help = match (kind, name.as_str()) {
                (CatalogKind::Hive, "credential") => {
                    "the metastore is asked without one, as `user`; remove it"
                }
                _ => "remove it",
            };
            report.error(&given.key_at, message, Some(help.to_owned()));
        }
    }

    /// The warehouse, which may be left out; `None` where it is wrong or missing.
    #[allow(clippy::option_option, reason = "left out is no mistake")]
    fn warehouse(&self, kind: CatalogKind, report: &mut Report<'_>) -> Option<Option<String>> {
        let Some(warehouse) = self.table.text("warehouse") else {
            let by_environment = matches!(self.at, Place::Variable(_)) && self.section == "catalog";
            let has_default = match kind {
                CatalogKind::Rest => true,
                // Where a file says which catalog, the folder of its tables is not to depend on the working folder;
                // nor where it is another machine's.
                CatalogKind::Sqlite => by_environment,
                CatalogKind::Postgres | CatalogKind::Hive => false,
            };
            if !has_default && !self.table.broken {
                self.report_missing("warehouse", "file:///data/warehouse", report);
            }
            return has_default.then_some(None);
        };
        // What a REST server calls its warehouse is its own affair.
        let checked = match kind {
            CatalogKind::Rest => Ok(()),
            _ => address::warehouse(warehouse.value),
        };
        match checked {
            Ok(()) => Some(Some(warehouse.value.to_owned())),
            Err((message, help)) => {
                report.error(warehouse.at, message, help);
                None
            }
        }
    }

    #[allow(clippy::unused_self, reason = "a SQLite file has no keys of its own")]
    fn sqlite(&self, uri: &Placed<'_, &str>) -> Result<Connection, Mistake> {
        let path = address::sqlite(uri.value)?;
        Ok(Connection::Sqlite(SqliteSettings { path }))
    }

    fn postgres(
        &self,
        uri: &Placed<'_, &str>,
        report: &mut Report<'_>,
    ) -> Result<Connection, Mistake> {
        let table = self.table;
        let user = table.text("user");
        Ok(Connection::Postgres(PostgresSettings {
            uri: address::postgres(uri.value, user.map(|user| user.value))?,
            credential: table.secret("credential"),
            tls: self.tls(report),
            connect_timeout: table.duration("connect_timeout"),
            acquire_timeout: table.duration("acquire_timeout"),
            statement_timeout: table.duration("statement_timeout"),
            lock_timeout: table.duration("lock_timeout"),
            idle_in_transaction_timeout: table.duration("idle_in_transaction_timeout"),
            connections_max: table.count("connections_max"),
        }))
    }

    fn hive(&self, uri: &Placed<'_, &str>) -> Result<Connection, Mistake> {
        let table = self.table;
        Ok(Connection::Hive(HiveSettings {
            addresses: address::thrift(uri.value)?,
            lock: table.boolean("lock"),
            enforces_expected_value: table.boolean("enforces_expected_value"),
            user: table.owned("user"),
            connect_timeout: table.duration("connect_timeout"),
            call_timeout: table.duration("call_timeout"),
            lock_wait_max: table.duration("lock_wait_max"),
            lock_hold_max: table.duration("lock_hold_max"),
            late_alter_wait_max: table.duration("late_alter_wait_max"),
            parameter_value_chars_max: table.count("parameter_value_chars_max"),
        }))
    }

    fn rest(&self, uri: &Placed<'_, &str>, report: &mut Report<'_>) -> Result<Connection, Mistake> {
        let table = self.table;
        let allow_http = table.boolean("allow_http").unwrap_or(false);
        let uri = address::http("uri", uri.value, allow_http, "allow_http")?;
        Ok(Connection::Rest(Box::new(RestSettings {
            uri,
            prefix: table.owned("prefix"),
            authorization: self.authorization(allow_http, report),
            headers: headers(table),
            tls: self.tls(report),
            vended_credentials: table.boolean("vended_credentials"),
            connect_timeout: table.duration("connect_timeout"),
            read_timeout: table.duration("read_timeout"),
            commit_timeout: table.duration("commit_timeout"),
            read_attempts_max: table.count("read_attempts_max"),
            metadata_bytes_max: table.bytes("metadata_bytes_max"),
        })))
    }

    fn tls(&self, report: &mut Report<'_>) -> TlsSettings {
        let Some(tls) = self.table.table("tls") else {
            return TlsSettings::default();
        };
        let section = format!("{}.tls", self.section);
        tls::settings(tls, &section, self.at, report)
    }

    fn authorization(&self, allow_http: bool, report: &mut Report<'_>) -> Authorization {
        let table = self.table;
        let given: Vec<&str> = ["credential", "token", "sigv4"]
            .into_iter()
            .filter(|key| table.get(key).is_some())
            .collect();
        if let [first, second, ..] = given[..] {
            let message = format!("`{first}` and `{second}` both say who we are");
            let place = table.at(second).unwrap_or(self.at);
            report.error(place, message, Some("leave one of them out".to_owned()));
            return Authorization::None;
        }
        if let (Some(at), None) = (table.at("oauth2"), table.secret("credential"))
            && !table.broken
        {
            let message = format!("`[{}.oauth2]` is without a `credential`", self.section);
            let help = "`credential` in the catalog's section holds `client-id:client-secret`, by reference";
            report.error(at, message, Some(help.to_owned()));
        }
        if let Some(token) = table.secret("token") {
            return Authorization::Bearer(token);
        }
        if let Some(sigv4) = table.table("sigv4") {
            return self.sigv4(sigv4, report);
        }
        let Some(credential) = table.secret("credential") else {
            return Authorization::None;
        };
        let nothing = Table::default();
        let oauth2 = table.table("oauth2").unwrap_or(&nothing);
        let server_uri = oauth2.text("server_uri").and_then(|server| {
            let path = format!("{}.oauth2.server_uri", self.section);
            let key = format!("{}.allow_http", self.section);
            let checked = address::http(&path, server.value, allow_http, &key);
            checked
                .map_err(|(message, help)| report.error(server.at, message, help))
                .ok()
        });
        Authorization::OAuth2(OAuth2Settings {
            credential,
            server_uri,
            scope: oauth2.owned("scope"),
            audience: oauth2.owned("audience"),
            resource: oauth2.owned("resource"),
        })
    }

    fn sigv4(&self, sigv4: &Table, report: &mut Report<'_>) -> Authorization {
        let path = format!("{}.sigv4", self.section);
        let place = self.table.at("sigv4").unwrap_or(self.at);
        let keys = super::storage::access_keys(sigv4, &path, place, report);
        let (Some(region), Some(name)) = (sigv4.owned("region"), sigv4.owned("name")) else {
            if !sigv4.broken {
                let message = format!("`[{path}]` takes both `region` and `name`");
                let help = "such as `sigv4 = { region = \"eu-central-1\", name = \"glue\" }`";
                report.error(place, message, Some(help.to_owned()));
            }
            return Authorization::None;
        };
        Authorization::SigV4(SigV4Settings { region, name, keys })
    }
}

fn headers(table: &Table) -> Vec<(String, HeaderText)> {
    let Some(headers) = table.table("headers") else {
        return Vec::new();
    };
    let text = |(name, given): &(String, super::given::Given)| {
        let text = match &given.value {
            Value::Text(text) => HeaderText::Plain(text.clone()),
            _ => HeaderText::Secret(headers.secret(name)?),
        };
        Some((name.clone(), text))
    };
    headers.entries.iter().filter_map(text).collect()
}
