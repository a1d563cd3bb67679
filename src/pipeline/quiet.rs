//! Which of our partitions are quiet, so that they hold the table's completeness back no longer.
//!
//! Of a partition of which nothing came for a while nobody knows whether anything will. So the cluster is asked for its
//! end, now and then. If all before that end was read, the partition is complete up to a little before the moment of
//! the question: what comes later is newer, as long as a record is in its partition at most `delay` + `idle` after its
//! time, by this machine's clock.
//!
//! The end is asked for because silence proves nothing: a broker that cannot be reached is silent, too. It is the end
//! behind open transactions, since what they hold may be old and is read once they are committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use frazil_dataset::CompletePolicy;
use frazil_service::clock::Clock;
use frazil_table::state::{SourceIdentity, State, complete::Completion};
use tokio::{task::JoinHandle, time::Instant};

use super::complete::micros;
use crate::{
    checkpoint::Accumulated,
    record::RecordBlock,
    source::kafka::{Cluster, KafkaError, Partition, Start, Topics},
};

/// What the cluster said.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When it was asked, in microseconds since the epoch.
    at_micros: i64,
    /// The ends of partitions, by their sources' ids.
    ends: Vec<(u64, u64)>,
    /// The topics that there are, where a pattern finds them.
    topics: Option<BTreeSet<String>>,
}

/// Keeps watch over our partitions, over all sessions of a run.
#[derive(Debug)]
pub(super) struct Quiet {
    policy: CompletePolicy,
    topics: Topics,
    clock: Arc<dyn Clock>,
    every: Duration,
    next: Instant,
    asking: Option<JoinHandle<Result<Look, KafkaError>>>,
    /// Our partitions, by their sources' ids.
    ours: BTreeMap<u64, Ours>,
    was_given: bool,
    /// The topics of all partitions that the table has a position of, by their sources' ids.
    registered: BTreeMap<u64, String>,
    /// Of a pattern's topics, those that were not there when last looked, and those that were not there twice.
    missing: BTreeSet<String>,
    gone: BTreeSet<String>,
}

/// One of our partitions.
#[derive(Debug)]
struct Ours {
    partition: Partition,
    identity: SourceIdentity,
    /// Up to where it was read.
    position: u64,
    /// When the last record came.
    since: Instant,
}

impl Quiet {
    /// Nothing is ours yet. What is quiet is told once an interval of checkpoints at most.
    pub(super) fn new(
        policy: &CompletePolicy,
        interval: Duration,
        topics: &Topics,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            every: policy.idle.max(interval),
            next: Instant::now() + policy.idle,
            policy: policy.clone(),
            topics: topics.clone(),
            clock: Arc::clone(clock),
            asking: None,
            ours: BTreeMap::new(),
            was_given: false,
            registered: BTreeMap::new(),
            missing: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    /// A session begins: nothing is ours.
    pub(super) fn begin(&mut self, state: &State) {
        self.ours.clear();
        self.was_given = false;
        self.know(state);
    }

    /// Partitions are ours, and begin there.
    pub(super) fn given(&mut self, starts: &[Start], state: &State) {
        self.was_given = true;
        self.know(state);
        self.add(starts);
    }

    /// Adds partitions to ours.
    pub(super) fn add(&mut self, starts: &[Start]) {
        for start in starts {
            let ours = Ours {
                partition: start.partition.clone(),
                identity: SourceIdentity::Kafka(start.identity.clone()),
                position: start.position,
                since: Instant::now(),
            };
            self.ours.insert(start.source, ours);
        }
    }

    fn know(&mut self, state: &State) {
        let partitions = state.sources.iter().filter_map(|(id, source)| {
            let SourceIdentity::Kafka(kafka) = &source.identity else {
                return None;
            };
            Some((*id, kafka.topic.name.clone()))
        });
        self.registered = partitions.collect();
    }

    /// Whether the session was given any partition.
    pub(super) fn was_given(&self) -> bool {
        self.was_given
    }

    /// A block was read.
    pub(super) fn read(&mut self, block: &RecordBlock) {
        if let Some(ours) = self.ours.get_mut(&block.source.id) {
            ours.position = block.range.end;
            ours.identity = block.identity.clone();
            if !block.records.is_empty() {
                ours.since = Instant::now();
            }
        }
    }

    /// Partitions are another's.
    pub(super) fn let_go(&mut self, partitions: &[Partition]) {
        self.ours
            .retain(|_, ours| !partitions.contains(&ours.partition));
    }

    /// Waits for what the cluster says of partitions that are quiet. Nothing is lost where it is not waited for.
    pub(super) async fn looked(&mut self, cluster: &Arc<dyn Cluster>) -> Look {
        loop {
            let Some(asking) = &mut self.asking else {
                tokio::time::sleep_until(self.next).await;
                self.next = Instant::now() + self.every;
                self.asking = self.ask(Arc::clone(cluster));
                continue;
            };
            let answer = asking.await;
            self.asking = None;
            match answer {
                Ok(Ok(look)) => return look,
                Ok(Err(error)) => {
                    tracing::warn!(
                        "how complete quiet partitions are is not known: failed to {error}"
                    );
                }
                // It panicked, and said so.
                Err(_) => {}
            }
        }
    }

    /// Asks off the tasks' threads, where there is something to ask.
    fn ask(&self, cluster: Arc<dyn Cluster>) -> Option<JoinHandle<Result<Look, KafkaError>>> {
        let idle = self.policy.idle;
        let quiet = self
            .ours
            .iter()
            .filter(|(_, ours)| ours.since.elapsed() >= idle);
        let quiet: Vec<_> = quiet
            .map(|(source, ours)| (*source, ours.partition.clone()))
            .collect();
        let pattern = Some(&self.topics).filter(|topics| matches!(topics, Topics::Pattern(_)));
        if quiet.is_empty() && (pattern.is_none() || self.ours.is_empty()) {
            return None;
        }
        let at_micros = self.clock.now_micros();
        let pattern = pattern.cloned();
        Some(tokio::task::spawn_blocking(move || {
            let topics = pattern
                .map(|pattern| cluster.topics(&pattern))
                .transpose()?;
            let topics = topics.map(|all| all.into_iter().map(|one| one.topic.name).collect());
            let look = Look::at(cluster.as_ref(), at_micros, quiet)?;
            Ok(Look { topics, ..look })
        }))
    }

    /// Puts what the cluster said into the checkpoint that is being gathered. Says whether it must be made
    /// for that alone.
    pub(super) fn settle(&mut self, look: Look, gathered: &mut Accumulated) -> bool {
        let has_more = !gathered.is_empty();
        if let Some(topics) = look.topics {
            let all = self.registered.values();
            let missing: BTreeSet<String> = all
                .filter(|topic| !topics.contains(*topic))
                .cloned()
                .collect();
            self.gone = self.missing.intersection(&missing).cloned().collect();
            self.missing = missing;
        }
        gathered.set_gone(self.gone());
        let through = look
            .at_micros
            .saturating_sub(micros(self.policy.delay).saturating_add(micros(self.policy.idle)));
        for (source, end) in look.ends {
            // What came since then does not matter: it was not there yet.
            if let Some(ours) = self.ours.get(&source).filter(|ours| ours.position >= end) {
                gathered.add_quiet(source, &ours.identity, ours.position, through);
            }
        }
        !has_more && !gathered.is_empty()
    }

    /// The partitions of topics that the dataset does not name, or that its pattern did not find twice: a cluster that
    /// was just started may not know all.
    pub(super) fn gone(&self) -> BTreeSet<u64> {
        let is_gone = |topic: &String| match &self.topics {
            Topics::Names(names) => !names.contains(topic),
            Topics::Pattern(_) => self.gone.contains(topic),
        };
        let gone = self.registered.iter().filter(|(_, topic)| is_gone(topic));
        gone.map(|(source, _)| *source).collect()
    }

    /// What a commit says that only registers partitions.
    pub(super) fn nothing_new(&self) -> Completion {
        Completion {
            time: self.policy.time.to_string(),
            sources: BTreeMap::new(),
            gone: self.gone(),
            late_records: 0,
        }
    }

    /// Waits for a question that is on its way: whoever asks keeps the client.
    pub(super) async fn close(self) {
        if let Some(asking) = self.asking {
            let _ = asking.await;
        }
    }
}

impl Look {
    /// Asks for the ends of partitions, given with their sources' ids. Blocks.
    pub(super) fn at(
        cluster: &dyn Cluster,
        at_micros: i64,
        partitions: Vec<(u64, Partition)>,
    ) -> Result<Self, KafkaError> {
        let (sources, partitions): (Vec<u64>, Vec<Partition>) = partitions.into_iter().unzip();
        let ends = if partitions.is_empty() {
            Vec::new()
        } else {
            cluster.ends(&partitions)?
        };
        Ok(Self {
            at_micros,
            ends: sources.into_iter().zip(ends).collect(),
            topics: None,
        })
    }

    /// Only of partitions that stand at their ends.
    pub(super) fn only_read(mut self, positions: &BTreeMap<u64, u64>) -> Self {
        self.ends
            .retain(|(source, end)| positions.get(source).is_some_and(|at| at >= end));
        self
    }
}

#[cfg(test)]
mod tests;
