"""What a table should hold, from the input alone: Python's json and this file, nothing of frazil.

It knows the ordinary cases of what becomes of a value (the field of a column's name, in the type
that the table has for it) and calls everything else "rescued".
"""

import base64
import datetime
import decimal
import hashlib
import json
import math
import struct
import uuid

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


class Number(str):
    """A JSON number as its text, so that nothing is rounded before the column's type is known."""


class Misfit(Exception):
    """A value that a column cannot take."""


def records(path):
    """Every record of an NDJSON file; None for a line that is no JSON object."""
    with open(path, "rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_int=Number, parse_float=Number)
            except ValueError:
                record = None
            yield record if isinstance(record, dict) else None


def time_text(text):
    """(microseconds, whether there was a zone) of ISO 8601 text, digits beyond microseconds cut."""
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[:min(digits, 6)].ljust(6, '0')}{rest[digits:]}"
    moment = datetime.datetime.fromisoformat(text)
    zoned = moment.tzinfo is not None
    return ((moment if zoned else moment.replace(tzinfo=datetime.timezone.utc)) - EPOCH) // MICROSECOND, zoned


EPOCH_UNITS = {"epoch_s": 10**6, "epoch_ms": 10**3, "epoch_us": 1, "epoch_ns": decimal.Decimal("0.001")}


def fit(value, kind, parse=None):
    """`value` of the input as a canonical text in the Iceberg type `kind`; raises Misfit."""
    if value is None:
        return None
    kind_name = kind["type"] if isinstance(kind, dict) else kind
    if kind_name == "struct":
        if not isinstance(value, dict):
            raise Misfit
        names = {field["name"]: field["type"] for field in kind["fields"]}
        if set(value) - set(names):
            raise Misfit
        return canonical({name: fit(value.get(name), of) for name, of in names.items()})
    if kind_name == "list":
        if not isinstance(value, list):
            raise Misfit
        return canonical([fit(one, kind["element"]) for one in value])
    if kind_name == "map":
        if not isinstance(value, dict):
            raise Misfit
        return canonical({key: fit(one, kind["value"]) for key, one in value.items()})
    return scalar(value, kind_name, parse)


def scalar(value, kind, parse):
    number, text = isinstance(value, Number), isinstance(value, str)
    if kind == "string":
        if number or text:
            return string(str(value))
        if isinstance(value, bool):
            return "true" if value else "false"
        return canonical(plain(value))
    if isinstance(value, (dict, list)) or value == "":
        raise Misfit
    try:
        if kind == "boolean":
            if not isinstance(value, bool):
                raise Misfit
            return canonical(value)
        if isinstance(value, bool):
            raise Misfit
        if kind in ("int", "long"):
            whole = decimal.Decimal(value)
            bits = 31 if kind == "int" else 63
            if whole != int(whole) or not -(2**bits) <= whole < 2**bits:
                raise Misfit
            return canonical(int(whole))
        if kind in ("float", "double"):
            real = float(value)
            if kind == "float":
                real = struct.unpack("f", struct.pack("f", real))[0]
            if math.isinf(real):
                raise Misfit
            return canonical(real)
        if kind.startswith("decimal"):
            return canonical(decimal.Decimal(value))
        if kind in ("timestamptz", "timestamp"):
            if parse in EPOCH_UNITS:
                return canonical(int(decimal.Decimal(value) * EPOCH_UNITS[parse] // 1))
            if number:
                raise Misfit
            micros, zoned = time_text(value)
            if zoned != (kind == "timestamptz"):
                raise Misfit
            return canonical(micros)
        if kind == "date":
            return canonical(datetime.date.fromisoformat(value))
        if kind == "time":
            return canonical(datetime.time.fromisoformat(value))
        if kind == "uuid":
            return canonical(uuid.UUID(value))
        if kind == "binary" or kind.startswith("fixed"):
            return canonical(base64.b64decode(value, validate=True))
    except (ValueError, ArithmeticError) as error:
        raise Misfit from error
    raise Misfit


def plain(value):
    """A nested JSON value with its numbers as their text, to be compared by meaning."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def string(text):
    """Text as it is, or by its meaning where it is a nested JSON value's text."""
    if text[:1] in ("{", "["):
        try:
            return canonical(plain(json.loads(text, parse_int=Number, parse_float=Number)))
        except ValueError:
            pass
    return text


def canonical(value):
    """One text for one value, whichever library it came from."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return str((zoned - EPOCH) // MICROSECOND)
    if isinstance(value, (datetime.date, datetime.time, uuid.UUID)):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, dict):
        inner = (f"{json.dumps(key)}:{quoted(one)}" for key, one in sorted(value.items()))
        return "{" + ",".join(inner) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(quoted(one) for one in value) + "]"
    return str(value)


def quoted(value):
    text = canonical(value)
    return "null" if text is None else json.dumps(text)


class Column:
    """A checksum that does not depend on the rows' order, and an exact sum for numbers."""

    def __init__(self, kind):
        self.kind = kind
        self.count = self.checksum = 0
        self.sum = decimal.Decimal(0)
        self.summed = isinstance(kind, str) and (kind in ("int", "long") or kind.startswith("decimal"))

    def add(self, text):
        if text is None:
            return
        self.count += 1
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self.checksum = (self.checksum + int.from_bytes(digest, "big")) % 2**64
        if self.summed:
            self.sum += decimal.Decimal(text)

    def state(self):
        return self.count, self.checksum, self.sum


class Table:
    """Count, sums and checksums of a table's columns."""

    def __init__(self, fields):
        self.rows = self.rescued = self.dead = 0
        self.columns = {field["name"]: Column(field["type"]) for field in fields}

    def add(self, row):
        """A row of canonical texts by column."""
        self.rows += 1
        for name, column in self.columns.items():
            column.add(row.get(name))


def expected(path, fields, dataset, rescued_column):
    """The table that `path` should have become, by its own schema and the dataset file."""
    definitions = {column["name"]: column for column in dataset.get("columns", [])}
    of_input = [field for field in fields if field["name"] != rescued_column]
    table = Table(of_input)
    for record in records(path):
        row, odd = ({}, False) if record is None else row_of(record, of_input, definitions)
        missing = any(field["required"] and row.get(field["name"]) is None for field in of_input)
        if record is None or missing:
            table.dead += 1
            continue
        table.rescued += odd
        table.add(row)
    return table


def row_of(record, fields, definitions):
    """(canonical texts by column, whether something is left over)."""
    row, used, odd = {}, set(), False
    for field in fields:
        definition = definitions.get(field["name"], {})
        sources = definition.get("from", field["name"])
        for source in [sources] if isinstance(sources, str) else sources:
            path = find(record, source)
            if path and path not in used:
                used.add(path)
                try:
                    row[field["name"]] = fit(at(record, path), field["type"], definition.get("parse"))
                except Misfit:
                    odd = True
                break
    return row, odd or left_over(record, (), used)


def find(record, source):
    """The path that a column's `from` means in a record: a field of that name, then dots or a JSON Pointer."""
    if source.startswith("/"):
        paths = [tuple(step.replace("~1", "/").replace("~0", "~") for step in source[1:].split("/"))]
    else:
        source = source[1:] if source.startswith("$$") else source
        paths = [(source,), tuple(source.split("."))]
    return next((path for path in paths if at(record, path, missing=None) is not None), None)


def at(record, path, missing=...):
    """The value at a path; `missing` where there is none."""
    for step in path:
        if not isinstance(record, dict) or step not in record:
            return missing
        record = record[step]
    return record


def left_over(value, path, used):
    """Whether a value that is not null lies at or below `path` and outside of all used paths."""
    if path in used or value is None:
        return False
    if any(one[: len(path)] == path for one in used) or (not path and isinstance(value, dict)):
        return any(left_over(one, (*path, name), used) for name, one in value.items())
    return True
