#!/usr/bin/env python3
"""compare.py FRAZIL WORK_FOLDER ROWS ROUNDS: rounds of frazil and DuckDB in turn on WORK_FOLDER/web1m.ndjson.

CPU is user and system time of the whole process, start and commit included; memory is the peak resident set.
"""

import os
import pathlib
import shutil
import statistics
import sys

frazil, work, rows, rounds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
here = pathlib.Path(__file__).parent
source = work / "web1m.ndjson"

DUCKDB = """
import duckdb
connection = duckdb.connect()
connection.execute("SET threads = 1")
connection.execute('''
COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {{
  request_id: 'VARCHAR', "@timestamp": 'TIMESTAMPTZ', clientip: 'VARCHAR', verb: 'VARCHAR', request: 'VARCHAR',
  httpversion: 'VARCHAR', response: 'INTEGER', bytes: 'BIGINT', referrer: 'VARCHAR', agent: 'VARCHAR',
  latency_ms: 'DOUBLE', cached: 'BOOLEAN', geo: 'STRUCT(country VARCHAR, asn INTEGER)', tags: 'VARCHAR[]' }}))
TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)''')
"""


def run(arguments, cwd):
    """(CPU seconds, peak MB) of a process that must succeed."""
    pid = os.fork()
    if pid == 0:
        os.chdir(cwd)
        log = os.open(work / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execv(arguments[0], arguments)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{arguments[0]} failed: {(work / 'log').read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*.parquet")) / 1e6


folder = work / "frazil"
ours, theirs = [], []
print(f"{rows} rows, {source.stat().st_size / rows:.0f} bytes each")
for number in range(rounds):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "schemas").mkdir(parents=True)
    shutil.copy(here / "web1m.toml", folder / "schemas")
    arguments = [frazil, "write", "web1m", "--from", str(source), "--workers", "1", "--json", "--log-level", "error"]
    ours.append(run(arguments, folder))
    target = work / "duckdb.parquet"
    theirs.append(run([sys.executable, "-c", DUCKDB.format(source=source, target=target)], work))
    print(
        f"round {number + 1}: frazil {ours[-1][0]:.2f} CPU s, {ours[-1][1]:.0f} MB peak, {size(folder):.1f} MB Parquet;"
        f" DuckDB {theirs[-1][0]:.2f} CPU s, {theirs[-1][1]:.0f} MB peak, {target.stat().st_size / 1e6:.1f} MB Parquet;"
        f" ratio {theirs[-1][0] / ours[-1][0]:.2f}"
    )
mine, other = (statistics.median(cpu for cpu, _ in runs) for runs in (ours, theirs))
print(f"median: frazil {rows / mine:,.0f} rows per CPU second, DuckDB {rows / other:,.0f}; ratio {other / mine:.2f}")
