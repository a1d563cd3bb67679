#!/usr/bin/env python3
"""Other engines at work on a table between any two steps of a writer of ours.

    foreign.py FRAZIL AT_CALL_LIBRARY [--engine PyIceberg|Spark] [--spark-every N] [--deed D] [--seconds S] [--seed N]

The built binary is stopped (SIGSTOP, by the preloaded library) before each call on a file by which it
reads or makes the table's metadata: reading it, opening and renaming manifest, list and the next
metadata file, and after the last, right before the swap. While it stands still the engine does one
deed, and then it goes on. All of PyIceberg's at all steps, and Spark's, which take seconds, at each seventh,
every deed beginning with another.

The oracle is the numbers: ours, given from outside, each once; theirs as the deeds left them, as
PyIceberg reads the table. Deeds that take history away must stop the writer by name, now or at its
next start; all others must not.

Then the binary writes a growing file while the engines do seeded deeds at any time.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from engines import TABLE, PyIceberg, Spark

THEIRS = 1_000_000_000
ROWS_A_DEED = 3
# More than the table's state holds by itself.
FINISHED = 80
DEFINITION = """
format = "json"
unknown_fields = "ignore"
columns = [
  { name = "number", type = "long", from = "n", required = true },
  { name = "checked", type = "long", from = "n" },
]
[checkpoint]
records = 500
"""

WELCOME = {
    PyIceberg: ["append", "delete", "overwrite", "compact", "expire", "set_property", "add_column", "rename_column",
                "drop_column", "change_partitions", "drop_filled_column"],
    Spark: ["append", "delete", "update", "merge", "rewrite_data_files", "rewrite_manifests", "expire", "add_column",
            "rename_column", "change_partitions"],
}  # fmt: skip
# What the writer must say of them.
STOPPING = {
    PyIceberg: {
        "roll_back": ["history was rewritten"],
        # By its uuid in the middle of a run; at a start by its dead-letter table, which is of the other.
        "drop_and_make": ["dropped and made again", "not the dead-letter table of the present table"],
    },
    Spark: {"roll_back": ["history was rewritten"]},
}

# How engines say that another was first.
LOST = ["CommitFailed", "ValidationException", "SQLITE_BUSY", "locked"]


class Scene:
    """A folder with a dataset, its table, and what the table must hold."""

    def __init__(self, frazil, library):
        self.frazil, self.library = frazil, library
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-foreign-"))
        (self.folder / "schemas").mkdir()
        (self.folder / "schemas/numbers.toml").write_text(DEFINITION)
        self.ours = 0
        self.theirs, self.given = set(), 0
        self.data = self.folder / "frazil-data"
        for _ in range(2):
            self.grow(7)
            self.must_end_well(self.write().communicate()[1])

    def grow(self, lines):
        with open(self.folder / "numbers.ndjson", "a") as file:
            file.write("".join(f'{{"n":{n}}}\n' for n in range(self.ours, self.ours + lines)))
        self.ours += lines

    def write(self, given="numbers.ndjson", **environment):
        self.writer = subprocess.Popen(
            [self.frazil, "write", "numbers", "--from", given, "--json"], cwd=self.folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self.writer

    def must_end_well(self, told):
        if self.writer.returncode != 0:
            raise AssertionError(f"the writer ended with {self.writer.returncode}: {told}")

    def write_stopped(self, at, deed):
        """Runs a writer that stops at that step for the deed. What it was about to do; None where it has fewer steps."""
        log = self.folder / "calls"
        log.write_text("")
        # Steps are told from the rest of the calls by their names and paths.
        writer = self.write(
            LD_PRELOAD=self.library, AT_CALL_PATH="numbers/metadata/", AT_CALL_NAMES="open64 rename", AT_CALL=str(at),
            AT_CALL_PART="0", AT_CALL_SIGNAL=str(int(signal.SIGSTOP)), AT_CALL_LOG=str(log),
        )  # fmt: skip
        _, status = os.waitpid(writer.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            writer.returncode = os.waitstatus_to_exitcode(status)
            self.told = writer.stderr.read()
            return None
        try:
            deed()
        finally:
            os.kill(writer.pid, signal.SIGCONT)
            self.told = writer.communicate()[1]
        return log.read_text().strip()

    def deed(self, engine, name):
        """Does it, with numbers of theirs where it takes some."""
        if name == "append":
            numbers = [THEIRS + self.given + n for n in range(ROWS_A_DEED)]
            self.given += ROWS_A_DEED
        else:
            numbers = sorted(self.theirs)[:2]
        if numbers or name not in ("delete", "overwrite", "update", "merge"):
            getattr(engine, name)(numbers)
        if name == "append":
            self.theirs |= set(numbers)
        if name == "delete":
            self.theirs -= set(numbers)

    def check(self):
        numbers = PyIceberg(self.data).numbers()
        expected = list(range(self.ours)) + sorted(self.theirs)
        if numbers != expected:
            counts, wanted = collections.Counter(numbers), collections.Counter(expected)
            raise AssertionError(
                f"missing {sorted((wanted - counts).elements())[:10]}, too many {sorted((counts - wanted).elements())[:10]}"
            )


def between_steps(options, kind):
    """Every welcome deed at every step."""
    every = options.spark_every if kind is Spark else 1
    for turn, name in enumerate(WELCOME[kind]):
        if options.deed and name not in options.deed:
            continue
        started = time.monotonic()
        scene = Scene(options.frazil, options.library)
        engine = kind(scene.data)
        for first in ("append", "add_column"):
            scene.deed(engine, first)
        steps = done = 0
        while True:
            steps += 1
            if steps % every != turn % every:
                continue
            scene.grow(7)
            step = scene.write_stopped(steps, lambda: scene.deed(engine, name))
            try:
                scene.must_end_well(scene.told)
                scene.check()
            except AssertionError as error:
                raise AssertionError(f"{kind.name}: {name} before step {steps} ({step}): {error}") from None
            if step is None:
                break
            done += 1
            if name in ("delete", "overwrite", "update", "merge"):
                scene.deed(engine, "append")
        print(f"{kind.name}: {name} at {done} steps in {time.monotonic() - started:.0f} s", flush=True)
        assert done >= 14 // every, f"only {done} steps"


def stops(options, kind):
    """Deeds that take history away."""
    every = options.spark_every if kind is Spark else 1
    for turn, (name, reasons) in enumerate(STOPPING[kind].items()):
        if options.deed and name not in options.deed:
            continue
        steps, at_once = 0, 0
        while True:
            steps += 1
            if steps % every != turn % every:
                continue
            scene = Scene(options.frazil, options.library)
            engine = kind(scene.data)
            scene.grow(7)
            if scene.write_stopped(steps, lambda: scene.deed(engine, name)) is None:
                break
            at_once += scene.writer.returncode == 3
            if scene.writer.returncode == 0:
                # It was done already. Whoever comes next says so.
                scene.told = scene.write().communicate()[1]
            if scene.writer.returncode != 3 or not any(reason in scene.told for reason in reasons):
                raise AssertionError(
                    f"{kind.name}: {name} before step {steps}: the writer ended with {scene.writer.returncode}: {scene.told}"
                )
        print(f"{kind.name}: {name} stopped the writer by name: at once {at_once} times, else its next start", flush=True)
        assert at_once > 0


def finished_sources(options, kind):
    """What holds the names of files that were read to their end is spared by expiry and by the removal of orphans."""
    scene = Scene(options.frazil, options.library)
    (scene.folder / "many").mkdir()
    for _ in range(FINISHED):
        (scene.folder / f"many/{scene.ours}.ndjson").write_text(f'{{"n":{scene.ours}}}\n')
        scene.ours += 1
    scene.must_end_well(scene.write("many").communicate()[1])
    engine = kind(scene.data)
    metadata = scene.data / "warehouse/logs/numbers/metadata"
    kept = set(metadata.glob("*finished-sources*"))
    assert kept, "the table's state still holds all of them"
    for turn in range(3):
        scene.deed(engine, "append")
        scene.deed(engine, "expire")
        if kind is Spark:
            engine.remove_orphans()
        scene.must_end_well(scene.write("many").communicate()[1])
        scene.check()
    assert kept <= set(metadata.glob("*finished-sources*")), "gone by another's hand"
    print(f"{kind.name}: {FINISHED} finished files are remembered after expiry" + (" and removal of orphans" if kind is Spark else ""), flush=True)


def at_any_time(options, kinds):
    """Seeded deeds while the binary writes a growing file."""
    chance = random.Random(options.seed)
    scene = Scene(options.frazil, options.library)
    engines = [kind(scene.data) for kind in kinds]
    until = time.monotonic() + options.seconds
    deeds, starts, lost = collections.Counter(), 0, collections.Counter()
    writer = None
    while time.monotonic() < until:
        if writer is None or writer.poll() is not None:
            if writer is not None:
                scene.must_end_well(writer.stderr.read())
            scene.grow(5_000)
            starts += 1
            writer = scene.write()
        engine = chance.choice(engines)
        name = chance.choice(WELCOME[type(engine)])
        try:
            scene.deed(engine, name)
            deeds[name] += 1
        except Exception as error:
            # The writer was first, or held SQLite's lock: nothing was done, and an append's numbers are not used again.
            if not any(word in f"{type(error).__name__} {error}" for word in LOST):
                raise
            lost[name] += 1
    scene.must_end_well(writer.communicate()[1])
    scene.must_end_well(scene.write().communicate()[1])
    scene.check()
    print(f"{starts} starts of the writer, {scene.ours} numbers, {sum(deeds.values())} deeds done, {sum(lost.values())} lost:"
          f" each number once, seed {options.seed}", flush=True)  # fmt: skip
    assert starts > 1 and sum(deeds.values()) > 5


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("frazil")
    arguments.add_argument("library")
    arguments.add_argument("--engine", choices=["PyIceberg", "Spark"], action="append")
    arguments.add_argument("--spark-every", type=int, default=7)
    arguments.add_argument("--seconds", type=int, default=60, help="how long both work at any time")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--deed", action="append", help="only this one between the steps")
    options = arguments.parse_args()
    kinds = [kind for kind in (PyIceberg, Spark) if kind.name in (options.engine or kind.name)]
    for kind in kinds:
        between_steps(options, kind)
        stops(options, kind)
        finished_sources(options, kind)
    at_any_time(options, kinds)


main()
