#!/usr/bin/env python3
"""Reads a table with PyIceberg and with DuckDB and compares it with the input that it was made from.

    read_back.py DATA_DIR TABLE INPUT.ndjson [--dataset schemas/web.toml]

Compares the number of rows and, of every column, the number of values, their exact sum and a
checksum of all of them, with the same of the input as Python's own json reads it. Prints one line an
engine; exits 1 where one differs.
"""

import argparse
import importlib.util
import json
import pathlib
import sqlite3
import sys
import time
import tomllib

import oracle


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("data_dir", type=pathlib.Path)
    arguments.add_argument("table", help="namespace.table")
    arguments.add_argument("input", help="an NDJSON file, not compressed")
    arguments.add_argument("--dataset", type=pathlib.Path, help="the dataset file, for `from` and `parse`")
    options = arguments.parse_args()
    dataset = tomllib.loads(options.dataset.read_text()) if options.dataset else {}
    rescued = dataset.get("rescued", "_rescued")

    metadata_file = metadata_location(options.data_dir, options.table)
    metadata = json.loads(pathlib.Path(metadata_file.removeprefix("file://")).read_text())
    schema = next(one for one in metadata["schemas"] if one["schema-id"] == metadata["current-schema-id"])
    expected = oracle.expected(options.input, schema["fields"], dataset, rescued)

    engines = {
        "PyIceberg": lambda: by_pyiceberg(options.data_dir, options.table),
        "DuckDB": lambda: by_duckdb(metadata_file),
    }
    differences = [
        difference
        for engine, batches in engines.items()
        for difference in compare(engine, batches(), schema["fields"], rescued, expected)
    ]
    for difference in differences:
        print(difference, file=sys.stderr)
    sys.exit(1 if differences else 0)


def metadata_location(data_dir, table):
    """The current metadata file, straight from the JDBC catalog's own table."""
    namespace, name = table.rsplit(".", 1)
    with sqlite3.connect(f"file:{data_dir / 'catalog.db'}?mode=ro", uri=True) as catalog:
        found = catalog.execute(
            "SELECT metadata_location FROM iceberg_tables"
            " WHERE catalog_name = 'frazil' AND table_namespace = ? AND table_name = ?",
            (namespace, name),
        ).fetchone()
    if not found:
        sys.exit(f"no table {table} in {data_dir / 'catalog.db'}")
    return found[0]


def by_pyiceberg(data_dir, table):
    """Arrow batches of all rows, by PyIceberg and its own catalog."""
    from pyiceberg.catalog.sql import SqlCatalog

    path = data_dir.resolve()
    catalog = SqlCatalog("frazil", uri=f"sqlite:///{path}/catalog.db", warehouse=f"file://{path}/warehouse")
    yield from catalog.load_table(table).scan().to_arrow_batch_reader()


def by_duckdb(metadata_file):
    """Arrow batches of all rows, by DuckDB's Iceberg extension from its package."""
    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute("SET TimeZone = 'UTC'")
    for name in ("httpfs", "avro", "iceberg"):
        package = importlib.util.find_spec(f"duckdb_extension_{name}")
        extension = next(pathlib.Path(package.origin).parent.rglob(f"{name}.duckdb_extension"))
        connection.execute(f"LOAD '{extension}'")
    query = connection.execute("SELECT * FROM iceberg_scan(?)", [metadata_file.removeprefix("file://")])
    yield from query.to_arrow_reader(10_000)


def compare(engine, batches, fields, rescued, expected):
    """Prints the engine's line; yields what differs."""
    started = time.monotonic()
    actual = oracle.Table([field for field in fields if field["name"] != rescued])
    kinds = {field["name"]: field["type"] for field in fields}
    for batch in batches:
        names = batch.schema.names
        for values in zip(*(column.to_pylist() for column in batch.columns)):
            row = dict(zip(names, values))
            actual.rescued += row.get(rescued) is not None
            actual.add({name: text_of(row.get(name), kinds[name]) for name in actual.columns})
    differences = list(differing(engine, actual, expected))
    verdict = f"{len(differences)} DIFFERENCES" if differences else "all equal to the input"
    print(
        f"{engine}: {actual.rows} rows, {actual.rescued} rescued, {len(actual.columns)} columns compared"
        f" in {time.monotonic() - started:.1f} s: {verdict}"
    )
    return differences


def differing(engine, actual, expected):
    for what in ("rows", "rescued"):
        ours, theirs = getattr(actual, what), getattr(expected, what)
        if ours != theirs:
            yield f"{engine}: {what}: {ours}, but the input makes {theirs}"
    for name, column in expected.columns.items():
        names = ("values", "checksum", "sum")
        for what, ours, theirs in zip(names, actual.columns[name].state(), column.state()):
            if ours != theirs:
                yield f"{engine}: column {name}: {what} {ours}, but the input makes {theirs}"


def text_of(value, kind):
    """An engine's value as canonical text."""
    if value is None:
        return None
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "struct":
        return oracle.canonical({f["name"]: text_of(value.get(f["name"]), f["type"]) for f in kind["fields"]})
    if name == "list":
        return oracle.canonical([text_of(one, kind["element"]) for one in value])
    if name == "map":
        pairs = value.items() if isinstance(value, dict) else value
        return oracle.canonical({key: text_of(one, kind["value"]) for key, one in pairs})
    if name == "string":
        return oracle.string(value)
    if name == "uuid" and isinstance(value, bytes):
        return str(oracle.uuid.UUID(bytes=value))
    return oracle.canonical(value)


if __name__ == "__main__":
    main()
