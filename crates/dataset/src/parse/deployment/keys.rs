//! The keys of a deployment file: what each takes, and of which catalogs it is.
//!
//! File and environment are both read by this table, so that no key has one of the two only. A
//! test compares it with `docs/deployment-file.md`.

use crate::{CatalogKind, keys::alias, suggest};

/// A section: its path in this table, and its keys.
#[derive(Debug)]
pub(super) struct KeySection {
    pub(super) path: &'static str,
    pub(super) keys: &'static [Key],
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// The catalogs that know it; none are all.
    pub(super) of: &'static [CatalogKind],
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// A text; of what, with an example.
    Text(&'static str),
    /// An array of texts, which are of at least one; of what, with an example.
    Texts(&'static str),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number from 1 to this.
    Count(i64),
    /// A length of time, such as `30s`.
    Duration,
    /// A size, such as `16MiB`.
    Bytes,
    /// `{ env = "…" }` or `{ file = "…" }`.
    Secret,
    /// The section under that path.
    Section(&'static str),
    /// Sections by names that people give, each as under that path, and what such a section is of.
    Named(&'static str, &'static str),
    /// Names of HTTP headers to texts or secrets.
    Headers,
    /// Another program's names, dots and all, to texts.
    Properties,
}

use Takes::{
    Boolean, Bytes, Choice, Count, Duration, Headers, Named, Properties, Secret, Section, Text,
    Texts,
};

const fn key(name: &'static str, takes: Takes) -> Key {
    key_of(&[], name, takes)
}

const fn key_of(of: &'static [CatalogKind], name: &'static str, takes: Takes) -> Key {
    Key { name, takes, of }
}

const POSTGRES: &[CatalogKind] = &[CatalogKind::Postgres];
const HIVE: &[CatalogKind] = &[CatalogKind::Hive];
const REST: &[CatalogKind] = &[CatalogKind::Rest];
const POSTGRES_HIVE: &[CatalogKind] = &[CatalogKind::Postgres, CatalogKind::Hive];
const POSTGRES_REST: &[CatalogKind] = &[CatalogKind::Postgres, CatalogKind::Rest];
const SERVERS: &[CatalogKind] = &[CatalogKind::Postgres, CatalogKind::Hive, CatalogKind::Rest];

/// `[catalog]` and each of `[catalogs]`.
pub(super) const CATALOG: &str = "catalog";

/// Each of `[kafka]`; `main` stands for any name.
pub(super) const KAFKA: &str = "kafka.main";

/// The top level comes first; where a misplaced key belongs is looked up in this order.
static SECTIONS: &[KeySection] = &[
    KeySection {
        path: "",
        keys: &[
            key("catalog", Section(CATALOG)),
            key("catalogs", Named(CATALOG, "catalog")),
            key("storage", Section("storage")),
            key("kafka", Named(KAFKA, "Kafka cluster")),
        ],
    },
    KeySection {
        path: CATALOG,
        keys: &[
            key("type", Text("a catalog's kind, such as \"sql\"")),
            key(
                "uri",
                Text("an address, such as \"sqlite:/data/catalog.db\""),
            ),
            key(
                "warehouse",
                Text("a folder, such as \"file:///data/warehouse\""),
            ),
            key_of(POSTGRES_REST, "credential", Secret),
            key_of(POSTGRES_HIVE, "user", Text("a user's name")),
            key_of(POSTGRES_REST, "tls", Section("catalog.tls")),
            key_of(SERVERS, "connect_timeout", Duration),
            key_of(POSTGRES, "acquire_timeout", Duration),
            key_of(POSTGRES, "statement_timeout", Duration),
            key_of(POSTGRES, "lock_timeout", Duration),
            key_of(POSTGRES, "idle_in_transaction_timeout", Duration),
            key_of(POSTGRES, "connections_max", Count(1_000)),
            key_of(HIVE, "lock", Boolean),
            key_of(HIVE, "enforces_expected_value", Boolean),
            key_of(HIVE, "call_timeout", Duration),
            key_of(HIVE, "lock_wait_max", Duration),
            key_of(HIVE, "lock_hold_max", Duration),
            key_of(HIVE, "late_alter_wait_max", Duration),
            key_of(HIVE, "parameter_value_chars_max", Count(1_000_000)),
            key_of(REST, "prefix", Text("the prefix of the server's paths")),
            key_of(REST, "token", Secret),
            key_of(REST, "oauth2", Section("catalog.oauth2")),
            key_of(REST, "sigv4", Section("catalog.sigv4")),
            key_of(REST, "headers", Headers),
            key_of(REST, "vended_credentials", Boolean),
            key_of(REST, "allow_http", Boolean),
            key_of(REST, "read_timeout", Duration),
            key_of(REST, "commit_timeout", Duration),
            key_of(REST, "read_attempts_max", Count(100)),
            key_of(REST, "metadata_bytes_max", Bytes),
        ],
    },
    KeySection {
        path: "catalog.oauth2",
        keys: &[
            key(
                "server_uri",
                Text("an address, such as \"https://login.example/oauth/tokens\""),
            ),
            key("scope", Text("a scope, such as \"catalog\"")),
            key("audience", Text("an audience")),
            key("resource", Text("a resource")),
        ],
    },
    KeySection {
        path: "catalog.sigv4",
        keys: &[
            key("region", Text("a region, such as \"eu-central-1\"")),
            key("name", Text("a service's signing name, such as \"glue\"")),
            key("access_key_id", Secret),
            key("secret_access_key", Secret),
            key("session_token", Secret),
        ],
    },
    KeySection {
        path: "catalog.tls",
        keys: &[
            key("ca", Text("the path of a PEM file")),
            key("certificate", Text("the path of a PEM file")),
            key("key", Secret),
        ],
    },
    KeySection {
        path: "storage",
        keys: &[
            key("s3", Section("storage.s3")),
            key("hdfs", Section("storage.hdfs")),
            key("gcs", Section("storage.gcs")),
            key("azure", Section("storage.azure")),
            key("part_bytes", Bytes),
            key("requests_in_flight_max", Count(10_000)),
            key("attempts_max", Count(100)),
            key("retry_wait_min", Duration),
            key("retry_wait_max", Duration),
            key("connect_timeout", Duration),
            key("call_timeout", Duration),
            key("upload_timeout", Duration),
        ],
    },
    KeySection {
        path: "storage.s3",
        keys: &[
            key(
                "endpoint",
                Text("an address, such as \"https://minio:9000\""),
            ),
            key("allow_http", Boolean),
            key("region", Text("a region, such as \"eu-central-1\"")),
            key("path_style", Boolean),
            key("access_key_id", Secret),
            key("secret_access_key", Secret),
            key("session_token", Secret),
            key("anonymous", Boolean),
            key("encryption", Choice(&["s3", "kms", "customer"])),
            key("kms_key_id", Text("a key's id or ARN")),
            key("customer_key", Secret),
            key("checksum", Choice(&["crc32c", "none"])),
        ],
    },
    KeySection {
        path: "storage.hdfs",
        keys: &[
            key(
                "conf_dir",
                Text("the folder of core-site.xml and hdfs-site.xml"),
            ),
            key("properties", Properties),
            key("user", Text("a user's name")),
            key(
                "kerberos_principal",
                Text("a principal, such as \"frazil/host@REALM\""),
            ),
            key("kerberos_keytab", Text("the path of a keytab")),
        ],
    },
    KeySection {
        path: "storage.gcs",
        keys: &[
            key(
                "endpoint",
                Text("an address, such as \"https://storage.example\""),
            ),
            key("allow_http", Boolean),
            key("credential_file", Text("the path of a JSON file")),
            key("anonymous", Boolean),
        ],
    },
    KeySection {
        path: "storage.azure",
        keys: &[
            key(
                "endpoint",
                Text("an address, such as \"https://account.dfs.example\""),
            ),
            key("allow_http", Boolean),
            key("account_key", Secret),
            key("sas_token", Secret),
            key("client_id", Text("an application's id")),
            key("client_secret", Secret),
            key("tenant_id", Text("a tenant's id")),
            key(
                "authority_host",
                Text("an address, such as \"https://login.microsoftonline.com\""),
            ),
        ],
    },
    KeySection {
        path: KAFKA,
        keys: &[
            key(
                "brokers",
                Texts("an array of brokers, such as [\"kafka:9092\"]"),
            ),
            key("tls", Section("kafka.main.tls")),
            key("sasl", Section("kafka.main.sasl")),
            key("allow_plaintext", Boolean),
            key("properties", Properties),
        ],
    },
    KeySection {
        path: "kafka.main.tls",
        keys: &[
            key("ca", Text("the path of a PEM file")),
            key("certificate", Text("the path of a PEM file")),
            key("key", Secret),
            key("key_password", Secret),
            key("insecure_skip_verification", Boolean),
        ],
    },
    KeySection {
        path: "kafka.main.sasl",
        keys: &[
            key(
                "mechanism",
                Choice(&["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]),
            ),
            key("username", Text("a user's name")),
            key("password", Secret),
            key(
                "server_uri",
                Text("an address, such as \"https://login.example/oauth/tokens\""),
            ),
            key("client_id", Text("a client's id")),
            key("client_secret", Secret),
            key("scope", Text("a scope, such as \"kafka\"")),
        ],
    },
];

/// The top level.
pub(super) fn root() -> &'static KeySection {
    &SECTIONS[0]
}

/// The section of that path, which the table itself names.
pub(super) fn section(path: &str) -> &'static KeySection {
    let found = SECTIONS.iter().find(|one| one.path == path);
    found.unwrap_or(root())
}

impl KeySection {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

/// A key's path, under a section that may be the top level.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// What was probably meant by a key that its section, `shown` by that path, does not know: message and help.
pub(super) fn unknown(section: &KeySection, shown: &str, name: &str) -> (String, String) {
    let alias = deployment_alias(name)
        .or_else(|| alias(name))
        .filter(|meant| section.key(meant).is_some());
    let elsewhere: Vec<String> = SECTIONS
        .iter()
        .filter(|one| one.path != section.path && one.key(name).is_some())
        .map(|one| place(one.path))
        .collect();
    if alias.is_none() && !elsewhere.is_empty() {
        let here = if shown.is_empty() {
            "at the top level".to_owned()
        } else {
            format!("in `[{shown}]`")
        };
        return (
            format!("`{name}` does not belong {here}"),
            format!("it belongs {}", elsewhere.join(" or ")),
        );
    }
    let message = if shown.is_empty() {
        format!("unknown key `{name}`")
    } else {
        format!("unknown key `{name}` in `[{shown}]`")
    };
    let near = alias.or_else(|| suggest::nearest(name, section.names()));
    if let Some(near) = near {
        return (message, format!("did you mean `{near}`?"));
    }
    for other in SECTIONS.iter().filter(|one| one.path != section.path) {
        if let Some(near) = suggest::nearest(name, other.names()) {
            let help = format!("did you mean `{near}`, {}?", place(other.path));
            return (message, help);
        }
    }
    let known = suggest::listed(section.names());
    (message, format!("known keys are {known}"))
}

fn place(section: &str) -> String {
    match section {
        "" => "at the top level, above the first `[section]`".to_owned(),
        other => format!("in `[{other}]`"),
    }
}

/// Other programs' names for the same.
fn deployment_alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "password" | "secret" | "credentials" => "credential",
        "username" => "user",
        "user" => "username",
        "bootstrap_servers" | "bootstrap.servers" => "brokers",
        "ssl" => "tls",
        "token_endpoint" => "server_uri",
        "insecure_skip_verify" | "skip_verification" | "verify" => "insecure_skip_verification",
        "timeout" => "read_timeout",
        "lock_timeout" => "lock_wait_max",
        "header" => "headers",
        "vended-credentials" | "access_delegation" => "vended_credentials",
        "access_key" | "key_id" => "access_key_id",
        "secret_key" | "access_key_secret" => "secret_access_key",
        "force_path_style" | "path_style_access" | "path-style-access" => "path_style",
        "ca_file" | "cacert" | "ca_certificate" => "ca",
        "cert" | "certificate_file" => "certificate",
        "sse" | "sse_type" => "encryption",
        "config_dir" | "hadoop_conf_dir" => "conf_dir",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) fn sections() -> &'static [KeySection] {
    SECTIONS
}
