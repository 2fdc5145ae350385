"""Every question that rules, dashboard and runbook put to Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT = Path(__file__).parents[2]
RULES = PROJECT / "deploy" / "prometheus" / "rules" / "labelstream.yml"
DASHBOARD = PROJECT / "deploy" / "grafana" / "dashboards" / "labelstream.json"
RUNBOOK = PROJECT / "docs" / "runbook.md"

# What Grafana puts in place of its variables when "All" is chosen. Five minutes hold all that a test
# did; with the 20 s of a live dashboard the answer would depend on when it is asked.
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*", "$route": ".*"}
COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) ")


class Query(NamedTuple):
    """A question, and where it stands."""

    place: str
    expression: str


def rules() -> list[dict[str, Any]]:
    """All rules, in order."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by their names."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard() -> dict[str, Any]:
    """Grafana's model of the dashboard."""
    model: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return model


def panels(model: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels, those of collapsed rows too."""
    return [inner for panel in model["panels"] for inner in (panel, *panel.get("panels", ()))]


def substituted(expression: str) -> str:
    """A question as Grafana would put it.

    Raises:
        AssertionError: a variable is left that nobody knows.
    """
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def rule_queries() -> Iterator[Query]:
    """Those of the rules; an alert's comparisons answer 0 or 1, since a sound system would give no data."""
    for rule in rules():
        if "alert" in rule:
            yield Query(rule["alert"], COMPARISON.sub(r" \1 bool ", rule["expr"]))
        else:
            yield Query(rule["record"], rule["expr"])
            yield Query(f"{rule['record']}, recorded", rule["record"])


def dashboard_queries() -> Iterator[Query]:
    """Those of panels and annotations."""
    model = dashboard()
    for panel in panels(model):
        for target in panel.get("targets", ()):
            yield Query(f"panel {panel['title']} {target['refId']}", substituted(target["expr"]))
    for annotation in model["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", substituted(annotation["expr"]))


def runbook_queries() -> Iterator[Query]:
    """Those of the runbook's blocks."""
    section = ""
    for heading, block in re.findall(
        r"^## (\w+)$|^```promql\n(.*?)^```", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        section = heading or section
        if block:
            yield Query(f"runbook {section}", block)


def all_queries() -> list[Query]:
    """All of them."""
    return [*rule_queries(), *dashboard_queries(), *runbook_queries()]
