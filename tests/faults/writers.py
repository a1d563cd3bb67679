"""Writers of frazil, started again as systemd or Kubernetes would, and the memory that each takes."""

import collections
import os
import pathlib
import signal
import subprocess
import threading
import time

SAMPLE_SECONDS = 0.2
# Between an exit 1 and the next start.
RESTART_SECONDS = 1
# A writer that was asked to end, and takes longer, hangs.
END_SECONDS_MAX = 90
TAIL_BYTES = 2_000


class Writer:
    """A process, and how it is to end."""

    def __init__(self, command, folder, log):
        self.log = log
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FRAZIL_")}
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.asked = None
        self.asked_at = 0.0
        self.samples = []

    def ask(self, how):
        self.asked, self.asked_at = how, time.monotonic()
        self.process.send_signal(how)

    def sample(self):
        """Takes a look at its memory, in MiB."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        if lines:
            self.samples.append(int(lines[0].split()[1]) / 1024)

    def tail(self):
        text = self.log.read_bytes()
        return text[-TAIL_BYTES:].decode(errors="replace")


class Writers:
    """All writers of a scenario."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder
        self.lock = threading.RLock()
        self.alive, self.ended, self.due = [], [], []
        self.exits, self.failures = collections.Counter(), []
        self.started = self.restarts = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def start(self):
        with self.lock:
            self.started += 1
            writer = Writer(self.command, self.folder, self.folder / f"writer-{self.started}.log")
            self.alive.append(writer)
        return writer

    def running(self):
        """Those that nobody asked to end."""
        with self.lock:
            return [writer for writer in self.alive if writer.asked is None]

    def ask(self, writer, how):
        with self.lock:
            if writer in self.alive:
                writer.ask(how)

    def kill(self):
        """Kills the only writer, or what is about to be started in its place."""
        with self.lock:
            self.due.clear()
            for writer in self.running():
                writer.ask(signal.SIGKILL)
        self.gone()

    def end(self):
        """Asks all to end, and waits."""
        with self.lock:
            self.due.clear()
            for writer in self.running():
                writer.ask(signal.SIGTERM)
        self.gone()

    def gone(self):
        while self.alive and self.thread.is_alive():
            time.sleep(0.02)

    def watch(self):
        while not self.is_over.wait(SAMPLE_SECONDS / 4 if self.due else SAMPLE_SECONDS):
            with self.lock:
                for writer in list(self.alive):
                    self.look(writer)
                for at in [at for at in self.due if at <= time.monotonic()]:
                    self.due.remove(at)
                    self.restarts += 1
                    self.start()

    def look(self, writer):
        code = writer.process.poll()
        if code is None:
            writer.sample()
            if writer.asked and time.monotonic() > writer.asked_at + END_SECONDS_MAX:
                self.failures.append(f"a writer did not end within {END_SECONDS_MAX} s: {writer.tail()}")
                writer.asked = signal.SIGKILL
                writer.process.kill()
            return
        self.alive.remove(writer)
        self.ended.append(writer)
        self.exits[code] += 1
        expected = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 0}.get(writer.asked, 1)
        if code != expected:
            self.failures.append(f"a writer ended with {code} in place of {expected} ({writer.log.name}): {writer.tail()}")
        elif writer.asked is None:
            self.due.append(time.monotonic() + RESTART_SECONDS)

    def samples(self):
        """Each writer's looks at its memory."""
        with self.lock:
            return [writer.samples for writer in self.ended + self.alive if writer.samples]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        for writer in self.alive:
            writer.process.kill()
            writer.process.wait()
