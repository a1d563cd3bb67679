"""Numbered records, sent to a topic at a steady pace by a process of its own."""

import base64
import multiprocessing
import random
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import servers

PARTITIONS = 6
# Each of this many has a number that is none: a dead letter.
BAD_EVERY = 997
# What is sent between two looks at the clock.
BURST_RECORDS = 100
CALL_SECONDS_MAX = 60
# How long a record may wait for a broker that is away.
SEND_SECONDS_MAX = 600

# That a broker is away is no news.
QUIET = {"log_level": 0}

# The parent has threads, which a fork would not have.
PROCESSES = multiprocessing.get_context("spawn")


def record(number, pad):
    """A record of that number."""
    bad = "bad " if number % BAD_EVERY == 0 else ""
    value = f'"{bad}{number}"' if bad else number
    # Of random bytes, so that it takes as much room in the table as here.
    text = base64.b64encode(random.randbytes(pad * 3 // 4)).decode()
    return f'{{"n":{value},"pad":"{text}"}}'


def send(brokers, topic, records, seconds, pad, acknowledged):
    """Sends numbers from 0 on, each once, spread over `seconds`."""
    producer = Producer({
        "bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 20,
        "message.timeout.ms": SEND_SECONDS_MAX * 1000, "reconnect.backoff.max.ms": 500, "queue.buffering.max.kbytes": 64 * 1024, **QUIET,
    })  # fmt: skip

    def done(error, _):
        if error:
            raise RuntimeError(f"a record was not taken: {error}")
        acknowledged.value += 1

    begun = time.monotonic()
    for number in range(records):
        if number % BURST_RECORDS == 0:
            producer.poll(0)
            time.sleep(max(0, begun + seconds * number / records - time.monotonic()))
        while True:
            try:
                producer.produce(topic, record(number, pad), partition=number % PARTITIONS, on_delivery=done)
                break
            except BufferError:
                producer.poll(0.1)
    while producer.flush(1):
        pass


class Load:
    """A topic, and what is sent to it."""

    def __init__(self, brokers, topic, records, seconds, pad):
        self.brokers, self.topic, self.records = brokers, topic, records
        self.admin = AdminClient({"bootstrap.servers": brokers, **QUIET})
        self.admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(CALL_SECONDS_MAX)
        servers.wait_until(self.has_leaders, f"topic {topic} can be read")
        self.acknowledged_value = PROCESSES.Value("q", 0)
        arguments = (brokers, topic, records, seconds, pad, self.acknowledged_value)
        self.process = PROCESSES.Process(target=send, args=arguments, daemon=True)

    def start(self):
        self.process.start()

    def acknowledged(self):
        """How many records the broker has confirmed."""
        return self.acknowledged_value.value

    def is_sending(self):
        return self.process.is_alive()

    def finish(self):
        """Waits until all are sent, and makes sure that the topic holds each once."""
        self.process.join()
        if self.process.exitcode != 0:
            raise RuntimeError(f"sending ended with {self.process.exitcode}")
        held = self.held()
        if held != self.records:
            raise RuntimeError(f"the topic holds {held} records of {self.records}: what sends them is wrong, or the broker")

    def has_leaders(self):
        """A new topic has none for a moment."""
        try:
            return self.held() == 0
        except KafkaException:
            return False

    def held(self):
        """How many records the topic has."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "watermarks", **QUIET})
        partitions = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(one, timeout=CALL_SECONDS_MAX) for one in partitions]
        consumer.close()
        return sum(high - low for low, high in ends)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.is_alive():
            self.process.kill()
        self.admin.delete_topics([self.topic])[self.topic].result(CALL_SECONDS_MAX)
