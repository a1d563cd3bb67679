//! Kafka: whether the brokers answer, the topics are there, and the group may be asked.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use frazil::source::kafka::{Cluster, Partition, Seek, Topic, Topics, all_there};
use frazil_dataset::{KafkaIsolation, KafkaSourceSpec, KafkaStart, KafkaTopics};
use frazil_service::settings::Settings;
use frazil_table::state::State;
use uuid::Uuid;

use super::check::{Check, Checks};
use crate::cli::{
    exit::Failure,
    output::{counted, grouped},
    target,
};

/// A group that nobody reads by.
const NO_GROUP: &str = "frazil-doctor";

/// How long a broker may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What a cluster is asked for.
pub(super) struct Asked {
    /// A dataset's name; None where only the cluster is asked.
    dataset: Option<String>,
    pub(super) spec: KafkaSourceSpec,
}

impl Asked {
    pub(super) fn of_dataset(name: &str, spec: &KafkaSourceSpec) -> Self {
        Self {
            dataset: Some(name.to_owned()),
            spec: spec.clone(),
        }
    }

    pub(super) fn of_cluster(name: &str) -> Self {
        Self {
            dataset: None,
            spec: KafkaSourceSpec {
                topics: KafkaTopics::Names(Vec::new()),
                cluster: Some(name.to_owned()),
                start: KafkaStart::default(),
                group: NO_GROUP.to_owned(),
                isolation: KafkaIsolation::default(),
            },
        }
    }
}

/// All checks of one dataset's topics, or of a cluster.
pub(super) async fn look(settings: &Settings, asked: Asked, limit: Duration) -> Vec<Check> {
    let settings = settings.clone();
    let checks = tokio::task::spawn_blocking(move || {
        let mut checks = Checks::new(limit);
        questions(&settings, &asked, &mut checks);
        checks.made
    });
    checks.await.unwrap_or_default()
}

/// The client gives each question its own time. Blocks.
fn questions(settings: &Settings, asked: &Asked, checks: &mut Checks) {
    let (spec, of) = (&asked.spec, name(asked));
    if connections(settings, spec, &of, checks).is_none() {
        return;
    }
    let cluster = checks.now("kafka-reach", &of, || {
        let cluster = target::kafka::asking(settings, spec)?;
        cluster.topics(&Topics::Names(Vec::new()))?;
        Ok((cluster, "the brokers answer".to_owned()))
    });
    if let (Some(cluster), Some(_)) = (cluster, &asked.dataset) {
        of_dataset(&cluster, spec, &of, checks);
    }
}

/// The client tells only that nobody answers in time; which broker, and why, shows by connecting to each.
fn connections(
    settings: &Settings,
    spec: &KafkaSourceSpec,
    of: &str,
    checks: &mut Checks,
) -> Option<()> {
    let mut refused = Vec::new();
    checks.now("kafka-connect", of, || {
        let (_, cluster) = settings
            .deployment
            .kafka_cluster(spec.cluster.as_deref())
            .map_err(|error| Failure::usage(error.to_string()).next(error.help()))?;
        for broker in &cluster.brokers {
            refused.extend(
                connect(broker)
                    .err()
                    .map(|error| format!("{broker}: {error}")),
            );
        }
        let all = cluster.brokers.len();
        if refused.len() == all {
            let why = std::mem::take(&mut refused).join("; ");
            return Err(Failure::failed("connect to any of the brokers")
                .because(why)
                .into());
        }
        let told = format!("{} of {all} brokers take connections", all - refused.len());
        Ok(((), told))
    })?;
    for one in refused {
        checks.warn(
            "kafka-connect",
            of,
            one,
            "see that the broker runs, or take it out of `brokers`",
        );
    }
    Some(())
}

/// Tries all addresses of a broker's name.
fn connect(broker: &str) -> std::io::Result<()> {
    let mut last = None;
    for address in broker.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("its name has no address")))
}

fn name(asked: &Asked) -> String {
    let cluster = asked.spec.cluster.as_deref();
    let cluster = cluster.map_or_else(|| "kafka".to_owned(), |name| format!("kafka.{name}"));
    match &asked.dataset {
        Some(dataset) => format!("{cluster} for {dataset}"),
        None => cluster,
    }
}

fn of_dataset(cluster: &Arc<dyn Cluster>, spec: &KafkaSourceSpec, of: &str, checks: &mut Checks) {
    let wanted = target::kafka::topics(spec);
    let topics = checks.now("kafka-topics", of, || {
        let topics = cluster.topics(&wanted)?;
        all_there(&wanted, &topics, &State::new(Uuid::nil()))?;
        let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
        let told = format!(
            "{} with {}",
            counted(topics.len() as u64, "topic"),
            counted(partitions as u64, "partition")
        );
        Ok((topics, told))
    });
    let Some(topics) = topics else { return };
    if let (Topics::Pattern(pattern), true) = (&wanted, topics.is_empty()) {
        let told =
            format!("no topic has a name that `{pattern}` matches, or this user may see none");
        checks.warn(
            "kafka-topics",
            of,
            told,
            "correct topics_pattern, or make the topics",
        );
    }
    if topics.iter().any(|topic| topic.topic.topic_id.is_none()) {
        let told = "the brokers know no topic ids (Kafka before 2.8): a topic that is deleted and made again cannot be told from the one before";
        checks.warn(
            "kafka-topics",
            of,
            told,
            "upgrade the brokers, or delete no topics that are read",
        );
    }
    let partitions = partitions(&topics);
    if partitions.is_empty() {
        return;
    }
    checks.now("kafka-offsets", of, || {
        let first = cluster.offsets(&partitions, Seek::Earliest)?;
        let end = cluster.offsets(&partitions, Seek::Latest)?;
        let held: u64 = end
            .iter()
            .zip(&first)
            .map(|(end, first)| end.saturating_sub(*first))
            .sum();
        Ok(((), format!("{} offsets are held", grouped(held))))
    });
    checks.now("kafka-group", of, || {
        let stored = cluster.group_positions(&partitions)?;
        let stands = stored.iter().flatten().count();
        let told = format!(
            "group {} may be asked; it stands in {stands} of {} partitions",
            spec.group,
            partitions.len()
        );
        Ok(((), told))
    });
}

fn partitions(topics: &[Topic]) -> Vec<Partition> {
    let of_topic = |topic: &Topic| {
        let name: Arc<str> = topic.topic.name.as_str().into();
        let partition = move |number: &i32| Partition {
            topic: Arc::clone(&name),
            number: *number,
        };
        topic.partitions.iter().map(partition).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}
