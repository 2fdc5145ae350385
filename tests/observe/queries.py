"""All PromQL queries of rules, dashboard and runbook."""

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

# Values of Grafana's variables for the choice "All". A range of five minutes covers a whole test, so that the
# result does not depend on the moment of the query, as it would with the 20 s of a live dashboard.
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*", "$route": ".*"}
COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) ")


class Query(NamedTuple):
    """A query and its place."""

    place: str
    expression: str


def rules() -> list[dict[str, Any]]:
    """Return all rules in order."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON model."""
    model: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return model


def panels(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all panels, including those of collapsed rows."""
    return [inner for panel in model["panels"] for inner in (panel, *panel.get("panels", ()))]


def substituted(expression: str) -> str:
    """Return a query with Grafana's variables replaced.

    Raises:
        AssertionError: a variable is unknown.
    """
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def rule_queries() -> Iterator[Query]:
    """Yield the queries of the rules; comparisons return 0 or 1, as a healthy system would return no data."""
    for rule in rules():
        if "alert" in rule:
            yield Query(rule["alert"], COMPARISON.sub(r" \1 bool ", rule["expr"]))
        else:
            yield Query(rule["record"], rule["expr"])
            yield Query(f"{rule['record']}, recorded", rule["record"])


def dashboard_queries() -> Iterator[Query]:
    """Yield the queries of panels and annotations."""
    model = dashboard()
    for panel in panels(model):
        for target in panel.get("targets", ()):
            yield Query(f"panel {panel['title']} {target['refId']}", substituted(target["expr"]))
    for annotation in model["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", substituted(annotation["expr"]))


def runbook_queries() -> Iterator[Query]:
    """Yield the queries in the runbook's code blocks."""
    section = ""
    for heading, block in re.findall(
        r"^## (\w+)$|^```promql\n(.*?)^```", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        section = heading or section
        if block:
            yield Query(f"runbook {section}", block)


def all_queries() -> list[Query]:
    """Return all queries."""
    return [*rule_queries(), *dashboard_queries(), *runbook_queries()]
