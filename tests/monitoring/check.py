"""Alert rules, their unit tests, runbooks and the dashboard against each other and the list of metrics.

promtool says whether rules and expressions are right by themselves; the rest here is what it cannot know.
"""

import collections
import json
import pathlib
import re
import sys
import tempfile

import promql_parser
import yaml

import documented
import prometheus
import stack

# Labels that scraping gives, and that of histograms' buckets.
OTHER_LABELS = {"job", "instance", "pod", "le"}
OF_COUNTERS = {"rate", "irate", "increase"}
OF_GAUGES = {"delta", "deriv", "idelta", "predict_linear"}
SEVERITIES = {"page", "ticket"}
COLUMNS = 24

mistakes = []


def mistake(where, what):
    mistakes.append(f"{where}: {what}")


def check_expression(where, expression, known):
    """Metrics and labels are documented, and functions fit the metrics' types."""
    labels = OTHER_LABELS.union(*(metric.labels for metric in known.values()))
    for name, matchers in documented.selectors(expression):
        if name in documented.OF_SCRAPING:
            continue
        family = documented.family(name, known)
        if not family:
            mistake(where, f"{name} is not in docs/monitoring.md")
            continue
        for matcher in matchers:
            if matcher.name not in known[family].labels | OTHER_LABELS:
                mistake(where, f"{name} has no label {matcher.name}")
    for node in documented.nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            for label in set(node.modifier.labels) - labels:
                mistake(where, f"no metric has the label {label}")
        if isinstance(node, promql_parser.Call):
            check_call(where, node, known)


def check_call(where, call, known):
    for argument in call.args:
        if not isinstance(argument, promql_parser.MatrixSelector):
            continue
        name = argument.vector_selector.name
        family = documented.family(name, known)
        is_counter = family and (known[family].type != "gauge")
        if call.func.name in OF_COUNTERS and not is_counter:
            mistake(where, f"{call.func.name} of {name}, which is no counter")
        if call.func.name in OF_GAUGES and is_counter:
            mistake(where, f"{call.func.name} of {name}, which is no gauge")


def check_rules(known):
    """Each alert has what those who are woken by it need, and is documented."""
    docs = documented.DOCS.read_text()
    runbooks = {path.stem for path in (documented.ROOT / "docs/runbooks").glob("*.md")}
    for rule in documented.rules():
        alert, annotations = rule["alert"], rule["annotations"]
        check_expression(alert, rule["expr"], known)
        words = re.findall(r"[A-Z][a-z]+", alert.removeprefix("Frazil"))
        page = "-".join(words).lower()
        if annotations["runbook_url"] != f"docs/runbooks/{page}.md" or page not in runbooks:
            mistake(alert, f"its runbook is not docs/runbooks/{page}.md, or that is missing")
        if f"| [{alert}](runbooks/{page}.md) |" not in docs:
            mistake(alert, "it is not in docs/monitoring.md")
        if set(annotations) != {"summary", "description", "runbook_url"} or rule["labels"]["severity"] not in SEVERITIES:
            mistake(alert, "it needs a severity, summary, description and runbook_url, and no more")
    pages = {rule["annotations"]["runbook_url"].split("/")[-1].removesuffix(".md") for rule in documented.rules()}
    for page in runbooks - pages:
        mistake(f"docs/runbooks/{page}.md", "no alert names it")


def check_rule_tests():
    """Each alert, at each severity, is seen firing and silent."""
    seen = collections.defaultdict(set)
    for group in yaml.safe_load(documented.RULE_TESTS.read_text())["tests"]:
        for case in group["alert_rule_test"]:
            expected = case.get("exp_alerts", [])
            fired = {alert["exp_labels"]["severity"] for alert in expected}
            seen[case["alertname"]] |= fired or {"silent"}
    for rule in documented.rules():
        missing = {rule["labels"]["severity"], "silent"} - seen[rule["alert"]]
        if missing:
            mistake(rule["alert"], f"no unit test sees it {', '.join(missing)}")


def check_dashboard(known):
    for where, expression in documented.expressions():
        check_expression(where, expression, known)
    panels = list(documented.panels())
    ids = [panel["id"] for panel in panels]
    if len(ids) != len(set(ids)):
        mistake("dashboard", "two panels have one id")
    taken = {}
    for panel in panels:
        check_place(panel, taken)
        if panel["type"] == "row":
            continue
        # Whoever imports it has a data source of his own.
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        if any(source != {"type": "prometheus", "uid": "${datasource}"} for source in sources):
            mistake(panel["title"], "it asks another data source than the variable's")
        references = [target["refId"] for target in panel["targets"]]
        if len(references) != len(set(references)):
            mistake(panel["title"], "two of its queries have one refId")
    read = {name for _, expression in documented.expressions() for name, _ in documented.selectors(expression)}
    shown = {documented.family(name, known) for name in read}
    for name in known:
        if name.startswith("frazil_") and name not in shown and name != "frazil_last_commit_timestamp_seconds":
            mistake("dashboard", f"{name} is nowhere")


def check_place(panel, taken):
    """No panel lies over another or beyond the edge."""
    place = panel["gridPos"]
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            if x >= COLUMNS or (x, y) in taken:
                mistake(panel["title"], f"it lies over {taken.get((x, y), 'the edge')}")
                return
            taken[x, y] = panel["title"]


def check_with_promtool():
    """promtool's own checks of the rules, of their unit tests, and of the dashboard's expressions as rules."""
    stack.run(prometheus.program("promtool"), "check", "rules", documented.RULES)
    stack.run(prometheus.program("promtool"), "test", "rules", documented.RULE_TESTS)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "dashboard.yml"
        rules = [{"record": f"panel:{n}", "expr": expression} for n, (_, expression) in enumerate(documented.expressions())]
        # JSON is YAML.
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        stack.run(prometheus.program("promtool"), "check", "rules", path)


known = documented.metrics()
check_rules(known)
check_rule_tests()
check_dashboard(known)
if mistakes:
    sys.exit("\n".join(mistakes))
check_with_promtool()
counts = len(known), len(documented.rules()), len(list(documented.expressions()))
print("{} metrics, {} alerts, {} expressions of the dashboard".format(*counts))
