"""The dashboard is one that Grafana takes, and every panel says what it shows."""

import itertools
import re
from typing import Any

import pytest
import yaml

from tests.observe.queries import PROJECT, dashboard, panels

MODEL = dashboard()
PANELS = panels(MODEL)
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
GRAFANA = PROJECT / "deploy" / "grafana"
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def settings(*path: str) -> Any:
    """A file of deploy/, read."""
    return yaml.safe_load(PROJECT.joinpath("deploy", *path).read_text(encoding="utf-8"))


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_ids_are_unique_and_the_model_is_of_grafana_10() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    assert MODEL["schemaVersion"] >= 38
    assert (MODEL["id"], MODEL["uid"]) == (None, "labelstream"), "an id belongs to one Grafana"


def test_panels_stand_side_by_side_and_not_on_each_other() -> None:
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


def test_every_query_follows_the_choice_of_job_and_worker() -> None:
    for panel in SHOWN:
        for target in panel["targets"]:
            selectors = re.findall(r"\{([^{}]*)\}", target["expr"])
            assert selectors, target["expr"]
            for selector in selectors:
                assert selector.startswith('job=~"$job", instance=~"$instance"'), target["expr"]


def test_the_variables_are_those_that_queries_use() -> None:
    known = {variable["name"] for variable in MODEL["templating"]["list"]}
    used = {name for name in re.findall(r"\$\{?(\w+)", str(MODEL)) if not name.startswith("__")}
    assert used == known == {"datasource", "job", "instance", "route"}


def test_grafana_is_given_the_dashboard_and_where_prometheus_is() -> None:
    (source,) = settings("grafana", "provisioning", "datasources", "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    scraped = settings("prometheus", "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped, "or $__rate_interval holds too few scrapes"
    (provider,) = settings("grafana", "provisioning", "dashboards", "labelstream.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
