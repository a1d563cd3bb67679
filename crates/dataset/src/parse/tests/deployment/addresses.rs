//! Addresses of servers and places of warehouses.

use super::catalogs::catalog;

#[test]
fn addresses_that_are_right() {
    for (uri, shown) in [
        ("postgresql://db/lake", "postgresql://db/lake"),
        (
            "postgres://me@db:5432/lake?sslmode=require&application_name=x",
            "postgres://me@db:5432/lake?sslmode=require&application_name=x",
        ),
        (
            "postgresql:///lake?host=/run/postgresql",
            "postgresql:///lake?host=/run/postgresql",
        ),
        (
            "postgresql://me@[::1]:5432/lake",
            "postgresql://me@[::1]:5432/lake",
        ),
        ("thrift://a:1,b:2", "thrift://a:1,thrift://b:2"),
        ("http://localhost:8181", "http://localhost:8181"),
        ("http://[::1]:8181/", "http://[::1]:8181"),
        (
            "https://catalog.example/api/catalog",
            "https://catalog.example/api/catalog",
        ),
    ] {
        let read = catalog(&format!("uri = \"{uri}\"\nwarehouse = \"s3://b/w\""));
        assert_eq!(read.map(|read| read.connection.uri()).as_deref(), Ok(shown));
    }
    let with_user = |uri: &str| {
        catalog(&format!(
            "uri = \"{uri}\"\nwarehouse = \"/w\"\nuser = \"me\""
        ))
        .map(|read| read.connection.uri())
    };
    assert_eq!(
        with_user("postgresql:///lake?host=/run").as_deref(),
        Ok("postgresql://me@/lake?host=/run")
    );
    assert_eq!(
        with_user("postgresql://me@db/lake").as_deref(),
        Ok("postgresql://me@db/lake")
    );
}

/// No message shows `hunter2`, which is a secret wherever it stands.
#[test]
fn addresses_that_are_wrong() {
    let by_reference = "`credential = { env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`";
    let password = "the address holds a password, which does not stand in it";
    let postgres = "`postgresql://user@host:5432/database`";
    let thrift = "`thrift://metastore:9083`, several with commas between";
    let https = "such as `https://host:8443/path`";
    let plain = "`uri`: by `http:` anybody on the way reads secrets and data\n  help: `https:`, or `allow_http = true` where the network is trusted";
    for (uri, expected) in [
        ("postgresql://me:hunter2@db/lake", format!("{password}\n  help: {by_reference}")),
        ("postgresql://me:hunter2/x@db/lake", format!("{password}\n  help: {by_reference}")),
        ("postgresql://me:@db/lake", format!("{password}\n  help: {by_reference}")),
        ("postgresql://db/lake?password=hunter2", format!("{password}\n  help: {by_reference}")),
        ("postgresql:hunter2", format!("the address of a PostgreSQL catalog has a host\n  help: {postgres}")),
        ("postgresql:///lake", format!("the address has no host, or no right port\n  help: {postgres}")),
        ("postgresql://db:0/lake", format!("the address has no host, or no right port\n  help: {postgres}")),
        ("postgresql://db/lake#hunter2", format!("the address ends before any `#`\n  help: {postgres}")),
        ("postgresql://db/lake?sslmode=hunter2", "`sslmode` in the address is no mode\n  help: modes are `disable`, `allow`, `prefer`, `require`, `verify-ca` and `verify-full`".to_owned()),
        ("postgresql://db/lake?sslrootcert=/ca", "`sslrootcert` does not stand in the address\n  help: `tls = { ca = …, certificate = …, key = { file = … } }`".to_owned()),
        ("postgresql://db/lake?hunter2=1", "the address has an unknown parameter\n  help: parameters are `sslmode`, `host`, `options` and `application_name`".to_owned()),
        ("thrift://me:hunter2@a:9083", format!("the address holds a user or a password, which do not stand in it\n  help: {thrift}")),
        ("thrift://a:9083/hunter2", format!("the address of a Hive Metastore is a host and a port\n  help: {thrift}")),
        ("thrift://a:9083,,b", format!("the address of a Hive Metastore is a host and a port\n  help: {thrift}")),
        ("thrift://a:9083,http://b", format!("the addresses of a Hive Metastore are all at `thrift:`\n  help: {thrift}")),
        ("https://me:hunter2@c/api", "`uri`: the address holds a password, which does not stand in it\n  help: secrets have keys of their own, and are given by reference".to_owned()),
        ("https://c/api?token=hunter2", format!("`uri`: the address ends before any `?` or `#`\n  help: {https}")),
        ("https://c:x/api", format!("`uri`: the address has no host, or no right port\n  help: {https}")),
        ("https:/c", format!("`uri` takes an address at `https:`\n  help: {https}")),
        ("http://catalog:8181", plain.to_owned()),
        ("http://127.0.0.1.example:8181", plain.to_owned()),
        ("http://10.0.0.1:8181", plain.to_owned()),
        ("jdbc:postgresql://db/lake?password=hunter2", "an address here does not begin with `jdbc:`\n  help: leave it out: `postgresql://host/database`, `sqlite:/data/catalog.db`".to_owned()),
        ("mysql://me:hunter2@db/lake", "catalogs at `mysql:` are not supported\n  help: `sqlite:`, `postgresql:`, `thrift:` (Hive Metastore) and `https:` (REST) are".to_owned()),
        ("hunter2", "the address of a catalog begins with its scheme\n  help: `sqlite:/data/catalog.db`, `postgresql://user@host/database`, `thrift://metastore:9083` or `https://catalog.example/api`".to_owned()),
    ] {
        let message = catalog(&format!("uri = \"{uri}\"\nwarehouse = \"/w\"")).expect_err(uri);
        assert_eq!(message, format!("frazil.toml:2:7: {expected}"), "{uri}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn warehouses_that_are_right_and_wrong() {
    let read = |uri: &str, warehouse: &str| {
        catalog(&format!("uri = \"{uri}\"\nwarehouse = \"{warehouse}\""))
    };
    for warehouse in [
        "w",
        "./w",
        "/w",
        "file:///w",
        "file:/w",
        "s3://b/w",
        "s3a://b",
        "s3n://b/w/",
        "s3://b/me@example/w",
        "hdfs://ns/w",
        "hdfs://nn:8020/w",
        "viewfs://c/w",
        "gs://b/w",
        "gcs://b/w",
        "abfss://c@a.dfs.core.windows.net/w",
        "abfs://c@a.dfs.core.windows.net/w",
        "wasbs://c@a.blob.core.windows.net/w",
        "wasb://c@a.blob.core.windows.net/w",
    ] {
        let found = read("thrift://m", warehouse).map(|read| read.warehouse);
        assert_eq!(found, Ok(Some(warehouse.to_owned())));
    }
    for warehouse in ["lake", "arn:aws:s3tables:eu:1:bucket/b", "s3://b", "urn:x"] {
        let found = read("https://c", warehouse).map(|read| read.warehouse);
        assert_eq!(
            found,
            Ok(Some(warehouse.to_owned())),
            "what a REST server calls it is its own affair"
        );
    }
    for (warehouse, expected) in [
        (
            "s3:/b/w",
            "the warehouse is an absolute URI, with its bucket, container or name service\n  help: `s3://bucket/warehouse`",
        ),
        (
            "s3:///w",
            "the warehouse is an absolute URI, with its bucket, container or name service\n  help: `s3://bucket/warehouse`",
        ),
        (
            "s3://key:hunter2@b/w",
            "the warehouse holds a password, which does not stand in it\n  help: `s3://bucket/warehouse`",
        ),
        (
            "abfss://a.dfs.core.windows.net/w",
            "the warehouse has no container, or no host of its account\n  help: `abfss://container@account.dfs.core.windows.net/warehouse`",
        ),
        (
            "s3://b/w?x=hunter2",
            "the warehouse holds a space or one of % ? #, on which readers disagree\n  help: `s3://bucket/warehouse`",
        ),
        (
            "gs://b/a b",
            "the warehouse holds a space or one of % ? #, on which readers disagree\n  help: `gs://bucket/warehouse`",
        ),
        (
            "hdfs://ns/../w",
            "the warehouse holds `.` or `..`, which object stores take as names\n  help: `hdfs://nameservice/warehouse`",
        ),
        (
            "oss://b/w",
            "`oss:` is not a storage\n  help: storages are `file:`, `s3:`, `hdfs:`, `gs:` and `abfss:`",
        ),
    ] {
        let message = read("thrift://m", warehouse).expect_err(warehouse);
        assert_eq!(
            message,
            format!("frazil.toml:3:13: {expected}"),
            "{warehouse}"
        );
    }
}
