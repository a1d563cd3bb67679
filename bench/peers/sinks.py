"""One run of each sink: CPU seconds of all of its processes until the rows are in the table, and their peak memory."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import stack

HERE = pathlib.Path(__file__).parent
POLL_SECONDS = 0.1
# Seldom enough for what is asked over HTTP not to count among the CPU seconds of who answers.
ASK_SECONDS = 0.5
RUN_SECONDS_MAX = 600
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    """User and system time of a running process, all threads."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def status(process, key):
    """A number of /proc/PID/status: `VmRSS` and `VmHWM` in KiB, `Threads`. None of a process that has just ended."""
    found = re.search(rf"^{key}:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else None


def wait_for(condition, what, process=None, seconds_max=RUN_SECONDS_MAX, every=POLL_SECONDS):
    """Waits until something is so, which a process that ended cannot bring about."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if process and process.poll() is not None:
            raise SystemExit(f"waited for {what}, but {process.args[0]} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds_max} s in vain for {what}")
        time.sleep(every)


class Watch:
    """CPU seconds, time and peak memory from now on, of processes that were there before and will be after."""

    def __init__(self, *processes):
        self.processes = processes
        for process in processes:
            # Makes the peak begin anew.
            pathlib.Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        self.before, self.started = [cpu_seconds(process) for process in processes], time.monotonic()

    def measured(self):
        used = [cpu_seconds(process) - before for process, before in zip(self.processes, self.before)]
        peaks = [status(process, "VmHWM") // 1024 for process in self.processes]
        return {"cpu": sum(used), "wall": time.monotonic() - self.started, "peak_mib": sum(peaks),
                "parts": [round(seconds, 2) for seconds in used]}  # fmt: skip


def whole_process(arguments, **options):
    """The same of a process from its start to its end; and its standard output."""
    started, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([str(part) for part in arguments], stdout=output, **options)
        # What the system tells at the end has this Python's memory in it, from before the other program took its place.
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = status(process, "VmHWM") or peak
            time.sleep(POLL_SECONDS / 5)
        _, code, usage = ended
        process.returncode = os.waitstatus_to_exitcode(code)
        output.seek(0)
        written = output.read()
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}: {written[-2000:]!r}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.monotonic() - started, "peak_mib": peak // 1024}, written


class Frazil:
    """A folder with dataset files and a deployment file, where the embedded catalog will be, too."""

    def __init__(self, binary, folder, brokers, datasets, interval="10s"):
        """`datasets`: the topics of each dataset."""
        self.binary, self.folder, self.names = binary, folder, list(datasets)
        self.database = folder / "frazil-data" / "catalog.db"
        self.log = folder / "frazil.log"
        (folder / "schemas").mkdir(parents=True)
        (folder / "frazil.toml").write_text(f'[kafka.main]\nbrokers = ["{brokers}"]\n')
        text = (HERE / "web.toml").read_text()
        assert text.count('interval = "10s"') == 1
        text = text.replace('interval = "10s"', f'interval = "{interval}"')
        for name, topics in datasets.items():
            # A group of its own: one that has offsets where a new table has no positions stops frazil.
            source = f'[source.kafka]\ntopics = {list(topics)!r}\ngroup = "{folder.name}-{name}"\n'
            (folder / "schemas" / f"{name}.toml").write_text(text + source)

    def arguments(self, *options):
        return [self.binary, "write", *self.names, "--embedded", *options]

    def once(self):
        """Reads the topics to their present end."""
        with open(self.log, "ab") as log:
            return whole_process(self.arguments("--once"), cwd=self.folder, stderr=log)[0]

    @contextlib.contextmanager
    def running(self):
        """A process that goes on until it is told to end, which is when the block is left."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(self.arguments(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait():
                sys.stderr.write(self.log.read_text()[-3000:])


def flink(cluster, brokers, topic, tables, table, rows):
    """A job on a running cluster, from before it is submitted until the rows are there."""
    tables.create(table)
    watch = Watch(cluster.worker, cluster.manager)
    job = cluster.submit(brokers, topic, table)
    wait_for_rows(tables, table, rows, lambda: cluster.check(job))
    measured = watch.measured()
    cluster.cancel(job)
    return measured


def connect(worker, topic, control, tables, table, rows):
    """A connector of a running worker, from before it is added until the rows are there."""
    tables.create(table)
    watch = Watch(worker.worker)
    worker.add(topic, table, control)
    wait_for_rows(tables, table, rows, lambda: worker.check(table))
    measured = watch.measured()
    worker.remove(table)
    return measured


def wait_for_rows(tables, table, rows, check):
    """Waits until a table has all rows, as long as the check lets it."""

    def done():
        check()
        return tables.rows(table) >= rows

    wait_for(done, f"{rows} rows in {table}", every=ASK_SECONDS)


def kcat(brokers, topic, rows):
    """Mere consuming: a byte is printed for each record."""
    stack.needs("kcat", "kcat")
    measured, output = whole_process(["kcat", "-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "."])
    if len(output) != rows:
        raise SystemExit(f"kcat read {len(output)} of {rows} records")
    return measured


def duckdb(program):
    """A program in this Python."""
    return whole_process([sys.executable, "-c", program])[0]
