//! Positions beside what a Kafka cluster says of their partitions.

use std::{collections::BTreeMap, sync::Arc};

use frazil::source::kafka::{Cluster, Partition, Seek, match_topics};
use frazil_dataset::{Dataset, KafkaSourceSpec, SourceSpec};
use frazil_table::{
    commit::PositionChange,
    state::{SourceIdentity, SourceState, State},
};

use crate::cli::{Context, exit::Failure, target};

/// What a cluster says of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The first offset that is there.
    pub(super) first: u64,
    /// The offset of what comes next.
    pub(super) end: u64,
    /// What the group has stored.
    pub(super) group: Option<u64>,
}

/// Where to go on.
#[derive(Debug, Clone)]
pub(super) enum To {
    /// Where that group stands.
    Group(String),
    /// At those offsets.
    Seek(Seek),
}

impl std::str::FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(Self::Seek(Seek::Earliest)),
            "latest" => Ok(Self::Seek(Seek::Latest)),
            time => time
                .parse::<jiff::Timestamp>()
                .map(|at| Self::Seek(Seek::Time(at.as_millisecond())))
                .map_err(|_| "give earliest, latest, or a time as 2026-01-31T12:00:00Z".to_owned()),
        }
    }
}

/// The cluster that a dataset is read from; `group` goes before the dataset's own.
fn cluster(
    context: &Context,
    spec: &KafkaSourceSpec,
    group: Option<&str>,
) -> anyhow::Result<Arc<dyn Cluster>> {
    let mut spec = spec.clone();
    if let Some(group) = group {
        group.clone_into(&mut spec.group);
    }
    let input = target::kafka::input(&context.settings()?, &spec, false)?;
    Ok(input.connect.ask()?)
}

/// What the dataset's cluster says of the sources that are its partitions. Blocks.
pub(super) fn standings(
    context: &Context,
    dataset: &Dataset,
    sources: &BTreeMap<u64, SourceState>,
) -> Result<BTreeMap<u64, Standing>, String> {
    let Some(SourceSpec::Kafka(spec)) = &dataset.source else {
        return Ok(BTreeMap::new());
    };
    let look = || -> anyhow::Result<BTreeMap<u64, Standing>> {
        let cluster = cluster(context, spec, None)?;
        let topics = cluster.topics(&target::kafka::topics(spec))?;
        let mut state = State::new(uuid::Uuid::nil());
        state.sources.clone_from(sources);
        let known = match_topics(&state, &topics)?.known;
        let partitions: Vec<Partition> = known.keys().cloned().collect();
        let first = cluster.offsets(&partitions, Seek::Earliest)?;
        let end = cluster.offsets(&partitions, Seek::Latest)?;
        let group = cluster.group_positions(&partitions)?;
        let told = first.into_iter().zip(end).zip(group);
        Ok(known
            .into_values()
            .zip(told)
            .map(|(found, ((first, end), group))| {
                let group = group.map(|stored| stored.offset);
                (found.source, Standing { first, end, group })
            })
            .collect())
    };
    look().map_err(|error| format!("{error:#}"))
}

/// The changes that set all partitions of the dataset's topics. Blocks.
pub(super) fn changes(
    context: &Context,
    dataset: &Dataset,
    state: &State,
    to: &To,
) -> anyhow::Result<Vec<PositionChange>> {
    let Some(SourceSpec::Kafka(spec)) = &dataset.source else {
        return Err(Failure::usage(format!(
            "set positions of dataset {} in Kafka",
            dataset.name
        ))
        .next("its file has no [source.kafka]")
        .into());
    };
    let group = match to {
        To::Group(group) => Some(group.as_str()),
        To::Seek(_) => None,
    };
    let cluster = cluster(context, spec, group)?;
    let topics = cluster.topics(&target::kafka::topics(spec))?;
    let matched = match_topics(state, &topics)?;
    let new = matched.added.into_iter().chain(matched.of_new_topics);
    let wanted: Vec<(Partition, Option<u64>, _)> = matched
        .known
        .into_iter()
        .map(|(partition, known)| (partition, Some(known.source), known.identity))
        .chain(new.map(|(partition, identity)| (partition, None, identity)))
        .collect();
    let partitions: Vec<Partition> = wanted.iter().map(|(one, ..)| one.clone()).collect();
    let positions: Vec<Option<u64>> = match to {
        To::Seek(seek) => {
            let offsets = cluster.offsets(&partitions, *seek)?;
            offsets.into_iter().map(Some).collect()
        }
        To::Group(_) => {
            let stored = cluster.group_positions(&partitions)?;
            let offsets = stored.into_iter().map(|one| one.map(|one| one.offset));
            offsets.collect()
        }
    };
    let mut next = state.sources_version;
    let mut changes = Vec::new();
    for ((_, known, mut identity), position) in wanted.into_iter().zip(positions) {
        let Some(position) = position else { continue };
        // The leader's epoch is of the record before the position, which is not looked at.
        identity.leader_epoch = None;
        let identity = SourceIdentity::Kafka(identity);
        changes.push(if let Some(source) = known {
            PositionChange::Set {
                source,
                position,
                identity: Some(identity),
            }
        } else {
            next += 1;
            PositionChange::Add {
                source: next,
                position,
                identity,
            }
        });
    }
    if changes.is_empty() {
        return Err(Failure::usage("find positions in the group")
            .because(match to {
                To::Group(group) => format!("group {group} has stored none for these topics"),
                To::Seek(_) => "the topics have no partitions".to_owned(),
            })
            .into());
    }
    Ok(changes)
}

/// The changes that forget a topic.
pub(super) fn forget(
    sources: &BTreeMap<u64, SourceState>,
    topic: &str,
) -> anyhow::Result<Vec<PositionChange>> {
    let of_topic = |source: &SourceState| matches!(&source.identity, SourceIdentity::Kafka(kafka) if kafka.topic.name == topic);
    let changes: Vec<PositionChange> = sources
        .iter()
        .filter(|(_, source)| of_topic(source))
        .map(|(id, _)| PositionChange::Forget { source: *id })
        .collect();
    if changes.is_empty() {
        return Err(
            Failure::usage(format!("find topic {topic} in the table's state"))
                .next("`frazil offsets show` lists what it has")
                .into(),
        );
    }
    Ok(changes)
}
