//! How sources are written, in the state and in the file of finished ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state::{FileIdentity, KafkaIdentity, KafkaTopic, SourceIdentity, SourceState};

/// Id, next position, index of its commit, identity.
pub(in crate::state) type WireSource = (u64, u64, usize, WireIdentity);

/// What a source is, terse.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::state) enum WireIdentity {
    /// Path, bytes under the head's hash, head's hash, tail's hash, at its end.
    File(String, u64, String, String, bool),
    StandardInput,
    /// Index of its topic, partition, leader epoch.
    #[serde(rename = "k")]
    Kafka(usize, i32, Option<i32>),
}

/// A topic: cluster id, topic id, name.
pub(in crate::state) type WireTopic = (String, Option<Uuid>, String);

/// The commits and topics that sources name, each once, and the sources by their index in them.
pub(in crate::state) fn to_wire_sources(
    sources: &BTreeMap<u64, SourceState>,
) -> (Vec<Uuid>, Vec<WireTopic>, Vec<WireSource>) {
    let mut commits: Vec<Uuid> = sources.values().map(|source| source.commit).collect();
    commits.sort();
    commits.dedup();
    let mut topics: Vec<&KafkaTopic> = sources.values().filter_map(topic_of).collect();
    topics.sort();
    topics.dedup();
    let sources = sources
        .iter()
        .map(|(id, source)| {
            let commit = commits
                .binary_search(&source.commit)
                .expect("it was collected above");
            let identity = match &source.identity {
                SourceIdentity::File(file) => WireIdentity::File(
                    file.path.clone(),
                    file.head_length,
                    file.head_hash.clone(),
                    file.tail_hash.clone(),
                    file.at_end,
                ),
                SourceIdentity::StandardInput => WireIdentity::StandardInput,
                SourceIdentity::Kafka(kafka) => {
                    let topic = topics
                        .binary_search(&&kafka.topic)
                        .expect("it was collected above");
                    WireIdentity::Kafka(topic, kafka.partition, kafka.leader_epoch)
                }
            };
            (*id, source.position, commit, identity)
        })
        .collect();
    let topics = topics
        .into_iter()
        .map(|topic| (topic.cluster_id.clone(), topic.topic_id, topic.name.clone()))
        .collect();
    (commits, topics, sources)
}

fn topic_of(source: &SourceState) -> Option<&KafkaTopic> {
    match &source.identity {
        SourceIdentity::Kafka(kafka) => Some(&kafka.topic),
        SourceIdentity::File(_) | SourceIdentity::StandardInput => None,
    }
}

/// The sources, or what is wrong with them.
pub(in crate::state) fn from_wire_sources(
    commits: &[Uuid],
    topics: &[WireTopic],
    wire: Vec<WireSource>,
) -> Result<BTreeMap<u64, SourceState>, String> {
    let mut sources = BTreeMap::new();
    for (id, position, commit, identity) in wire {
        let commit = *commits
            .get(commit)
            .ok_or_else(|| format!("source {id} names a commit that is not there"))?;
        let identity = match identity {
            WireIdentity::File(path, head_length, head_hash, tail_hash, at_end) => {
                SourceIdentity::File(FileIdentity {
                    path,
                    head_length,
                    head_hash,
                    tail_hash,
                    at_end,
                })
            }
            WireIdentity::StandardInput => SourceIdentity::StandardInput,
            WireIdentity::Kafka(topic, partition, leader_epoch) => {
                let (cluster_id, topic_id, name) = topics
                    .get(topic)
                    .cloned()
                    .ok_or_else(|| format!("source {id} names a topic that is not there"))?;
                SourceIdentity::Kafka(KafkaIdentity {
                    topic: KafkaTopic {
                        cluster_id,
                        topic_id,
                        name,
                    },
                    partition,
                    leader_epoch,
                })
            }
        };
        let source = SourceState {
            identity,
            position,
            commit,
        };
        if sources.insert(id, source).is_some() {
            return Err(format!("source {id} stands twice"));
        }
    }
    Ok(sources)
}
