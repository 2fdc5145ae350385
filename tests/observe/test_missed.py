"""Lost components fire alerts in a real Prometheus, with the metrics of a real worker."""

import pytest

from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.prometheus import PrometheusServer
from tests.real.redis import RedisServer
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

pytestmark = pytest.mark.slow

SEEN_S = 90.0


def test_losing_redis_and_the_last_worker_fires_alerts(
    embedded_broker: EmbeddedBroker,
    redis_server: RedisServer,
    prometheus_server: PrometheusServer,
    start_worker: StartWorker,
) -> None:
    def known() -> set[str]:
        """Return the alerts whose expression holds, pending or firing."""
        return {alert["labels"]["alertname"] for alert in prometheus_server.ask("alerts")["alerts"]}

    worker = start_worker(embedded_broker, make_route(embedded_broker, "missed"), redis_url=redis_server.url)
    address = f"127.0.0.1:{worker.port}"
    prometheus_server.scrape(address)
    up = f'labelstream_redis_up{{instance="{address}"}}'
    until(lambda: prometheus_server.values(up) == [1], SEEN_S, "Redis seen")
    redis_server.stop()
    until(lambda: "LabelstreamRedisAway" in known(), SEEN_S, "Redis missed")
    assert not known() & {"LabelstreamWorkerDown", "LabelstreamNoWorker"}
    worker.kill()
    until(lambda: known() >= {"LabelstreamWorkerDown", "LabelstreamNoWorker"}, SEEN_S, "the worker missed")
