"""Alerts, runbook and rule tests agree."""

import re
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stream.observe.metrics import Metrics
from tests.observe.queries import PROJECT, RUNBOOK, Query, alerts, all_queries, rules

ALERTS = alerts()
TEXT = RUNBOOK.read_text(encoding="utf-8")
UNIT_TESTS = sorted((PROJECT / "deploy" / "prometheus" / "tests").glob("*.yml"))


def exposed() -> set[str]:
    """Return the names of all metrics that a worker can expose."""
    metrics = Metrics()
    metrics.register_redis()
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(metrics.exposition()[0].decode())
        if not family.name.endswith("_created")
    }


def names(query: Query) -> set[str]:
    """Return the metrics in a query, without recorded series."""
    metrics: list[str] = re.findall(r"(?<![:\w\"])(?:labelstream|process)_\w+", query.expression)
    return {re.sub("_(bucket|sum|count)$", "", name) for name in metrics}


def slug(heading: str) -> str:
    """Return the anchor of a heading on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_severity_and_annotations(name: str) -> None:
    alert: dict[str, Any] = ALERTS[name]
    assert "for" in alert
    assert alert["labels"]["severity"] in ("critical", "warning")
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "{{ $" in annotations["description"]
    assert annotations["runbook_url"] == f"docs/runbook.md#{slug(name)}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    sections = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert sections == list(ALERTS)


def test_the_runbooks_table_lists_each_alert_with_its_severity() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \|", TEXT, re.MULTILINE)
    assert rows == [(name, slug(name), alert["labels"]["severity"]) for name, alert in ALERTS.items()]


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_has_a_meaning_a_diagnosis_and_a_remediation(name: str) -> None:
    section = TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\*\*(.*?)\*\*", section, re.MULTILINE) == [
        "What it means.",
        "Diagnosis.",
        "Remediation.",
    ]
    assert "```promql" in section


def test_the_runbooks_links_lead_to_headings() -> None:
    for page, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", TEXT):
        target = RUNBOOK.parent / page if page else RUNBOOK
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in map(slug, headings), f"{page}#{anchor}"


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires: set[str] = set()
    still: set[str] = set()
    for file in UNIT_TESTS:
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in group["alert_rule_test"]:
                (fires if case["exp_alerts"] else still).add(case["alertname"])
    assert fires == still == set(ALERTS)


@pytest.mark.parametrize("query", all_queries(), ids=lambda query: query.place)
def test_a_query_selects_existing_series(query: Query) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(re.findall(r"\w+:\w+:\w+", query.expression)) <= recorded
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
    assert names(query) - process <= exposed()


def test_alerts_and_dashboard_use_every_metric() -> None:
    queried = {name for query in all_queries() for name in names(query)}
    own_metrics = {name for name in exposed() if name.startswith("labelstream_")}
    assert own_metrics - queried == set()
