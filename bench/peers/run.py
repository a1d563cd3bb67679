"""run.py FRAZIL_BINARY: what `bench/peers/run` says."""

import argparse
import json
import pathlib
import shutil
import statistics

import records
import servers
import sinks
import tables

CORPUS_ROWS = 1_000_000
# What frazil's long-running process has read before it is measured.
WARM_UP_ROWS = 200_000
SINKS = ["frazil", "flink", "connect", "kcat", "duckdb"]


def arguments():
    parser = argparse.ArgumentParser(prog="bench/peers/run")
    parser.add_argument("frazil", type=lambda path: pathlib.Path(path).resolve(strict=True))
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000], help=f"beyond {CORPUS_ROWS}, a multiple of it")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", type=lambda text: text.split(","), default=SINKS, help=",".join(SINKS))
    given = parser.parse_args()
    if unknown := set(given.only) - set(SINKS):
        parser.error(f"--only knows {', '.join(SINKS)}, not {', '.join(unknown)}")
    if any(rows > CORPUS_ROWS and rows % CORPUS_ROWS for rows in given.rows):
        parser.error(f"--rows beyond {CORPUS_ROWS} must be a multiple of it: the corpus is sent that many times")
    return given


class Comparison:
    """All runs of one start of the servers."""

    def __init__(self, given, running):
        self.given, self.folder, self.runs = given, running.folder, []
        self.warm_up, self.warm_up_sums = self.corpus(WARM_UP_ROWS)
        self.brokers = servers.start_broker(running)
        warehouse, catalog = self.folder / "warehouse", self.folder / "catalog.db"
        self.tables = tables.Tables(catalog, warehouse)
        if "flink" in given.only:
            self.cluster = servers.Flink(running, warehouse, catalog)
        if "connect" in given.only:
            self.worker = servers.Connect(running, self.brokers, warehouse, catalog)

    def corpus(self, rows):
        """A file of records, and what is in it."""
        path = self.folder / f"{rows}.ndjson"
        if not path.exists():
            records.write(path, rows)
            print(f"{rows:,} records of {path.stat().st_size / rows - 1:.1f} bytes in the mean", flush=True)
        return path, tables.corpus_sums(path)

    def compare(self):
        for number, rows in enumerate(self.given.rows):
            self.records, self.expected = self.corpus(min(rows, CORPUS_ROWS))
            for index in range(self.given.rounds):
                before = len(self.runs)
                self.round(rows, index + 1, first=number == 0 and index == 0)
                self.tell(f"round {index + 1}", self.runs[before:])

    def round(self, rows, number, first):
        """Each sink once from a topic of this round's own."""
        topic = f"web-{rows}-{number}"
        records.create_topics(self.brokers, [topic, f"warm-up-{topic}"])
        times = rows // min(rows, CORPUS_ROWS)
        only = self.given.only
        if "frazil" in only:
            self.frazil(topic, rows, times)
        else:
            records.load(self.brokers, topic, self.records, times)()
        kinds = ["cold", "warm"] if first else ["warm"]
        for kind in kinds if "flink" in only else []:
            table = f"flink_{kind}_{rows}_{number}"
            measured = sinks.flink(self.cluster, self.brokers, topic, self.tables, table, rows)
            self.add(f"Flink, {kind}", rows, measured, self.tables, table, times)
        for kind in kinds if "connect" in only else []:
            table = f"connect_{kind}_{rows}_{number}"
            records.create_topics(self.brokers, [f"control-{table}"], 1)
            measured = sinks.connect(self.worker, topic, f"control-{table}", self.tables, table, rows)
            self.add(f"Connect, {kind}", rows, measured, self.tables, table, times)
        if "kcat" in only:
            self.add("kcat", rows, sinks.kcat(self.brokers, topic, rows))
        if "duckdb" in only:
            target = self.folder / "duckdb.parquet"
            self.add("DuckDB", min(rows, CORPUS_ROWS), sinks.duckdb(tables.duckdb_copy(self.records, target)))
        records.delete_topic(self.brokers, topic)

    def frazil(self, topic, rows, times):
        """A process that runs already when the topic is filled, then one that is started for it."""
        warm_up = f"warm-up-{topic}"
        running = sinks.Frazil(self.given.frazil, self.folder / f"frazil-running-{topic}", self.brokers, {"web": [warm_up, topic]})
        ours = tables.Tables(running.database)
        with running.running() as process:
            records.load(self.brokers, warm_up, self.warm_up, 1)()
            sinks.wait_for(lambda: ours.rows("web") == WARM_UP_ROWS, "frazil's first rows", process)
            commit = records.load(self.brokers, topic, self.records, times)
            watch = sinks.Watch(process)
            commit()
            sinks.wait_for(lambda: ours.rows("web") >= WARM_UP_ROWS + rows, "frazil's rows", process)
            measured = watch.measured()
        expected = [a + b * times for a, b in zip(self.warm_up_sums, self.expected)]
        self.add("frazil, running", rows, measured, ours, "web", 1, expected)
        records.delete_topic(self.brokers, warm_up)
        started = sinks.Frazil(self.given.frazil, self.folder / f"frazil-started-{topic}", self.brokers, {"web": [topic]})
        self.add("frazil, started", rows, started.once(), tables.Tables(started.database), "web", times)
        for each in [running, started]:
            shutil.rmtree(each.folder)

    def add(self, sink, rows, measured, at=None, table=None, times=1, expected=None):
        """Tells of a run, and looks at its table, which then is not needed any more."""
        run = {"sink": sink, "rows": rows, "per_cpu_second": round(rows / measured["cpu"])}
        run |= {key: round(value, 2) if isinstance(value, float) else value for key, value in measured.items()}
        if at:
            metadata = at.metadata()[table]
            run["table"] = tables.examine(metadata, expected or self.expected, times)
            shutil.rmtree(pathlib.Path(metadata).parent.parent)
        self.runs.append(run)
        print(json.dumps(run), flush=True)

    def tell(self, what, runs):
        """How many times each sink's rows per CPU second frazil's are, by the medians of the runs."""
        groups = {}
        for run in runs:
            groups.setdefault((run["rows"], run["sink"]), []).append(run["per_cpu_second"])
        medians = {key: statistics.median(group) for key, group in groups.items()}
        for (rows, sink), median in medians.items():
            times = [
                f"{medians[rows, ours] / median:.2f} times it: {ours}"
                for ours in ["frazil, started", "frazil, running"]
                if (rows, ours) in medians and not sink.startswith("frazil")
            ]
            print(f"{what}, {rows:,} rows: {sink} {median:,.0f} rows per CPU second", *times, sep="; ", flush=True)


if __name__ == "__main__":
    settings = arguments()
    with servers.stack.Servers() as stack_servers:
        comparison = Comparison(settings, stack_servers)
        comparison.compare()
        comparison.tell("median", comparison.runs)
