"""The table as PyIceberg reads it: when each snapshot was made, and which numbers are in it."""

import json
import subprocess

import numpy
from pyiceberg.table import StaticTable

from load import BAD_EVERY

# A command that takes longer waits for a server that is away.
COMMAND_SECONDS_MAX = 60


class Table:
    """A dataset's table and its table of dead letters, by the metadata that the catalog names."""

    def __init__(self, frazil, folder, dataset, properties):
        self.frazil, self.folder, self.dataset, self.properties = frazil, folder, dataset, properties

    def metadata(self, *arguments):
        """Where the metadata is, or `None` where there is no table or nobody answers."""
        command = [self.frazil, "table", "describe", self.dataset, "--json", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.folder, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return None
        return json.loads(done.stdout)["metadata_location"] if done.returncode == 0 else None

    def load(self, *arguments):
        location = self.metadata(*arguments)
        return StaticTable.from_metadata(location, self.properties) if location else None

    def timeline(self):
        """The moment of each snapshot with records, and how many records all up to it hold, dead letters among them."""
        table = self.load()
        moments, held = [], 0
        for snapshot in sorted(table.snapshots(), key=lambda one: one.sequence_number) if table else []:
            read = json.loads(snapshot.summary.get("frazil.counts", "{}")).get("records_read", 0)
            held += read
            if read:
                moments.append((snapshot.timestamp_ms / 1000, held))
        return moments

    def numbers(self):
        """The numbers of all rows, and of all dead letters."""
        rows = self.load().scan(selected_fields=("n",)).to_arrow()["n"].to_numpy()
        table = self.load("--dead-letters")
        texts = table.scan(selected_fields=("record",)).to_arrow()["record"].to_pylist() if table else []
        dead = [int(json.loads(text)["n"].removeprefix("bad ")) for text in texts]
        return rows, numpy.array(dead, dtype=numpy.int64)


def wrong(rows, dead, records):
    """What is not there exactly once, in words; nothing where all are."""
    said = []
    for name, numbers, expected in (("rows", rows, False), ("dead letters", dead, True)):
        misplaced = numbers[(numbers % BAD_EVERY == 0) != expected]
        if len(misplaced):
            said.append(f"{len(misplaced)} {name} of records that are none: {misplaced[:10].tolist()}")
    counts = numpy.bincount(numpy.concatenate([rows, dead]), minlength=records)
    for name, found in (
        ("lost", numpy.flatnonzero(counts[:records] == 0)),
        ("doubled", numpy.flatnonzero(counts[:records] > 1)),
        ("never sent", records + numpy.flatnonzero(counts[records:])),
    ):
        if len(found):
            said.append(f"{len(found)} {name}: {found[:10].tolist()}")
    return "; ".join(said)
