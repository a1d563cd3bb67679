"""Faults in the real stack, while the built binary writes numbered records from Kafka.

Each scenario sends the numbers from 0 on to a topic of its own, does its harm under way, waits until the table has caught
up, and counts: every number once, in the table or among its dead letters. A writer that ends with 1 is started again;
any other end that nobody asked for is a failure. Ends with 1 where a scenario failed.
"""

import argparse
import json
import pathlib
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback

import scenarios
import servers

SHORT = {"records": 20_000, "kills": 4, "down": 2.0}
FULL = {"records": 5_000_000, "kills": 100, "down": 30.0}
COLUMNS = ["scenario", "records", "faults", "each once", "first snapshot after, s", "caught up after, s",
           "RSS p50 / peak, MiB", "exits", "restarts", "took, s"]  # fmt: skip


def parse():
    arguments = argparse.ArgumentParser(
        prog="tests/faults/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("frazil", type=pathlib.Path, help="the binary")
    arguments.add_argument("--records", type=int, help=f"of each scenario (default: {FULL['records']})")
    arguments.add_argument("--kills", type=int, help=f"and changes of the group (default: {FULL['kills']})")
    arguments.add_argument("--down", type=float, help=f"how long servers are away, in seconds (default: {FULL['down']})")
    arguments.add_argument("--short", action="store_true", help=f"defaults of {SHORT}")
    arguments.add_argument("--only", help=f"some of {','.join(scenarios.ALL)}")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", action="store_true", help="keep tables and logs, and say where")
    arguments.add_argument("--json", action="store_true", help="an object for each scenario in place of the table")
    options = arguments.parse_args()
    for key, value in (SHORT if options.short else FULL).items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    options.only = options.only.split(",") if options.only else list(scenarios.ALL)
    if unknown := set(options.only) - set(scenarios.ALL):
        arguments.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(scenarios.ALL)}")
    return options


def run(name, options, broker):
    """One scenario; what goes wrong with it does not keep the others from running."""
    begun = time.monotonic()
    try:
        result = scenarios.ALL[name](options, broker)
    except servers.NoDisk as reason:
        result = {"scenario": name, "skipped": str(reason), "passed": True, "failures": []}
    except Exception as error:
        traceback.print_exc()
        result = {"scenario": name, "passed": False, "failures": [f"{type(error).__name__}: {error}"]}
    result["seconds"] = round(time.monotonic() - begun)
    return result


def several(seconds):
    """One number, or the middle and the largest of many."""
    if len(seconds) < 2:
        return str(seconds[0]) if seconds else "never"
    return f"p50 {statistics.median(seconds):.1f}, max {max(seconds)} ({len(seconds)} times)"


def row(result):
    """The cells of a result."""
    if "skipped" in result:
        return [result["scenario"], "-", "-", f"skipped: {result['skipped']}", *["-"] * 6]
    if "each_once" not in result:
        return [result["scenario"], "-", "-", "**failed**", *["-"] * 6]
    memory = result["rss_mib"]
    exits = ", ".join(f"{code} ×{count}" for code, count in result["exits"].items())
    return [
        result["scenario"], f"{result['records']:,}", result["faults"],
        result["each_once"] if result["passed"] else f"**{result['each_once']}**",
        several(result["first_snapshot_seconds"]), result["caught_up_seconds"], f"{memory['p50']} / {memory['peak']}",
        exits, result["restarts"], result["seconds"],
    ]  # fmt: skip


def report(results):
    """Prints the table, and what failed."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(row(result) for result in results)]
    print("\n" + "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows) + "\n")
    for result in results:
        for failure in result["failures"]:
            print(f"{result['scenario']}: {failure}")


def main():
    options = parse()
    # Whoever stops it gets writers and servers stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.work = pathlib.Path(tempfile.mkdtemp(prefix="frazil-faults-"))
    results = []
    try:
        with servers.Broker() as broker:
            for name in options.only:
                results.append(run(name, options, broker))
                print(json.dumps(results[-1]), flush=True, file=sys.stdout if options.json else sys.stderr)
                if not options.keep and results[-1]["passed"]:
                    shutil.rmtree(options.work / name, ignore_errors=True)
    finally:
        passed = len(results) == len(options.only) and all(result["passed"] for result in results)
        if options.keep or not passed:
            print(f"tables and logs are in {options.work}", file=sys.stderr)
        else:
            shutil.rmtree(options.work)
    if not options.json:
        report(results)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
