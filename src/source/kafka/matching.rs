//! Which of the table's sources are the topics' partitions. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use frazil_table::state::{KafkaIdentity, KafkaTopic, SourceIdentity, State};

use super::{KafkaError, KafkaErrorKind, Partition, Topic};

/// A partition that the table knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedPartition {
    /// Its source's id.
    pub source: u64,
    /// The next offset to read.
    pub position: u64,
    /// What it is, as of the position.
    pub identity: KafkaIdentity,
}

/// The topics' partitions against the table's sources.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Those that the table has a position of.
    pub known: BTreeMap<Partition, MatchedPartition>,
    /// Those of topics that the table knows nothing of: they begin where the dataset says.
    pub of_new_topics: Vec<(Partition, KafkaIdentity)>,
    /// Those that a known topic got since: they begin at their first record.
    pub added: Vec<(Partition, KafkaIdentity)>,
}

/// A source of the table: its id, its position, what it is.
type Known<'a> = (u64, u64, &'a KafkaIdentity);

/// Finds each partition among the table's sources, by the cluster's and the topic's ids.
///
/// A broker before 2.8 has no topic ids, and a table that was written through one holds none: then the name decides.
///
/// # Errors
/// A topic whose name the table knows with another id, or of another cluster.
pub fn match_topics(state: &State, topics: &[Topic]) -> Result<Matched, KafkaError> {
    let mut sources: HashMap<(&str, i32), Vec<Known<'_>>> = HashMap::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (id, source) in &state.sources {
        if let SourceIdentity::Kafka(identity) = &source.identity {
            names.insert(&identity.topic.name);
            sources
                .entry((&identity.topic.name, identity.partition))
                .or_default()
                .push((*id, source.position, identity));
        }
    }
    let mut matched = Matched::default();
    for found in topics {
        let topic = &found.topic;
        let name: Arc<str> = topic.name.as_str().into();
        for number in &found.partitions {
            let partition = Partition {
                topic: Arc::clone(&name),
                number: *number,
            };
            let identity = KafkaIdentity {
                topic: topic.clone(),
                partition: *number,
                leader_epoch: None,
            };
            let of_name = sources.get(&(topic.name.as_str(), *number));
            let same = of_name.and_then(|all| all.iter().find(|one| is_same(&one.2.topic, topic)));
            match (same, of_name.and_then(|all| all.last())) {
                (Some((source, position, known)), _) => {
                    let known = MatchedPartition {
                        source: *source,
                        position: *position,
                        identity: KafkaIdentity {
                            leader_epoch: known.leader_epoch,
                            ..identity
                        },
                    };
                    matched.known.insert(partition, known);
                }
                (None, Some((_, _, other))) => return Err(changed(topic, &other.topic)),
                (None, None) if names.contains(topic.name.as_str()) => {
                    matched.added.push((partition, identity));
                }
                (None, None) => matched.of_new_topics.push((partition, identity)),
            }
        }
    }
    Ok(matched)
}

fn is_same(known: &KafkaTopic, found: &KafkaTopic) -> bool {
    known.cluster_id == found.cluster_id
        && match (known.topic_id, found.topic_id) {
            (Some(known), Some(found)) => known == found,
            _ => true,
        }
}

fn changed(found: &KafkaTopic, known: &KafkaTopic) -> KafkaError {
    let what = if known.cluster_id == found.cluster_id {
        "the topic was deleted and made again: its offsets are other records' now".to_owned()
    } else {
        format!(
            "the table was written from cluster {}, and this one is {}: its offsets are other records'",
            known.cluster_id, found.cluster_id
        )
    };
    KafkaError::new(
        format!("go on in topic {}", found.name),
        KafkaErrorKind::TopicChanged,
        format!(
            "{what}; what the table holds stays. To read the topic that is there now from where the dataset's \
             `start` says, forget the old one: `frazil offsets set DATASET --forget-topic {}`",
            found.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use frazil_table::state::SourceState;
    use uuid::Uuid;

    use super::*;

    fn topic(cluster: &str, id: Option<u128>) -> KafkaTopic {
        KafkaTopic {
            cluster_id: cluster.to_owned(),
            topic_id: id.map(Uuid::from_u128),
            name: "web".to_owned(),
        }
    }

    fn state(partitions: i32, topic: &KafkaTopic) -> State {
        let mut state = State::new(Uuid::nil());
        for partition in 0..partitions {
            let id = state.sources_version + 1;
            state.sources_version = id;
            let source = SourceState {
                identity: SourceIdentity::Kafka(KafkaIdentity {
                    topic: topic.clone(),
                    partition,
                    leader_epoch: Some(3),
                }),
                position: 100 + partition as u64,
                commit: Uuid::nil(),
            };
            state.sources.insert(id, source);
        }
        state
    }

    fn seen(topic: KafkaTopic, partitions: i32) -> [Topic; 1] {
        [Topic {
            topic,
            partitions: (0..partitions).collect(),
        }]
    }

    #[test]
    fn known_partitions_go_on_and_later_ones_are_added() {
        let state = state(2, &topic("c", Some(1)));
        let matched = match_topics(&state, &seen(topic("c", Some(1)), 3)).unwrap();
        let known: Vec<_> = matched
            .known
            .values()
            .map(|one| (one.source, one.position, one.identity.leader_epoch))
            .collect();
        assert_eq!(known, [(1, 100, Some(3)), (2, 101, Some(3))]);
        assert_eq!(matched.added.len(), 1);
        assert!(matched.of_new_topics.is_empty());
    }

    #[test]
    fn a_topic_that_the_table_does_not_know_is_new() {
        let matched = match_topics(&State::new(Uuid::nil()), &seen(topic("c", None), 2)).unwrap();
        assert_eq!(matched.of_new_topics.len(), 2);
        assert!(matched.added.is_empty() && matched.known.is_empty());
    }

    #[test]
    fn another_id_or_cluster_under_the_name_is_an_error() {
        let state = state(1, &topic("c", Some(1)));
        let again = match_topics(&state, &seen(topic("c", Some(2)), 1)).unwrap_err();
        assert_eq!(again.kind, KafkaErrorKind::TopicChanged);
        assert!(again.to_string().contains("made again"), "{again}");
        let other = match_topics(&state, &seen(topic("d", Some(1)), 1)).unwrap_err();
        assert!(other.to_string().contains("cluster c"), "{other}");
    }

    #[test]
    fn without_an_id_on_either_side_the_name_decides() {
        let old = state(1, &topic("c", None));
        assert_eq!(
            match_topics(&old, &seen(topic("c", Some(2)), 1))
                .unwrap()
                .known
                .len(),
            1
        );
        let new = state(1, &topic("c", Some(2)));
        assert_eq!(
            match_topics(&new, &seen(topic("c", None), 1))
                .unwrap()
                .known
                .len(),
            1
        );
    }
}
