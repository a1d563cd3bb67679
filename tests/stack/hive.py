"""What the scripts of the three lines of the Hive Metastore share."""

import json
import os
import shutil
import subprocess
import sys

import stack

MAIN = "org.apache.hadoop.hive.metastore.HiveMetaStore"
HADOOP = "3.3.6"

# What all lines need beside their own jars. Each stands alone: their own dependencies clash.
COMMONS = [
    "commons-cli:commons-cli:1.5.0",
    "commons-lang:commons-lang:2.6",
    "commons-collections:commons-collections:3.2.2",
    "commons-io:commons-io:2.11.0",
]
HADOOP_JARS = [
    (f"org.apache.hadoop:hadoop-client-api:{HADOOP}", ["*:*"]),
    (f"org.apache.hadoop:hadoop-client-runtime:{HADOOP}", ["*:*"]),
    (f"org.apache.hadoop:hadoop-hdfs:{HADOOP}", ["*:*"]),
]
# jdk.tools does not resolve on a JDK of today; the others clash with the jars above or are not needed.
LEFT_OUT = [
    "jdk.tools:jdk.tools",
    "org.apache.hadoop:*",
    "org.slf4j:slf4j-log4j12",
    "log4j:log4j",
]

FLAGS = ["-Xmx512m", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"] + [
    part
    for package in ["lang", "net", "util", "util.concurrent", "nio"]
    for part in ("--add-opens", f"java.base/java.{package}=ALL-UNNAMED")
]

LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p [%t] %c{2}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def derby(folder):
    """The connection to the Derby database in that folder."""
    return {
        "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder};create=true",
        "javax.jdo.option.ConnectionDriverName": "org.apache.derby.jdbc.EmbeddedDriver",
    }


def configure(folder, settings):
    """Writes a configuration folder."""
    folder.mkdir(parents=True)
    properties = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>\n" for name, value in settings.items()
    )
    for name in ["metastore-site.xml", "hive-site.xml"]:
        (folder / name).write_text(f"<configuration>\n{properties}</configuration>\n")
    (folder / "log4j2.properties").write_text(LOGGING)
    return folder


def java(conf, jars, *command):
    """The command line of a Java program."""
    return ["java", *FLAGS, f"-Dderby.stream.error.file={conf.parent / 'derby.log'}",
            f"-Dlog4j.configurationFile={conf / 'log4j2.properties'}",
            "-cp", ":".join([str(conf), *(f"{folder}/*" for folder in jars)]), *map(str, command)]  # fmt: skip


def settings(folder, database):
    """The configuration of a metastore that keeps all its files in `folder`."""
    return {
        **database,
        "metastore.warehouse.dir": f"file://{folder}/managed",
        "hive.metastore.warehouse.dir": f"file://{folder}/managed",
        "metastore.warehouse.external.dir": f"file://{folder}/external",
        "metastore.thrift.bind.host": "127.0.0.1",
        "datanucleus.schema.autoCreateAll": "false",
        "metastore.schema.verification": "false",
        "hive.metastore.schema.verification": "false",
        "metastore.task.threads.always": "org.apache.hadoop.hive.metastore.events.EventCleanerTask",
        "metastore.event.db.notification.api.auth": "false",
    }


def environment():
    """Loopback only, whatever the line makes of its settings."""
    return {**os.environ, "LD_PRELOAD": str(stack.loopback_shim())}


def serve(servers, jars, database, main=MAIN, more=None):
    """Runs a metastore and tells its address and process. A line `restart` on the standard input starts it again
    after it was killed, on the same port and database; the address is told again then."""
    port, folder = stack.free_port(), servers.folder / "hive"
    conf = configure(folder / "conf", {**settings(folder, database), **(more or {})})

    def start():
        command = java(conf, jars, main, "-p", port)
        return servers.start("hive", command, lambda: stack.answers(port), env=environment(), cwd=folder)

    process = start()
    while True:
        told = {"uri": f"thrift://127.0.0.1:{port}", "port": port, "pid": process.pid,
                "managed": f"file://{folder}/managed", "log": str(servers.folder / "hive.log")}  # fmt: skip
        print(json.dumps(told), flush=True)
        line = sys.stdin.readline()
        if line.strip() != "restart":
            return
        process.wait()
        process = start()


def unpack(folder, coordinates):
    """Unpacks a tar.gz from Maven to `folder`, without its top folder."""
    archive = stack.maven_file(folder, coordinates)
    subprocess.run(["tar", "-xzf", archive, "-C", folder, "--strip-components=1"], check=True)
    archive.unlink()


def copy_database(template, folder):
    """A copy of a Derby database that an installation made, so that no start needs to make one."""
    shutil.copytree(template, folder)
    return derby(folder)
