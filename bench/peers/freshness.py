"""freshness.py FRAZIL_BINARY: what `bench/peers/freshness` says."""

import argparse
import contextlib
import json
import pathlib
import statistics
import time

import records
import servers
import sinks
import tables

# How finely visibility is seen.
LOOK_SECONDS = 0.02
# Records after silence, and how many intervals the silence lasts, a little more each time.
LONE = 3
SILENCE_INTERVALS = 3
VISIBLE_SECONDS_MAX = 300
SINKS = ["frazil", "connect"]


def arguments():
    parser = argparse.ArgumentParser(prog="bench/peers/freshness")
    parser.add_argument("frazil", type=lambda path: pathlib.Path(path).resolve(strict=True))
    parser.add_argument("--intervals", type=int, nargs="+", default=[1, 10], help="seconds between checkpoints")
    parser.add_argument("--rate", type=float, default=20, help="records a second")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--only", type=lambda text: text.split(","), default=SINKS, help=",".join(SINKS))
    return parser.parse_args()


class Probe:
    """Sends records to a topic of one partition and looks at the table: its first n rows are then the topic's first n."""

    def __init__(self, brokers, topic, at, table):
        self.sender, self.topic, self.at, self.table = records.Sender(brokers, **{"linger.ms": 0}), topic, at, table
        self.lines = records.lines(1_000_000)
        self.sent, self.delays = [], []

    def send(self):
        self.sent.append(time.monotonic())
        self.sender.send(self.topic, 0, next(self.lines))
        self.sender.producer.poll(0)

    def look(self):
        """Notes which records a query sees now that it did not see before."""
        rows, now = self.at.rows(self.table), time.monotonic()
        self.delays += [now - sent for sent in self.sent[len(self.delays) : rows]]
        return len(self.delays) == len(self.sent)

    def all_visible(self):
        self.sender.flush()
        sinks.wait_for(self.look, "the last records", seconds_max=VISIBLE_SECONDS_MAX, every=LOOK_SECONDS)

    def trickle(self, rate, seconds):
        """Sends so many records a second, looking all the while; the delays of these records."""
        first, started = len(self.sent), time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            while len(self.sent) - first < elapsed * rate:
                self.send()
            self.look()
            time.sleep(LOOK_SECONDS)
        self.all_visible()
        return self.delays[first:]

    def lone(self, silence):
        """One record after silence; its delay."""
        time.sleep(silence)
        self.send()
        self.all_visible()
        return self.delays[-1]


def measure(name, interval, probe, process, given):
    """Tells how fresh a sink keeps its table that has begun to run."""
    probe.send()
    probe.all_visible()
    watch = sinks.Watch(process)
    delays = probe.trickle(given.rate, given.seconds)
    used = watch.measured()
    lone = [probe.lone(interval * (SILENCE_INTERVALS + 0.3 * number)) for number in range(LONE)]
    percentiles = statistics.quantiles(delays, n=100)
    metadata = json.loads(pathlib.Path(probe.at.metadata()[probe.table]).read_text())
    result = {"sink": name, "interval_s": interval, "records": len(delays), "p50_s": percentiles[49], "p99_s": percentiles[98],
              "max_s": max(delays), "last_s": delays[-1], "lone_s": [round(delay, 2) for delay in lone],
              "cpu_percent": 100 * used["cpu"] / used["wall"], "peak_mib": used["peak_mib"],
              "rows": probe.at.rows(probe.table), "sent": len(probe.sent), "snapshots": len(metadata["snapshots"])}  # fmt: skip
    print(json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in result.items()}), flush=True)


def main():
    given = arguments()
    with servers.stack.Servers() as running:
        brokers = servers.start_broker(running)
        for interval in given.intervals if "frazil" in given.only else []:
            topic = f"frazil-{interval}"
            records.create_topics(brokers, [topic], 1)
            frazil = sinks.Frazil(given.frazil, running.folder / topic, brokers, {"web": [topic]}, f"{interval}s")
            with frazil.running() as process:
                measure("frazil", interval, Probe(brokers, topic, tables.Tables(frazil.database), "web"), process, given)
        if "connect" not in given.only:
            return
        warehouse, catalog = running.folder / "warehouse", running.folder / "catalog.db"
        at = tables.Tables(catalog, warehouse)
        worker = servers.Connect(running, brokers, warehouse, catalog)
        for interval in given.intervals:
            topic, table = f"connect-{interval}", f"connect_{interval}"
            records.create_topics(brokers, [topic, f"control-{interval}"], 1)
            at.create(table)
            worker.add(topic, table, f"control-{interval}", 1000 * interval)
            with contextlib.ExitStack() as stack:
                stack.callback(worker.remove, table)
                measure("Connect", interval, Probe(brokers, topic, at, table), worker.worker, given)


if __name__ == "__main__":
    main()
