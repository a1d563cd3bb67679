use std::collections::BTreeMap;

use crate::{
    CatalogSettings, Connection, Deployment, PostgresSettings, SecretReference, SqliteSettings,
    parse_deployment, parse_environment,
};

mod addresses;
mod catalogs;
mod documented;
mod kafka;
mod storages;
mod variables;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(text: &str, pairs: &[(&str, &str)]) -> Result<Deployment, String> {
    parse_deployment(text, "frazil.toml", &variables(pairs))
        .map_err(|diagnostics| diagnostics.render())
}

fn sqlite(path: &str, warehouse: &str) -> CatalogSettings {
    CatalogSettings {
        connection: Connection::Sqlite(SqliteSettings {
            path: path.to_owned(),
        }),
        warehouse: Some(warehouse.to_owned()),
    }
}

fn postgres(uri: &str, credential: SecretReference) -> CatalogSettings {
    CatalogSettings {
        connection: Connection::Postgres(PostgresSettings {
            uri: uri.to_owned(),
            credential: Some(credential),
            ..PostgresSettings::default()
        }),
        warehouse: Some("/w".to_owned()),
    }
}

#[test]
fn catalogs_keep_the_files_order() {
    let text = r#"
[catalogs.west]
type = "sql"
uri = "postgresql://me@west/lake"
warehouse = "/w"
credential = { env = "WEST" }

[catalog]
uri = "sqlite:main.db"
warehouse = "file:///main"

[catalogs.east]
uri = "postgres://me@east/lake"
warehouse = "/w"
credential = { file = "/run/secrets/east" }
"#;
    let west = postgres(
        "postgresql://me@west/lake",
        SecretReference::Variable("WEST".to_owned()),
    );
    let east = postgres(
        "postgres://me@east/lake",
        SecretReference::File("/run/secrets/east".to_owned()),
    );
    let expected = Deployment {
        catalog: Some(sqlite("main.db", "file:///main")),
        catalogs: vec![("west".to_owned(), west), ("east".to_owned(), east)],
        ..Deployment::default()
    };
    assert_eq!(read(text, &[]), Ok(expected));
    assert_eq!(read("", &[]), Ok(Deployment::default()));
}

#[test]
fn variables_go_before_the_file() {
    let text = "[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"/a\"\n[catalogs.my-one]\nuri = \"sqlite:/b.db\"\nwarehouse = \"/b\"";
    let deployment = read(
        text,
        &[
            ("FRAZIL_CATALOG__URI", "sqlite:/c.db"),
            ("FRAZIL_CATALOG__WAREHOUSE", ""),
            ("FRAZIL_CATALOGS__MY_ONE__WAREHOUSE", "/d"),
            ("FRAZIL_CATALOGS__NEW__URI", "postgresql://me@e/lake"),
            ("FRAZIL_CATALOGS__NEW__WAREHOUSE", "/w"),
            ("FRAZIL_CATALOGS__NEW__TYPE", "sql"),
            ("FRAZIL_CATALOGS__NEW__CREDENTIAL__ENV", "SECRET"),
            ("FRAZIL_CONFIG", "x.toml"),
            ("FRAZIL_PORT", "tcp://10.0.0.1:80"),
            ("FRAZIL_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("OTHER__URI", "x"),
        ],
    );
    let new = postgres(
        "postgresql://me@e/lake",
        SecretReference::Variable("SECRET".to_owned()),
    );
    let expected = Deployment {
        catalog: Some(sqlite("/c.db", "/a")),
        catalogs: vec![
            ("my-one".to_owned(), sqlite("/b.db", "/d")),
            ("new".to_owned(), new),
        ],
        ..Deployment::default()
    };
    assert_eq!(deployment, Ok(expected));
}

#[test]
fn without_a_file_the_warehouse_may_stay_the_embedded_one() {
    let deployment = parse_environment(&variables(&[("FRAZIL_CATALOG__URI", "sqlite:/c.db")]))
        .expect("it is right");
    assert_eq!(
        deployment.catalog,
        Some(CatalogSettings {
            warehouse: None,
            ..sqlite("/c.db", "")
        })
    );
    let diagnostics = parse_environment(&variables(&[("FRAZIL_CATALOG__WAREHOUSE", "/c")]))
        .expect_err("no address");
    assert_eq!(
        diagnostics.render(),
        "FRAZIL_CATALOG__WAREHOUSE: `[catalog]` has no `uri`\n  help: `uri = \"sqlite:/data/catalog.db\"`, or the \
         variable `FRAZIL_CATALOG__URI`"
    );
}

#[test]
fn mistakes_of_the_file() {
    let secret = "a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`";
    let right = "uri = \"sqlite:/a.db\"\nwarehouse = \"/a\"";
    let server = "uri = \"postgresql://me@db/lake\"\nwarehouse = \"/a\"";
    for (text, expected) in [
        ("[catlog]\nuri = \"sqlite:/a\"".to_owned(), "1:2: unknown key `catlog`\n  help: did you mean `catalog`?".to_owned()),
        ("uri = \"sqlite:/a\"".to_owned(), "1:1: `uri` does not belong at the top level\n  help: it belongs in `[catalog]`".to_owned()),
        (format!("[catalog]\n{right}\nurl = \"x\""), "4:1: unknown key `url` in `[catalog]`\n  help: did you mean `uri`?".to_owned()),
        ("catalog = \"sqlite:/a\"".to_owned(), "1:11: `catalog` takes a section: `[catalog]`, not a string".to_owned()),
        ("[catalogs]\nuri = \"sqlite:/a\"".to_owned(), "2:1: `uri` in `[catalogs]` is of no catalog\n  help: `[catalog]`, or `[catalogs.main]` for one of several".to_owned()),
        (format!("[catalogs.\"a b\"]\n{right}"), "1:11: the catalog's name `a b` holds a space; names are of letters, digits, `_` and `-`".to_owned()),
        ("[catalog]\ntype = \"sql\"".to_owned(), "1:2: `[catalog]` has no `uri`\n  help: `uri = \"sqlite:/data/catalog.db\"`, or the variable `FRAZIL_CATALOG__URI`".to_owned()),
        ("[catalogs.a-b]\nuri = \"sqlite:/a\"".to_owned(), "1:11: `[catalogs.a-b]` has no `warehouse`\n  help: `warehouse = \"file:///data/warehouse\"`, or the variable `FRAZIL_CATALOGS__A_B__WAREHOUSE`".to_owned()),
        (format!("[catalog]\ntype = 1\n{right}"), "2:8: `catalog.type` takes a catalog's kind, such as \"sql\", not an integer".to_owned()),
        (format!("[catalog]\ntype = \"sqlite\"\n{right}"), "2:8: `sqlite` is not a kind of catalog\n  help: did you mean `sql`?".to_owned()),
        (format!("[catalog]\ntype = \"glue\"\n{right}"), "2:8: `glue` is not a kind of catalog\n  help: kinds are `sql`, `hive` and `rest`".to_owned()),
        ("[catalog]\nuri = \"/a.db\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of a catalog begins with its scheme\n  help: `sqlite:/data/catalog.db`, `postgresql://user@host/database`, `thrift://metastore:9083` or `https://catalog.example/api`".to_owned()),
        ("[catalog]\nuri = \"sqlite:\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of the catalog names no file\n  help: `sqlite:/data/catalog.db`".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db?mode=rwc\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of a SQLite catalog is a plain path\n  help: `sqlite:/data/catalog.db`".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"file://host/a\"".to_owned(), "3:13: a `file:` warehouse is an absolute path of this machine\n  help: `file:///data/warehouse`, or a path".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"ftp://x\"".to_owned(), "3:13: `ftp:` is not a storage\n  help: storages are `file:`, `s3:`, `hdfs:`, `gs:` and `abfss:`".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"\"".to_owned(), "3:13: `catalog.warehouse` is empty\n  help: it takes a folder, such as \"file:///data/warehouse\"".to_owned()),
        (format!("[catalog]\n{server}\ncredential = \"hunter2\""), format!("4:14: `catalog.credential` does not take the secret itself\n  help: {secret}")),
        (format!("[catalog]\n{server}\ncredential = {{ }}"), format!("4:14: `catalog.credential` has neither `env` nor `file`\n  help: {secret}")),
        (format!("[catalog]\n{server}\ncredential = {{ env = \"A\", file = \"b\" }}"), format!("4:14: `catalog.credential` has both `env` and `file`\n  help: {secret}")),
        (format!("[catalog]\n{server}\ncredential = {{ env = \"\" }}"), format!("4:22: `catalog.credential.env` is empty\n  help: {secret}")),
        (format!("[catalog]\n{server}\ncredential = {{ envv = \"A\", env = \"B\" }}"), "4:16: unknown key `envv` in `credential`\n  help: did you mean `env`?".to_owned()),
    ] {
        assert_eq!(read(&text, &[]), Err(format!("frazil.toml:{expected}")), "{text}");
    }
}
