//! Which of librdkafka's properties a deployment may set: all but those that frazil sets itself, those that have
//! keys of their own, and secrets.

/// Checks the name of a property of `section`: a message and its help.
pub(super) fn check(section: &str, name: &str) -> Result<(), (String, String)> {
    let shown = format!("`{section}.properties`: `{name}`");
    if let Some((_, help)) = SET_BY_FRAZIL.iter().find(|(owned, _)| *owned == name) {
        return Err((format!("{shown} is set by frazil"), (*help).to_owned()));
    }
    if let Some((_, key)) = WITH_A_KEY.iter().find(|(other, _)| *other == name) {
        let help = match key.rsplit_once('.') {
            Some((table, key)) => format!("`{key}` in `[{section}.{table}]`"),
            None => format!("`{key}` in `[{section}]`"),
        };
        return Err((format!("{shown} has a key of its own"), help));
    }
    if SECRET_MARKS.iter().any(|mark| name.contains(mark)) {
        let help =
            format!("secrets are given by reference, in `[{section}.tls]` or `[{section}.sasl]`");
        return Err((
            format!("{shown} holds a secret, which does not stand in plain"),
            help,
        ));
    }
    Ok(())
}

/// How positions are kept and partitions are assigned is what makes a record be written once: no setting may change it.
const SET_BY_FRAZIL: &[(&str, &str)] = &[
    (
        "group.id",
        "`group` in the dataset's `[source.kafka]` names it",
    ),
    (
        "isolation.level",
        "`isolation` in the dataset's `[source.kafka]` says it",
    ),
    (
        "auto.offset.reset",
        "`start` in the dataset's `[source.kafka]` says where a new table begins; after that the table's own position counts",
    ),
    ("enable.auto.commit", POSITIONS),
    ("auto.commit.enable", POSITIONS),
    ("auto.commit.interval.ms", POSITIONS),
    ("enable.auto.offset.store", POSITIONS),
    ("offset.store.method", POSITIONS),
    ("offset.store.path", POSITIONS),
    ("offset.store.sync.interval.ms", POSITIONS),
    (
        "enable.partition.eof",
        "the end of a partition is how `--once` ends",
    ),
    ("partition.assignment.strategy", ASSIGNMENT),
    ("group.protocol", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
];

const POSITIONS: &str = "positions are kept in the table; remove it";
const ASSIGNMENT: &str =
    "how partitions are assigned is part of writing each record once; remove it";

/// Properties of librdkafka, and of Java's clients, that a cluster's section has keys for.
const WITH_A_KEY: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("security.protocol", "tls"),
    ("ssl.ca.location", "tls.ca"),
    ("ssl.ca.pem", "tls.ca"),
    ("ssl.truststore.location", "tls.ca"),
    ("ssl.truststore.password", "tls.ca"),
    ("ssl.certificate.location", "tls.certificate"),
    ("ssl.certificate.pem", "tls.certificate"),
    ("ssl.keystore.location", "tls.certificate"),
    ("ssl.keystore.password", "tls.key_password"),
    ("ssl.key.location", "tls.key"),
    ("ssl.key.pem", "tls.key"),
    ("ssl.key.password", "tls.key_password"),
    (
        "enable.ssl.certificate.verification",
        "tls.insecure_skip_verification",
    ),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password"),
    ("sasl.jaas.config", "sasl.password"),
    ("sasl.oauthbearer.token.endpoint.url", "sasl.server_uri"),
    ("sasl.oauthbearer.client.id", "sasl.client_id"),
    ("sasl.oauthbearer.client.secret", "sasl.client_secret"),
    ("sasl.oauthbearer.scope", "sasl.scope"),
];

/// What names of secrets have in them: librdkafka's further ones, and those that it may get.
const SECRET_MARKS: [&str; 5] = ["password", "passphrase", "secret", "private.key", "key.pem"];
