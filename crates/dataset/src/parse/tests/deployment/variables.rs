//! Variables of the environment, each by the table of keys.

use super::*;
use crate::{HeaderText, RestSettings, S3Credentials};

#[test]
fn mistakes_name_the_variable() {
    let sections = "`FRAZIL_CATALOG`, `FRAZIL_CATALOGS`, `FRAZIL_STORAGE` and `FRAZIL_KAFKA`";
    for (name, value, expected) in [
        (
            "FRAZIL_CATALOG__URL",
            "x",
            "the variable stands for no key\n  help: did you mean `FRAZIL_CATALOG__URI`?",
        ),
        (
            "FRAZIL_CATALOG_URI",
            "x",
            "the variable stands for no key\n  help: `FRAZIL_CATALOG__URI`, with two underscores between section and key",
        ),
        (
            "FRAZIL_STORAGE_S3_REGION",
            "x",
            "the variable stands for no key\n  help: `FRAZIL_STORAGE__S3__REGION`, with two underscores between section and key",
        ),
        (
            "FRAZIL_STORAGE__S3_REGION",
            "x",
            "the variable stands for no key\n  help: `FRAZIL_STORAGE__S3__REGION`, with two underscores between section and key",
        ),
        (
            "FRAZIL_CATALOGS_MY_ONE__URI",
            "x",
            "the variable stands for no key\n  help: `FRAZIL_CATALOGS__MY_ONE__URI`, with two underscores between section and key",
        ),
        (
            "FRAZIL_STORAGE__S4__REGION",
            "x",
            "the variable stands for no key\n  help: did you mean `FRAZIL_STORAGE__S3__REGION`?",
        ),
        (
            "FRAZIL_KAFKA__MAIN__BROKERS",
            "k:9092,",
            "a text of `kafka.main.brokers` is empty\n  help: it takes an array of brokers, such as [\"kafka:9092\"]",
        ),
        (
            "FRAZIL_KAFKA__MAIN__SASL__PASSWORD",
            "hunter2",
            "a variable of frazil does not take the secret itself\n  help: `FRAZIL_KAFKA__MAIN__SASL__PASSWORD__ENV` names the variable that holds it, `FRAZIL_KAFKA__MAIN__SASL__PASSWORD__FILE` the file",
        ),
        (
            "FRAZIL_ZEBRA__X",
            "k",
            &format!(
                "the variable stands for no key\n  help: variables here begin with {sections}"
            ),
        ),
        (
            "FRAZIL_CATALOG__URI__X",
            "k",
            "the variable stands for no key\n  help: ",
        ),
        (
            "FRAZIL_CATALOG__TLS",
            "k",
            "the variable stands for a section, not for a key\n  help: `FRAZIL_CATALOG__TLS__KEY`, where KEY is one of `CA`, `CERTIFICATE` and `KEY`",
        ),
        (
            "FRAZIL_CATALOGS__NEW",
            "k",
            "the variable stands for a section, not for a key\n  help: `FRAZIL_CATALOGS__NEW__KEY`, where KEY is one of `TYPE`, ",
        ),
        (
            "FRAZIL_CATALOG__CREDENTIAL",
            "hunter2",
            "a variable of frazil does not take the secret itself\n  help: `FRAZIL_CATALOG__CREDENTIAL__ENV` names the variable that holds it, `FRAZIL_CATALOG__CREDENTIAL__FILE` the file",
        ),
        (
            "FRAZIL_STORAGE__S3__SECRET_ACCESS_KEY",
            "hunter2",
            "a variable of frazil does not take the secret itself\n  help: `FRAZIL_STORAGE__S3__SECRET_ACCESS_KEY__ENV` names the variable that holds it, `FRAZIL_STORAGE__S3__SECRET_ACCESS_KEY__FILE` the file",
        ),
        (
            "FRAZIL_CATALOG__HEADERS__AUTHORIZATION",
            "hunter2",
            "the header `authorization` holds a secret, which does not stand in plain\n  help: `FRAZIL_CATALOG__HEADERS__AUTHORIZATION__ENV` names the variable that holds it, `FRAZIL_CATALOG__HEADERS__AUTHORIZATION__FILE` the file",
        ),
        (
            "FRAZIL_CATALOG__TYPE",
            "rest",
            "`type = \"rest\"` does not go with that kind of address\n  help: `type = \"sql\"` does, and may be left out",
        ),
        (
            "FRAZIL_CATALOG__TYPE",
            "glue",
            "`glue` is not a kind of catalog\n  help: kinds are `sql`, `hive` and `rest`",
        ),
        (
            "FRAZIL_CATALOG__WAREHOUSE",
            "hdfs:///x",
            "the warehouse is an absolute URI, with its bucket, container or name service\n  help: `hdfs://nameservice/warehouse`",
        ),
        (
            "FRAZIL_CATALOG__URI",
            "postgresql://me:hunter2@db/lake",
            "the address holds a password, which does not stand in it\n  help: `credential = { env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`",
        ),
        (
            "FRAZIL_CATALOG__LOCK",
            "true",
            "`lock` is a key of Hive catalogs, and `[catalog]` is a SQLite catalog\n  help: remove it",
        ),
        (
            "FRAZIL_STORAGE__ATTEMPTS_MAX",
            "many",
            "`storage.attempts_max` takes a number from 1 to 100, not a string",
        ),
        (
            "FRAZIL_STORAGE__ATTEMPTS_MAX",
            "0",
            "`storage.attempts_max` is 0, and can be 1 to 100",
        ),
        (
            "FRAZIL_STORAGE__CALL_TIMEOUT",
            "5",
            "`storage.call_timeout`: ",
        ),
        (
            "FRAZIL_STORAGE__PART_BYTES",
            "1MiB",
            "`storage.part_bytes` is not from 5MiB to 5GiB, as object stores ask for",
        ),
        (
            "FRAZIL_STORAGE__S3__PATH_STYLE",
            "yes",
            "`storage.s3.path_style` takes true or false, not a string",
        ),
        (
            "FRAZIL_STORAGE__S3__CHECKSUM",
            "crc32",
            "`storage.s3.checksum` does not know `crc32`\n  help: did you mean `crc32c`?",
        ),
        (
            "FRAZIL_STORAGE__HDFS__PROPERTIES__DFS_NAMESERVICES",
            "x",
            "the variable stands for no key\n  help: put the property in `[storage.hdfs.properties]`; a variable cannot say its name",
        ),
        (
            "FRAZIL_CATALOGS__A.B__URI",
            "sqlite:/x",
            "the catalog's name `a.b` holds `.`; names are of letters, digits, `_` and `-`",
        ),
    ] {
        let text = "[catalog]\nuri = \"sqlite:/a.db\"\nwarehouse = \"/a\"\n[catalogs.my-one]\nuri = \"sqlite:/b.db\"\nwarehouse = \"/b\"\n[kafka.main]\nbrokers = [\"localhost\"]";
        // Only REST catalogs have headers.
        let text = if name.contains("HEADERS") {
            "[catalog]\nuri = \"https://c\""
        } else {
            text
        };
        let message = read(text, &[(name, value)]).expect_err(name);
        let expected = format!("{name}: {expected}");
        assert!(
            message.starts_with(&expected),
            "{message}\n  is not\n{expected}"
        );
        assert!(!message.contains("hunter2"), "{message}");
        let lines = message
            .lines()
            .filter(|line| !line.starts_with("  "))
            .count();
        assert_eq!(lines, 1, "one mistake, told once: {message}");
    }
}

#[test]
fn a_misspelt_variable_is_all_that_is_told() {
    let message = parse_environment(&variables(&[("FRAZIL_CATALOG__URL", "sqlite:/a.db")]));
    assert_eq!(
        message.map_err(|diagnostics| diagnostics.list.len()),
        Err(1),
        "that there is no `uri` follows from it"
    );
}

#[test]
fn a_catalog_may_be_of_variables_only() {
    let deployment = parse_environment(&variables(&[
        ("FRAZIL_CATALOG__URI", "https://c.example/api/"),
        ("FRAZIL_CATALOG__TOKEN__FILE", "/run/token"),
        ("FRAZIL_CATALOG__HEADERS__X_TENANT", "shop"),
        ("FRAZIL_CATALOG__HEADERS__X_API_KEY__ENV", "KEY"),
        ("FRAZIL_CATALOG__VENDED_CREDENTIALS", "false"),
        ("FRAZIL_CATALOG__READ_TIMEOUT", "5s"),
        ("FRAZIL_CATALOG__READ_ATTEMPTS_MAX", "7"),
        ("FRAZIL_CATALOG__METADATA_BYTES_MAX", "1MiB"),
        ("FRAZIL_STORAGE__S3__ANONYMOUS", "true"),
    ]))
    .expect("nothing is wrong");
    let rest = RestSettings {
        uri: "https://c.example/api".to_owned(),
        authorization: crate::Authorization::Bearer(SecretReference::File("/run/token".to_owned())),
        headers: vec![
            (
                "x-api-key".to_owned(),
                HeaderText::Secret(SecretReference::Variable("KEY".to_owned())),
            ),
            ("x-tenant".to_owned(), HeaderText::Plain("shop".to_owned())),
        ],
        vended_credentials: Some(false),
        read_timeout: Some(std::time::Duration::from_secs(5)),
        read_attempts_max: Some(7),
        metadata_bytes_max: Some(1 << 20),
        ..RestSettings::default()
    };
    assert_eq!(
        deployment.catalog,
        Some(CatalogSettings {
            connection: Connection::Rest(Box::new(rest)),
            warehouse: None
        })
    );
    assert_eq!(deployment.storage.s3.credentials, S3Credentials::Anonymous);
}

#[test]
fn a_secrets_reference_is_replaced_whole() {
    let text = "[catalog]\nuri = \"postgresql://me@db/lake\"\nwarehouse = \"/w\"\ncredential = { file = \"/run/x\" }";
    let by_variable = read(text, &[("FRAZIL_CATALOG__CREDENTIAL__ENV", "PASSWORD")]);
    let expected = postgres(
        "postgresql://me@db/lake",
        SecretReference::Variable("PASSWORD".to_owned()),
    );
    assert_eq!(by_variable.map(|read| read.catalog), Ok(Some(expected)));
    let both = [
        ("FRAZIL_CATALOG__CREDENTIAL__ENV", "PASSWORD"),
        ("FRAZIL_CATALOG__CREDENTIAL__FILE", "/run/y"),
    ];
    assert_eq!(
        read(text, &both),
        Err("FRAZIL_CATALOG__CREDENTIAL__FILE: another variable gives the same secret\n  help: set one of `…__ENV` and \
             `…__FILE`"
            .to_owned())
    );
}

#[test]
fn a_mistake_of_the_file_is_told_though_a_variable_goes_before_it() {
    let text = "[catalog]\nuri = 1\nwarehouse = \"/w\"";
    assert_eq!(
        read(text, &[("FRAZIL_CATALOG__URI", "sqlite:/a.db")]),
        Err("frazil.toml:2:7: `catalog.uri` takes an address, such as \"sqlite:/data/catalog.db\", not an integer".to_owned())
    );
}

#[test]
fn headers_of_the_file_may_be_replaced() {
    let text = "[catalog]\nuri = \"https://c\"\nheaders = { X-Tenant = \"a\", x_odd = \"b\" }";
    let set = [
        ("FRAZIL_CATALOG__HEADERS__X_TENANT", "c"),
        ("FRAZIL_CATALOG__HEADERS__X_ODD", "d"),
        ("FRAZIL_CATALOG__HEADERS__X_NEW", "e"),
    ];
    let read = read(text, &set).expect("nothing is wrong").catalog;
    let Some(Connection::Rest(rest)) = read.map(|catalog| catalog.connection) else {
        panic!("it is a REST catalog");
    };
    let plain = |text: &str| HeaderText::Plain(text.to_owned());
    let expected = [("X-Tenant", "c"), ("x_odd", "d"), ("x-new", "e")];
    let expected = expected.map(|(name, text)| (name.to_owned(), plain(text)));
    assert_eq!(rest.headers, expected);
}

#[test]
fn properties_of_the_file_may_be_replaced() {
    let text = "[storage.hdfs.properties]\n\"dfs.nameservices\" = \"a\"\ndfs.client.x = \"b\"";
    let read = read(
        text,
        &[("FRAZIL_STORAGE__HDFS__PROPERTIES__DFS_NAMESERVICES", "c")],
    )
    .expect("nothing is wrong");
    let properties: Vec<_> = read
        .storage
        .hdfs
        .properties
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        properties,
        [("dfs.client.x", "b"), ("dfs.nameservices", "c")]
    );
}

/// Every key that the file knows is one that the environment knows, and means the same there.
#[test]
fn each_key_may_come_from_either() {
    let catalogs = [
        "uri = \"sqlite:/a.db\"\nwarehouse = \"/a\"",
        super::catalogs::POSTGRES,
        super::catalogs::HIVE,
        super::catalogs::REST_OAUTH2,
        super::catalogs::REST_TOKEN,
        super::catalogs::REST_SIGV4,
    ];
    let catalogs = catalogs.map(|catalog| format!("[catalog]\n{catalog}"));
    let mut seen = std::collections::BTreeSet::new();
    for text in catalogs
        .iter()
        .map(String::as_str)
        .chain(super::storages::ALL)
        .chain(super::kafka::ALL)
    {
        let document = toml_edit::Document::parse(text).expect(text);
        let mut set = BTreeMap::new();
        as_variables(document.as_table(), "FRAZIL", &mut set);
        let by_file = read(text, &[]).expect(text);
        // The embedded default's is allowed without a file.
        assert_eq!(
            parse_environment(&set).as_ref(),
            Ok(&by_file),
            "{text}\n{set:?}"
        );
        seen.extend(set.into_keys());
    }
    let missing: Vec<String> = crate::parse::deployment::all_variables()
        .into_iter()
        .filter(|name| {
            let secret = format!("{name}__");
            !seen.contains(name) && !seen.iter().any(|one| one.starts_with(&secret))
        })
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "examples lack these keys");
}

/// The variables that say what a file does.
fn as_variables(table: &dyn toml_edit::TableLike, head: &str, into: &mut BTreeMap<String, String>) {
    for (key, item) in table.iter() {
        let name = format!("{head}__{}", key.to_uppercase().replace(['-', '.'], "_"))
            .replace("FRAZIL__", "FRAZIL_");
        if key == "properties" {
            continue;
        }
        if let Some(inner) = item.as_table_like() {
            as_variables(inner, &name, into);
        } else {
            let value = item.as_value().expect("a value").clone().decorated("", "");
            let text = if let Some(array) = value.as_array() {
                let texts = array.iter().filter_map(|text| text.as_str());
                texts.collect::<Vec<_>>().join(", ")
            } else {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            into.insert(name, text);
        }
    }
}
