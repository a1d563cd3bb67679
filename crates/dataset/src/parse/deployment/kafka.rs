//! One Kafka cluster, from what file and environment give.

use std::collections::BTreeMap;

use super::{
    address,
    environment::variable_of,
    given::{Given, Placed, Table, Value},
    kafka_properties, tls,
};
use crate::{
    KafkaCluster, KafkaPasswordMechanism, KafkaSasl, KafkaTls, SecretReference,
    parse::report::{Place, Report},
    suggest,
};

/// What brokers listen on unless told otherwise.
const PORT: u16 = 9092;

/// A cluster's section on its way to settings.
struct Draft<'g> {
    table: &'g Table,
    /// Its path: `kafka.main`.
    section: String,
    /// Where it begins.
    at: &'g Place,
}

/// The settings of the cluster of that name; `None` where something was wrong, and is reported.
pub(super) fn cluster(
    name: &str,
    table: &Table,
    at: &Place,
    report: &mut Report<'_>,
) -> Option<KafkaCluster> {
    let section = format!("kafka.{name}");
    let draft = Draft { table, section, at };
    let properties = draft.properties(report);
    let brokers = draft.brokers(report);
    let cluster = KafkaCluster {
        tls: table.table("tls").map(|tls| draft.tls(tls, report)),
        sasl: table
            .table("sasl")
            .and_then(|sasl| draft.sasl(sasl, report)),
        brokers: brokers?,
        properties,
    };
    draft.check_plaintext(&cluster, report);
    Some(cluster)
}

impl Draft<'_> {
    fn brokers(&self, report: &mut Report<'_>) -> Option<Vec<String>> {
        let section = &self.section;
        let given = self.table.texts("brokers");
        if given.is_empty() {
            if !self.table.broken {
                let variable = variable_of(&format!("{section}.brokers"));
                let help = format!("`brokers = [\"kafka:9092\"]`, or the variable `{variable}`");
                let message = format!("`[{section}]` has no `brokers`");
                report.error(self.at, message, Some(help));
            }
            return None;
        }
        let mut brokers = Vec::new();
        for text in &given {
            match broker(text.value) {
                Some(broker) => brokers.push(broker),
                None => report_broker(section, text, report),
            }
        }
        (brokers.len() == given.len()).then_some(brokers)
    }

    fn tls(&self, tls: &Table, report: &mut Report<'_>) -> KafkaTls {
        let section = format!("{}.tls", self.section);
        KafkaTls {
            certificates: tls::settings(tls, &section, self.at, report),
            key_password: key_password(tls, &section, report),
            insecure_skip_verification: tls.boolean("insecure_skip_verification").unwrap_or(false),
        }
    }

    fn sasl(&self, sasl: &Table, report: &mut Report<'_>) -> Option<KafkaSasl> {
        let section = format!("{}.sasl", self.section);
        let place = self.table.at("sasl").unwrap_or(self.at);
        let Some(mechanism) = sasl.text("mechanism") else {
            if !sasl.broken {
                let message = format!("`[{section}]` has no `mechanism`");
                let help =
                    "`mechanism = \"scram-sha-512\"`, or what the brokers ask for".to_owned();
                report.error(place, message, Some(help));
            }
            return None;
        };
        let mechanism = mechanism.value;
        let own = keys_of(mechanism);
        for (name, given) in &sasl.entries {
            if name != "mechanism" && !own.iter().any(|key| key.name == name) {
                let message =
                    format!("`{section}.{name}` is not for `mechanism = \"{mechanism}\"`");
                report.error(&given.key_at, message, Some("remove it".to_owned()));
            }
        }
        let missing: Vec<&SaslKey> = own
            .iter()
            .filter(|key| key.needed && sasl.get(key.name).is_none())
            .collect();
        if !missing.is_empty() && !sasl.broken {
            let names = suggest::listed(missing.iter().map(|key| key.name));
            let examples: Vec<&str> = missing.iter().map(|key| key.example).collect();
            let message =
                format!("`[{section}]` with `mechanism = \"{mechanism}\"` has no {names}");
            let help = format!("such as `{}`", examples.join("`, `"));
            report.error(place, message, Some(help));
        }
        if mechanism == "oauthbearer" {
            return Some(KafkaSasl::OAuthBearer {
                server_uri: self.server_uri(sasl, &section, report)?,
                client_id: sasl.owned("client_id")?,
                client_secret: sasl.secret("client_secret")?,
                scope: sasl.owned("scope"),
            });
        }
        Some(KafkaSasl::Password {
            mechanism: match mechanism {
                "plain" => KafkaPasswordMechanism::Plain,
                "scram-sha-256" => KafkaPasswordMechanism::ScramSha256,
                _ => KafkaPasswordMechanism::ScramSha512,
            },
            username: sasl.owned("username")?,
            password: sasl.secret("password")?,
        })
    }

    fn server_uri(&self, sasl: &Table, section: &str, report: &mut Report<'_>) -> Option<String> {
        let server = sasl.text("server_uri")?;
        let path = format!("{section}.server_uri");
        let allow_key = format!("{}.allow_plaintext", self.section);
        address::http(&path, server.value, self.allow_plaintext(), &allow_key)
            .map_err(|(message, help)| report.error(server.at, message, help))
            .ok()
    }

    fn allow_plaintext(&self) -> bool {
        self.table.boolean("allow_plaintext").unwrap_or(false)
    }

    /// Who we are is not told in plain to another machine, unless the network is said to be trusted.
    fn check_plaintext(&self, cluster: &KafkaCluster, report: &mut Report<'_>) {
        let is_far = |broker: &String| {
            let host = address::host_and_port(broker).map(|(host, _)| host);
            !host.is_some_and(address::is_loopback)
        };
        let is_plain = self.table.get("sasl").is_some() && self.table.get("tls").is_none();
        if is_plain
            && !self.table.broken
            && !self.allow_plaintext()
            && cluster.brokers.iter().any(is_far)
        {
            let section = &self.section;
            let message =
                format!("`{section}.sasl`: without TLS anybody on the way reads secrets and data");
            let help = format!(
                "`[{section}.tls]`, or `{section}.allow_plaintext = true` where the network is trusted"
            );
            report.error(
                self.table.at("sasl").unwrap_or(self.at),
                message,
                Some(help),
            );
        }
    }

    fn properties(&self, report: &mut Report<'_>) -> BTreeMap<String, String> {
        let given = self.table.table("properties");
        let mut properties = BTreeMap::new();
        for (name, given) in given.map_or(&[][..], |table| &table.entries) {
            if let Err((message, help)) = kafka_properties::check(&self.section, name) {
                report.error(&given.key_at, message, Some(help));
            } else if let Value::Text(text) = &given.value {
                properties.insert(name.clone(), text.clone());
            }
        }
        properties
    }
}

/// A key of `[kafka.main.sasl]` that a mechanism knows.
struct SaslKey {
    name: &'static str,
    needed: bool,
    example: &'static str,
}

const fn sasl_key(name: &'static str, needed: bool, example: &'static str) -> SaslKey {
    SaslKey {
        name,
        needed,
        example,
    }
}

fn keys_of(mechanism: &str) -> &'static [SaslKey] {
    const OAUTHBEARER: &[SaslKey] = &[
        sasl_key(
            "server_uri",
            true,
            "server_uri = \"https://login.example/oauth/tokens\"",
        ),
        sasl_key("client_id", true, "client_id = \"frazil\""),
        sasl_key(
            "client_secret",
            true,
            "client_secret = { file = \"/run/secrets/kafka\" }",
        ),
        sasl_key("scope", false, "scope = \"kafka\""),
    ];
    const PASSWORD: &[SaslKey] = &[
        sasl_key("username", true, "username = \"frazil\""),
        sasl_key(
            "password",
            true,
            "password = { file = \"/run/secrets/kafka\" }",
        ),
    ];
    if mechanism == "oauthbearer" {
        OAUTHBEARER
    } else {
        PASSWORD
    }
}

/// `host:port` of a broker.
fn broker(text: &str) -> Option<String> {
    let (host, port) = address::host_and_port(text)?;
    let port = port.unwrap_or(PORT);
    Some(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

/// Says what is wrong with a broker, which may hold a password by mistake.
fn report_broker(section: &str, text: &Placed<'_, &str>, report: &mut Report<'_>) {
    let example = || "`brokers = [\"kafka-1:9092\", \"kafka-2:9092\"]`".to_owned();
    let (message, help) = if text.value.contains("://") {
        let help = format!(
            "`host:port`; `[{section}.tls]` and `[{section}.sasl]` say how it is protected"
        );
        ("has no scheme", help)
    } else if text.value.contains(',') {
        ("is one host and port", example())
    } else {
        ("is a host and a port", example())
    };
    let message = format!("`{section}.brokers`: a broker {message}");
    report.error(text.at, message, Some(help));
}

fn key_password(tls: &Table, section: &str, report: &mut Report<'_>) -> Option<SecretReference> {
    let password = tls.secret("key_password")?;
    if let (Some(Given { key_at, .. }), None) = (tls.get("key_password"), tls.get("key"))
        && !tls.broken
    {
        let message = format!("`{section}` has a password without the `key` that it is of");
        report.error(key_at, message, None);
    }
    Some(password)
}
