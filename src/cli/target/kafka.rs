//! A deployment's Kafka cluster, as librdkafka is told of it.

use anyhow::Context as _;
use frazil::{
    pipeline::{Connect, KafkaInput},
    source::kafka::{ClientOptions, Connection, KafkaError, KafkaErrorKind, Seek, Topics, connect},
};
use std::sync::Arc;

use frazil_dataset::{
    KafkaCluster, KafkaIsolation, KafkaSasl, KafkaSourceSpec, KafkaStart, KafkaTls, KafkaTopics,
    SecretReference,
};
use frazil_service::{secret::Secret, settings::Settings};

use crate::cli::exit::Failure;

/// The input that a dataset's `[source.kafka]` names.
pub(crate) fn input(
    settings: &Settings,
    spec: &KafkaSourceSpec,
    once: bool,
) -> anyhow::Result<KafkaInput> {
    let (name, cluster) = settings
        .deployment
        .kafka_cluster(spec.cluster.as_deref())
        .map_err(|error| Failure::usage(error.to_string()).next(error.help()))?;
    let topics = match &spec.topics {
        KafkaTopics::Names(names) => Topics::Names(names.clone()),
        KafkaTopics::Pattern(pattern) => Topics::Pattern(pattern.clone()),
    };
    let start = match spec.start {
        KafkaStart::Earliest => Seek::Earliest,
        KafkaStart::Latest => Seek::Latest,
        // A record of the same millisecond is not left out.
        KafkaStart::Time(at) => Seek::Time(at.as_millisecond()),
    };
    let deployed = DeployedCluster {
        name: format!("{name} ({})", cluster.brokers.join(",")),
        cluster: cluster.clone(),
        group: spec.group.clone(),
        isolation: spec.isolation,
        topics: topics.clone(),
    };
    // What cannot be read now is the deployment's mistake; later it may be a file that is being replaced.
    deployed.options().context("read the deployment file")?;
    Ok(KafkaInput {
        connect: Arc::new(deployed),
        topics,
        group: spec.group.clone(),
        start,
        once,
    })
}

/// Makes clients by a deployment's settings. Secrets are read each time.
#[derive(Debug)]
struct DeployedCluster {
    name: String,
    cluster: KafkaCluster,
    group: String,
    isolation: KafkaIsolation,
    topics: Topics,
}

impl Connect for DeployedCluster {
    fn connect(&self) -> Result<Connection, KafkaError> {
        connect(&self.options()?)
    }
}

impl DeployedCluster {
    fn options(&self) -> Result<ClientOptions, KafkaError> {
        let mut properties: Vec<(String, String)> = self
            .cluster
            .properties
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut set = |key: &str, value: &str| properties.push((key.to_owned(), value.to_owned()));
        set("bootstrap.servers", &self.cluster.brokers.join(","));
        set("security.protocol", self.cluster.security_protocol());
        if let Some(tls) = &self.cluster.tls {
            self.tls(tls, &mut set)?;
        }
        if let Some(sasl) = &self.cluster.sasl {
            set("sasl.mechanism", sasl.mechanism());
            self.sasl(sasl, &mut set)?;
        }
        Ok(ClientOptions {
            name: self.name.clone(),
            properties,
            group: self.group.clone(),
            read_committed: self.isolation == KafkaIsolation::ReadCommitted,
            topics: self.topics.clone(),
        })
    }

    fn tls(&self, tls: &KafkaTls, set: &mut impl FnMut(&str, &str)) -> Result<(), KafkaError> {
        let certificates = &tls.certificates;
        if let Some(ca) = &certificates.ca {
            set("ssl.ca.location", ca);
        }
        if let Some(certificate) = &certificates.certificate {
            set("ssl.certificate.location", certificate);
        }
        if let Some(key) = &certificates.key {
            set("ssl.key.pem", &self.secret(key)?);
        }
        if let Some(password) = &tls.key_password {
            set("ssl.key.password", &self.secret(password)?);
        }
        if tls.insecure_skip_verification {
            set("enable.ssl.certificate.verification", "false");
        }
        Ok(())
    }

    fn sasl(&self, sasl: &KafkaSasl, set: &mut impl FnMut(&str, &str)) -> Result<(), KafkaError> {
        match sasl {
            KafkaSasl::Password {
                username, password, ..
            } => {
                set("sasl.username", username);
                set("sasl.password", &self.secret(password)?);
            }
            KafkaSasl::OAuthBearer {
                server_uri,
                client_id,
                client_secret,
                scope,
            } => {
                set("sasl.oauthbearer.method", "oidc");
                set("sasl.oauthbearer.token.endpoint.url", server_uri);
                set("sasl.oauthbearer.client.id", client_id);
                set(
                    "sasl.oauthbearer.client.secret",
                    &self.secret(client_secret)?,
                );
                if let Some(scope) = scope {
                    set("sasl.oauthbearer.scope", scope);
                }
            }
        }
        Ok(())
    }

    fn secret(&self, reference: &SecretReference) -> Result<String, KafkaError> {
        let read = Secret::new(reference.clone()).read();
        read.map(|text| text.expose().to_owned()).map_err(|error| {
            let action = format!("connect to Kafka cluster {}", self.name);
            KafkaError::new(action, KafkaErrorKind::Usage, format!("failed to {error}"))
        })
    }
}
