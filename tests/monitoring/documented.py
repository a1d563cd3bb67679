"""What docs/monitoring.md, the rules and the dashboard say, for tests."""

import dataclasses
import json
import pathlib
import re

import promql_parser
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs" / "monitoring.md"
RULES = ROOT / "deploy" / "prometheus" / "frazil-alerts.yml"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "frazil-alerts-test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "frazil.json"

# What Prometheus knows of a target by itself.
OF_SCRAPING = {"up"}
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A row of the table in docs/monitoring.md."""

    type: str
    labels: frozenset
    there: str


def metrics():
    """The documented metrics by name."""
    found = {}
    for line in DOCS.read_text().splitlines():
        if not re.match(r"\| `\w+` \| (counter|gauge|histogram) \|", line):
            continue
        _, name, type_, labels, _, there, _, _ = (cell.strip(" `") for cell in line.split("|"))
        if name in found:
            raise SystemExit(f"{DOCS}: {name} is there twice")
        found[name] = Metric(type_, frozenset(re.findall(r"\w+", labels)), there)
    return found


def family(name, known):
    """The documented name that a series belongs to; None where there is none."""
    if name in known and known[name].type != "histogram":
        return name
    for part in HISTOGRAM_PARTS:
        base = name.removesuffix(part)
        if base != name and base in known and known[base].type == "histogram":
            return base
    return None


def rules():
    """The alerts' rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    """The dashboard's panels, rows and those within rows included."""
    for panel in dashboard()["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions():
    """The dashboard's expressions, as pairs of what they are for and the expression with its variables filled in."""
    for panel in panels():
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", filled(target["expr"])
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            yield f"variable {variable['name']}", filled(f"count by ({query[2]}) ({query[1]})")


def filled(expression):
    for variable, value in [("$__rate_interval", "1m"), ("$project", ".*"), ("$dataset", ".*")]:
        expression = expression.replace(variable, value)
    return expression


def nodes(expression):
    """All parts of an expression."""
    parts = []
    promql_parser.walk(promql_parser.parse(expression), parts.append)
    return parts


def selectors(expression):
    """The metrics that an expression reads, as pairs of name and matchers."""
    found = [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]
    return [(one.name, one.matchers.matchers) for one in found]
