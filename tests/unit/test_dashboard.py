"""The dashboard is valid for Grafana, and every panel is described."""

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.observe.queries import PROJECT, dashboard, panels

MODEL = dashboard()
PANELS = panels(MODEL)
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
GRAFANA = PROJECT / "deploy" / "grafana"
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def settings(*path: str) -> Any:
    """Return the content of a YAML file of deploy/."""
    return yaml.safe_load(PROJECT.joinpath("deploy", *path).read_text(encoding="utf-8"))


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_ids_are_unique_and_the_model_is_of_grafana_10() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    assert MODEL["schemaVersion"] >= 38
    assert (MODEL["id"], MODEL["uid"]) == (None, "labelstream"), "the id is local to a Grafana instance"


def changed_paths(ours: Any, theirs: Any, path: str = "") -> set[str]:
    """Return the paths, without list positions, of the values of `ours` that `theirs` lacks or changes."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = {name: (value, theirs.get(name, KeyError)) for name, value in ours.items()}
        return set().union(*(changed_paths(a, b, f"{path}/{name}") for name, (a, b) in pairs.items()))
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return set().union(*(changed_paths(a, b, path) for a, b in zip(ours, theirs, strict=True)))
    return set() if ours == theirs else {path}


def test_grafanas_model_has_every_field() -> None:
    register_default_plugins()
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(MODEL)))
    annotation = ("step", "tagKeys", "textFormat", "titleFormat", "useValueForTime")
    # Written by Grafana's export, read by its data source for Prometheus, and not in the common model.
    unmodelled = {"/id", "/templating/list/definition", *(f"/annotations/list/{name}" for name in annotation)}
    assert changed_paths(MODEL, theirs) == unmodelled
    assert changed_paths({**MODEL, "refresh": "never", "colour": 1}, theirs) == {
        "/refresh",
        "/colour",
        *unmodelled,
    }


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        covered = cells(panel)
        assert not covered & taken, panel["title"]
        assert max(x for x, _ in covered) < COLUMNS, panel["title"]
        taken |= covered


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_has_a_title_a_description_a_unit_and_queries(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith((".", ";"))
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    for target in panel["targets"]:
        assert target["expr"]
        assert target["datasource"] == SOURCE
        assert "legendFormat" in target


def test_titles_are_unique() -> None:
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)


def test_every_query_filters_by_job_and_worker() -> None:
    for panel in SHOWN:
        for target in panel["targets"]:
            selectors = re.findall(r"\{([^{}]*)\}", target["expr"])
            assert selectors, target["expr"]
            for selector in selectors:
                assert selector.startswith('job=~"$job", instance=~"$instance"'), target["expr"]


def test_queries_use_all_variables_and_no_other() -> None:
    known = {variable["name"] for variable in MODEL["templating"]["list"]}
    used = {name for name in re.findall(r"\$\{?(\w+)", str(MODEL)) if not name.startswith("__")}
    assert used == known == {"datasource", "job", "instance", "route"}


def test_grafana_is_provisioned_with_the_dashboard_and_data_source() -> None:
    (source,) = settings("grafana", "provisioning", "datasources", "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    scraped = settings("prometheus", "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped, "otherwise $__rate_interval covers too few scrapes"
    (provider,) = settings("grafana", "provisioning", "dashboards", "labelstream.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
