"""PostgreSQL from the system's packages, for the scripts that need one."""

import os
import pathlib
import shutil

import stack


def program(name):
    """A program of the newest PostgreSQL on the machine; installs Debian's where there is none."""

    def find():
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(found[-1]) if found else shutil.which(name)

    if not find():
        stack.run("apt-get", "install", "-y", "--no-install-recommends", "postgresql")
    return find()


def as_user(*folders):
    """What a command begins with so that PostgreSQL takes it: it refuses to run as root. The folders become its own."""
    if os.geteuid() != 0:
        return []
    for folder in folders:
        shutil.chown(folder, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def make(user, data):
    """Makes a database in which anyone is let in from the loopback address."""
    stack.run(*user, program("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale")


def server(servers, name, user, data, options):
    """Starts a server on the data; its port."""
    port = stack.free_port()
    sockets = servers.folder / f"{name}-sockets"
    stack.run(*user, "mkdir", sockets)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={sockets}", *options]
    ready = lambda: stack.run_quiet(program("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres")
    servers.start(name, [*user, program("postgres"), "-D", data, "-p", port, *options], ready)
    return port
