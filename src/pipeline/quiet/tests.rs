//! Against a cluster that says what the test says.

use std::sync::Mutex;

use bytes::Bytes;
use frazil_dataset::{CheckpointPolicy, EventTime};
use frazil_table::state::{KafkaIdentity, KafkaTopic, SourceState};
use uuid::Uuid;

use super::*;
use crate::{
    record::{RecordSpan, SourceInfo},
    source::kafka::{GroupPosition, KafkaErrorKind, Seek, Topic},
};

const SECOND: i64 = 1_000_000;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now_micros(&self) -> i64 {
        1_000 * SECOND
    }
}

#[derive(Debug, Default)]
struct Told {
    ends: BTreeMap<i32, u64>,
    topics: Vec<&'static str>,
    asked: Vec<Partition>,
}

#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Told>>);

impl Cluster for Scripted {
    fn topics(&self, _: &Topics) -> Result<Vec<Topic>, KafkaError> {
        let told = self.0.lock().unwrap();
        let topic = |name: &&str| Topic {
            topic: topic(name),
            partitions: vec![0],
        };
        Ok(told.topics.iter().map(topic).collect())
    }

    fn offsets(&self, _: &[Partition], _: Seek) -> Result<Vec<u64>, KafkaError> {
        panic!("the end before open transactions is not asked for")
    }

    fn ends(&self, partitions: &[Partition]) -> Result<Vec<u64>, KafkaError> {
        let mut told = self.0.lock().unwrap();
        told.asked.extend_from_slice(partitions);
        let ends = partitions
            .iter()
            .map(|one| told.ends.get(&one.number).copied());
        let unreachable =
            || KafkaError::new("ask".to_owned(), KafkaErrorKind::Unreachable, "no answer");
        ends.collect::<Option<_>>().ok_or_else(unreachable)
    }

    fn group_positions(&self, _: &[Partition]) -> Result<Vec<Option<GroupPosition>>, KafkaError> {
        panic!("the group decides nothing")
    }

    fn group_members(&self) -> Result<usize, KafkaError> {
        panic!("the group decides nothing")
    }
}

fn topic(name: &str) -> KafkaTopic {
    KafkaTopic {
        cluster_id: "c".to_owned(),
        topic_id: None,
        name: name.to_owned(),
    }
}

fn identity(name: &str, partition: i32) -> KafkaIdentity {
    KafkaIdentity {
        topic: topic(name),
        partition,
        leader_epoch: None,
    }
}

/// Source n is partition n − 1 of `web`, and source 9 the only one of `old`.
fn state() -> State {
    let mut state = State::new(Uuid::nil());
    let of_web = (0..3).map(|number| (number as u64 + 1, identity("web", number)));
    for (id, identity) in of_web.chain([(9, identity("old", 0))]) {
        let source = SourceState {
            identity: SourceIdentity::Kafka(identity),
            position: 10,
            commit: Uuid::nil(),
        };
        state.sources.insert(id, source);
    }
    state
}

fn start(number: i32) -> Start {
    Start {
        partition: Partition {
            topic: "web".into(),
            number,
        },
        source: number as u64 + 1,
        position: 10,
        identity: identity("web", number),
    }
}

/// A block that ends there, with a record or without.
fn block(number: i32, end: u64, has_record: bool) -> RecordBlock {
    let record = RecordSpan {
        start: 0,
        length: 0,
        position: end - 1,
    };
    RecordBlock {
        source: Arc::new(SourceInfo {
            id: number as u64 + 1,
            name: "web".into(),
            partition: number,
        }),
        range: end - 1..end,
        bytes: Bytes::new(),
        records: vec![record; usize::from(has_record)],
        oversize: Vec::new(),
        messages: None,
        header: None,
        identity: SourceIdentity::Kafka(identity("web", number)),
    }
}

fn gathered() -> Accumulated {
    let policy = CheckpointPolicy {
        interval: Duration::from_mins(1),
        bytes: u64::MAX,
        records: u64::MAX,
    };
    Accumulated::new(policy, 9, [])
}

fn quiet(topics: Topics) -> Quiet {
    let policy = CompletePolicy {
        time: EventTime::Message,
        delay: Duration::from_secs(5),
        idle: Duration::from_mins(1),
    };
    let clock: Arc<dyn Clock> = Arc::new(FixedClock);
    let mut quiet = Quiet::new(&policy, Duration::from_secs(10), &topics, &clock);
    quiet.begin(&state());
    quiet.given(&[start(0), start(1), start(2)], &state());
    quiet
}

fn names() -> Topics {
    Topics::Names(vec!["web".to_owned()])
}

#[tokio::test(start_paused = true)]
async fn partitions_that_are_quiet_and_read_to_their_end_are_complete_up_to_a_little_before_now() {
    let told = Scripted::default();
    told.0.lock().unwrap().ends = BTreeMap::from([(0, 10), (1, 12), (2, 10)]);
    let cluster: Arc<dyn Cluster> = Arc::new(told.clone());
    let mut quiet = quiet(names());
    tokio::time::sleep(Duration::from_secs(30)).await;
    // A record keeps the last one busy; that offsets were passed keeps none.
    quiet.read(&block(2, 11, true));
    quiet.read(&block(0, 11, false));
    let look = quiet.looked(&cluster).await;
    let asked: Vec<i32> = told
        .0
        .lock()
        .unwrap()
        .asked
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(asked, [0, 1]);
    let mut gathered = gathered();
    assert!(
        quiet.settle(look, &mut gathered),
        "a checkpoint for that alone"
    );
    let moves = gathered.take();
    assert_eq!(moves.quiet, BTreeMap::from([(1, 935 * SECOND)]));
    let advance = &moves.advances[0];
    assert_eq!((advance.source, advance.start, advance.end), (1, 11, 11));
    assert_eq!(moves.gone, BTreeSet::from([9]));
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_meanwhile_is_anothers_and_what_is_gathered_is_not_hurried() {
    let told = Scripted::default();
    told.0.lock().unwrap().ends = BTreeMap::from([(0, 10), (1, 10), (2, 10)]);
    let cluster: Arc<dyn Cluster> = Arc::new(told);
    let mut quiet = quiet(names());
    let look = quiet.looked(&cluster).await;
    quiet.let_go(&[start(0).partition, start(1).partition]);
    let mut gathered = gathered();
    let mut read = block(2, 11, true);
    quiet.read(&read);
    gathered.add(&mut read);
    assert!(!quiet.settle(look, &mut gathered));
    let moves = gathered.take();
    assert_eq!(moves.quiet.keys().copied().collect::<Vec<_>>(), [3]);
    assert_eq!((moves.advances[0].start, moves.advances[0].end), (10, 11));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_is_said_and_it_is_asked_again() {
    let told = Scripted::default();
    let cluster: Arc<dyn Cluster> = Arc::new(told.clone());
    let mut quiet = quiet(names());
    let silent = tokio::time::timeout(Duration::from_mins(10), quiet.looked(&cluster)).await;
    assert!(silent.is_err());
    assert!(told.0.lock().unwrap().asked.len() > 3);
    told.0.lock().unwrap().ends = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
    let look = quiet.looked(&cluster).await;
    let mut gathered = gathered();
    assert!(quiet.settle(look, &mut gathered));
    assert_eq!(gathered.take().quiet.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_a_pattern_does_not_find_twice_no_longer_counts() {
    let told = Scripted::default();
    told.0.lock().unwrap().ends = BTreeMap::from([(0, 20), (1, 20), (2, 20)]);
    let cluster: Arc<dyn Cluster> = Arc::new(told.clone());
    let mut quiet = quiet(Topics::Pattern(".*".to_owned()));
    for (topics, gone) in [
        (vec!["web", "old"], vec![]),
        (vec!["web"], vec![]),
        (vec!["web"], vec![9]),
        (vec!["web", "old"], vec![]),
        (vec!["web"], vec![]),
    ] {
        told.0.lock().unwrap().topics.clone_from(&topics);
        let look = quiet.looked(&cluster).await;
        let mut gathered = gathered();
        assert!(
            !quiet.settle(look, &mut gathered),
            "nothing is read to its end"
        );
        let found: Vec<u64> = gathered.take().gone.into_iter().collect();
        assert_eq!(found, gone, "{topics:?}");
        assert_eq!(quiet.gone().into_iter().collect::<Vec<_>>(), gone);
    }
}
