"""One scenario: its folder, topic, table and writers, and what is told of it in the end."""

import contextlib
import os
import signal
import statistics
import time

from load import Load
from table import Table, wrong
from writers import Writers

DATASET = "numbers"
MEMORY_MAX_MIB = 64
# What a writer may take beside `--memory-max`: blocks being gathered (64 MiB), what the client fetches ahead (32 MiB), and
# the program itself.
MEMORY_BESIDE_MIB = 64 + 32 + 128
# A table that does not move for longer does not catch up.
STALL_SECONDS_MAX = 180
POLL_SECONDS = 1
PAD_BYTES = 96

DEPLOYMENT = """
[catalog]
uri = "{catalog}"
warehouse = "{warehouse}"
{storage}
[kafka.main]
brokers = ["{brokers}"]
[kafka.main.properties]
# A member that was killed is missed soon.
"session.timeout.ms" = "3000"
"heartbeat.interval.ms" = "500"
"""

DEFINITION = """
format = "json"
columns = [
  {{ name = "n", type = "long", required = true }},
  {{ name = "pad", type = "string" }},
]
[source.kafka]
topics = ["{topic}"]
group = "{topic}"
[checkpoint]
interval = "{interval}"
"""

S3 = """
[storage.s3]
endpoint = "http://127.0.0.1:{port}"
region = "{region}"
path_style = true
access_key_id = {{ env = "FAULTS_S3_KEY_ID" }}
secret_access_key = {{ env = "FAULTS_S3_KEY" }}
"""


def exit_name(code):
    """An exit code, or the signal that ended a process."""
    return signal.Signals(-code).name if code < 0 else str(code)


class Scene(contextlib.ExitStack):
    """Use as a context: what it entered is undone at its end."""

    def __init__(self, options, name):
        super().__init__()
        self.options, self.name = options, name
        self.folder = options.work / name.replace(" ", "-")
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        self.workers, self.pad, self.interval = 2, PAD_BYTES, "1s"
        self.catalog, self.warehouse = f"sqlite:{self.data}/catalog.db", f"file://{self.data}/warehouse"
        self.storage, self.reading = "", {}
        self.faults, self.said = [], []

    def use_s3(self, told, port):
        """The warehouse is there, by that port."""
        os.environ |= {"FAULTS_S3_KEY_ID": told["access_key"], "FAULTS_S3_KEY": told["secret_key"]}
        self.warehouse = f"s3://{told['bucket']}/{self.name.replace(' ', '-')}"
        self.storage = S3.format(port=port, region=told["region"])
        self.reading = {
            "s3.endpoint": told["endpoint"], "s3.region": told["region"],
            "s3.access-key-id": told["access_key"], "s3.secret-access-key": told["secret_key"],
        }  # fmt: skip

    def begin(self, brokers, seconds):
        """Sends the records over that time, for as many writers as are started."""
        topic = f"faults-{self.name.replace(' ', '-')}"
        deployment = DEPLOYMENT.format(
            catalog=self.catalog, warehouse=self.warehouse, storage=self.storage, brokers=brokers
        )
        (self.folder / "frazil.toml").write_text(deployment)
        (self.folder / "schemas").mkdir()
        definition = DEFINITION.format(topic=topic, interval=self.interval)
        (self.folder / f"schemas/{DATASET}.toml").write_text(definition)
        frazil = self.options.frazil
        self.table = Table(frazil, self.folder, DATASET, self.reading)
        self.load = self.enter_context(Load(brokers, topic, self.options.records, seconds, self.pad))
        command = [frazil, "write", DATASET, "--workers", self.workers, "--memory-max", f"{MEMORY_MAX_MIB}MiB"]
        self.writers = self.enter_context(Writers(command, self.folder))
        self.load.start()

    def fault(self, begun):
        """A fault that began then is over now."""
        self.faults.append((begun, time.time(), self.load.acknowledged()))

    def until_written(self, records):
        """Waits until the table holds so many."""
        held, moved = -1, time.monotonic()
        while held < records:
            if self.writers.failures:
                return
            moments = self.table.timeline()
            now = moments[-1][1] if moments else 0
            if now != held:
                held, moved = now, time.monotonic()
            elif time.monotonic() > moved + STALL_SECONDS_MAX:
                self.said.append(f"nothing was written for {STALL_SECONDS_MAX} s: {held} of {records} records")
                return
            time.sleep(POLL_SECONDS)

    def finish(self):
        """Waits for the table, ends the writers, counts, and gives what came of it."""
        self.load.finish()
        self.until_written(self.options.records)
        self.writers.end()
        rows, dead = self.table.numbers()
        said = wrong(rows, dead, self.options.records)
        memory = self.memory()
        failures = self.said + self.writers.failures + ([said] if said else []) + memory.pop("failures")
        return {
            "scenario": self.name,
            "records": self.options.records,
            "dead_letters": len(dead),
            "faults": len(self.faults),
            "each_once": "not caught up" if self.said else said or "yes",
            **self.recovery(),
            "rss_mib": memory,
            "exits": {exit_name(code): count for code, count in sorted(self.writers.exits.items())},
            "restarts": self.writers.restarts,
            "failures": failures,
            "passed": not failures,
        }

    def recovery(self):
        """Seconds from the end of each fault to the first new snapshot, where there is one before the next fault; and from the
        end of the last until the table held all that had been sent by then, which it may have done before."""
        moments = self.table.timeline()
        begins = [begun for begun, _, _ in self.faults[1:]] + [float("inf")]
        firsts = []
        for (_, ended, _), next_begun in zip(self.faults, begins):
            first = next((at for at, _ in moments if at >= ended), None)
            if first is not None and first <= next_begun:
                firsts.append(round(first - ended, 1))
        _, ended, sent = self.faults[-1]
        if moments and moments[-1][0] < ended and moments[-1][1] >= self.options.records:
            # It was all written before we were told of the end.
            firsts.append(0.0)
        caught_up = next((max(at, ended) for at, held in moments if held >= sent), None)
        return {
            "snapshots": len(moments),
            "first_snapshot_seconds": firsts,
            "caught_up_seconds": None if caught_up is None else round(caught_up - ended, 1),
        }

    def memory(self):
        """Resident memory in MiB: the middle and the most of all writers, and the middle of each quarter of the longest life."""
        writers = self.writers.samples()
        sizes = [size for samples in writers for size in samples]
        longest = max(writers, key=len, default=[0])
        quarters = [longest[at * len(longest) // 4 : (at + 1) * len(longest) // 4 + 1] for at in range(4)]
        bound = MEMORY_MAX_MIB + MEMORY_BESIDE_MIB
        peak = max(sizes, default=0)
        return {
            "p50": round(statistics.median(sizes or [0])),
            "peak": round(peak),
            "quarters": [round(statistics.median(quarter)) for quarter in quarters],
            "bound": bound,
            "failures": [f"a writer took {peak:.0f} MiB, more than {bound}"] if peak > bound else [],
        }
