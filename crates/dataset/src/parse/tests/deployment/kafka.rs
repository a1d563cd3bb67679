//! Kafka clusters: all that they know, and what goes wrong.

use super::*;
use crate::{
    KafkaCluster, KafkaClusterError, KafkaPasswordMechanism, KafkaSasl, KafkaTls, TlsSettings,
};

const PASSWORD: &str = r#"
[kafka.main]
brokers = ["kafka-1:9093", "kafka-2", "[::1]:9094", "[::1]"]

[kafka.main.tls]
ca = "/ca.pem"
certificate = "/own.pem"
key = { file = "/own.key" }
key_password = { env = "KEY_PASSWORD" }
insecure_skip_verification = true

[kafka.main.sasl]
mechanism = "scram-sha-512"
username = "frazil"
password = { env = "PASSWORD" }
"#;

const TOKEN: &str = r#"
[kafka.main]
brokers = ["kafka"]
allow_plaintext = true

[kafka.main.sasl]
mechanism = "oauthbearer"
server_uri = "http://login.example/token"
client_id = "frazil"
client_secret = { file = "/run/secret" }
scope = "kafka"
"#;

pub(super) const ALL: [&str; 3] = [
    PASSWORD,
    TOKEN,
    "[kafka.east]\nbrokers = [\"c\"]\n[kafka.main]\nbrokers = [\"a\", \"b\"]",
];

fn variable(name: &str) -> SecretReference {
    SecretReference::Variable(name.to_owned())
}

fn brokers<const N: usize>(brokers: [&str; N]) -> Vec<String> {
    brokers.map(str::to_owned).to_vec()
}

/// The only cluster of a file, which is a section `[kafka.main]` with the text after its header.
fn cluster(text: &str) -> Result<KafkaCluster, String> {
    let deployment = read(&format!("[kafka.main]\n{text}"), &[])?;
    let (_, cluster) = deployment.kafka_cluster(None).expect("it is there");
    Ok(cluster.clone())
}

#[test]
fn all_that_a_cluster_knows() {
    let by_password = KafkaCluster {
        brokers: brokers(["kafka-1:9093", "kafka-2:9092", "[::1]:9094", "[::1]:9092"]),
        tls: Some(KafkaTls {
            certificates: TlsSettings {
                ca: Some("/ca.pem".to_owned()),
                certificate: Some("/own.pem".to_owned()),
                key: Some(SecretReference::File("/own.key".to_owned())),
            },
            key_password: Some(variable("KEY_PASSWORD")),
            insecure_skip_verification: true,
        }),
        sasl: Some(KafkaSasl::Password {
            mechanism: KafkaPasswordMechanism::ScramSha512,
            username: "frazil".to_owned(),
            password: variable("PASSWORD"),
        }),
        properties: BTreeMap::new(),
    };
    let read_all = |text: &str| read(text, &[]).map(|read| read.kafka);
    assert_eq!(
        read_all(PASSWORD),
        Ok(vec![("main".to_owned(), by_password)])
    );
    let by_token = KafkaCluster {
        brokers: brokers(["kafka:9092"]),
        sasl: Some(KafkaSasl::OAuthBearer {
            server_uri: "http://login.example/token".to_owned(),
            client_id: "frazil".to_owned(),
            client_secret: SecretReference::File("/run/secret".to_owned()),
            scope: Some("kafka".to_owned()),
        }),
        ..KafkaCluster::default()
    };
    assert_eq!(read_all(TOKEN), Ok(vec![("main".to_owned(), by_token)]));
}

/// The examples leave no key out, so that each is one that the environment knows, too.
#[test]
fn the_examples_have_every_key() {
    for (section, key) in crate::parse::deployment::all_keys() {
        if section.starts_with("kafka") && key != "properties" {
            let is_in = |text: &str| {
                text.contains(&format!("\n{key} = "))
                    || text.contains(&format!("[{section}.{key}]"))
            };
            assert!(ALL.iter().any(|text| is_in(text)), "{section}.{key}");
        }
    }
}

#[test]
fn a_connection_is_protected_as_its_sections_say() {
    let tls = "tls = {}";
    let sasl = |mechanism: &str| {
        format!(
            "sasl = {{ mechanism = \"{mechanism}\", username = \"u\", password = {{ env = \"P\" }} }}"
        )
    };
    for (text, protocol, mechanism) in [
        (String::new(), "PLAINTEXT", None),
        (tls.to_owned(), "SSL", None),
        (sasl("plain"), "SASL_PLAINTEXT", Some("PLAIN")),
        (
            format!("{tls}\n{}", sasl("scram-sha-256")),
            "SASL_SSL",
            Some("SCRAM-SHA-256"),
        ),
        (
            format!("{tls}\n{}", sasl("scram-sha-512")),
            "SASL_SSL",
            Some("SCRAM-SHA-512"),
        ),
    ] {
        let read =
            cluster(&format!("brokers = [\"localhost\", \"127.0.0.1\"]\n{text}")).expect(&text);
        let found = read.sasl.as_ref().map(KafkaSasl::mechanism);
        assert_eq!((read.security_protocol(), found), (protocol, mechanism));
    }
    let by_token = read(TOKEN, &[]).expect("nothing is wrong");
    let (_, by_token) = by_token.kafka_cluster(None).expect("it is there");
    let mechanism = by_token.sasl.as_ref().map(KafkaSasl::mechanism);
    assert_eq!(mechanism, Some("OAUTHBEARER"));
}

#[test]
fn a_cluster_is_found_by_its_name() {
    let none = Deployment::default();
    let one = read(ALL[0], &[]).expect("nothing is wrong");
    let two = read(ALL[2], &[]).expect("nothing is wrong");
    let found = |deployment: &Deployment, name| {
        let found = deployment.kafka_cluster(name);
        found
            .map(|(name, _)| name.to_owned())
            .map_err(|error: KafkaClusterError| error.to_string())
    };
    assert_eq!(found(&one, None).as_deref(), Ok("main"));
    assert_eq!(found(&two, Some("east")).as_deref(), Ok("east"));
    for (deployment, name, expected) in [
        (&none, None, "the deployment names no Kafka cluster"),
        (&none, Some("main"), "the deployment names no Kafka cluster"),
        (
            &one,
            Some("west"),
            "the deployment has no Kafka cluster `west`; it has `main`",
        ),
        (
            &two,
            None,
            "the deployment has several Kafka clusters: `east` and `main`",
        ),
    ] {
        assert_eq!(found(deployment, name), Err(expected.to_owned()));
    }
}

#[test]
fn variables_stand_for_a_cluster() {
    let by_variables = parse_environment(&variables(&[
        ("FRAZIL_KAFKA__MAIN__BROKERS", "a:1, b"),
        // A section that is there turns TLS on.
        (
            "FRAZIL_KAFKA__MAIN__TLS__INSECURE_SKIP_VERIFICATION",
            "false",
        ),
    ]));
    let expected = KafkaCluster {
        brokers: brokers(["a:1", "b:9092"]),
        tls: Some(KafkaTls::default()),
        ..KafkaCluster::default()
    };
    assert_eq!(
        by_variables.map(|read| read.kafka),
        Ok(vec![("main".to_owned(), expected)])
    );
    let text = "[kafka.my-one]\nbrokers = [\"a\"]\n[kafka.my-one.properties]\nclient.rack = \"r1\"";
    let set = [
        ("FRAZIL_KAFKA__MY_ONE__BROKERS", "c"),
        ("FRAZIL_KAFKA__MY_ONE__PROPERTIES__CLIENT_RACK", "r2"),
    ];
    let replaced = read(text, &set).expect("nothing is wrong");
    let (name, replaced) = replaced.kafka_cluster(None).expect("it is there");
    assert_eq!((name, &replaced.brokers), ("my-one", &brokers(["c:9092"])));
    assert_eq!(replaced.properties, variables(&[("client.rack", "r2")]));
}

#[test]
fn no_debug_output_shows_what_may_be_a_secret() {
    let text = "brokers = [\"a\"]\nproperties = { \"x.y\" = \"hunter2\" }";
    let shown = format!("{:?}", cluster(text).expect("nothing is wrong"));
    assert!(
        shown.contains("x.y") && !shown.contains("hunter2"),
        "{shown}"
    );
}

/// No message shows `hunter2`, which is a secret wherever it stands.
#[test]
fn clusters_that_are_wrong() {
    let example = "`brokers = [\"kafka-1:9092\", \"kafka-2:9092\"]`";
    let right = "brokers = [\"kafka\"]";
    let plain = "without TLS anybody on the way reads secrets and data\n  help: `[kafka.main.tls]`, or `kafka.main.allow_plaintext = true` where the network is trusted";
    let user = "username = \"u\", password = { env = \"P\" }";
    for (text, expected) in [
        (
            String::new(),
            "1:8: `[kafka.main]` has no `brokers`\n  help: `brokers = [\"kafka:9092\"]`, or the variable `FRAZIL_KAFKA__MAIN__BROKERS`".to_owned(),
        ),
        ("brokers = []".to_owned(), "2:11: `kafka.main.brokers` is empty\n  help: it takes an array of brokers, such as [\"kafka:9092\"]".to_owned()),
        ("brokers = \"k:9092\"".to_owned(), "2:11: `kafka.main.brokers` takes an array of brokers, such as [\"kafka:9092\"], not a string".to_owned()),
        ("brokers = [\"k\", 1]".to_owned(), "2:17: `kafka.main.brokers` takes an array of brokers, such as [\"kafka:9092\"]; this is an integer".to_owned()),
        ("brokers = [\"k\", \" \"]".to_owned(), "2:17: a text of `kafka.main.brokers` is empty\n  help: it takes an array of brokers, such as [\"kafka:9092\"]".to_owned()),
        ("brokers = [\"k:0\"]".to_owned(), format!("2:12: `kafka.main.brokers`: a broker is a host and a port\n  help: {example}")),
        ("brokers = [\"me:hunter2@k:9092\"]".to_owned(), format!("2:12: `kafka.main.brokers`: a broker is a host and a port\n  help: {example}")),
        ("brokers = [\"a:1,b:2\"]".to_owned(), format!("2:12: `kafka.main.brokers`: a broker is one host and port\n  help: {example}")),
        (
            "brokers = [\"SASL_SSL://k:9092\"]".to_owned(),
            "2:12: `kafka.main.brokers`: a broker has no scheme\n  help: `host:port`; `[kafka.main.tls]` and `[kafka.main.sasl]` say how it is protected".to_owned(),
        ),
        ("bootstrap_servers = [\"k\"]".to_owned(), "2:1: unknown key `bootstrap_servers` in `[kafka.main]`\n  help: did you mean `brokers`?".to_owned()),
        (
            format!("{right}\nsasl = {{ mechanism = \"plain\", {user} }}"),
            format!("3:8: `kafka.main.sasl`: {plain}"),
        ),
        (
            format!("brokers = [\"127.0.0.1\", \"kafka\"]\nsasl = {{ mechanism = \"scram-sha-256\", {user} }}"),
            format!("3:8: `kafka.main.sasl`: {plain}"),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ {user} }}"),
            "4:8: `[kafka.main.sasl]` has no `mechanism`\n  help: `mechanism = \"scram-sha-512\"`, or what the brokers ask for".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"SCRAM-SHA-512\", {user} }}"),
            "4:22: `kafka.main.sasl.mechanism` does not know `SCRAM-SHA-512`\n  help: did you mean `scram-sha-512`?".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"gssapi\" }}"),
            "4:22: `kafka.main.sasl.mechanism` does not know `gssapi`\n  help: choices are `plain`, `scram-sha-256`, `scram-sha-512` and `oauthbearer`".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"plain\", username = \"u\" }}"),
            "4:8: `[kafka.main.sasl]` with `mechanism = \"plain\"` has no `password`\n  help: such as `password = { file = \"/run/secrets/kafka\" }`".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"plain\", username = \"u\", password = \"hunter2\" }}"),
            "4:58: `kafka.main.sasl.password` does not take the secret itself\n  help: a secret is given by reference: `{ env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"plain\", user = \"u\", password = {{ env = \"P\" }} }}"),
            "4:31: unknown key `user` in `[kafka.main.sasl]`\n  help: did you mean `username`?".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"plain\", {user}, scope = \"s\" }}"),
            "4:73: `kafka.main.sasl.scope` is not for `mechanism = \"plain\"`\n  help: remove it".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"oauthbearer\", server_uri = \"https://l\" }}"),
            "4:8: `[kafka.main.sasl]` with `mechanism = \"oauthbearer\"` has no `client_id` and `client_secret`\n  help: such as `client_id = \"frazil\"`, `client_secret = { file = \"/run/secrets/kafka\" }`".to_owned(),
        ),
        (
            format!("{right}\ntls = {{}}\nsasl = {{ mechanism = \"oauthbearer\", server_uri = \"http://l\", client_id = \"c\", client_secret = {{ env = \"S\" }} }}"),
            "4:50: `kafka.main.sasl.server_uri`: by `http:` anybody on the way reads secrets and data\n  help: `https:`, or `kafka.main.allow_plaintext = true` where the network is trusted".to_owned(),
        ),
        (
            format!("{right}\ntls = {{ certificate = \"/c\" }}"),
            "3:23: `kafka.main.tls` has a certificate without its `key`\n  help: `key = { file = \"/run/secrets/key.pem\" }`".to_owned(),
        ),
        (
            format!("{right}\ntls = {{ key_password = {{ env = \"P\" }} }}"),
            "3:9: `kafka.main.tls` has a password without the `key` that it is of".to_owned(),
        ),
        (
            format!("{right}\ntls = {{ verify = false }}"),
            "3:9: unknown key `verify` in `[kafka.main.tls]`\n  help: did you mean `insecure_skip_verification`?".to_owned(),
        ),
        (
            format!("{right}\ntls = true"),
            "3:7: `kafka.main.tls` takes a section: `[kafka.main.tls]`, not a boolean".to_owned(),
        ),
    ] {
        let message = cluster(&text).expect_err(&text);
        assert!(!message.contains("hunter2"), "{message}");
        assert_eq!(message, format!("frazil.toml:{expected}"), "{text}");
    }
}

#[test]
fn names_of_clusters() {
    for (text, expected) in [
        (
            "[kafka]\nbrokers = [\"k\"]",
            "2:1: `brokers` in `[kafka]` is of no Kafka cluster\n  help: `[kafka.main]`, or another name than `main`",
        ),
        (
            "[kafka.\"a b\"]\nbrokers = [\"k\"]",
            "1:8: the Kafka cluster's name `a b` holds a space; names are of letters, digits, `_` and `-`",
        ),
        (
            "brokers = [\"k\"]",
            "1:1: `brokers` does not belong at the top level\n  help: it belongs in `[kafka.main]`",
        ),
    ] {
        assert_eq!(
            read(text, &[]).map(|_| ()),
            Err(format!("frazil.toml:{expected}"))
        );
    }
}

#[test]
fn properties_are_handed_on_unless_frazil_says_them() {
    let with = |name: &str| {
        cluster(&format!(
            "brokers = [\"k\"]\n[kafka.main.properties]\n\"{name}\" = \"hunter2\""
        ))
    };
    for name in [
        "fetch.min.bytes",
        "group.instance.id",
        "client.rack",
        "ssl.crl.location",
        "sasl.oauthbearer.extensions",
    ] {
        assert_eq!(
            with(name).map(|read| read.properties),
            Ok(variables(&[(name, "hunter2")]))
        );
    }
    let owned = [
        "group.id",
        "isolation.level",
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "partition.assignment.strategy",
        "group.protocol",
    ];
    for name in owned {
        let message = with(name).expect_err(name);
        let expected = format!(
            "frazil.toml:4:1: `kafka.main.properties`: `{name}` is set by frazil\n  help: "
        );
        assert!(
            message.starts_with(&expected) && !message.contains("hunter2"),
            "{message}"
        );
    }
    let key = |section: &str, key: &str| {
        format!("has a key of its own\n  help: `{key}` in `[{section}]`")
    };
    let secret = "holds a secret, which does not stand in plain\n  help: secrets are given by reference, in `[kafka.main.tls]` or `[kafka.main.sasl]`";
    for (name, expected) in [
        ("bootstrap.servers", key("kafka.main", "brokers")),
        ("ssl.ca.location", key("kafka.main.tls", "ca")),
        ("ssl.key.password", key("kafka.main.tls", "key_password")),
        (
            "enable.ssl.certificate.verification",
            key("kafka.main.tls", "insecure_skip_verification"),
        ),
        ("sasl.password", key("kafka.main.sasl", "password")),
        (
            "sasl.oauthbearer.client.secret",
            key("kafka.main.sasl", "client_secret"),
        ),
        (
            "sasl.oauthbearer.assertion.private.key.passphrase",
            secret.to_owned(),
        ),
    ] {
        let expected = format!("frazil.toml:4:1: `kafka.main.properties`: `{name}` {expected}");
        assert_eq!(with(name), Err(expected));
    }
}
