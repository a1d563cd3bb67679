"""What PyIceberg and Spark do to a table of ours, each deed one call, by way of the catalog file itself.

A deed takes the numbers of rows that it adds, changes or removes; they are the engine's own, never ours.
"""

import os
import pathlib
import sys

# The catalog's name within its database, by which engines must call it.
CATALOG = "frazil"
TABLE = "logs.numbers"
JARS = ["org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0:jar", "org.xerial:sqlite-jdbc:3.50.3.0:jar"]


class PyIceberg:
    """PyIceberg by its own SQL catalog."""

    name = "PyIceberg"

    def __init__(self, data):
        from pyiceberg.catalog.sql import SqlCatalog

        self.catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{data}/catalog.db", warehouse=f"file://{data}/warehouse")

    def table(self):
        return self.catalog.load_table(TABLE)

    def rows(self, table, numbers):
        import pyarrow

        schema = table.schema().as_arrow()
        empty = pyarrow.nulls(len(numbers))
        columns = [numbers if field.name == "number" else empty.cast(field.type) for field in schema]
        return pyarrow.Table.from_arrays([pyarrow.array(of, field.type) for of, field in zip(columns, schema)], schema=schema)

    def numbers(self):
        """The numbers of all rows, sorted."""
        return sorted(self.table().scan(selected_fields=("number",)).to_arrow()["number"].to_pylist())

    def append(self, numbers):
        table = self.table()
        table.append(self.rows(table, numbers))

    def delete(self, numbers):
        from pyiceberg.expressions import In

        self.table().delete(In("number", numbers))

    def overwrite(self, numbers):
        from pyiceberg.expressions import In

        table = self.table()
        table.overwrite(self.rows(table, numbers), overwrite_filter=In("number", numbers))

    def compact(self, _):
        """All rows into new files: the only compaction that PyIceberg has."""
        table = self.table()
        table.overwrite(table.scan().to_arrow())

    def expire(self, _):
        table = self.table()
        # It refuses those that a branch or a tag holds.
        held = {reference.snapshot_id for reference in table.metadata.refs.values()}
        others = [one.snapshot_id for one in table.snapshots() if one.snapshot_id not in held]
        table.maintenance.expire_snapshots().by_ids(others).commit()

    def set_property(self, _):
        with self.table().transaction() as transaction:
            transaction.set_properties({"theirs": os.urandom(4).hex()})

    def add_column(self, _):
        from pyiceberg.types import LongType

        with self.table().update_schema() as update:
            update.add_column(f"theirs_{os.urandom(4).hex()}", LongType())

    def their_column(self):
        return next((name for name in self.table().schema().column_names if name.startswith("theirs_")), None)

    def rename_column(self, _):
        if column := self.their_column():
            with self.table().update_schema() as update:
                update.rename_column(column, f"theirs_{os.urandom(4).hex()}")

    def drop_column(self, _):
        if column := self.their_column():
            with self.table().update_schema() as update:
                update.delete_column(column)

    def change_partitions(self, _):
        """By the number's millions, or not."""
        from pyiceberg.transforms import TruncateTransform

        table = self.table()
        with table.update_spec() as update:
            if table.spec().fields:
                update.remove_field("millions")
            else:
                update.add_field("number", TruncateTransform(1_000_000), "millions")

    def drop_filled_column(self, _):
        if "checked" in self.table().schema().column_names:
            with self.table().update_schema() as update:
                update.delete_column("checked")

    def drop_required_column(self, _):
        with self.table().update_schema() as update:
            update.delete_column("number")

    def roll_back(self, _):
        table = self.table()
        table.manage_snapshots().rollback_to_snapshot(table.current_snapshot().parent_snapshot_id).commit()

    def drop_and_make(self, _):
        table = self.table()
        schema = table.schema()
        self.catalog.drop_table(TABLE)
        self.catalog.create_table(TABLE, schema)


class Spark:
    """Spark by Iceberg's JDBC catalog. Its machine is started once; each table's folder gets a session of its own."""

    name = "Spark"
    machine = None

    def __init__(self, data):
        if Spark.machine is None:
            Spark.machine = start_spark()
        self.session = Spark.machine.newSession()
        settings = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "jdbc",
            ".uri": f"jdbc:sqlite:{data}/catalog.db",
            ".jdbc.schema-version": "V1",
            ".warehouse": f"file://{data}/warehouse",
            ".cache-enabled": "false",
        }
        for key, value in settings.items():
            self.session.conf.set(f"spark.sql.catalog.{CATALOG}{key}", value)
        self.table = f"{CATALOG}.{TABLE}"

    def sql(self, text):
        return self.session.sql(text).collect()

    def call(self, procedure, more=""):
        return self.sql(f"CALL {CATALOG}.system.{procedure}(table => '{TABLE}'{more})")

    def columns(self):
        return self.session.table(self.table).columns

    def numbers(self):
        return sorted(row[0] for row in self.sql(f"SELECT number FROM {self.table}"))

    def append(self, numbers):
        self.sql(f"INSERT INTO {self.table} (number) VALUES {', '.join(f'({n})' for n in numbers)}")

    def delete(self, numbers):
        self.sql(f"DELETE FROM {self.table} WHERE number IN ({', '.join(map(str, numbers))})")

    def update(self, numbers):
        if "checked" in self.columns():
            self.sql(f"UPDATE {self.table} SET checked = 7 WHERE number IN ({', '.join(map(str, numbers))})")

    def merge(self, numbers):
        if "checked" not in self.columns():
            return
        values = ", ".join(f"({n})" for n in numbers)
        self.sql(
            f"MERGE INTO {self.table} t USING (SELECT * FROM VALUES {values} AS v(number)) s ON t.number = s.number"
            " WHEN MATCHED THEN UPDATE SET checked = 8"
        )

    def rewrite_data_files(self, _):
        self.call("rewrite_data_files", ", options => map('rewrite-all', 'true')")

    def rewrite_manifests(self, _):
        self.call("rewrite_manifests")

    def expire(self, _):
        self.call("expire_snapshots", ", older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1")

    def remove_orphans(self):
        """At once, as the procedure would after a day."""
        java = self.session._jvm
        table = java.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(self.session._jsparkSession, self.table)
        actions = java.org.apache.iceberg.spark.actions.SparkActions.get(self.session._jsparkSession)
        actions.deleteOrphanFiles(table).olderThan(2**62).execute()

    def add_column(self, _):
        self.sql(f"ALTER TABLE {self.table} ADD COLUMN theirs_{os.urandom(4).hex()} BIGINT")

    def rename_column(self, _):
        if column := next((name for name in self.columns() if name.startswith("theirs_")), None):
            self.sql(f"ALTER TABLE {self.table} RENAME COLUMN {column} TO theirs_{os.urandom(4).hex()}")

    def change_partitions(self, _):
        described = self.sql(f"DESCRIBE {self.table}")
        verb = "DROP" if any(row[0] == "Part 0" for row in described) else "ADD"
        self.sql(f"ALTER TABLE {self.table} {verb} PARTITION FIELD truncate(1000000, number)")

    def roll_back(self, _):
        parent = self.sql(
            f"SELECT parent_id FROM {self.table}.history WHERE is_current_ancestor ORDER BY made_current_at DESC LIMIT 1"
        )
        self.sql(f"CALL {CATALOG}.system.rollback_to_snapshot('{TABLE}', {parent[0][0]})")


def start_spark():
    """A session on this machine's loopback address, with Iceberg's jar from Maven Central."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "stack"))
    import stack

    jars = stack.installed("spark-iceberg-1.12.0", lambda folder: [stack.maven_file(folder, jar) for jar in JARS])
    stack.needs("java", "default-jdk-headless")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.jars": ",".join(str(jar) for jar in sorted(jars.iterdir()) if jar.suffix == ".jar"),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.shuffle.partitions": "1",
    }
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session
