//! Positions beside what a Kafka cluster says of their partitions.

mod given;

use std::{collections::BTreeMap, sync::Arc};

use frazil::source::kafka::{Cluster, Partition, Seek, match_topics};
use frazil_dataset::{Dataset, KafkaSourceSpec, SourceSpec};
use frazil_table::{
    commit::PositionChange,
    state::{KafkaIdentity, SourceIdentity, SourceState, State},
};

use crate::cli::{Context, exit::Failure, output::counted, target};

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
#[derive(Debug)]
pub(super) enum To<'a> {
    /// Where that group stands.
    Group(&'a str),
    /// At those offsets.
    Seek(Seek),
    /// At these, each as `[topic:]partition=offset`.
    Given(&'a [String]),
}

/// What `--at` takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) Seek);

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(Self(Seek::Earliest)),
            "latest" => Ok(Self(Seek::Latest)),
            time => frazil_dataset::parse_time(time)
                .map(|at| Self(Seek::Time(at.as_millisecond())))
                .ok_or_else(|| {
                    "give earliest, latest, a time as 2026-01-31T12:00:00Z, or a date".to_owned()
                }),
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
    target::kafka::asking(&context.settings()?, &spec)
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

/// A partition of the dataset's topics.
struct Found {
    partition: Partition,
    /// Its source, where the table has a position of it.
    source: Option<u64>,
    identity: KafkaIdentity,
}

/// The changes that set partitions of the dataset's topics. Tells of those that stay without a position. Blocks.
pub(super) fn changes(
    context: &Context,
    dataset: &Dataset,
    state: &State,
    to: &To<'_>,
) -> anyhow::Result<Vec<PositionChange>> {
    let Some(SourceSpec::Kafka(spec)) = &dataset.source else {
        return Err(Failure::usage(format!(
            "set positions of dataset {} in Kafka",
            dataset.name
        ))
        .next("its file has no [source.kafka]; `--source ID --position N` sets the byte of a file")
        .into());
    };
    let group = match to {
        To::Group(group) => Some(*group),
        To::Seek(_) | To::Given(_) => None,
    };
    let cluster = cluster(context, spec, group)?;
    let found = partitions(cluster.as_ref(), spec, state)?;
    let names: Vec<Partition> = found.iter().map(|one| one.partition.clone()).collect();
    let positions: Vec<Option<u64>> = match to {
        To::Seek(seek) => {
            let offsets = cluster.offsets(&names, *seek)?;
            offsets.into_iter().map(Some).collect()
        }
        To::Group(group) => {
            has_nobody(cluster.as_ref(), group)?;
            let stored = cluster.group_positions(&names)?;
            let offsets = stored.into_iter().map(|one| one.map(|one| one.offset));
            offsets.collect()
        }
        To::Given(texts) => {
            let given = given::positions(texts, &names)?;
            given::are_held(&given, &names, cluster.as_ref())?;
            given
        }
    };
    if positions.iter().all(Option::is_none) {
        return Err(Failure::usage("find positions in the group")
            .because(match to {
                To::Group(group) => format!("group {group} has stored none for these topics"),
                To::Seek(_) | To::Given(_) => "the topics have no partitions".to_owned(),
            })
            .into());
    }
    Ok(changed(found, positions, state))
}

/// A group that is being read by moves on, and what it commits from now on would be in the table twice.
fn has_nobody(cluster: &dyn Cluster, group: &str) -> anyhow::Result<()> {
    match cluster.group_members() {
        Ok(0) => Ok(()),
        Ok(members) => Err(Failure::failed(format!("go on where group {group} stands"))
            .because(format!(
                "it has {}, and does not stand still",
                counted(members as u64, "member")
            ))
            .next("stop all who read by it, then set the positions again")
            .into()),
        // Who may read the group's offsets may not see its members everywhere.
        Err(error) => {
            eprintln!(
                "whether anybody still reads by group {group} is not known: failed to {error}"
            );
            Ok(())
        }
    }
}

/// All partitions of the dataset's topics.
fn partitions(
    cluster: &dyn Cluster,
    spec: &KafkaSourceSpec,
    state: &State,
) -> anyhow::Result<Vec<Found>> {
    let topics = cluster.topics(&target::kafka::topics(spec))?;
    let matched = match_topics(state, &topics)?;
    let known = matched.known.into_iter().map(|(partition, known)| Found {
        partition,
        source: Some(known.source),
        identity: known.identity,
    });
    let new = matched.added.into_iter().chain(matched.of_new_topics);
    let new = new.map(|(partition, identity)| Found {
        partition,
        source: None,
        identity,
    });
    Ok(known.chain(new).collect())
}

fn changed(found: Vec<Found>, positions: Vec<Option<u64>>, state: &State) -> Vec<PositionChange> {
    let mut next = state.sources_version;
    let mut changes = Vec::new();
    for (one, position) in found.into_iter().zip(positions) {
        let Some(position) = position else {
            if one.source.is_none() {
                eprintln!(
                    "{}: stays without a position, and begins as a new partition",
                    one.partition
                );
            }
            continue;
        };
        // The leader's epoch is of the record before the position, which is not looked at.
        let identity = SourceIdentity::Kafka(KafkaIdentity {
            leader_epoch: None,
            ..one.identity
        });
        changes.push(if let Some(source) = one.source {
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
    changes
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
