//! A deployment's Kafka clusters.

use std::{collections::BTreeMap, fmt};

use super::{Deployment, SecretReference, catalog::TlsSettings};
use crate::suggest;

/// One Kafka cluster of a deployment.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KafkaCluster {
    /// `host:port` of some of its brokers, which know the others; never empty.
    pub brokers: Vec<String>,
    /// TLS; `None` is a connection in plain.
    pub tls: Option<KafkaTls>,
    /// Who we are; `None`: nobody, or the client certificate says.
    pub sasl: Option<KafkaSasl>,
    /// librdkafka's own settings, handed to it as they are. None of them is one that frazil sets, or a secret.
    pub properties: BTreeMap<String, String>,
}

/// TLS to a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaTls {
    /// Certificates, beside the system's.
    pub certificates: TlsSettings,
    /// The password of our own private key, where it is encrypted.
    pub key_password: Option<SecretReference>,
    /// Whether any server's certificate is taken, as if TLS were for show.
    pub insecure_skip_verification: bool,
}

/// Who we are to a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaSasl {
    /// A user with a password.
    Password {
        /// How the password is shown.
        mechanism: KafkaPasswordMechanism,
        /// The user.
        username: String,
        /// The password.
        password: SecretReference,
    },
    /// `mechanism = "oauthbearer"`: a token by OAuth2 client credentials.
    OAuthBearer {
        /// Where tokens are given out.
        server_uri: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: SecretReference,
        /// The scope that is asked for.
        scope: Option<String>,
    },
}

/// How a password is shown to a Kafka broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaPasswordMechanism {
    /// `mechanism = "plain"`: as it is.
    Plain,
    /// `mechanism = "scram-sha-256"`: by proof.
    ScramSha256,
    /// `mechanism = "scram-sha-512"`: by proof.
    ScramSha512,
}

impl fmt::Debug for KafkaCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaCluster")
            .field("brokers", &self.brokers)
            .field("tls", &self.tls)
            .field("sasl", &self.sasl)
            // What a person wrote in plain may be a secret all the same.
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl KafkaCluster {
    /// Kafka's name for how a connection is protected: librdkafka's `security.protocol`.
    pub fn security_protocol(&self) -> &'static str {
        match (&self.sasl, &self.tls) {
            (None, None) => "PLAINTEXT",
            (None, Some(_)) => "SSL",
            (Some(_), None) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

impl KafkaSasl {
    /// Kafka's name for the mechanism: librdkafka's `sasl.mechanism`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } => match mechanism {
                KafkaPasswordMechanism::Plain => "PLAIN",
                KafkaPasswordMechanism::ScramSha256 => "SCRAM-SHA-256",
                KafkaPasswordMechanism::ScramSha512 => "SCRAM-SHA-512",
            },
            Self::OAuthBearer { .. } => "OAUTHBEARER",
        }
    }
}

/// Why it is not known which Kafka cluster a dataset is read from. Each reads after "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaClusterError {
    /// There is none.
    #[error("the deployment names no Kafka cluster")]
    None,
    /// There are some, but not that one.
    #[error("the deployment has no Kafka cluster `{name}`; it has {known}")]
    Unknown {
        /// The cluster that the dataset names.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// There are several, and the dataset names none.
    #[error("the deployment has several Kafka clusters: {known}")]
    Ambiguous {
        /// Those that there are.
        known: String,
    },
}

impl KafkaClusterError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::None => {
                "put `[kafka.main]` with `brokers = [\"host:9092\"]` in the deployment file, or set \
                 `FRAZIL_KAFKA__MAIN__BROKERS`"
            }
            Self::Unknown { .. } => "correct `cluster` in the dataset's `[source.kafka]`",
            Self::Ambiguous { .. } => "name one by `cluster` in the dataset's `[source.kafka]`",
        }
    }
}

impl Deployment {
    /// The Kafka cluster of that name; without one, the only one that there is.
    ///
    /// # Errors
    /// If there is none, or none of that name, or several of which none is named.
    pub fn kafka_cluster(
        &self,
        name: Option<&str>,
    ) -> Result<(&str, &KafkaCluster), KafkaClusterError> {
        let known = || suggest::listed(self.kafka.iter().map(|(name, _)| name.as_str()));
        let (own_name, cluster) = match (name, &self.kafka[..]) {
            (_, []) => return Err(KafkaClusterError::None),
            (None, [only]) => only,
            (None, _) => return Err(KafkaClusterError::Ambiguous { known: known() }),
            (Some(name), all) => {
                let found = all.iter().find(|(one, _)| one == name);
                found.ok_or_else(|| KafkaClusterError::Unknown {
                    name: name.to_owned(),
                    known: known(),
                })?
            }
        };
        Ok((own_name, cluster))
    }
}
