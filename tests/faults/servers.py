"""The servers that fail: those of `tests/stack`, a connection of limited bandwidth, and a disk that can be full."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

STACK = pathlib.Path(__file__).parent.parent / "stack"
sys.path.insert(0, str(STACK))
import stack  # noqa: E402

READY_SECONDS_MAX = 180


def wait_until(is_done, what):
    """Looks until it is done."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {READY_SECONDS_MAX} s")
        time.sleep(0.05)


class Server:
    """A script of `tests/stack`, which runs until its standard input ends."""

    def __init__(self, name, *arguments):
        self.name = name
        command = [STACK / name, *arguments]
        self.script = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = self.answer()

    def answer(self):
        line = self.script.stdout.readline()
        if not line:
            raise RuntimeError(f"tests/stack/{self.name} ended: see its output above")
        return json.loads(line)

    def say(self, word):
        self.script.stdin.write(f"{word}\n")
        self.script.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.script.stdin.close()
        self.script.wait()


class Broker(Server):
    """Kafka, which is killed and started again with its data."""

    def __init__(self):
        super().__init__("kafka")
        self.address = self.told["brokers"]["plaintext"]

    def stop(self):
        self.say("kill")

    def start(self):
        self.say("start")


class Metastore(Server):
    """Hive Metastore 4, which is killed and started again on its database."""

    def __init__(self):
        super().__init__("hive4")

    def stop(self):
        os.kill(self.told["pid"], signal.SIGKILL)

    def start(self):
        self.told = self.say("restart")


class Process(Server):
    """A server of one process, which is ended at once and started again by the command that the script gave it."""

    def __init__(self, name, port, end_by):
        super().__init__(name)
        self.port, self.end_by = port(self.told), end_by
        self.pid = children(self.script.pid)[0]
        self.command = pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        self.process = None

    def stop(self):
        pid = self.pid
        # What runs it as another user is not the server.
        while pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "runuser":
            pid = children(pid)[0]
        os.kill(pid, self.end_by)
        wait_until(lambda: not stack.answers(self.port), f"{self.name} has stopped")
        if self.process:
            self.process.wait()

    def start(self):
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdin=quiet, stdout=quiet, stderr=quiet)
        self.pid = self.process.pid
        wait_until(lambda: stack.answers(self.port), f"{self.name} answers")

    def __exit__(self, *_):
        if self.process:
            self.stop()
        super().__exit__()


def database():
    """PostgreSQL; its immediate shutdown is as a crash."""
    return Process("postgres", lambda told: told["port"], signal.SIGQUIT)


def storage():
    """A server of S3's protocol."""
    return Process("s3", lambda told: int(told["endpoint"].rsplit(":", 1)[1]), signal.SIGKILL)


def children(pid):
    """The processes that a process started."""
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


class Throttle:
    """A port in front of another, whose connections share a bandwidth in each direction."""

    CHUNK_BYTES = 32 * 1024

    def __init__(self, port, bytes_a_second):
        self.target, self.bytes_a_second = ("127.0.0.1", port), bytes_a_second
        self.listener = socket.create_server(("127.0.0.1", stack.lasting_port()))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        up, down = Bandwidth(self.bytes_a_second), Bandwidth(self.bytes_a_second)
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(self.target)
                for pair in ((client, server, up), (server, client, down)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, target, bandwidth):
        with contextlib.suppress(OSError):
            while chunk := source.recv(self.CHUNK_BYTES):
                bandwidth.take(len(chunk))
                target.sendall(chunk)
        for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Bandwidth:
    """Bytes a second, given out in the order of asking."""

    def __init__(self, bytes_a_second):
        self.bytes_a_second, self.free_at, self.lock = bytes_a_second, 0.0, threading.Lock()

    def take(self, count):
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + count / self.bytes_a_second
            wait = self.free_at - time.monotonic()
        time.sleep(max(0, wait))


class NoDisk(Exception):
    """This machine gives us no disk of our own."""


class Disk:
    """A file system of its own, of limited size."""

    def __init__(self, folder, size_bytes):
        self.folder, self.ballast, self.is_freed = folder, folder / "ballast", threading.Event()
        folder.mkdir()
        if os.geteuid() != 0:
            raise NoDisk("only root may mount a file system of limited size")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise NoDisk(f"a file system of limited size cannot be mounted: {done.stderr.strip()}")

    def stop(self):
        """Leaves no byte free, though others remove files meanwhile."""
        self.is_freed.clear()
        self.filling = threading.Thread(target=self.fill, daemon=True)
        self.filling.start()

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as ballast:
            while not self.is_freed.is_set():
                try:
                    ballast.write(bytes(64 * 1024))
                except OSError:
                    self.is_freed.wait(0.02)

    def start(self):
        self.is_freed.set()
        self.filling.join()
        self.ballast.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.folder], check=True)
