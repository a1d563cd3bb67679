"""The servers of the comparison, all on the loopback address: a Kafka broker, a Flink cluster, a Kafka Connect worker.

They are installed once, from Maven Central and PyPI, into the user's cache folder.
"""

import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import uuid

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "stack"))

import stack  # noqa: E402

KAFKA = "4.3.1"
FLINK = "2.1.3"
FLINK_KAFKA = "4.0.1-2.0"
FLINK_ICEBERG = "1.11.0"
CONNECT_ICEBERG = "1.12.0"
HADOOP = "3.4.2"
SQLITE = "3.50.3.0"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1"

# Both have as many tasks as frazil has workers on this number of cores.
TASKS = 2
CATALOG = "bench"
HTTP_SECONDS = 30
READY_SECONDS = 0.1

# What Flink 2.1 and Iceberg need of a JDK 17, as Flink's own scripts set it.
OPENED = ["lang", "lang.invoke", "lang.reflect", "net", "io", "nio", "text", "time", "util", "util.concurrent",
          "util.concurrent.atomic", "util.concurrent.locks"]  # fmt: skip
OPENS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED]

KAFKA_JARS = [f"org.apache.kafka:kafka_2.13:{KAFKA}", LOGGING]
CONNECT_JARS = [f"org.apache.kafka:connect-runtime:{KAFKA}", f"org.apache.kafka:connect-json:{KAFKA}", LOGGING]
HADOOP_JARS = [f"org.apache.hadoop:hadoop-client-{part}:{HADOOP}" for part in ["api", "runtime"]]
SINK_JARS = [f"org.apache.iceberg:iceberg-{part}:{CONNECT_ICEBERG}" for part in ["kafka-connect", "parquet"]]
FLINK_JARS = [(f"org.apache.{jar}", ["*:*"]) for jar in [
    f"flink:flink-sql-connector-kafka:{FLINK_KAFKA}", f"iceberg:iceberg-flink-runtime-2.1:{FLINK_ICEBERG}"]]  # fmt: skip
SQLITE_JAR = (f"org.xerial:sqlite-jdbc:{SQLITE}", ["*:*"])


def properties(path, settings):
    """Writes a file of Java properties."""
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path


def java(servers, *options):
    """The beginning of a server's command line. It logs as its distribution does, at INFO."""
    log = properties(servers.folder / "log4j2.properties", {
        "appender.console.type": "Console", "appender.console.name": "console",
        "appender.console.layout.type": "PatternLayout", "appender.console.layout.pattern": "%d %p %m (%c)%n",
        "rootLogger.level": "INFO", "rootLogger.appenderRef.console.ref": "console"})  # fmt: skip
    return ["java", *options, f"-Dlog4j2.configurationFile={log}"]


def http(method, url, body=None):
    """The answer to a request, as JSON."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as answer:
        return json.loads(answer.read() or b"null")


def serves(url):
    """Whether a server answers, and not that it cannot yet."""
    try:
        http("GET", url)
    except OSError:
        return False
    return True


def logged(servers, name, text):
    """Whether a server's log holds a text."""
    return text in (servers.folder / f"{name}.log").read_text(errors="replace")


def start_broker(servers):
    """Starts a broker with Kafka's defaults, but for what one node needs; its address."""
    jars = stack.installed(f"kafka-{KAFKA}", lambda folder: stack.maven_jars(folder, KAFKA_JARS)) / "lib"
    port, controller = stack.lasting_port(), stack.lasting_port()
    settings = {"process.roles": "broker,controller", "node.id": 1, "controller.listener.names": "CONTROLLER",
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}", "log.dirs": servers.folder / "kafka-data",
                "auto.create.topics.enable": "false", "log.segment.delete.delay.ms": 100}  # fmt: skip
    for topic in ["offsets.topic", "transaction.state.log"]:
        settings |= {f"{topic}.replication.factor": 1, f"{topic}.num.partitions": 4}
    settings["transaction.state.log.min.isr"] = 1
    path = properties(servers.folder / "server.properties", settings)
    command = [*java(servers, "-Xmx1g", "-Djava.net.preferIPv4Stack=true"), "-cp", f"{jars}/*"]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    stack.run(*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", path)
    servers.start("kafka", [*command, "kafka.Kafka", path], lambda: logged(servers, "kafka", "Kafka Server started"))
    return f"127.0.0.1:{port}"


class Flink:
    """A cluster of a job manager and a task manager."""

    def __init__(self, servers, warehouse, catalog):
        self.folder, self.warehouse, self.catalog = servers.folder, warehouse, catalog
        self.rest = stack.lasting_port()
        self.conf = servers.folder / "flink-conf"
        self.conf.mkdir()
        (self.conf / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in self.settings().items()))
        self.java = [*OPENS, "-cp", f"{stack.installed(f'flink-{FLINK}', install_flink) / 'lib'}/*"]
        runtime = "org.apache.flink.runtime"
        manager = [*java(servers, "-Xmx448m"), *self.java, f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint"]
        memory = ["-Xms1664m", "-Xmx1664m", "-XX:MaxDirectMemorySize=384m", "-XX:MaxMetaspaceSize=256m"]
        worker = [*java(servers, *memory), *self.java, f"{runtime}.taskexecutor.TaskManagerRunner"]
        self.manager = servers.start("flink-jobs", [*manager, "-c", self.conf], lambda: serves(self.url("overview")))
        self.worker = servers.start("flink-tasks", [*worker, "-c", self.conf], lambda: self.slots() == TASKS)

    def settings(self):
        """Memory as Flink's scripts would deal it out to a process of 2.5 GB; JDBC's and Iceberg's settings are in the SQL."""
        megabytes = {"task.heap.size": 1536, "framework.heap.size": 128, "task.off-heap.size": 128, "framework.off-heap.size": 128,
                     "managed.size": 128, "network.min": 128, "network.max": 128, "jvm-metaspace.size": 256,
                     "jvm-overhead.min": 192, "jvm-overhead.max": 192}  # fmt: skip
        temporary = self.folder / "flink-temporary"
        temporary.mkdir()
        return {f"taskmanager.memory.{key}": f"{size}m" for key, size in megabytes.items()} | {
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.bind-host": "127.0.0.1", "jobmanager.rpc.port": stack.lasting_port(),
            "jobmanager.memory.process.size": "1024m", "blob.server.port": stack.lasting_port(),
            "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": self.rest,
            "taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1", "taskmanager.cpu.cores": f"{TASKS}.0",
            "taskmanager.numberOfTaskSlots": TASKS, "parallelism.default": TASKS, "io.tmp.dirs": temporary,
            "execution.checkpointing.interval": "10 s", "execution.checkpointing.mode": "EXACTLY_ONCE",
            "execution.checkpointing.dir": f"file://{temporary}/checkpoints", "table.local-time-zone": "UTC",
        }  # fmt: skip

    def url(self, path):
        return f"http://127.0.0.1:{self.rest}/{path}"

    def slots(self):
        return self.get("overview")["slots-total"]

    def get(self, path):
        return http("GET", self.url(path))

    def submit(self, brokers, topic, table):
        """Starts a job that reads the topic from its beginning on; the job's id."""
        statements = (HERE / "flink.sql").read_text().format(
            catalog=CATALOG, uri=f"jdbc:sqlite:{self.catalog}", warehouse=self.warehouse, brokers=brokers, topic=topic, table=table
        )
        script = self.folder / f"{table}.sql"
        script.write_text(statements)
        done = subprocess.run(["java", *self.java, HERE / "Submit.java", self.conf, script], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"Flink took no job: {done.stderr[-3000:]}")
        return done.stdout.split()[-1]

    def state(self, job):
        return self.get(f"jobs/{job}")["state"]

    def check(self, job):
        """Ends the run where the job does not run."""
        if (state := self.state(job)) not in ["INITIALIZING", "CREATED", "RUNNING"]:
            raise SystemExit(f"Flink's job is {state}: {self.get(f'jobs/{job}/exceptions')}")

    def cancel(self, job):
        """Ends a job, and waits until its slots are free."""
        http("PATCH", self.url(f"jobs/{job}?mode=cancel"))
        while self.get("overview")["slots-available"] < TASKS:
            time.sleep(READY_SECONDS)


def install_flink(folder):
    """Maven Central has no whole distribution; a package on PyPI, of which only the jars are used, is it."""
    stack.maven_jars(folder, [*FLINK_JARS, *HADOOP_JARS, SQLITE_JAR, "commons-logging:commons-logging:1.3.0"])
    package = f"apache-flink-libraries=={FLINK}"
    stack.run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package)
    archive = next(folder.glob("apache*.tar.gz"))
    with tarfile.open(archive) as files:
        for member in files:
            if "/deps/lib/" in member.name and member.name.endswith(".jar"):
                member.name = pathlib.Path(member.name).name
                files.extract(member, folder / "lib")
    archive.unlink()


class Connect:
    """A worker in standalone mode, without any connector yet."""

    def __init__(self, servers, brokers, warehouse, catalog):
        self.brokers, self.warehouse, self.catalog = brokers, warehouse, catalog
        jars = stack.installed(f"connect-{KAFKA}", lambda folder: stack.maven_jars(folder, [*CONNECT_JARS, SQLITE_JAR])) / "lib"
        plugin = stack.installed(f"connect-iceberg-{CONNECT_ICEBERG}", lambda folder: stack.maven_jars(folder, [*SINK_JARS, *HADOOP_JARS]))
        self.address = f"http://127.0.0.1:{stack.lasting_port()}"
        converter = "org.apache.kafka.connect"
        settings = properties(servers.folder / "connect.properties", {
            "bootstrap.servers": brokers, "listeners": self.address, "plugin.path": plugin,
            "key.converter": f"{converter}.storage.StringConverter", "value.converter": f"{converter}.json.JsonConverter",
            "value.converter.schemas.enable": "false", "offset.storage.file.filename": servers.folder / "connect-offsets",
            # With the default of a minute, the sink commits the last rows of a topic that became quiet two minutes late.
            "offset.flush.interval.ms": 1000})  # fmt: skip
        command = [*java(servers, "-Xms256m", "-Xmx2g"), "-cp", f"{jars}/*", "org.apache.kafka.connect.cli.ConnectStandalone", settings]
        self.worker = servers.start("connect", command, lambda: serves(self.address))

    def add(self, topic, table, control, commit_ms=10_000):
        """Adds a sink of the topic; `control` is a topic of its own."""
        prefix = "iceberg.catalog"
        http("PUT", f"{self.address}/connectors/{table}/config", {
            "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector", "tasks.max": str(TASKS), "topics": topic,
            "iceberg.tables": f"logs.{table}", prefix: CATALOG, f"{prefix}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
            f"{prefix}.uri": f"jdbc:sqlite:{self.catalog}", f"{prefix}.warehouse": f"file://{self.warehouse}",
            "iceberg.control.topic": control, "iceberg.control.commit.interval-ms": str(commit_ms),
            "iceberg.kafka.bootstrap.servers": self.brokers})  # fmt: skip

    def check(self, table):
        """Ends the run where a task of the sink failed."""
        for task in http("GET", f"{self.address}/connectors/{table}/status")["tasks"]:
            if task["state"] == "FAILED":
                raise SystemExit(f"Connect's task failed: {task['trace'][:3000]}")

    def remove(self, table):
        http("DELETE", f"{self.address}/connectors/{table}")
