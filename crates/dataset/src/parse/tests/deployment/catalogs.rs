//! Each kind of catalog: all that it knows, and what goes wrong.

use std::time::Duration;

use super::*;
use crate::{
    AccessKeys, Authorization, HeaderText, HiveSettings, OAuth2Settings, RestSettings,
    SigV4Settings, TlsSettings,
};

pub(super) const POSTGRES: &str = r#"
type = "sql"
uri = "postgresql://db:5432/lake?sslmode=verify-full"
warehouse = "s3://lake/warehouse"
user = "fra zil"
credential = { env = "PASSWORD" }
tls = { ca = "/ca.pem", certificate = "/own.pem", key = { file = "/own.key" } }
connect_timeout = "1s"
acquire_timeout = "2s"
statement_timeout = "3s"
lock_timeout = "4s"
idle_in_transaction_timeout = "5s"
connections_max = 6
"#;

pub(super) const HIVE: &str = r#"
type = "hive"
uri = "thrift://a, thrift://b:9084/,[::1]:9085"
warehouse = "hdfs://ns/warehouse/"
user = "frazil"
lock = false
enforces_expected_value = true
connect_timeout = "1s"
call_timeout = "2s"
lock_wait_max = "3s"
lock_hold_max = "4s"
late_alter_wait_max = "5s"
parameter_value_chars_max = 4000
"#;

pub(super) const REST_OAUTH2: &str = r#"
type = "rest"
uri = "http://catalog:8181/api"
allow_http = true
warehouse = "lake"
prefix = "p"
credential = { file = "/run/client" }
oauth2 = { server_uri = "https://login.example/token", scope = "s", audience = "a", resource = "r" }
headers = { x-key = { env = "KEY" }, x-tenant = "shop" }
tls = { ca = "/ca.pem" }
vended_credentials = false
connect_timeout = "1s"
read_timeout = "2s"
commit_timeout = "3s"
read_attempts_max = 4
metadata_bytes_max = "5MiB"
"#;

pub(super) const REST_TOKEN: &str = "uri = \"http://127.0.0.1:8181\"\ntoken = { env = \"TOKEN\" }";

pub(super) const REST_SIGV4: &str = r#"
uri = "https://glue.eu-central-1.amazonaws.com/iceberg"
warehouse = "123456789012"

[catalog.sigv4]
region = "eu-central-1"
name = "glue"
access_key_id = { env = "A" }
secret_access_key = { env = "B" }
session_token = { env = "C" }
"#;

pub(super) fn catalog(text: &str) -> Result<CatalogSettings, String> {
    let read = read(&format!("[catalog]\n{text}"), &[])?;
    Ok(read.catalog.expect("it is there"))
}

fn variable(name: &str) -> SecretReference {
    SecretReference::Variable(name.to_owned())
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the fields that it fills are optional"
)]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the fields that it fills are optional"
)]
const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn a_postgresql_catalog() {
    let expected = PostgresSettings {
        uri: "postgresql://fra%20zil@db:5432/lake?sslmode=verify-full".to_owned(),
        credential: Some(variable("PASSWORD")),
        tls: TlsSettings {
            ca: text("/ca.pem"),
            certificate: text("/own.pem"),
            key: Some(SecretReference::File("/own.key".to_owned())),
        },
        connect_timeout: seconds(1),
        acquire_timeout: seconds(2),
        statement_timeout: seconds(3),
        lock_timeout: seconds(4),
        idle_in_transaction_timeout: seconds(5),
        connections_max: Some(6),
    };
    assert_eq!(
        catalog(POSTGRES),
        Ok(CatalogSettings {
            connection: Connection::Postgres(expected),
            warehouse: text("s3://lake/warehouse"),
        })
    );
}

#[test]
fn a_hive_catalog() {
    let expected = HiveSettings {
        addresses: ["thrift://a:9083", "thrift://b:9084", "thrift://[::1]:9085"]
            .map(str::to_owned)
            .to_vec(),
        lock: Some(false),
        enforces_expected_value: Some(true),
        user: text("frazil"),
        connect_timeout: seconds(1),
        call_timeout: seconds(2),
        lock_wait_max: seconds(3),
        lock_hold_max: seconds(4),
        late_alter_wait_max: seconds(5),
        parameter_value_chars_max: Some(4000),
    };
    let read = catalog(HIVE).expect("nothing is wrong");
    assert_eq!(read.connection, Connection::Hive(expected));
    assert_eq!(
        read.connection.uri(),
        "thrift://a:9083,thrift://b:9084,thrift://[::1]:9085"
    );
}

#[test]
fn a_rest_catalog() {
    let expected = RestSettings {
        uri: "http://catalog:8181/api".to_owned(),
        prefix: text("p"),
        authorization: Authorization::OAuth2(OAuth2Settings {
            credential: SecretReference::File("/run/client".to_owned()),
            server_uri: text("https://login.example/token"),
            scope: text("s"),
            audience: text("a"),
            resource: text("r"),
        }),
        headers: vec![
            ("x-key".to_owned(), HeaderText::Secret(variable("KEY"))),
            ("x-tenant".to_owned(), HeaderText::Plain("shop".to_owned())),
        ],
        tls: TlsSettings {
            ca: text("/ca.pem"),
            ..TlsSettings::default()
        },
        vended_credentials: Some(false),
        connect_timeout: seconds(1),
        read_timeout: seconds(2),
        commit_timeout: seconds(3),
        read_attempts_max: Some(4),
        metadata_bytes_max: Some(5 << 20),
    };
    assert_eq!(
        catalog(REST_OAUTH2),
        Ok(CatalogSettings {
            connection: Connection::Rest(Box::new(expected)),
            warehouse: text("lake"),
        })
    );
    let authorization = |text: &str| match catalog(text).map(|read| read.connection) {
        Ok(Connection::Rest(rest)) => rest.authorization,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        authorization(REST_TOKEN),
        Authorization::Bearer(variable("TOKEN"))
    );
    assert_eq!(
        authorization(REST_SIGV4),
        Authorization::SigV4(SigV4Settings {
            region: "eu-central-1".to_owned(),
            name: "glue".to_owned(),
            keys: Some(AccessKeys {
                access_key_id: variable("A"),
                secret_access_key: variable("B"),
                session_token: Some(variable("C")),
            }),
        })
    );
    assert_eq!(
        authorization("uri = \"https://c\"\nsigv4 = { region = \"r\", name = \"execute-api\" }"),
        Authorization::SigV4(SigV4Settings {
            region: "r".to_owned(),
            name: "execute-api".to_owned(),
            keys: None,
        })
    );
}

#[test]
fn keys_that_do_not_go_together() {
    let rest = "uri = \"https://c\"";
    let hive = "uri = \"thrift://m\"\nwarehouse = \"/w\"";
    let postgres = "uri = \"postgresql://me@db/lake\"\nwarehouse = \"/w\"";
    let secret = "{ env = \"X\" }";
    for (text, expected) in [
        (
            format!("{hive}\ntype = \"rest\""),
            "4:8: `type = \"rest\"` does not go with that kind of address\n  help: `type = \"hive\"` does, and may be left out",
        ),
        (
            format!("{hive}\nvended_credentials = true"),
            "4:1: `vended_credentials` is a key of REST catalogs, and `[catalog]` is a Hive catalog\n  help: remove it",
        ),
        (
            format!("{hive}\ncredential = {secret}"),
            "4:1: `credential` is a key of PostgreSQL and REST catalogs, and `[catalog]` is a Hive catalog\n  help: the metastore is asked without one, as `user`; remove it",
        ),
        (
            format!("{rest}\nlock = true"),
            "3:1: `lock` is a key of Hive catalogs, and `[catalog]` is a REST catalog\n  help: remove it",
        ),
        (
            format!("{rest}\nstatement_timeout = \"1s\""),
            "3:1: `statement_timeout` is a key of PostgreSQL catalogs, and `[catalog]` is a REST catalog\n  help: remove it",
        ),
        (
            format!("uri = \"sqlite:/a.db\"\nwarehouse = \"/a\"\ncredential = {secret}"),
            "4:1: `credential` is a key of PostgreSQL and REST catalogs, and `[catalog]` is a SQLite catalog\n  help: remove it",
        ),
        (
            format!("{postgres}\nuser = \"you\""),
            "2:7: the address has another user than `user`\n  help: leave one of them out",
        ),
        (
            format!("{rest}\ntoken = {secret}\ncredential = {secret}"),
            "3:9: `credential` and `token` both say who we are\n  help: leave one of them out",
        ),
        (
            format!("{rest}\ntoken = {secret}\nsigv4 = {{ region = \"r\", name = \"n\" }}"),
            "4:9: `token` and `sigv4` both say who we are\n  help: leave one of them out",
        ),
        (
            format!("{rest}\noauth2 = {{ scope = \"s\" }}"),
            "3:10: `[catalog.oauth2]` is without a `credential`\n  help: `credential` in the catalog's section holds `client-id:client-secret`, by reference",
        ),
        (
            format!(
                "{rest}\ncredential = {secret}\noauth2 = {{ server_uri = \"http://login/x\" }}"
            ),
            "4:25: `catalog.oauth2.server_uri`: by `http:` anybody on the way reads secrets and data\n  help: `https:`, or `catalog.allow_http = true` where the network is trusted",
        ),
        (
            format!("{rest}\nsigv4 = {{ region = \"r\" }}"),
            "3:9: `[catalog.sigv4]` takes both `region` and `name`\n  help: such as `sigv4 = { region = \"eu-central-1\", name = \"glue\" }`",
        ),
        (
            format!("{rest}\nsigv4 = {{ region = \"r\", name = \"n\", access_key_id = {secret} }}"),
            "3:9: `[catalog.sigv4]` has a part of its keys, without `secret_access_key`\n  help: `secret_access_key = { env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`",
        ),
        (
            format!("{rest}\ntls = {{ certificate = \"/c\" }}"),
            "3:23: `catalog.tls` has a certificate without its `key`\n  help: `key = { file = \"/run/secrets/key.pem\" }`",
        ),
        (
            format!("{rest}\ntls = {{ key = {secret} }}"),
            "3:15: `catalog.tls` has a key without its `certificate`",
        ),
        (
            format!("{rest}\ntls = {{ ca_file = \"/c\" }}"),
            "3:9: unknown key `ca_file` in `[catalog.tls]`\n  help: did you mean `ca`?",
        ),
        (
            format!("{rest}\nheaders = {{ \"a b\" = \"x\" }}"),
            "3:21: `a b` is no name of a header\n  help: `catalog.headers = { a b = … }` takes a text, or a secret by reference",
        ),
        (
            format!("{rest}\nheaders = {{ Authorization = \"Basic hunter2\" }}"),
            "3:29: the header `Authorization` holds a secret, which does not stand in plain\n  help: `catalog.headers = { Authorization = … }` takes a text, or a secret by reference",
        ),
        (
            format!("{rest}\nread_timeout = 5"),
            "3:16: `catalog.read_timeout` takes a length of time, such as \"30s\", not an integer",
        ),
        (
            format!("{rest}\nread_timeout = \"0s\""),
            "3:16: `catalog.read_timeout` is zero\n  help: such as \"30s\"",
        ),
        (
            format!("{rest}\npassword = \"hunter2\""),
            "3:1: unknown key `password` in `[catalog]`\n  help: did you mean `credential`?",
        ),
        (
            format!("{rest}\nregion = \"r\""),
            "3:1: `region` does not belong in `[catalog]`\n  help: it belongs in `[catalog.sigv4]` or in `[storage.s3]`",
        ),
        (
            format!("{rest}\ntoken = \"hunter2\""),
            "3:9: `catalog.token` does not take the secret itself\n  help: a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`",
        ),
        (
            format!("{rest}\ntoken = hunter2"),
            "3:9: string values must be quoted, expected literal string\n  help: text stands in quotes: `token = \"…\"`",
        ),
    ] {
        let message = catalog(&text).expect_err(&text);
        assert_eq!(message, format!("frazil.toml:{expected}"), "{text}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn servers_want_a_warehouse_unless_they_have_their_own() {
    for (uri, has_one) in [
        ("postgresql://db/lake", false),
        ("thrift://m", false),
        ("https://c", true),
        ("sqlite:/a.db", false),
    ] {
        assert_eq!(
            catalog(&format!("uri = \"{uri}\"")).is_ok(),
            has_one,
            "{uri}"
        );
        let by_variable = parse_environment(&variables(&[("FRAZIL_CATALOG__URI", uri)]));
        // A file of this machine may lie beside the embedded warehouse.
        assert_eq!(
            by_variable.is_ok(),
            has_one || uri.starts_with("sqlite:"),
            "{uri}"
        );
    }
}
