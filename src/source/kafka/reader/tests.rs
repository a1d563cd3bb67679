//! The reader against a consumer that does as the test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use frazil_table::state::KafkaTopic;

use super::{super::KafkaErrorKind, *};

#[derive(Debug, Default)]
struct Told {
    assignments: VecDeque<Assignment>,
    messages: VecDeque<(Partition, u64, &'static str)>,
    started: Vec<(Partition, u64)>,
    released: Vec<Partition>,
}

/// A consumer that delivers what it is told to, whether or not it was asked to start there.
#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Told>>);

impl Consumer for Scripted {
    fn poll(
        &mut self,
        _: Duration,
        messages: Option<&mut dyn Sink>,
    ) -> Result<Vec<Assignment>, KafkaError> {
        let mut told = self.0.lock().unwrap();
        if let Some(sink) = messages {
            for (partition, offset, value) in std::mem::take(&mut told.messages) {
                let message = Message {
                    offset,
                    leader_epoch: None,
                    value: Some(value.as_bytes()),
                    key: None,
                    timestamp_ms: None,
                    headers: &[],
                };
                sink.message(&partition, message);
            }
        }
        Ok(std::mem::take(&mut told.assignments).into())
    }

    fn start(&mut self, starts: &[(Partition, u64, Option<i32>)]) -> Result<(), KafkaError> {
        let started = starts
            .iter()
            .map(|(partition, at, _)| (partition.clone(), *at));
        self.0.lock().unwrap().started.extend(started);
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), KafkaError> {
        self.0
            .lock()
            .unwrap()
            .released
            .extend_from_slice(partitions);
        Ok(())
    }

    fn bounds(&self, _: &Partition) -> Result<(u64, u64), KafkaError> {
        Ok((5, 20))
    }

    fn held_offsets(&self, _: &Partition) -> Option<(u64, u64)> {
        Some((5, 20))
    }

    fn store(&mut self, _: &[(Partition, u64)], _: &str) {}
}

#[test]
fn an_offset_out_of_range_is_looked_at_before_it_is_believed() {
    let consumer = Scripted::default();
    let mut reader = reader(&consumer);
    consumer.assign(Assignment::Given(vec![
        partition(0),
        partition(1),
        partition(2),
    ]));
    reader.step(Duration::ZERO);
    let (sender, mut session) = tokio::sync::mpsc::channel(8);
    reader.obey(Command::Attach(sender));
    reader.obey(Command::Start(vec![
        start(0, 20),
        start(1, 4),
        start(2, 21),
    ]));
    reader.step(Duration::ZERO);
    group(session.try_recv().ok());
    for (number, told) in [(0, None), (1, Some("begins at 5")), (2, Some("ends at 20"))] {
        reader.blocks.out_of_range(&partition(number));
        reader.step(Duration::ZERO);
        match (session.try_recv().ok(), told) {
            (None, None) => {
                let started = consumer.0.lock().unwrap().started.last().cloned();
                assert_eq!(started, Some((partition(0), 20)));
            }
            (Some(Read::KafkaFailed(error)), Some(told)) => {
                assert!(error.to_string().contains(told), "{error}");
                assert_eq!(error.kind, KafkaErrorKind::PositionsLost);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn partition(number: i32) -> Partition {
    Partition {
        topic: "web".into(),
        number,
    }
}

fn start(number: i32, position: u64) -> Start {
    Start {
        partition: partition(number),
        source: number as u64 + 1,
        position,
        identity: KafkaIdentity {
            topic: KafkaTopic {
                cluster_id: "c".to_owned(),
                topic_id: None,
                name: "web".to_owned(),
            },
            partition: number,
            leader_epoch: None,
        },
    }
}

fn reader(consumer: &Scripted) -> KafkaReader {
    let options = ReaderOptions {
        blocks: BlockOptions::default(),
        linger: Duration::ZERO,
    };
    KafkaReader::new(Box::new(consumer.clone()), options)
}

impl Scripted {
    fn assign(&self, assignment: Assignment) {
        self.0.lock().unwrap().assignments.push_back(assignment);
    }

    fn deliver(&self, number: i32, offset: u64) {
        let message = (partition(number), offset, "x");
        self.0.lock().unwrap().messages.push_back(message);
    }

    fn released(&self) -> Vec<Partition> {
        self.0.lock().unwrap().released.clone()
    }
}

fn group(read: Option<Read>) -> Assignment {
    match read {
        Some(Read::Group(assignment)) => assignment,
        other => panic!("{other:?}"),
    }
}

fn range(read: Option<Read>) -> std::ops::Range<u64> {
    match read {
        Some(Read::Block(block)) => block.range,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_session_is_told_of_its_partitions_and_starts_them_anew() {
    let consumer = Scripted::default();
    let mut reader = reader(&consumer);
    consumer.assign(Assignment::Given(vec![partition(0)]));
    reader.step(Duration::ZERO);

    let (sender, mut first) = tokio::sync::mpsc::channel(4);
    reader.obey(Command::Attach(sender));
    reader.step(Duration::ZERO);
    let given = Assignment::Given(vec![partition(0)]);
    assert_eq!(group(first.try_recv().ok()), given);
    reader.obey(Command::Start(vec![start(0, 7)]));
    consumer.deliver(0, 5);
    consumer.deliver(0, 8);
    reader.step(Duration::ZERO);
    assert_eq!(range(first.try_recv().ok()), 7..9);

    drop(first);
    reader.step(Duration::ZERO);
    let (sender, mut second) = tokio::sync::mpsc::channel(4);
    reader.obey(Command::Attach(sender));
    // Nothing is read before the session says from where.
    consumer.deliver(0, 9);
    reader.step(Duration::ZERO);
    assert_eq!(group(second.try_recv().ok()), given);
    assert!(second.try_recv().is_err());
    reader.obey(Command::Start(vec![start(0, 7)]));
    consumer.0.lock().unwrap().messages.clear();
    consumer.deliver(0, 7);
    reader.step(Duration::ZERO);
    assert_eq!(range(second.try_recv().ok()), 7..8);
}

#[test]
fn partitions_go_when_the_session_says_so_or_is_gone() {
    let consumer = Scripted::default();
    let mut reader = reader(&consumer);
    consumer.assign(Assignment::Given(vec![partition(0), partition(1)]));
    reader.step(Duration::ZERO);
    let (sender, mut session) = tokio::sync::mpsc::channel(8);
    reader.obey(Command::Attach(sender));
    reader.obey(Command::Start(vec![start(0, 0), start(1, 0)]));
    reader.step(Duration::ZERO);
    group(session.try_recv().ok());

    consumer.deliver(0, 0);
    reader.step(Duration::ZERO);
    consumer.assign(Assignment::Taken(vec![partition(0)]));
    reader.step(Duration::ZERO);
    // What was read before comes first, so that it is in the checkpoint.
    assert_eq!(range(session.try_recv().ok()), 0..1);
    let taken = Assignment::Taken(vec![partition(0)]);
    assert_eq!(group(session.try_recv().ok()), taken);
    assert!(consumer.released().is_empty());
    consumer.deliver(0, 1);
    reader.step(Duration::ZERO);
    assert!(session.try_recv().is_err(), "it is no longer ours");
    reader.obey(Command::Release(vec![partition(0)]));
    assert_eq!(consumer.released(), [partition(0)]);

    consumer.assign(Assignment::Taken(vec![partition(1)]));
    reader.step(Duration::ZERO);
    drop(session);
    reader.step(Duration::ZERO);
    assert_eq!(consumer.released(), [partition(0), partition(1)]);
}

#[test]
fn a_full_queue_keeps_messages_with_the_client_and_the_group_served() {
    let consumer = Scripted::default();
    let mut reader = reader(&consumer);
    consumer.assign(Assignment::Given(vec![partition(0)]));
    reader.step(Duration::ZERO);
    let (sender, mut session) = tokio::sync::mpsc::channel(1);
    reader.obey(Command::Attach(sender));
    reader.obey(Command::Start(vec![start(0, 0)]));
    reader.step(Duration::ZERO);
    for offset in 0..3 {
        consumer.deliver(0, offset);
        reader.step(Duration::ZERO);
    }
    assert_eq!(consumer.0.lock().unwrap().messages.len(), 2);
    consumer.assign(Assignment::Lost(vec![partition(0)]));
    reader.step(Duration::ZERO);
    assert_eq!(consumer.released(), [partition(0)]);
    group(session.try_recv().ok());
    reader.step(Duration::ZERO);
    assert_eq!(range(session.try_recv().ok()), 0..1);
    reader.step(Duration::ZERO);
    let lost = Assignment::Lost(vec![partition(0)]);
    assert_eq!(group(session.try_recv().ok()), lost);
}
