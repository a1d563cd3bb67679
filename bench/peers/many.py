"""many.py FRAZIL_BINARY: what `bench/peers/many` says."""

import argparse
import collections
import json
import os
import pathlib
import resource
import time

import records
import servers
import sinks
import tables

START_SECONDS_MAX = 1800


def arguments():
    parser = argparse.ArgumentParser(prog="bench/peers/many")
    parser.add_argument("frazil", type=lambda path: pathlib.Path(path).resolve(strict=True))
    parser.add_argument("--datasets", type=int, default=300)
    parser.add_argument("--records", type=int, default=100, help="of each topic at the start")
    parser.add_argument("--idle-seconds", type=int, default=60)
    return parser.parse_args()


def send(brokers, topics, count):
    """Sends so many records to each topic."""
    sender = records.Sender(brokers)
    for topic in topics:
        for line in records.lines(count):
            sender.send(topic, 0, line)
    sender.flush()


def descriptors(process):
    """How many sockets, files and others a process has open."""
    kinds = collections.Counter()
    for descriptor in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        kinds["sockets" if target.startswith("socket:") else "files" if target.startswith("/") else "others"] += 1
    return dict(kinds)


def state(process):
    """What a process holds now."""
    return {"rss_mib": status(process, "VmRSS"), "peak_mib": status(process, "VmHWM"),
            "threads": sinks.status(process, "Threads"), **descriptors(process)}  # fmt: skip


def status(process, key):
    return sinks.status(process, key) // 1024


def wait_for_rows(at, names, rows, process, since):
    """Waits until each table has so many rows; after how many seconds the first, half of them and the last did."""
    after = {}

    def look():
        metadata = at.metadata()
        for name in names:
            if name not in after and tables.rows_of(metadata.get(name)) >= rows:
                after[name] = round(time.monotonic() - since, 1)
        return len(after) == len(names)

    sinks.wait_for(look, f"{rows} rows in each table", process, START_SECONDS_MAX, every=0.5)
    seconds = sorted(after.values())
    return {"first_s": seconds[0], "half_s": seconds[len(seconds) // 2], "all_s": seconds[-1]}


def main():
    given = arguments()
    names = [f"d{number:03}" for number in range(1, given.datasets + 1)]
    with servers.stack.Servers() as running:
        brokers = servers.start_broker(running)
        records.create_topics(brokers, names, 1)
        send(brokers, names, given.records)
        frazil = sinks.Frazil(given.frazil, running.folder / "frazil", brokers, {name: [name] for name in names})
        at = tables.Tables(frazil.database)
        tell = lambda **what: print(json.dumps(what), flush=True)
        started = time.monotonic()
        with frazil.running() as process:
            tell(datasets=len(names), open_files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                 start=wait_for_rows(at, names, given.records, process, started),
                 cpu_s=sinks.cpu_seconds(process))  # fmt: skip
            tell(after_start=state(process))
            watch = sinks.Watch(process)
            time.sleep(given.idle_seconds)
            idle = watch.measured()
            tell(idle_seconds=round(idle["wall"]), cpu_percent=round(100 * idle["cpu"] / idle["wall"], 2), **state(process))
            sent = time.monotonic()
            send(brokers, names, 1)
            tell(one_more_record_each=wait_for_rows(at, names, given.records + 1, process, sent), **state(process))
            stopped = time.monotonic()
        tell(stop_s=round(time.monotonic() - stopped, 1), exit_code=process.returncode)


if __name__ == "__main__":
    main()
