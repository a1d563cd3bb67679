//! Tables in the catalogs and storages that a deployment file names, with real servers.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{Ended, User, stack::Stack};

/// What no message, log line or result may show.
const SECRET: &str = "hunter2-5d1f";

/// A user whose working folder has a deployment file, and the schema and sample that the README shows.
struct Deployed {
    user: User,
    /// Where the file's secrets are.
    variables: BTreeMap<&'static str, String>,
}

impl Deployed {
    fn new(file: &str) -> Self {
        let user = User::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for name in ["web.toml", "samples/web.ndjson"] {
            let content = std::fs::read(root.join(name)).unwrap();
            user.file(&format!("schemas/{name}"), content);
        }
        if !file.is_empty() {
            user.file("frazil.toml", file);
        }
        let variables = BTreeMap::from([("THE_PASSWORD", SECRET.to_owned())]);
        Self { user, variables }
    }

    fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.insert(variable, value.to_owned());
        self
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.user.command(arguments);
        command.envs(&self.variables);
        let ended = Ended::from(command.output().unwrap());
        for (name, value) in &self.variables {
            let shown = ended.stdout.contains(value) || ended.stderr.contains(value);
            assert!(
                name.starts_with("FRAZIL_") || !shown,
                "{name} is shown: {ended:?}"
            );
        }
        ended
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        self.run(arguments).succeeded().json()
    }

    fn write(&self) -> Value {
        let ended = self.run(&[
            "write",
            "schemas/web.toml",
            "--from",
            "schemas/samples/web.ndjson",
            "--json",
        ]);
        ended.succeeded().json().remove(0)
    }

    fn rows(&self) -> Vec<Value> {
        self.json(&[
            "sql",
            "SELECT * FROM logs.web ORDER BY request_id",
            "--json",
        ])
    }

    /// The table's location in its metadata.
    fn location(&self) -> String {
        let described = self.json(&["table", "describe", "web", "--json"]).remove(0);
        described["location"].as_str().unwrap().to_owned()
    }
}

/// Writes the sample, and finds in every way what the embedded catalog would have.
/// `told` is what `write` says of where it writes to.
fn holds_what_was_written(deployed: &Deployed, told: [&str; 2], warehouse: &str) {
    let embedded = Deployed::new("");
    let as_embedded = embedded.write();

    assert_eq!(deployed.json(&["ls", "--json"]), Vec::<Value>::new());
    assert!(
        !deployed.user.path("frazil-data").exists(),
        "looking makes no files"
    );

    let first = deployed.run(&[
        "write",
        "web",
        "--from",
        "schemas/samples/web.ndjson",
        "--json",
    ]);
    let stderr = &first.succeeded().stderr;
    for one in told {
        assert!(stderr.contains(one), "no {one:?} in {stderr}");
    }
    let report = &first.json()[0];
    assert_eq!(
        (&report["rows_written"], &report["dead_letters"]),
        (&as_embedded["rows_written"], &as_embedded["dead_letters"]),
        "{report}"
    );

    assert_eq!(deployed.rows(), embedded.rows());
    let location = deployed.location();
    assert!(
        location.starts_with(warehouse),
        "{location} is not under {warehouse}"
    );
    assert!(location.ends_with("/logs/web"), "{location}");
    let tables = deployed.json(&["ls", "--json"]);
    let names: Vec<_> = tables
        .iter()
        .map(|one| one["table"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["logs.web", "logs.web__dead_letters"]);
    let of = |deployed: &Deployed, arguments: &[&str]| deployed.json(arguments).remove(0);
    let offsets = of(deployed, &["offsets", "show", "web", "--json"]);
    assert_eq!(offsets["sources"][0]["at_end"], true, "{offsets}");
    let rejects = ["rejects", "web", "--json"];
    assert_eq!(
        of(deployed, &rejects)["dead_letters"],
        of(&embedded, &rejects)["dead_letters"]
    );
    let files = deployed.json(&["table", "files", "web", "--json"]);
    assert!(
        files
            .iter()
            .all(|file| file["path"].as_str().unwrap().starts_with(&location)),
        "{files:?}"
    );

    let again = deployed.write();
    assert_eq!(
        (&again["rows_written"], &again["commits"]),
        (&0.into(), &0.into()),
        "{again}"
    );
    let status = of(deployed, &["status", "web", "--json"]);
    assert_eq!(status["state"], "up to date", "{status}");
    let checks = deployed.json(&["doctor", "--json"]);
    for name in [
        "catalog-commit",
        "storage-write",
        "storage-list",
        "storage-delete",
    ] {
        let is_ok = |check: &Value| check["check"] == name && check["status"] == "ok";
        assert!(checks.iter().any(is_ok), "{name}: {checks:?}");
    }
    assert!(
        !deployed.user.path("frazil-data").exists(),
        "all of it is in the servers"
    );
}

#[test]
fn a_postgresql_catalog_and_a_local_warehouse() {
    let postgres = Stack::start("postgres", &[]);
    let port = postgres.number("port");
    password_of_scrambled(postgres.address("uri"));
    let ca = postgres.address("ca");
    let deployed = Deployed::new(&format!(
        "[catalog]\ntype = \"sql\"\nuri = \"postgresql://127.0.0.1:{port}/postgres?sslmode=verify-full\"\n\
         user = \"scrambled\"\ncredential = {{ env = \"THE_PASSWORD\" }}\ntls = {{ ca = \"{ca}\" }}\n\
         warehouse = \"lake\"\n"
    ));
    let warehouse = format!("file://{}", deployed.user.path("lake").display());
    let told = [format!("127.0.0.1:{port}"), warehouse.clone()];
    holds_what_was_written(&deployed, told.each_ref().map(String::as_str), &warehouse);

    // The same tables, by variables only and from another folder.
    let elsewhere = Deployed::new("")
        .with(
            "FRAZIL_CATALOG__URI",
            &format!("postgresql://scrambled@127.0.0.1:{port}/postgres"),
        )
        .with("FRAZIL_CATALOG__CREDENTIAL__ENV", "THE_PASSWORD")
        .with("FRAZIL_CATALOG__WAREHOUSE", "/nowhere");
    assert_eq!(elsewhere.rows(), deployed.rows());
    let wrong = elsewhere
        .with("THE_PASSWORD", "not-the-password")
        .run(&["ls"]);
    assert_ne!(wrong.code, Some(0), "{wrong:?}");
    assert!(
        wrong.stderr.contains(&format!("127.0.0.1:{port}")),
        "{wrong:?}"
    );
}

/// Gives the role its password, and the right to make tables.
fn password_of_scrambled(uri: &str) {
    let statement = format!(
        "CREATE ROLE scrambled LOGIN PASSWORD '{SECRET}'; GRANT ALL ON SCHEMA public TO scrambled"
    );
    let mut psql = std::process::Command::new("psql");
    let ended = psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", uri, "-c", &statement]);
    assert!(ended.status().unwrap().success());
}

const S3: &str = "[storage.s3]\nregion = \"us-east-1\"\n\
    access_key_id = { env = \"S3_ID\" }\nsecret_access_key = { env = \"S3_KEY\" }\n";

#[test]
fn a_rest_catalog_and_a_warehouse_in_s3() {
    let s3 = Stack::start("s3", &[]);
    let rest = Stack::start("rest", &["--s3", &s3.addresses.to_string()]);
    let endpoint = s3.address("endpoint");
    let with_keys = |file: String| {
        Deployed::new(&file)
            .with("S3_ID", s3.address("access_key"))
            .with("S3_KEY", s3.address("secret_key"))
    };
    let by_rest = with_keys(format!(
        "[catalog]\ntype = \"rest\"\nuri = \"{}\"\ntoken = {{ env = \"THE_PASSWORD\" }}\n\
         headers = {{ x-tenant = \"shop\" }}\nvended_credentials = false\n{S3}endpoint = \"{endpoint}\"\n",
        rest.address("uri")
    ));
    let told = [rest.address("uri"), "the catalog's own"];
    holds_what_was_written(&by_rest, told, rest.address("warehouse"));

    // Another catalog over the same storage, and what variables say goes before the file.
    let by_file = with_keys(format!(
        "[catalog]\nuri = \"sqlite:catalog.db\"\nwarehouse = \"s3://{}/by-file\"\n{S3}endpoint = \"https://none.invalid\"\n",
        s3.address("bucket")
    ))
    .with("FRAZIL_STORAGE__S3__ENDPOINT", endpoint);
    let warehouse = format!("s3://{}/by-file", s3.address("bucket"));
    holds_what_was_written(&by_file, ["catalog.db", &warehouse], &warehouse);
    let denied = by_file
        .with("S3_KEY", "another-secret-key")
        .run(&["table", "describe", "web"]);
    denied.failed(1, &[&warehouse]);
}

#[test]
fn a_hive_metastore_and_a_warehouse_in_hdfs() {
    let hdfs = Stack::start("hdfs", &[]);
    let hive = Stack::start("hive4", &[]);
    let warehouse = format!("{}/warehouse", hdfs.address("uri"));
    let user = hdfs.address("user");
    let deployed = Deployed::new(&format!(
        "[catalog]\ntype = \"hive\"\nuri = \"{}\"\nwarehouse = \"{warehouse}/\"\nuser = \"{user}\"\n\
         [storage.hdfs]\nuser = \"{user}\"\n[storage.hdfs.properties]\n\"dfs.client.use.datanode.hostname\" = \"false\"\n",
        hive.address("uri")
    ));
    let told = [hive.address("uri"), &warehouse];
    holds_what_was_written(&deployed, told, &warehouse);
}

#[test]
fn a_deployment_that_is_wrong_is_told_by_line_and_touches_nothing() {
    for (file, told) in [
        (
            "[catalog]\nuri = \"postgresql://me:hunter2-5d1f@db/lake\"\nwarehouse = \"/w\"\n",
            "frazil.toml:2:7: the address holds a password",
        ),
        (
            "[catalog]\nuri = \"https://catalog.example\"\ntoken = \"hunter2-5d1f\"\n",
            "frazil.toml:3:9: `catalog.token` does not take the secret itself",
        ),
        (
            "[catalog]\nuri = \"https://catalog.example\"\nlock = true\n",
            "frazil.toml:3:1: `lock` is a key of Hive catalogs, and `[catalog]` is a REST catalog",
        ),
        (
            "[storage.s3]\nendpoint = \"http://minio:9000\"\n",
            "frazil.toml:2:12: `storage.s3.endpoint`: by `http:` anybody",
        ),
    ] {
        let deployed = Deployed::new(file);
        for arguments in [
            &["ls"][..],
            &["sql", "SELECT 1 FROM web"],
            &["write", "web", "--from", "schemas/samples/web.ndjson"],
        ] {
            deployed.run(arguments).failed(2, &[told]);
        }
        assert!(!deployed.user.path("frazil-data").exists());
    }
}

/// Nobody listens on port 1.
#[test]
fn a_server_that_does_not_answer_may_be_tried_again() {
    for (catalog, told) in [
        (
            "uri = \"postgresql://me@127.0.0.1:1/lake\"\nwarehouse = \"/w\"\ncredential = { env = \"THE_PASSWORD\" }",
            "127.0.0.1:1",
        ),
        (
            "uri = \"thrift://127.0.0.1:1\"\nwarehouse = \"/w\"",
            "127.0.0.1:1",
        ),
        (
            "uri = \"http://127.0.0.1:1\"\ntoken = { env = \"THE_PASSWORD\" }\nread_attempts_max = 1",
            "127.0.0.1:1",
        ),
    ] {
        let deployed = Deployed::new(&format!("[catalog]\n{catalog}\n"));
        for arguments in [
            &["ls"][..],
            &[
                "write",
                "web",
                "--from",
                "schemas/samples/web.ndjson",
                "--log-level",
                "error",
            ],
        ] {
            deployed.run(arguments).failed(1, &["failed to", told]);
        }
    }
}

/// Nobody listens on port 1, so what is not there is found before anybody is asked.
#[test]
fn secrets_and_files_that_are_not_there_are_told_by_their_keys() {
    let postgres = "uri = \"postgresql://me@127.0.0.1:1/lake\"";
    let missing = "{ file = \"/none/such\" }";
    for (file, told) in [
        (
            format!("[catalog]\n{postgres}\nwarehouse = \"/w\"\ncredential = {missing}"),
            "`credential`",
        ),
        (
            format!("[catalog]\n{postgres}\nwarehouse = \"/w\"\ntls = {{ ca = \"/none/such\" }}"),
            "`tls.ca`",
        ),
        (
            format!("[catalog]\nuri = \"http://127.0.0.1:1\"\ntoken = {missing}"),
            "`token`",
        ),
        (
            format!("[catalog]\nuri = \"http://127.0.0.1:1\"\nheaders = {{ x-key = {missing} }}"),
            "`headers.x-key`",
        ),
        (
            format!(
                "[catalog]\n{postgres}\nwarehouse = \"s3://lake/w\"\n\
                 [storage.s3]\naccess_key_id = {{ env = \"THE_PASSWORD\" }}\nsecret_access_key = {missing}"
            ),
            "`storage.s3.secret_access_key`",
        ),
        (
            format!(
                "[catalog]\n{postgres}\nwarehouse = \"hdfs://ns/w\"\n[storage.hdfs]\nconf_dir = \"/none/such\""
            ),
            "`storage.hdfs.conf_dir`",
        ),
        (
            format!(
                "[catalog]\n{postgres}\nwarehouse = \"gs://lake/w\"\n[storage.gcs]\ncredential_file = \"/none/such\""
            ),
            "`storage.gcs.credential_file`",
        ),
        (
            format!(
                "[catalog]\n{postgres}\nwarehouse = \"abfss://c@a.example/w\"\n[storage.azure]\naccount_key = {missing}"
            ),
            "`storage.azure.account_key`",
        ),
    ] {
        let deployed = Deployed::new(&file);
        deployed.run(&["ls"]).failed(2, &[told, "/none/such"]);
    }
    // What only another storage needs is not asked for.
    let deployed = Deployed::new(&format!(
        "[catalog]\nuri = \"sqlite:c.db\"\nwarehouse = \"w\"\n[storage.azure]\naccount_key = {missing}"
    ));
    assert_eq!(deployed.write()["rows_written"], 198);
}
