use std::collections::BTreeMap;

use crate::{
    CatalogKind, CatalogSettings, Deployment, SecretReference, parse_deployment, parse_environment,
};

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

fn sqlite(uri: &str, warehouse: &str) -> CatalogSettings {
    CatalogSettings {
        kind: CatalogKind::Sql,
        uri: uri.to_owned(),
        warehouse: Some(warehouse.to_owned()),
        credential: None,
    }
}

#[test]
fn catalogs_keep_the_files_order() {
    let text = r#"
[catalogs.west]
type = "sql"
uri = "sqlite:/west.db"
warehouse = "/west"
credential = { env = "WEST" }

[catalog]
uri = "sqlite:main.db"
warehouse = "file:///main"

[catalogs.east]
uri = "sqlite:///east.db"
warehouse = "east"
credential = { file = "/run/secrets/east" }
"#;
    let with = |uri, warehouse, credential| CatalogSettings {
        credential: Some(credential),
        ..sqlite(uri, warehouse)
    };
    let west = with(
        "sqlite:/west.db",
        "/west",
        SecretReference::Variable("WEST".to_owned()),
    );
    let east = with(
        "sqlite:///east.db",
        "east",
        SecretReference::File("/run/secrets/east".to_owned()),
    );
    let expected = Deployment {
        catalog: Some(sqlite("sqlite:main.db", "file:///main")),
        catalogs: vec![("west".to_owned(), west), ("east".to_owned(), east)],
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
            ("FRAZIL_CATALOGS__NEW__URI", "sqlite:/e.db"),
            ("FRAZIL_CATALOGS__NEW__WAREHOUSE", "/e"),
            ("FRAZIL_CATALOGS__NEW__TYPE", "sql"),
            ("FRAZIL_CATALOGS__NEW__CREDENTIAL__ENV", "SECRET"),
            ("FRAZIL_CONFIG", "x.toml"),
            ("FRAZIL_PORT", "tcp://10.0.0.1:80"),
            ("FRAZIL_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("OTHER__URI", "x"),
        ],
    );
    let new = CatalogSettings {
        credential: Some(SecretReference::Variable("SECRET".to_owned())),
        ..sqlite("sqlite:/e.db", "/e")
    };
    let expected = Deployment {
        catalog: Some(sqlite("sqlite:/c.db", "/a")),
        catalogs: vec![
            ("my-one".to_owned(), sqlite("sqlite:/b.db", "/d")),
            ("new".to_owned(), new),
        ],
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
            ..sqlite("sqlite:/c.db", "")
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
    for (text, expected) in [
        ("[catlog]\nuri = \"sqlite:/a\"".to_owned(), "1:2: unknown key `catlog`\n  help: did you mean `catalog`?".to_owned()),
        ("uri = \"sqlite:/a\"".to_owned(), "1:1: `uri` does not belong at the top level\n  help: it belongs in `[catalog]`".to_owned()),
        ("[kafka.main]\nbrokers = [\"k:9092\"]".to_owned(), "1:2: `kafka` is not supported yet\n  help: nothing in this version acts on it; remove it".to_owned()),
        (format!("[catalog]\n{right}\nurl = \"x\""), "4:1: unknown key `url` in `[catalog]`\n  help: did you mean `uri`?".to_owned()),
        ("catalog = \"sqlite:/a\"".to_owned(), "1:11: `catalog` takes a section: `[catalog]`, not a string".to_owned()),
        ("[catalogs]\nuri = \"sqlite:/a\"".to_owned(), "2:1: `uri` in `[catalogs]` is of no catalog\n  help: `[catalog]`, or `[catalogs.main]` for one of several".to_owned()),
        (format!("[catalogs.\"a b\"]\n{right}"), "1:11: the catalog's name `a b` holds a space; names are of letters, digits, `_` and `-`".to_owned()),
        ("[catalog]\ntype = \"sql\"".to_owned(), "1:2: `[catalog]` has no `uri`\n  help: `uri = \"sqlite:/data/catalog.db\"`, or the variable `FRAZIL_CATALOG__URI`".to_owned()),
        ("[catalogs.a-b]\nuri = \"sqlite:/a\"".to_owned(), "1:11: `[catalogs.a-b]` has no `warehouse`\n  help: `warehouse = \"file:///data/warehouse\"`, or the variable `FRAZIL_CATALOGS__A_B__WAREHOUSE`".to_owned()),
        (format!("[catalog]\ntype = 1\n{right}"), "2:8: `catalog.type` takes a catalog's kind, such as \"sql\", not an integer".to_owned()),
        (format!("[catalog]\ntype = \"sqlite\"\n{right}"), "2:8: `sqlite` is not a kind of catalog\n  help: did you mean `sql`?".to_owned()),
        (format!("[catalog]\ntype = \"glue\"\n{right}"), "2:8: `glue` is not a kind of catalog\n  help: kinds are `sql`, `hive` and `rest`".to_owned()),
        ("[catalog]\ntype = \"hive\"\nuri = \"thrift://metastore:9083\"\nwarehouse = \"s3://lake/warehouse\"".to_owned(), "2:8: `type = \"hive\"` is not supported yet\n  help: `type = \"sql\"` with a `sqlite:` address is\nfrazil.toml:4:13: warehouses at `s3:` are not supported yet\n  help: `file:///data/warehouse`, or a path".to_owned()),
        ("[catalog]\nuri = \"postgresql://me:hunter2@db/x\"\nwarehouse = \"/a\"".to_owned(), "2:7: catalogs at `postgresql:` are not supported yet\n  help: `sqlite:` is".to_owned()),
        ("[catalog]\nuri = \"/a.db\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of a catalog begins with its scheme\n  help: `sqlite:/data/catalog.db`".to_owned()),
        ("[catalog]\nuri = \"sqlite:\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of the catalog names no file\n  help: `sqlite:/data/catalog.db`".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db?mode=rwc\"\nwarehouse = \"/a\"".to_owned(), "2:7: the address of a SQLite catalog is a plain path\n  help: `sqlite:/data/catalog.db`".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"file://host/a\"".to_owned(), "3:13: a `file:` warehouse is an absolute path of this machine\n  help: `file:///data/warehouse`, or a path".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"ftp://x\"".to_owned(), "3:13: `ftp:` is not a storage\n  help: `file:///data/warehouse`, or a path".to_owned()),
        ("[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"\"".to_owned(), "3:13: the warehouse is empty\n  help: `file:///data/warehouse`, or a path".to_owned()),
        (format!("[catalog]\n{right}\ncredential = \"hunter2\""), format!("4:14: `catalog.credential` does not take the secret itself\n  help: {secret}")),
        (format!("[catalog]\n{right}\ncredential = {{ }}"), format!("4:14: `catalog.credential` has neither `env` nor `file`\n  help: {secret}")),
        (format!("[catalog]\n{right}\ncredential = {{ env = \"A\", file = \"b\" }}"), format!("4:14: `catalog.credential` has both `env` and `file`\n  help: {secret}")),
        (format!("[catalog]\n{right}\ncredential = {{ env = \"\" }}"), format!("4:22: `catalog.credential.env` is empty\n  help: {secret}")),
        (format!("[catalog]\n{right}\ncredential = {{ envv = \"A\", env = \"B\" }}"), "4:16: unknown key `envv` in `credential`\n  help: did you mean `env`?".to_owned()),
    ] {
        assert_eq!(read(&text, &[]), Err(format!("frazil.toml:{expected}")), "{text}");
    }
}

#[test]
fn mistakes_of_variables_name_the_variable() {
    for (name, value, expected) in [
        (
            "FRAZIL_CATALOG__URL",
            "x",
            "FRAZIL_CATALOG__URL: the variable stands for no key\n  help: did you mean `FRAZIL_CATALOG__URI`?",
        ),
        (
            "FRAZIL_CATALOG_URI",
            "x",
            "FRAZIL_CATALOG_URI: the variable stands for no key\n  help: `FRAZIL_CATALOG__URI`, with two underscores between section and key",
        ),
        (
            "FRAZIL_KAFKA__MAIN__BROKERS",
            "k",
            "FRAZIL_KAFKA__MAIN__BROKERS: `kafka` is not supported yet\n  help: unset it",
        ),
        (
            "FRAZIL_ZEBRA__X",
            "k",
            "FRAZIL_ZEBRA__X: the variable stands for no key\n  help: variables are `FRAZIL_CATALOG__TYPE`, `FRAZIL_CATALOG__URI`, `FRAZIL_CATALOG__WAREHOUSE`, `FRAZIL_CATALOG__CREDENTIAL__ENV` and `FRAZIL_CATALOG__CREDENTIAL__FILE`",
        ),
        (
            "FRAZIL_CATALOG__CREDENTIAL",
            "hunter2",
            "FRAZIL_CATALOG__CREDENTIAL: a variable of frazil does not take the secret itself\n  help: `FRAZIL_CATALOG__CREDENTIAL__ENV` names the variable that holds it, `FRAZIL_CATALOG__CREDENTIAL__FILE` the file",
        ),
        (
            "FRAZIL_CATALOG__TYPE",
            "rest",
            "FRAZIL_CATALOG__TYPE: `type = \"rest\"` is not supported yet\n  help: `type = \"sql\"` with a `sqlite:` address is",
        ),
        (
            "FRAZIL_CATALOG__WAREHOUSE",
            "hdfs://x",
            "FRAZIL_CATALOG__WAREHOUSE: warehouses at `hdfs:` are not supported yet\n  help: `file:///data/warehouse`, or a path",
        ),
        (
            "FRAZIL_CATALOGS__A.B__URI",
            "sqlite:/x",
            "FRAZIL_CATALOGS__A.B__URI: the catalog's name `a.b` holds `.`; names are of letters, digits, `_` and `-`",
        ),
    ] {
        let text = "[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"/a\"";
        assert_eq!(
            read(text, &[(name, value)]),
            Err(expected.to_owned()),
            "{name}"
        );
    }
}
