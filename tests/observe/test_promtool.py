"""promtool accepts the configuration and the rules, and the rules pass their tests."""

from tests.observe.queries import PROJECT
from tests.real.prometheus import PrometheusServer, promtool

FOLDER = PROJECT / "deploy" / "prometheus"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def test_the_configuration_is_valid(prometheus_server: PrometheusServer) -> None:
    assert "SUCCESS" in promtool(prometheus_server.promtool, "check", "config", FOLDER / "prometheus.yml")


def test_the_rules_are_valid_and_unique(prometheus_server: PrometheusServer) -> None:
    rules = sorted((FOLDER / "rules").glob("*.yml"))
    assert "duplicate" not in promtool(prometheus_server.promtool, "check", "rules", *rules)


def test_the_rules_pass_their_tests(prometheus_server: PrometheusServer) -> None:
    output = promtool(prometheus_server.promtool, "test", "rules", *TESTS)
    assert output.count("SUCCESS") == len(TESTS) > 0
