"""The given frazil binary writes from a real Kafka, and a real Prometheus scrapes it with the alert rules loaded.

    live.py FRAZIL

What must hold: the documented metrics are those that are served; the counters come to what was sent; every
expression of rules and dashboard finds its series; a dataset whose topic is made again is parked, sets its alert off
and nothing else's, and goes on, silently, once a person decided.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import time

import confluent_kafka
import confluent_kafka.admin
import yaml

import documented
import prometheus
import stack

SECONDS_MAX = 120
DEPLOYMENT = """
[kafka.main]
brokers = ["{brokers}"]
[kafka.main.properties]
"topic.metadata.refresh.interval.ms" = "500"
"""
DATASET = """
format = "json"
columns = [{{ name = "n", type = "long", required = true }}]
{more}
[source.kafka]
topics = ["{name}"]
[checkpoint]
interval = "500ms"
"""
# They need what the test does not do, or compare two metrics with each other.
NOT_LOOSENED = {"FrazilDatasetStopped", "FrazilDeadLetters", "FrazilLagging", "FrazilRetentionClose"}


def until(what, holds):
    """Waits until `holds()` is true and gives it; whatever it says last is told where it never is."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        found = holds()
        if found is True or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if found is not True:
        raise AssertionError(f"waited in vain for {what}: {found}")


def same(found, wanted):
    """True, or what was found."""
    return True if found == wanted else found


@contextlib.contextmanager
def kafka():
    """A broker of our own; its address."""
    script = pathlib.Path(stack.__file__).parent / "kafka"
    with subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as broker:
        told = json.loads(broker.stdout.readline())
        # It ends with its standard input, which is closed on leaving.
        yield told["brokers"]["plaintext"]


class Topics:
    """What is done to topics beside frazil."""

    def __init__(self, brokers):
        # A broker that is short of processor time may be without a controller for a moment; the client asks again only so often.
        settings = {"bootstrap.servers": brokers, "log_level": 0, "topic.metadata.refresh.interval.ms": 500}
        self.admin = confluent_kafka.admin.AdminClient(settings)
        self.producer = confluent_kafka.Producer(settings)

    def make(self, name):
        topic = confluent_kafka.admin.NewTopic(name, num_partitions=2, replication_factor=1)
        made = self.admin.create_topics([topic], request_timeout=SECONDS_MAX)
        made[name].result()

    def delete(self, name):
        self.admin.delete_topics([name], request_timeout=SECONDS_MAX)[name].result()

    def send(self, name, *values):
        for n, value in enumerate(values):
            self.producer.produce(name, value, key=str(n), partition=n % 2)
        if self.producer.flush(SECONDS_MAX):
            raise AssertionError("records were not sent")


def numbers(count):
    return [json.dumps({"n": n}) for n in range(count)]


class Writer:
    """`frazil write` of two datasets, and its folder."""

    def __init__(self, frazil, servers, brokers):
        self.frazil, self.folder = frazil, servers.folder
        (self.folder / "schemas").mkdir()
        (self.folder / "frazil.toml").write_text(DEPLOYMENT.format(brokers=brokers))
        (self.folder / "schemas/web.toml").write_text(DATASET.format(name="web", more='project = "shop"'))
        (self.folder / "schemas/app.toml").write_text(DATASET.format(name="app", more=""))
        self.address = f"127.0.0.1:{stack.free_port()}"
        command = [frazil, "write", "web", "app", "--embedded", "--on-stop", "park", "--listen", self.address]
        is_up = lambda: stack.answers(int(self.address.split(":")[1]))
        self.process = servers.start("frazil", command, is_up, cwd=self.folder)

    def run(self, *arguments):
        return subprocess.run([self.frazil, *arguments], cwd=self.folder, stdout=subprocess.PIPE, check=True).stdout

    def health(self, word):
        return prometheus.get(f"http://{self.address}/health/{word}")

    def states(self):
        """Whether all is ready, by the status, and the state of each dataset."""
        status, body = self.health("ready")
        assert (status == 200) == body["ready"], (status, body)
        for one in body["datasets"]:
            assert set(one) >= {"dataset", "state", "ready", "error", "next", "since"}, one
        return status, {one["dataset"]: one["state"] for one in body["datasets"]}

    def served(self):
        """What is served, by name: the type and the names of labels."""
        _, text = prometheus.get(f"http://{self.address}/metrics")
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
        labels = {name: set() for name in types}
        for series, found in re.findall(r"^(\w+)(\{.*\})? \S+$", text, re.MULTILINE):
            name = series if series in types else re.sub("_(bucket|sum|count)$", "", series)
            labels[name] |= set(re.findall(r'(\w+)="', found)) - {"le"}
        return {name: (type_, labels[name]) for name, type_ in types.items()}


def rules_at_once():
    """The rules, with alerts that fire as soon as they are true."""
    rules = yaml.safe_load(documented.RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return yaml.safe_dump(rules)


def loosened(expression):
    """The expression with thresholds that everything passes."""
    return re.sub(r"([<>])=? *[\d.]+( \* \d+)*", lambda found: "> -1e300" if found[1] == ">" else "< 1e300", expression)


def check_counters(server):
    """What was sent is what Prometheus counts."""
    counted = lambda: same(
        {labels["outcome"]: value for labels, value in server.query('sum by (outcome) (frazil_records_total{dataset="web"})')},
        {"written": 1020, "dead_letter": 30, "filtered": 10, "duplicate": 0},
    )  # fmt: skip
    until("the counts of web", counted)
    [(labels, value)] = server.query('frazil_records_total{outcome="dead_letter"}')
    assert (labels["reason"], labels["project"], value) == ("invalid_json", "shop", 30), labels
    [(_, rescued)] = server.query('sum(frazil_rows_rescued_total{dataset="web"})')
    assert rescued == 20, rescued
    until("no lag", lambda: same([value for _, value in server.query("sum(frazil_source_lag_records)")], [0]))


def check_metrics(writer, server):
    """docs/monitoring.md lists what is served, neither more nor less."""
    known = documented.metrics()
    served = writer.served()
    wrong = [f"{name} is served and not documented" for name in served.keys() - known.keys()]
    wrong += [f"{name} was not scraped as documented" for name in server.names() if not documented.family(name, known)]
    for name, metric in known.items():
        if name not in served:
            if metric.there != "if asked for":
                wrong.append(f"{name} is documented and not served")
        elif served[name] != (metric.type, metric.labels):
            wrong.append(f"{name} is {served[name]}, documented as {(metric.type, set(metric.labels))}")
    assert not wrong, "\n".join(wrong)


def check_expressions(server, topics):
    """Labels on both sides of an operator fit each other: no expression is empty for want of a match."""
    expressions = list(documented.expressions())
    expressions += [(rule["alert"], loosened(rule["expr"])) for rule in documented.rules() if rule["alert"] not in NOT_LOOSENED]
    optional = {name for name, metric in documented.metrics().items() if metric.there == "if asked for"}
    asked = [
        (where, expression) for where, expression in expressions
        if not optional & {name for name, _ in documented.selectors(expression)}
    ]  # fmt: skip

    def still_empty():
        asked[:] = [one for one in asked if not server.query(one[1])]
        return same([where for where, _ in asked], [])

    # Totals of a table are those before the last commit, and rates need a second scrape.
    topics.send("app", *numbers(10))
    until("series of", still_empty)


def check_stop(writer, server, topics):
    """A topic that was made again stops its dataset, and wakes somebody; a decision lets it go on."""
    assert server.pages() == set(), server.pages()
    topics.delete("web")
    until("the stop", lambda: same(writer.states(), (503, {"web": "parked", "app": "running"})))
    topics.make("web")
    topics.send("web", *numbers(100))
    until("the alert", lambda: ("FrazilDatasetStopped", "web") in server.pages() or server.pages())
    topics.send("app", *numbers(10))
    wanted = lambda: same([value for _, value in server.query('sum(frazil_records_total{dataset="app"})')], [1020])
    until("the records of the other dataset", wanted)
    assert {name for name, dataset in server.pages() if dataset != "web"} == set(), server.pages()
    assert writer.health("live")[0] == 200
    until("the deciding command", lambda: "--forget-topic web" in json.dumps(writer.health("ready")[1]) or writer.health("ready"))
    writer.run("offsets", "set", "web", "--forget-topic", "web", "--yes", "--reason", "a test made it again")
    until("both datasets", lambda: same(writer.states(), (200, {"web": "running", "app": "running"})))
    until("silence", lambda: same([one for one in server.pages() if one[0] == "FrazilDatasetStopped"], []))
    total = lambda: same([value for _, value in server.query('sum(frazil_records_total{dataset="web"})')], [1160])
    until("the records of the new topic", total)
    rows = json.loads(writer.run("sql", "SELECT count(*) AS rows FROM logs.web", "--json"))
    assert rows == {"rows": 1120}, rows


def main():
    frazil = pathlib.Path(sys.argv[1]).resolve()
    with kafka() as brokers, stack.Servers() as servers:
        topics = Topics(brokers)
        for name in ["web", "app"]:
            topics.make(name)
        writer = Writer(frazil, servers, brokers)
        log = servers.folder / "frazil.log"
        try:
            until("both datasets", lambda: same(writer.states(), (200, {"web": "running", "app": "running"})))
            server = prometheus.Prometheus(servers, writer.address, rules_at_once())
            until("the target", lambda: same([value for _, value in server.query('up{job="frazil"}')], [1]))
            rescued = [json.dumps({"n": n, "other": 1}) for n in range(20)]
            # A message without a value is no row.
            topics.send("web", *numbers(1000), *rescued, *["{"] * 30, *[None] * 10)
            topics.send("app", *numbers(1000))  # Of fewer, no share of dead letters is told.
            check_counters(server)
            check_metrics(writer, server)
            check_expressions(server, topics)
            check_stop(writer, server, topics)
            writer.process.terminate()
            servers.ended(writer.process)
            assert writer.process.returncode == 0, writer.process.returncode
        except BaseException:
            sys.stderr.write(log.read_text(errors="replace")[-6000:])
            raise
    print("scraped, counted, stopped, alerted and went on")


main()
