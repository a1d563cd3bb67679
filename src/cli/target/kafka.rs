//! A deployment's Kafka cluster, as librdkafka is told of it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use frazil::{
    pipeline::{Connect, KafkaInput},
    source::kafka::{
        ClientOptions, Cluster, Connection, KafkaError, KafkaErrorKind, Seek, Token, Tokens,
        Topics, ask, connect,
    },
};

use frazil_dataset::{
    KafkaCluster, KafkaIsolation, KafkaSasl, KafkaSourceSpec, KafkaStart, KafkaTls, KafkaTopics,
    SecretReference,
};
use frazil_service::{
    clock::{Clock as _, SystemClock},
    secret::Secret,
    settings::Settings,
};

use crate::cli::exit::Failure;

/// The input that a dataset's `[source.kafka]` names. The client fetches ahead at most about `fetched_bytes_max`, unless
/// the deployment says otherwise.
pub(crate) fn input(
    settings: &Settings,
    spec: &KafkaSourceSpec,
    once: bool,
    fetched_bytes_max: Option<u64>,
) -> anyhow::Result<KafkaInput> {
    let (name, cluster) = settings
        .deployment
        .kafka_cluster(spec.cluster.as_deref())
        .map_err(|error| Failure::usage(error.to_string()).next(error.help()))?;
    let topics = topics(spec);
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
        fetched_bytes_max,
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

/// A client that asks the cluster of a dataset's `[source.kafka]`, and is no member of its group.
pub(crate) fn asking(
    settings: &Settings,
    spec: &KafkaSourceSpec,
) -> anyhow::Result<Arc<dyn Cluster>> {
    Ok(input(settings, spec, false, None)?.connect.ask()?)
}

/// The topics that a dataset's file names.
pub(crate) fn topics(spec: &KafkaSourceSpec) -> Topics {
    match &spec.topics {
        KafkaTopics::Names(names) => Topics::Names(names.clone()),
        KafkaTopics::Pattern(pattern) => Topics::Pattern(pattern.clone()),
    }
}

/// Makes clients by a deployment's settings. Secrets are read each time.
#[derive(Debug)]
struct DeployedCluster {
    name: String,
    cluster: KafkaCluster,
    group: String,
    isolation: KafkaIsolation,
    topics: Topics,
    fetched_bytes_max: Option<u64>,
}

impl Connect for DeployedCluster {
    fn connect(&self) -> Result<Connection, KafkaError> {
        connect(&self.options()?)
    }

    fn ask(&self) -> Result<Arc<dyn Cluster>, KafkaError> {
        ask(&self.options()?)
    }
}

impl DeployedCluster {
    fn options(&self) -> Result<ClientOptions, KafkaError> {
        let mut properties = Vec::new();
        if let Some(bytes) = self.fetched_bytes_max {
            let kilobytes = (bytes / 1024).max(1).to_string();
            properties.push(("queued.max.messages.kbytes".to_owned(), kilobytes));
        }
        let deployed = self.cluster.properties.iter();
        properties.extend(deployed.map(|(key, value)| (key.clone(), value.clone())));
        let mut set = |key: &str, value: &str| properties.push((key.to_owned(), value.to_owned()));
        set("bootstrap.servers", &self.cluster.brokers.join(","));
        set("security.protocol", self.cluster.security_protocol());
        if let Some(tls) = &self.cluster.tls {
            self.tls(tls, &mut set)?;
        }
        let mut tokens = None;
        if let Some(sasl) = &self.cluster.sasl {
            set("sasl.mechanism", sasl.mechanism());
            tokens = self.sasl(sasl, &mut set)?;
        }
        Ok(ClientOptions {
            name: self.name.clone(),
            properties,
            group: self.group.clone(),
            read_committed: self.isolation == KafkaIsolation::ReadCommitted,
            topics: self.topics.clone(),
            tokens,
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

    fn sasl(
        &self,
        sasl: &KafkaSasl,
        set: &mut impl FnMut(&str, &str),
    ) -> Result<Option<Arc<dyn Tokens>>, KafkaError> {
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
                self.secret(client_secret)?;
                return Ok(Some(Arc::new(ClientCredentials {
                    server_uri: server_uri.clone(),
                    client_id: client_id.clone(),
                    client_secret: Secret::new(client_secret.clone()),
                    scope: scope.clone(),
                })));
            }
        }
        Ok(None)
    }

    fn secret(&self, reference: &SecretReference) -> Result<String, KafkaError> {
        let read = Secret::new(reference.clone()).read();
        read.map(|text| text.expose().to_owned()).map_err(|error| {
            let action = format!("connect to Kafka cluster {}", self.name);
            KafkaError::new(action, KafkaErrorKind::Usage, format!("failed to {error}"))
        })
    }
}

/// How long a token server may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Tokens by OAuth2's client credentials (RFC 6749, 4.4).
struct ClientCredentials {
    server_uri: String,
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u32>,
}

impl ClientCredentials {
    async fn ask(&self) -> Result<TokenAnswer, String> {
        let secret = self
            .client_secret
            .read()
            .map_err(|error| error.to_string())?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let without_address = |error: reqwest::Error| error.without_url().to_string();
        let client = reqwest::Client::builder()
            .timeout(TOKEN_TIMEOUT)
            .build()
            .map_err(without_address)?;
        let answer = client
            .post(&self.server_uri)
            .basic_auth(&self.client_id, Some(secret.expose()))
            .form(&form)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(without_address)?;
        answer.json().await.map_err(without_address)
    }
}

impl Tokens for ClientCredentials {
    fn token(&self) -> Result<Token, String> {
        // Called on a thread of the Kafka client's, which is no task's.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let answer = runtime
            .block_on(self.ask())
            .map_err(|reason| format!("the server at {}: {reason}", self.server_uri))?;
        let lifetime_ms = i64::from(answer.expires_in.unwrap_or(3_600)) * 1_000;
        Ok(Token {
            text: answer.access_token,
            principal: self.client_id.clone(),
            expires_at_ms: SystemClock.now_micros() / 1_000 + lifetime_ms,
        })
    }
}
