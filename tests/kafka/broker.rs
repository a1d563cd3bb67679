//! A real broker, and what a test does to it beside frazil.

use std::time::Duration;

use crate::stack::Stack;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

/// How long a single call may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A broker of the test's own, gone with it.
pub(crate) struct Broker {
    stack: Stack,
}

impl Broker {
    /// Starts one, and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self {
            stack: Stack::start("kafka", &[]),
        }
    }

    /// Has the script do something: `stop`, `kill`, `start`.
    pub(crate) fn command(&mut self, word: &str) {
        self.stack.command(word);
    }

    /// What it told of itself.
    pub(crate) fn told(&self, key: &str) -> &str {
        self.stack.address(key)
    }

    /// The address of a listener.
    pub(crate) fn address(&self, listener: &str) -> &str {
        self.stack.addresses["brokers"][listener].as_str().unwrap()
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address("plaintext"));
        config
    }

    fn admin<T>(
        &self,
        work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let admin = self.config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        runtime.block_on(work(&admin, &options))
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.admin(async |admin, options| {
            let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            for (key, value) in settings {
                topic = topic.set(key, value);
            }
            let made = admin.create_topics(&[topic], options).await.unwrap();
            for one in made {
                one.unwrap();
            }
        });
    }

    pub(crate) fn delete_topic(&self, name: &str) {
        self.admin(async |admin, options| {
            let gone = admin.delete_topics(&[name], options).await.unwrap();
            for one in gone {
                one.unwrap();
            }
        });
    }

    pub(crate) fn add_partitions(&self, name: &str, partitions: usize) {
        self.admin(async |admin, options| {
            let more = NewPartitions::new(name, partitions);
            let made = admin.create_partitions(&[more], options).await.unwrap();
            for one in made {
                one.unwrap();
            }
        });
    }

    /// Takes away what is before an offset, as retention does.
    pub(crate) fn delete_before(&self, name: &str, partition: i32, offset: i64) {
        self.admin(async |admin, options| {
            let mut before = TopicPartitionList::new();
            before
                .add_partition_offset(name, partition, Offset::Offset(offset))
                .unwrap();
            let gone = admin.delete_records(&before, options).await.unwrap();
            drop(gone);
        });
    }

    pub(crate) fn producer(&self) -> Producer {
        let mut config = self.config();
        config
            .set("linger.ms", "5")
            .set("enable.idempotence", "true");
        Producer(config.create().unwrap())
    }

    /// One that sends in transactions.
    pub(crate) fn transactional(&self, id: &str) -> Producer {
        let producer: ThreadedProducer<DefaultProducerContext> =
            self.config().set("transactional.id", id).create().unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        Producer(producer)
    }

    /// The group's stored offset of a partition.
    pub(crate) fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let told = consumer.committed_offsets(asked, TIMEOUT).unwrap();
        match told.find_partition(topic, partition).unwrap().offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// A member of a group that reads a topic, gone when it is dropped.
    pub(crate) fn member(&self, group: &str, topic: &str) -> rdkafka::consumer::BaseConsumer {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[topic]).unwrap();
        while consumer.assignment().unwrap().count() == 0 {
            drop(consumer.poll(Duration::from_millis(100)));
        }
        consumer
    }

    /// Stores an offset for a group, as another reader would.
    pub(crate) fn set_group_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut stored = TopicPartitionList::new();
        stored
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        consumer.commit(&stored, CommitMode::Sync).unwrap();
    }
}

/// Sends records.
pub(crate) struct Producer(ThreadedProducer<DefaultProducerContext>);

impl Producer {
    /// Sends one; waits only where the client's memory is full.
    pub(crate) fn send(&self, topic: &str, partition: i32, value: &str) {
        self.record(
            BaseRecord::to(topic)
                .partition(partition)
                .key("")
                .payload(value),
        );
    }

    /// Sends one of that time, in milliseconds since the epoch.
    pub(crate) fn send_at(&self, topic: &str, partition: i32, value: &str, at_ms: i64) {
        let record = BaseRecord::to(topic).partition(partition).key("");
        self.record(record.payload(value).timestamp(at_ms));
    }

    /// Sends `{"n":N}` for each number, spread over the partitions.
    pub(crate) fn numbers(&self, topic: &str, numbers: std::ops::Range<u64>, partitions: u64) {
        for n in numbers {
            self.send(topic, (n % partitions) as i32, &format!("{{\"n\":{n}}}"));
        }
        self.flush();
    }

    /// Sends one with all that a message may have.
    pub(crate) fn full(&self, topic: &str, key: &str, value: Option<&str>, header: (&str, &str)) {
        let headers = OwnedHeaders::new().insert(Header {
            key: header.0,
            value: Some(header.1),
        });
        let mut record = BaseRecord::<str, str>::to(topic)
            .partition(0)
            .key(key)
            .timestamp(1_700_000_000_123)
            .headers(headers);
        record.payload = value;
        self.record(record);
    }

    fn record(&self, record: BaseRecord<'_, str, str>) {
        let mut record = record;
        while let Err((_, back)) = self.0.send(record) {
            record = back;
            std::thread::yield_now();
        }
    }

    pub(crate) fn flush(&self) {
        self.0.flush(TIMEOUT).unwrap();
    }

    pub(crate) fn begin(&self) {
        self.0.begin_transaction().unwrap();
    }

    pub(crate) fn commit(&self) {
        self.0.commit_transaction(TIMEOUT).unwrap();
    }

    pub(crate) fn abort(&self) {
        self.0.abort_transaction(TIMEOUT).unwrap();
    }
}
