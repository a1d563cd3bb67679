//! What a cluster is asked.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Instant,
};

use frazil_table::state::KafkaTopic;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};

use super::{
    ANSWER_TIMEOUT, ASK_AGAIN,
    context::{Context, has_no_leader, is_moving, kind_of, next_step, without_name},
};
use crate::source::kafka::{
    Cluster, GroupPosition, KafkaError, KafkaErrorKind, Partition, Seek, Topic, Topics, native,
};

/// Partitions that an error names.
const PARTITIONS_TOLD_MAX: usize = 3;

/// Asks.
pub(super) struct RdCluster {
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) name: String,
    pub(super) group: String,
}

impl fmt::Debug for RdCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdCluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl RdCluster {
    fn failed(&self, what: &str, error: &ClientError) -> KafkaError {
        let code = error.rdkafka_error_code();
        let kind = code
            .and_then(kind_of)
            .unwrap_or(KafkaErrorKind::Unreachable);
        let told = self
            .consumer
            .context()
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match told {
            // Why nobody answers is told by the client's own connections.
            Some(told) if kind == KafkaErrorKind::Unreachable => told,
            _ => self.error(what, kind, &without_name(error)),
        }
    }

    fn error(&self, what: &str, kind: KafkaErrorKind, reason: &str) -> KafkaError {
        KafkaError::new(
            format!("{what} of Kafka cluster {}", self.name),
            kind,
            format!("{reason}{}", next_step(kind)),
        )
    }

    fn names(&self, topics: &Topics) -> Result<Vec<String>, KafkaError> {
        let pattern = match topics {
            Topics::Names(names) => return Ok(names.clone()),
            Topics::Pattern(pattern) => pattern,
        };
        let whole = regex::Regex::new(&format!("^({pattern})$")).map_err(|error| {
            let reason = format!("topics_pattern is no regular expression: {error}");
            self.error("find topics", KafkaErrorKind::Usage, &reason)
        })?;
        let metadata = self
            .consumer
            .fetch_metadata(None, ANSWER_TIMEOUT)
            .map_err(|error| self.failed("list the topics", &error))?;
        let names = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| whole.is_match(name)).collect())
    }
}

/// An offset a partition, in their order; none where no record is of that time or later.
type Found = Vec<Option<u64>>;

impl RdCluster {
    /// Asks the leaders of all partitions at once, and again while leaders are elected.
    fn found(&self, partitions: &[&Partition], wanted: Offset) -> Result<Found, KafkaError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            let _ = asked.add_partition_offset(&one.topic, one.number, wanted);
        }
        let begun = Instant::now();
        loop {
            let told = self
                .consumer
                .offsets_for_times(asked.clone(), ANSWER_TIMEOUT);
            match told.and_then(|told| read(partitions, &told)) {
                Ok(found) => return Ok(found),
                Err(error) if has_no_leader(&error) && begun.elapsed() < ANSWER_TIMEOUT => {
                    std::thread::sleep(ASK_AGAIN);
                }
                Err(error) => {
                    let of = partitions.iter().map(ToString::to_string);
                    let of: Vec<String> = of.take(PARTITIONS_TOLD_MAX).collect();
                    let what = format!("ask for offsets of {}", of.join(", "));
                    return Err(self.failed(&what, &error));
                }
            }
        }
    }
}

fn read(partitions: &[&Partition], told: &TopicPartitionList) -> Result<Found, ClientError> {
    let offset = |one: &&Partition| match told.find_partition(&one.topic, one.number) {
        None => Ok(None),
        Some(told) => {
            told.error()?;
            Ok(match told.offset() {
                Offset::Offset(at) => u64::try_from(at).ok(),
                _ => None,
            })
        }
    };
    partitions.iter().map(offset).collect()
}

impl Cluster for RdCluster {
    fn topics(&self, topics: &Topics) -> Result<Vec<Topic>, KafkaError> {
        let names = self.names(topics)?;
        let cluster_id = self
            .consumer
            .client()
            .fetch_cluster_id(ANSWER_TIMEOUT)
            .ok_or_else(|| {
                self.failed(
                    "learn the id",
                    &ClientError::Global(RDKafkaErrorCode::OperationTimedOut),
                )
            })?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let ids = match native::topic_ids(&self.consumer, &names, ANSWER_TIMEOUT) {
            Ok(ids) => ids,
            Err(RDKafkaErrorCode::UnsupportedFeature) => vec![Ok(None); names.len()],
            Err(code) => {
                return Err(self.failed("describe the topics", &ClientError::Global(code)));
            }
        };
        let mut found = Vec::new();
        for (name, id) in names.into_iter().zip(ids) {
            let topic_id = match id {
                Ok(id) => id,
                Err(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    continue;
                }
                Err(code) => {
                    let what = format!("describe topic {name}");
                    return Err(self.failed(&what, &ClientError::Global(code)));
                }
            };
            let metadata = self
                .consumer
                .fetch_metadata(Some(&name), ANSWER_TIMEOUT)
                .map_err(|error| self.failed(&format!("look at topic {name}"), &error))?;
            let mut partitions: Vec<i32> = metadata
                .topics()
                .iter()
                .filter(|topic| topic.name() == name)
                .flat_map(rdkafka::metadata::MetadataTopic::partitions)
                .map(rdkafka::metadata::MetadataPartition::id)
                .collect();
            partitions.sort_unstable();
            found.push(Topic {
                topic: KafkaTopic {
                    cluster_id: cluster_id.clone(),
                    topic_id,
                    name,
                },
                partitions,
            });
        }
        Ok(found)
    }

    fn offsets(&self, partitions: &[Partition], seek: Seek) -> Result<Vec<u64>, KafkaError> {
        let wanted = match seek {
            Seek::Earliest => Offset::Beginning,
            Seek::Latest => Offset::End,
            Seek::Time(at_ms) => Offset::Offset(at_ms.max(0)),
        };
        let all: Vec<&Partition> = partitions.iter().collect();
        let mut found = self.found(&all, wanted)?;
        // Where no record is of that time or later.
        let none: Vec<&Partition> = partitions
            .iter()
            .zip(&found)
            .filter_map(|(one, found)| found.is_none().then_some(one))
            .collect();
        let ends = self.found(&none, Offset::End)?;
        let missing = found.iter_mut().filter(|found| found.is_none());
        missing.zip(ends).for_each(|(missing, end)| *missing = end);
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    fn ends(&self, partitions: &[Partition]) -> Result<Vec<u64>, KafkaError> {
        native::ends(&self.consumer, partitions, ANSWER_TIMEOUT)
            .map_err(|code| self.failed("ask for the ends", &ClientError::Global(code)))
    }

    fn group_positions(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<GroupPosition>>, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            asked.add_partition(&one.topic, one.number);
        }
        let begun = Instant::now();
        let told = loop {
            match self
                .consumer
                .committed_offsets(asked.clone(), ANSWER_TIMEOUT)
            {
                Ok(told) => break told,
                Err(error) if is_moving(&error) && begun.elapsed() < ANSWER_TIMEOUT => {
                    std::thread::sleep(ASK_AGAIN);
                }
                Err(error) => return Err(self.failed("ask for the group's offsets", &error)),
            }
        };
        let found = partitions.iter().map(|one| {
            let told = told.find_partition(&one.topic, one.number)?;
            match told.offset() {
                Offset::Offset(at) => Some(GroupPosition {
                    offset: u64::try_from(at).ok()?,
                    metadata: told.metadata().to_owned(),
                }),
                _ => None,
            }
        });
        Ok(found.collect())
    }

    fn group_members(&self) -> Result<usize, KafkaError> {
        let told = self
            .consumer
            .fetch_group_list(Some(&self.group), ANSWER_TIMEOUT)
            .map_err(|error| self.failed("ask for the group's members", &error))?;
        let groups = told.groups().iter();
        let ours = groups.filter(|group| group.name() == self.group);
        Ok(ours.map(|group| group.members().len()).sum())
    }
}
