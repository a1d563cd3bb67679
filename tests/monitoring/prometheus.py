"""Prometheus and promtool from their Go module, and a server of one's own."""

import json
import os
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "stack"))
import stack

# The module's number of Prometheus 3.16.
VERSION = "v0.316.0"
COMMANDS = "github.com/prometheus/prometheus/cmd"


def install(folder):
    # Without service discovery: targets are named, and it is most of the program.
    settings = {
        "GOBIN": folder,
        "GOCACHE": folder / "build/cache",
        "GOMODCACHE": folder / "build/modules",
        "GOFLAGS": "-trimpath -modcacherw -tags=remove_all_sd",
    }
    stack.needs("go", "golang")
    commands = [f"{COMMANDS}/{name}@{VERSION}" for name in ["prometheus", "promtool"]]
    stack.run("go", "install", *commands, env={**os.environ, **{key: str(value) for key, value in settings.items()}})
    # Two gigabytes that nothing else needs.
    stack.remove(folder / "build")


def program(name):
    """The path of `prometheus` or `promtool`."""
    return stack.installed(f"prometheus-{VERSION}", install) / name


def get(url):
    """An answer's status and JSON, or text where it is none."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            status, body = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read().decode()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body


class Prometheus:
    """A server that scrapes one target each second as the job `frazil`, and looks at the rules as often."""

    def __init__(self, servers, target, rules):
        folder, port = servers.folder, stack.free_port()
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [rules.yml]\n"
            f"scrape_configs: [{{ job_name: frazil, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        )
        self.api = f"http://127.0.0.1:{port}/api/v1"
        arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
        command = [program("prometheus"), *arguments, f"--web.listen-address=127.0.0.1:{port}"]
        servers.start("prometheus", command, lambda: stack.answers(port) and get(f"http://127.0.0.1:{port}/-/ready")[0] == 200)

    def ask(self, path, **parameters):
        status, answer = get(f"{self.api}/{path}?{urllib.parse.urlencode(parameters)}")
        if status != 200:
            raise AssertionError(f"{path} {parameters}: {status}: {answer}")
        return answer["data"]

    def query(self, expression):
        """The series of an expression now: a list of labels and value."""
        result = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def names(self):
        """The names of all that was scraped, without what scraping adds."""
        names = self.ask("label/__name__/values", **{"match[]": '{job="frazil"}'})
        return {name for name in names if name not in ("up", "ALERTS", "ALERTS_FOR_STATE") and not name.startswith("scrape_")}

    def pages(self):
        """The alerts that wake somebody now, as pairs of name and dataset."""
        series = self.query('ALERTS{alertstate="firing",severity="page"}')
        return {(labels["alertname"], labels.get("dataset", "")) for labels, _ in series}
