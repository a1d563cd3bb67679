"""The scenarios: each begins a scene, does its harm, and gives what came of it."""

import random
import signal
import time

import servers
from scene import MEMORY_MAX_MIB, Scene

# How long a writer lives that is killed: less than it takes to begin, and long enough for several checkpoints.
LIFE_SECONDS = (0.2, 8.0)
# About what ending and starting one takes us, so that records are sent until after the last.
START_SECONDS = 0.3
WRITERS_MAX = 4
# Between two changes of the group.
CHANGE_SECONDS_MAX = 3.0
# How much larger than a writer's memory the topic is that slow storage takes.
OVERFLOW = 4
# By how much its memory may be larger at the end than it was early on.
GROWTH_MAX = 1.25


def kills(options, broker):
    """The writer is killed at random moments."""
    chance = random.Random(options.seed)
    lives = [chance.uniform(*LIFE_SECONDS) for _ in range(options.kills)]
    with Scene(options, "kills") as scene:
        scene.begin(broker.address, sum(lives) + options.kills * START_SECONDS)
        scene.writers.start()
        for life in lives:
            time.sleep(life)
            begun = time.time()
            scene.writers.kill()
            scene.writers.start()
            scene.fault(begun)
        return scene.finish()


def outage(scene, options, broker, server):
    """A server is away in the middle of what is sent."""
    scene.begin(broker.address, 2 * options.down + 4)
    scene.writers.start()
    scene.until_written(1)
    begun = time.time()
    server.stop()
    time.sleep(options.down)
    server.start()
    scene.fault(begun)
    return scene.finish()


def broker(options, broker):
    """The broker is away."""
    with Scene(options, "broker") as scene:
        return outage(scene, options, broker, broker)


def metastore(options, broker):
    """A Hive Metastore 4 as catalog is away."""
    with Scene(options, "metastore") as scene:
        server = scene.enter_context(servers.Metastore())
        scene.catalog = server.told["uri"]
        return outage(scene, options, broker, server)


def database(options, broker):
    """PostgreSQL as catalog is away."""
    with Scene(options, "database") as scene:
        server = scene.enter_context(servers.database())
        scene.catalog = server.told["uri"]
        return outage(scene, options, broker, server)


def storage(options, broker):
    """The S3 server that holds the files is away."""
    with Scene(options, "storage") as scene:
        server = scene.enter_context(servers.storage())
        scene.use_s3(server.told, server.port)
        return outage(scene, options, broker, server)


def full_disk(options, broker):
    """The disk of warehouse and catalog is full."""
    with Scene(options, "full disk") as scene:
        scene.data = scene.folder / "disk"
        size = 256 * 2**20 + 3 * options.records * scene.pad
        disk = scene.enter_context(servers.Disk(scene.data, size))
        scene.catalog, scene.warehouse = f"sqlite:{scene.data}/catalog.db", f"file://{scene.data}/warehouse"
        return outage(scene, options, broker, disk)


def group(options, broker):
    """Writers join and leave their group all the time, killed and asked to end."""
    chance = random.Random(options.seed)
    pauses = [chance.uniform(0, CHANGE_SECONDS_MAX) for _ in range(options.kills)]
    with Scene(options, "group") as scene:
        scene.workers = 1
        scene.begin(broker.address, sum(pauses) + options.kills * START_SECONDS)
        for _ in range(WRITERS_MAX - 1):
            scene.writers.start()
        for pause in pauses:
            time.sleep(pause)
            begun, running = time.time(), scene.writers.running()
            how = chance.choice(["start", signal.SIGKILL, signal.SIGTERM])
            if len(running) < 2 or how == "start" and len(running) < WRITERS_MAX:
                scene.writers.start()
            else:
                scene.writers.ask(chance.choice(running), signal.SIGTERM if how == "start" else how)
            scene.fault(begun)
        return scene.finish()


def slow_storage(options, broker):
    """Storage takes far less than is sent, and the topic is larger than memory."""
    with Scene(options, "slow storage") as scene:
        server = scene.enter_context(servers.storage())
        topic_bytes = OVERFLOW * MEMORY_MAX_MIB * 2**20
        scene.pad = max(scene.pad, topic_bytes // options.records)
        rate = options.records * scene.pad / (4 * options.down + 4)
        proxy = scene.enter_context(servers.Throttle(server.port, rate))
        scene.use_s3(server.told, proxy.port)
        scene.begin(broker.address, 1)
        scene.writers.start()
        begun = time.time()
        scene.load.process.join()
        scene.fault(begun)
        result = scene.finish()
        _, second, _, last = result["rss_mib"]["quarters"]
        if last > GROWTH_MAX * second:
            result["failures"].append(f"the writer's memory grew from {second} to {last} MiB")
            result["passed"] = False
        return result


ALL = {
    "kills": kills, "broker": broker, "metastore": metastore, "database": database, "storage": storage,
    "full-disk": full_disk, "group": group, "slow-storage": slow_storage,
}  # fmt: skip
