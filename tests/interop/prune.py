#!/usr/bin/env python3
"""prune.py DATA_DIR TABLE: for many values of each column, a filtered scan finds what a whole scan holds.

A file whose bounds or partition values are untrue is skipped by readers, and its rows are missing.
"""

import pathlib
import random
import sys

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo

data_dir, name = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
catalog = SqlCatalog("frazil", uri=f"sqlite:///{data_dir}/catalog.db", warehouse=f"file://{data_dir}/warehouse")
table = catalog.load_table(name)
columns = ["n", "time", "small", "price", "day", "text", "long_text"]
rows = table.scan(selected_fields=tuple(columns)).to_arrow().to_pylist()
random.seed(7)
checked, pruned, wrong = 0, 0, 0
files = len(list(table.scan().plan_files()))
for column in columns:
    values = sorted({row[column] for row in rows if row[column] is not None})
    sample = {values[0], values[-1], *random.sample(values, min(8, len(values)))}
    for value in sample:
        literal = value.isoformat() if hasattr(value, "isoformat") else value
        scan = table.scan(row_filter=EqualTo(column, literal), selected_fields=("n",))
        found = sorted(one["n"] for one in scan.to_arrow().to_pylist())
        expected = sorted(row["n"] for row in rows if row[column] == value)
        checked += 1
        pruned += len(list(scan.plan_files())) < files
        if found != expected:
            wrong += 1
            print(f"{column} = {value!r}: found {len(found)} rows of {len(expected)}", file=sys.stderr)
print(f"PyIceberg: {checked} filters on {files} files, {pruned} skipped files, {wrong} WRONG" if wrong
      else f"PyIceberg: {checked} filters on {files} files, {pruned} of them skipped files: all found their rows")
sys.exit(1 if wrong or not pruned else 0)
