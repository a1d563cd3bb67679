"""Web-log records, the same for the same number, and how they come into a topic."""

import datetime
import random

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
# Errors, but not that a coordinator wants another moment.
CLIENT = {"log_level": 3}
TIMEOUT_SECONDS = 60
# The broker's own limit of a transaction's life.
TRANSACTION_MS_MAX = 900_000

START = datetime.datetime(2025, 3, 1)
VERBS = ["GET"] * 8 + ["POST"] * 3 + ["PUT", "HEAD", "DELETE"]
RESPONSES = [200] * 12 + [201, 204, 301, 304, 304, 400, 403, 404, 404, 500, 503]
COUNTRIES = ["AT", "BR", "CH", "CN", "DE", "ES", "FR", "GB", "IN", "IT", "JP", "KE", "NL", "PL", "SE", "US"]
LABELS = ["api", "batch", "beta", "cdn", "eu-central", "login", "mobile", "retry", "search", "us-west"]
PATHS = [
    f"/{area}/{thing}"
    for area in ["shop", "account", "media", "api/v2", "blog", "hilfe/größe"]
    for thing in ["index.html", "list", "item", "search", "upload", "feed.xml", 'say-\\"hi\\"', "settings"]
]
SITES = [f"https://www.example.org/{name}" for name in ["", "spring", "newsletter/42", "search?q=lake", "a/b/c/d/e"]]
SYSTEMS = ["X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "Linux; Android 10; K"]
BROWSERS = [f"AppleWebKit/537.36 {name}/{version}" for name in ["Chrome", "Edg"] for version in range(120, 140)]


def lines(count):
    """`count` records as JSON, without line ends, 474 bytes long in the mean."""
    numbers = random.Random(count)
    bits, pick = numbers.getrandbits, numbers.choice
    for number in range(count):
        # 997 microseconds apart, written in milliseconds.
        time = (START + datetime.timedelta(microseconds=997 * number)).isoformat(timespec="milliseconds")
        size = "null" if bits(5) == 0 else bits(6 + number % 16)
        referrer = "" if bits(3) == 0 else f'"referrer":"{pick(SITES)}",'
        tags = '","'.join(pick(LABELS) for _ in range(1 + bits(2)))
        agent = f"Mozilla/5.0 ({pick(SYSTEMS)}) {pick(BROWSERS)}.0.{bits(12)}.0 Safari/537.36"
        yield (
            f'{{"request_id":"{bits(128):032x}","@timestamp":"{time}Z","clientip":"{1 + bits(7)}.{bits(8)}.{bits(8)}.{bits(8)}",'
            f'"verb":"{pick(VERBS)}","request":"{pick(PATHS)}?s={bits(64):016x}&page={bits(6)}","httpversion":"1.1",'
            f'"response":{pick(RESPONSES)},"bytes":{size},{referrer}"agent":"{agent}",'
            f'"latency_ms":{bits(21) / 1000},"cached":{"true" if bits(1) else "false"},'
            f'"geo":{{"country":"{pick(COUNTRIES)}","asn":{1000 + bits(16)}}},"tags":["{tags}"]}}'
        ).encode()


def write(path, count):
    """Writes a file of `count` records, one a line."""
    with open(path, "wb") as file:
        file.writelines(line + b"\n" for line in lines(count))


def create_topics(brokers, names, partitions=PARTITIONS):
    """Makes the topics; they are there when this returns."""
    # Named, since the calls of a client that is collected are cancelled.
    admin = AdminClient(CLIENT | {"bootstrap.servers": brokers})
    for made in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
        made.result(TIMEOUT_SECONDS)


def delete_topic(brokers, name):
    """Removes a topic and its records."""
    admin = AdminClient(CLIENT | {"bootstrap.servers": brokers})
    for gone in admin.delete_topics([name]).values():
        gone.result(TIMEOUT_SECONDS)


class Sender:
    """Sends records, and fails where one is not acknowledged."""

    def __init__(self, brokers, **settings):
        self.failures = []
        self.producer = Producer(CLIENT | {"bootstrap.servers": brokers, "enable.idempotence": True} | settings)

    def acknowledged(self, error, _message):
        if error:
            self.failures.append(str(error))

    def send(self, topic, partition, value):
        while True:
            try:
                return self.producer.produce(topic, value, partition=partition, on_delivery=self.acknowledged)
            except BufferError:
                self.producer.poll(0.1)

    def flush(self):
        left = self.producer.flush(TIMEOUT_SECONDS)
        if left or self.failures:
            raise SystemExit(f"{left} records were not sent and {len(self.failures)} refused: {self.failures[:3]}")


def load(brokers, topic, corpus, times):
    """Sends the corpus's records `times` times, in turn to each partition, in one open transaction. Returns what commits it.

    So all records become visible at one moment, and a sink that runs already has them all before it, as one has that starts later.
    """
    settings = {"transactional.id": f"load-{topic}", "transaction.timeout.ms": TRANSACTION_MS_MAX, "compression.type": "none",
                "linger.ms": 50, "batch.size": 500_000, "queue.buffering.max.messages": 200_000}  # fmt: skip
    sender = Sender(brokers, **settings)
    sender.producer.init_transactions(TIMEOUT_SECONDS)
    sender.producer.begin_transaction()
    number = 0
    for _ in range(times):
        with open(corpus, "rb") as file:
            for line in file:
                sender.send(topic, number % PARTITIONS, line[:-1])
                number += 1
                if number % 1000 == 0:
                    sender.producer.poll(0)
    sender.flush()
    return lambda: sender.producer.commit_transaction(TIMEOUT_SECONDS)
