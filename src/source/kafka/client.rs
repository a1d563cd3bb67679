//! The seam by librdkafka: how a client is made. [`RdCluster`] asks by it, [`RdConsumer`] reads by it.

mod cluster;
mod consumer;
mod context;

use std::{fmt, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError as ClientError,
};

use super::{Cluster, Connection, KafkaError, KafkaErrorKind, Topics};
use cluster::RdCluster;
use consumer::RdConsumer;
use context::{Context, without_name};

/// How long a question to the cluster may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before a question is asked again that the brokers could not answer yet.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How a client is made.
#[derive(Clone)]
pub struct ClientOptions {
    /// What people call the cluster: its name and brokers.
    pub name: String,
    /// What librdkafka is told: brokers, TLS, SASL, and what the deployment sets beside. May hold secrets.
    pub properties: Vec<(String, String)>,
    /// The consumer group.
    pub group: String,
    /// Whether records of aborted and open transactions are passed over.
    pub read_committed: bool,
    /// What to subscribe to.
    pub topics: Topics,
    /// Who gives tokens out, for SASL's OAUTHBEARER.
    pub tokens: Option<Arc<dyn Tokens>>,
}

/// Gives out tokens for SASL's OAUTHBEARER.
pub trait Tokens: Send + Sync {
    /// A fresh token. Waits for the network.
    ///
    /// # Errors
    /// Why there is none; holds no secret.
    fn token(&self) -> Result<Token, String>;
}

/// A token for SASL's OAUTHBEARER.
pub struct Token {
    /// The token itself: a secret.
    pub text: String,
    /// Who it is of.
    pub principal: String,
    /// Until when it holds, in milliseconds since the epoch.
    pub expires_at_ms: i64,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("name", &self.name)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// Joins the group and subscribes. Does not wait for an answer.
///
/// # Errors
/// Settings that librdkafka refuses.
pub fn connect(options: &ClientOptions) -> Result<Connection, KafkaError> {
    let consumer = client(options)?;
    let subscribed = match &options.topics {
        Topics::Names(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            consumer.subscribe(&names)
        }
        Topics::Pattern(pattern) => consumer.subscribe(&[&format!("^({pattern})$")]),
    };
    subscribed.map_err(|error| refused(options, &error))?;
    let consumer = Arc::new(consumer);
    let is_static = options
        .properties
        .iter()
        .any(|(key, value)| key == "group.instance.id" && !value.is_empty());
    Ok(Connection {
        cluster: Arc::new(RdCluster {
            consumer: Arc::clone(&consumer),
            name: options.name.clone(),
            group: options.group.clone(),
        }),
        consumer: Box::new(RdConsumer::new(consumer, options.name.clone(), is_static)),
    })
}

/// To ask, without joining the group. Does not wait for an answer.
///
/// # Errors
/// Settings that librdkafka refuses.
pub fn ask(options: &ClientOptions) -> Result<Arc<dyn Cluster>, KafkaError> {
    let consumer = client(options)?;
    if options.tokens.is_some() {
        // The client asks for its token by an event.
        let _ = consumer.poll(ASK_AGAIN);
    }
    Ok(Arc::new(RdCluster {
        consumer: Arc::new(consumer),
        name: options.name.clone(),
        group: options.group.clone(),
    }))
}

fn refused(options: &ClientOptions, error: &ClientError) -> KafkaError {
    KafkaError::new(
        format!("connect to Kafka cluster {}", options.name),
        KafkaErrorKind::Usage,
        without_name(error),
    )
}

fn client(options: &ClientOptions) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = ClientConfig::new();
    // Below the deployment's own properties: what suits most.
    config
        .set("client.id", "frazil")
        .set("topic.metadata.refresh.interval.ms", "30000");
    for (key, value) in &options.properties {
        config.set(key, value);
    }
    let isolation = if options.read_committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    // Above them: what exactly-once rests on.
    config
        .set("group.id", &options.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true");
    config.set_log_level(match config.get("debug") {
        Some(_) => RDKafkaLogLevel::Debug,
        None => RDKafkaLogLevel::Warning,
    });
    let context = Context::new(options.name.clone(), options.tokens.clone());
    config
        .create_with_context(context)
        .map_err(|error| refused(options, &error))
}
