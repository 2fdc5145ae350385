"""Every query of rules, dashboard and runbook returns data from a Prometheus that scrapes a live worker."""

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.bundle import Bundle
from tests.observe.queries import alerts, all_queries, dashboard, rules, substituted
from tests.pipeline import event, make_route, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.prometheus import PrometheusServer
from tests.real.redis import RedisServer
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["tiny_bundle"]

# Enough to start a broker and a worker and to send two waves on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEEN_S = 90.0
TEXTS = 60
SKIPPED = 20
# Not UTF-8, not an event, without a text, and a key that is to be forgotten.
ODD: tuple[bytes | None, ...] = (b"{broken", b"[1]", b'{"text": " "}', None)


def delete_by_retention(kafka: ApacheKafka, route: str, group: str) -> None:
    """Let retention remove the next records of partition 0 of a group with committed offsets."""
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group, "log_level": 0})
    consumer.commit(offsets=[TopicPartition(route, 0, 0)], asynchronous=False)
    consumer.close()
    kafka.produce(route, *(event(number, "lost")[1] for number in range(SKIPPED)), partition=0)
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (done,) = admin.delete_records([TopicPartition(route, 0, SKIPPED)]).values()
    assert done.result(30).low_watermark == SKIPPED


def send_wave(kafka: ApacheKafka, prometheus: PrometheusServer, route: str) -> None:
    """Send the same texts and records of every other kind, and wait until Prometheus counts them all."""
    finished = sum(prometheus.values("sum(labelstream_events_total)"))
    values = [event(number)[1] for number in range(TEXTS)]
    for partition in range(4):
        kafka.produce(route, *values[partition::4], *ODD, key=b"k", partition=partition)
    target = finished + TEXTS + 4 * len(ODD)
    until(
        lambda: prometheus.values("sum(labelstream_events_total)") == [target],
        SEEN_S,
        f"{target:g} finished events in Prometheus",
    )


@pytest.fixture(scope="module")
def scraped(
    apache_kafka: ApacheKafka,
    redis_server: RedisServer,
    prometheus_server: PrometheusServer,
    tiny_bundle: Bundle,
) -> Iterator[WorkerProcess]:
    """A worker that has skipped offsets and finished two waves of the same records, seen by Prometheus."""
    route = make_route(apache_kafka, "watched")
    worker = WorkerProcess(
        apache_kafka.address,
        tiny_bundle.path,
        route,
        redis_url=redis_server.url,
        # With so few entries, the second wave reads its texts from Redis.
        cache_local_entries=2,
    )
    delete_by_retention(apache_kafka, route, worker.group)
    with worker:
        prometheus_server.scrape(f"127.0.0.1:{worker.port}")
        until(lambda: prometheus_server.values("labelstream_ready") == [1], SEEN_S, "a ready worker's scrape")
        send_wave(apache_kafka, prometheus_server, route)
        send_wave(apache_kafka, prometheus_server, route)
        yield worker


def has_data(prometheus: PrometheusServer, expression: str) -> bool:
    return any(math.isfinite(value) for value in prometheus.values(expression))


def test_every_query_returns_data(scraped: WorkerProcess, prometheus_server: PrometheusServer) -> None:
    assert not has_data(prometheus_server, "labelstream_of_no_such_name")
    assert not has_data(prometheus_server, "labelstream_ready / 0 - labelstream_ready / 0"), "NaN is no data"
    waiting = all_queries()

    def answered() -> bool:
        waiting[:] = [query for query in waiting if not has_data(prometheus_server, query.expression)]
        return not waiting

    try:
        until(answered, SEEN_S, "data for every query")
    except AssertionError as error:
        error.add_note(
            "without data:\n" + "\n".join(f"{place}: {unanswered}" for place, unanswered in waiting)
        )
        raise


def test_the_dashboards_variables_find_values(
    scraped: WorkerProcess, prometheus_server: PrometheusServer
) -> None:
    values = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            query = substituted(variable["query"]["query"])
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()  # type: ignore[union-attr]
            values[variable["name"]] = prometheus_server.ask(f"label/{label}/values", **{"match[]": series})
    assert "labelstream" in values["job"]
    assert f"127.0.0.1:{scraped.port}" in values["instance"]
    assert "default" in values["route"]


def test_the_metrics_match_the_traffic(scraped: WorkerProcess, prometheus_server: PrometheusServer) -> None:
    def count(selector: str) -> float:
        return sum(prometheus_server.values(f"sum(labelstream_{selector})"))

    assert count('events_total{outcome="labelled"}') == 2 * TEXTS
    assert count('events_total{outcome="tombstone"}') == 8
    assert {
        reason: count(f'dead_letters_total{{reason="{reason}"}}') for reason in ("decode", "schema", "empty")
    } == {
        "decode": 8,
        "schema": 8,
        "empty": 8,
    }
    assert count("offsets_skipped_total") == SKIPPED
    assert count('cache_requests_total{tier="redis",result="hit"}') > 0


def test_prometheus_evaluates_all_rules(scraped: WorkerProcess, prometheus_server: PrometheusServer) -> None:
    def evaluated() -> list[dict[str, Any]]:
        evaluated_rules = [
            rule for group in prometheus_server.ask("rules")["groups"] for rule in group["rules"]
        ]
        return evaluated_rules if all(rule["health"] != "unknown" for rule in evaluated_rules) else []

    evaluated_rules = until(evaluated, SEEN_S, "an evaluation of every rule")
    assert len(evaluated_rules) == len(rules())
    assert [(rule["name"], rule.get("lastError")) for rule in evaluated_rules if rule["health"] != "ok"] == []


def test_offsets_removed_by_retention_fire_the_alert_at_once(
    scraped: WorkerProcess, prometheus_server: PrometheusServer
) -> None:
    """The first scrape of the counter already includes the loss."""

    def firing() -> list[dict[str, Any]]:
        return [alert for alert in prometheus_server.ask("alerts")["alerts"] if alert["state"] == "firing"]

    (alert,) = until(firing, SEEN_S, "the alert that fires")
    assert alert["labels"] == {
        "alertname": "LabelstreamOffsetsSkipped",
        "severity": "critical",
        "job": "labelstream",
        "instance": f"127.0.0.1:{scraped.port}",
        "topic": scraped.route,
        "partition": "0",
    }
    assert alert["annotations"]["description"].startswith(
        f"About {SKIPPED} offsets of {scraped.route}, partition 0,"
    )
    assert (
        alert["annotations"]["runbook_url"]
        == alerts()["LabelstreamOffsetsSkipped"]["annotations"]["runbook_url"]
    )
