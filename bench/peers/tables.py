"""Tables as any reader finds them: by their catalog, whoever wrote them. And whether one is exactly what it should be."""

import contextlib
import functools
import json
import pathlib
import sqlite3
import urllib.parse

import duckdb
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.types import (
    BooleanType, DoubleType, IntegerType, ListType, LongType, NestedField, StringType, StructType, TimestamptzType,
)  # fmt: skip

from servers import CATALOG

CATALOG_SECONDS = 10
PROPERTIES = {"format-version": "2", "write.parquet.compression-codec": "zstd", "write.parquet.compression-level": "1"}

DUCKDB_TYPES = {
    "request_id": "VARCHAR", "@timestamp": "TIMESTAMPTZ", "clientip": "VARCHAR", "verb": "VARCHAR", "request": "VARCHAR",
    "httpversion": "VARCHAR", "response": "INTEGER", "bytes": "BIGINT", "referrer": "VARCHAR", "agent": "VARCHAR",
    "latency_ms": "DOUBLE", "cached": "BOOLEAN", "geo": "STRUCT(country VARCHAR, asn INTEGER)", "tags": "VARCHAR[]",
}  # fmt: skip
COLUMNS = [f'"{name}"' for name in DUCKDB_TYPES if name != "geo"] + ["geo.country", "geo.asn"]
READ_JSON = "read_json('{}', format = 'newline_delimited', columns = {{{}}})"
# The yardstick: one thread, since then its CPU seconds do not pay for waiting threads.
DUCKDB_COPY = """
import duckdb
connection = duckdb.connect()
connection.execute("SET threads = 1")
connection.execute('''COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)''')
"""


def read_json(path):
    """DuckDB's words for reading records."""
    return READ_JSON.format(path, ", ".join(f"'{name}': '{kind}'" for name, kind in DUCKDB_TYPES.items()))


def duckdb_copy(source, target):
    """A Python program that writes the records as one Parquet file."""
    return DUCKDB_COPY.format(source=read_json(source).replace("'", "\\'"), target=target)


class Tables:
    """The tables of an SQLite catalog."""

    def __init__(self, database, warehouse=None):
        self.database, self.warehouse = pathlib.Path(database), warehouse

    def create(self, name):
        """Makes the empty table that a sink writes to which does not make its own."""
        catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{self.database}", warehouse=f"file://{self.warehouse}")
        catalog.create_namespace_if_not_exists("logs")
        simple = {"TIMESTAMPTZ": TimestamptzType, "INTEGER": IntegerType, "BIGINT": LongType, "DOUBLE": DoubleType,
                  "BOOLEAN": BooleanType, "VARCHAR": StringType}  # fmt: skip
        types = {column: simple[kind]() for column, kind in DUCKDB_TYPES.items() if kind in simple}
        asn, country = NestedField(102, "asn", IntegerType(), required=False), NestedField(101, "country", StringType(), required=False)
        types |= {"geo": StructType(country, asn), "tags": ListType(103, StringType(), element_required=False)}
        fields = [NestedField(at, column, types[column], required=False) for at, column in enumerate(DUCKDB_TYPES, 1)]
        catalog.create_table(f"logs.{name}", Schema(*fields), properties=PROPERTIES)
        catalog.close()

    def metadata(self):
        """The metadata file of each table that there is now."""
        if not self.database.exists():
            return {}
        uri = f"file:{self.database}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=CATALOG_SECONDS)) as connection:
            try:
                rows = connection.execute("SELECT table_name, metadata_location FROM iceberg_tables").fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return {}
                raise
        return {name: local(location) for name, location in rows if location}

    def rows(self, name):
        """How many rows a query of the table would see now."""
        return rows_of(self.metadata().get(name))


def local(location):
    """The path of a location, `file:///a` or Hadoop's `file:/a`."""
    return urllib.parse.urlparse(location).path


@functools.lru_cache(maxsize=1024)
def rows_of(metadata):
    """The rows of a metadata file's current snapshot. A file is read once, since none changes."""
    if metadata is None:
        return 0
    table = json.loads(pathlib.Path(metadata).read_text())
    for snapshot in table.get("snapshots") or []:
        if snapshot["snapshot-id"] == table.get("current-snapshot-id"):
            return int(snapshot["summary"]["total-records"])
    return 0


def sums(connection, relation):
    """Of each column how many values and the sum of their hashes; of all rows the sum of the hashes."""
    columns = ", ".join(f"count({column}), sum(hash({column})::HUGEINT)" for column in COLUMNS)
    return connection.execute(f"SELECT count(*), sum(hash({', '.join(COLUMNS)})::HUGEINT), {columns} FROM {relation}").fetchone()


def corpus_sums(path):
    """The sums of a file of records."""
    return sums(duckdb.connect(), read_json(path))


def examine(metadata, expected, times):
    """What is in the table: files, snapshots, and in what it differs from the corpus, `times` times over."""
    table = StaticTable.from_metadata(metadata)
    files = [task.file for task in table.scan().plan_files()]
    paths = [local(file.file_path) for file in files]
    connection = duckdb.connect()
    source = f"read_parquet({paths!r})"
    # By place, since Java's writers change names that Avro does not know.
    written = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    named = ", ".join(f'"{theirs}" AS "{ours}"' for theirs, ours in zip(written, DUCKDB_TYPES))
    found = sums(connection, f"(SELECT {named} FROM {source})")
    labels = ["rows", "hash of rows"] + [f"{what} of {column}" for column in COLUMNS for what in ["values", "hash"]]
    differences = [label for label, want, got in zip(labels, expected, found) if want * times != got]
    folder = pathlib.Path(metadata).parent.parent / "data"
    return {
        "rows": found[0], "exact": not differences, "differences": differences[:3], "files": len(files),
        "megabytes": round(sum(file.file_size_in_bytes for file in files) / 1e6, 1),
        # A snapshot without rows tells of a start, not of data.
        "snapshots": sum(int(snapshot.summary["added-records"] or 0) > 0 for snapshot in table.metadata.snapshots),
        "unreferenced": len({str(path) for path in folder.rglob("*.parquet")} - set(paths)),
    }  # fmt: skip
