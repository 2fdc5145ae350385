"""The wait for topics, the plan of new ones and the check of existing ones, without a broker or a clock."""

import pytest
from structlog.testing import capture_logs

from stream.errors import BrokerError, UsageError
from stream.kafka.topics.check import assess_topics
from stream.kafka.topics.cluster import Cluster, TopicShape
from stream.kafka.topics.setup import MAX_BYTES, RETENTION_MS, needed_dead_bytes, plan_topics
from stream.kafka.topics.wait import wait_for_topics
from stream.settings import Settings, load_settings

DOWN = BrokerError("broker b:1 does not answer", cause="connection refused", fix="start it")
MIB = 2**20


class Clock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Answers:
    """A broker that gives these answers in turn and repeats the last one."""

    def __init__(self, *answers: Cluster | Exception) -> None:
        self._answers = list(answers)
        self.timeouts: list[float] = []

    async def __call__(self, settings: Settings, timeout_s: float) -> Cluster:
        self.timeouts.append(timeout_s)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def cluster(brokers: int = 1, **topics: int) -> Cluster:
    shapes = {name.replace("_", "."): TopicShape(count, 1) for name, count in topics.items()}
    return Cluster(tuple(f"b:{n}" for n in range(brokers)), shapes, creates_topics=True)


async def wait(answers: Answers, clock: Clock, deadline_s: float = 10, **more: object) -> dict[str, int]:
    settings = load_settings({"broker": "b:1"})
    return await wait_for_topics(
        settings,
        settings.effective_routes,
        deadline_s,
        clock=clock,
        sleep=clock.sleep,
        describe=answers,
        **more,  # type: ignore[arg-type]
    )


async def test_existing_topics_are_found_without_a_pause() -> None:
    clock, answers = Clock(), Answers(cluster(texts=6, labels=6, texts_dead=3, other=1))
    with capture_logs() as logs:
        assert await wait(answers, clock) == {"texts": 6, "labels": 6, "texts.dead": 3}
    assert (clock.pauses, logs) == ([], [])


async def test_the_wait_for_a_late_broker_and_late_topics_logs_a_warning_for_each() -> None:
    clock = Clock()
    answers = Answers(DOWN, DOWN, cluster(texts=1), cluster(texts=1, labels=1, texts_dead=1))
    waited: list[BrokerError] = []
    with capture_logs() as logs:
        assert await wait(answers, clock, on_failure=waited.append) == {
            "texts": 1,
            "labels": 1,
            "texts.dead": 1,
        }
    assert clock.pauses == [0.1, 0.2, 0.4]
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "waiting for the broker"),
        ("warning", "waiting for missing topics"),
    ]
    assert logs[1]["topics"] == "labels, texts.dead"
    assert [error.message for error in waited[:2]] == [DOWN.message] * 2
    assert "labels, texts.dead" in waited[2].message


async def test_the_wait_for_a_broker_ends_at_the_deadline() -> None:
    clock, answers = Clock(), Answers(DOWN)
    with pytest.raises(BrokerError, match="b:1 does not answer") as failure:
        await wait(answers, clock, deadline_s=10)
    assert failure.value.exit_code == 4
    assert failure.value.cause == "connection refused; waited 10 s"
    assert failure.value.fix == "start it"
    assert clock.now <= 110
    assert max(clock.pauses) == 2
    assert max(answers.timeouts) <= 5
    assert answers.timeouts[-1] < 2


async def test_a_missing_topic_is_reported_with_the_command_that_creates_it() -> None:
    with pytest.raises(BrokerError, match=r"has no topic labels, texts\.dead") as failure:
        await wait(Answers(cluster(texts=1)), Clock(), deadline_s=1)
    assert failure.value.fix.startswith(
        "create the topics: labelstream topics create, with the worker's settings"
    )
    assert "--config" in failure.value.fix


async def test_an_invalid_setting_ends_the_wait_at_once() -> None:
    clock = Clock()
    with pytest.raises(UsageError):
        await wait(Answers(UsageError("no")), clock)
    assert clock.pauses == []


def test_new_topics_share_the_partition_count() -> None:
    plans = plan_topics(load_settings(), cluster(), {}, partitions=6)
    assert [(plan.name, plan.partitions, plan.replication) for plan in plans] == [
        ("texts", 6, 1),
        ("labels", 6, 1),
        ("texts.dead", 6, 1),
    ]
    assert {plan.configs["compression.type"] for plan in plans} == {"producer"}
    assert all(RETENTION_MS not in plan.configs for plan in plans)


def test_an_existing_input_topic_determines_the_partition_count() -> None:
    plans = plan_topics(load_settings(), cluster(brokers=5, texts=12), {}, partitions=6)
    assert [(plan.name, plan.partitions, plan.replication) for plan in plans] == [
        ("labels", 12, 3),
        ("texts.dead", 12, 3),
    ]


def test_retention_and_replication_are_configurable() -> None:
    (plan, *_) = plan_topics(
        load_settings(), cluster(brokers=3), {}, partitions=1, replication=2, retention_hours=1.5
    )
    assert plan.replication == 2
    assert plan.configs[RETENTION_MS] == "5400000"


def test_an_output_topic_that_routes_share_is_created_once() -> None:
    def route(name: str) -> dict[str, str]:
        return {"name": name, "input_topic": f"in-{name}", "output_topic": "labels", "bundle": "b"}

    settings = load_settings({"routes": (route("a"), route("b"))})
    names = [plan.name for plan in plan_topics(settings, cluster(), {}, partitions=1)]
    assert names == ["in-a", "labels", "in-a.dead", "in-b", "in-b.dead"]


@pytest.mark.parametrize(
    ("max_event_bytes", "input_limit", "needed"),
    [
        (1 * MIB, 0, 2 * MIB),
        (4 * MIB, 0, 4 * MIB + 64 * 1024),
        (1 * MIB, 8 * MIB, 8 * MIB + 64 * 1024),
    ],
)
def test_a_dead_topic_accepts_every_record_of_its_input_topic(
    max_event_bytes: int, input_limit: int, needed: int
) -> None:
    assert needed_dead_bytes(max_event_bytes, input_limit) == needed
    settings = load_settings({"max_event_bytes": max_event_bytes})
    there, limits = (cluster(texts=1), {"texts": input_limit}) if input_limit else (cluster(), {})
    plans = {plan.name: plan for plan in plan_topics(settings, there, limits, partitions=1)}
    assert int(plans["texts.dead"].configs[MAX_BYTES]) >= needed


def test_planned_topics_have_no_warnings() -> None:
    settings = load_settings({"max_event_bytes": 5 * MIB})
    plans = plan_topics(settings, cluster(), {}, partitions=6)
    there = Cluster(
        ("b:1",), {plan.name: TopicShape(plan.partitions, 1) for plan in plans}, creates_topics=True
    )
    reports = assess_topics(settings, there, {plan.name: plan.configs for plan in plans})
    assert [(report.role, report.warnings) for report in reports] == [
        ("input", ()),
        ("output", ()),
        ("dead", ()),
    ]


def test_a_different_partition_count_is_a_warning_with_a_fix() -> None:
    reports = assess_topics(load_settings(), cluster(texts=6, labels=3, texts_dead=8), {})
    _, output, dead = reports
    assert "--topic labels --partitions 6" in output.warnings[0][1]
    assert "cannot remove partitions" in dead.warnings[0][1]


def test_a_size_limit_of_a_dead_topic_that_is_too_small_is_a_warning() -> None:
    configs = {"texts": {MAX_BYTES: "8388608"}, "texts.dead": {MAX_BYTES: "2097152"}}
    reports = assess_topics(load_settings(), cluster(texts=1, labels=1, texts_dead=1), configs)
    (problem, fix) = reports[2].warnings[0]
    assert "2097152" in problem
    assert f"{MAX_BYTES}={8 * MIB + 64 * 1024}" in fix


def test_a_missing_topic_has_no_shape() -> None:
    reports = assess_topics(load_settings(), cluster(texts=1), {})
    assert [report.name for report in reports if report.shape is None] == ["labels", "texts.dead"]


@pytest.mark.parametrize("role", ["labels", "texts.dead"])
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("message.timestamp.before.max.ms", "86400000"),
        ("message.timestamp.difference.max.ms", "86400000"),
    ],
)
def test_a_setting_with_which_the_broker_refuses_records_is_a_warning(
    role: str, setting: str, value: str
) -> None:
    there = cluster(texts=1, labels=1, texts_dead=1)
    (report,) = [r for r in assess_topics(load_settings(), there, {role: {setting: value}}) if r.warnings]
    ((problem, fix),) = report.warnings
    assert report.name == role
    assert problem.startswith(f"{setting} {value}: the broker refuses")
    assert f"--entity-name {role}" in fix
    assert setting in fix


@pytest.mark.parametrize(
    "config",
    [
        {"cleanup.policy": "delete", "message.timestamp.before.max.ms": "9223372036854775807"},
        {"message.timestamp.before.max.ms": "1000", "message.timestamp.type": "LogAppendTime"},
    ],
)
def test_a_setting_that_refuses_no_record_is_no_warning(config: dict[str, str]) -> None:
    there = cluster(texts=1, labels=1, texts_dead=1)
    configs = {"labels": config, "texts.dead": config, "texts": {"cleanup.policy": "compact"}}
    assert not any(report.warnings for report in assess_topics(load_settings(), there, configs))


def test_a_size_limit_of_a_label_topic_below_that_of_its_input_topic_is_a_warning() -> None:
    configs = {"texts": {MAX_BYTES: "1048588"}, "labels": {MAX_BYTES: "500000"}}
    reports = assess_topics(load_settings(), cluster(texts=1, labels=1, texts_dead=1), configs)
    ((problem, fix),) = reports[1].warnings
    assert "500000, but texts has 1048588" in problem
    assert f"{MAX_BYTES}=1048588" in fix


def label_topics() -> Settings:
    settings = load_settings({"output_topic": "labels.{label}", "review_topic": "review"})
    return settings.with_label_topics({"default": ("labels.a", "labels.b")})


def test_label_and_review_topics_are_created_like_the_output_topic() -> None:
    plans = plan_topics(label_topics(), cluster(), {}, partitions=6)
    assert [plan.name for plan in plans] == ["texts", "labels.a", "labels.b", "review", "texts.dead"]
    assert {plan.partitions for plan in plans} == {6}
    assert len({plan.configs[MAX_BYTES] for plan in plans[1:]}) == 1


def test_each_label_topic_is_checked() -> None:
    there = cluster(texts=6, labels_a=6, review=3, texts_dead=6)
    configs = {"texts": {MAX_BYTES: "8"}, "labels.a": {MAX_BYTES: "7"}, "review": {MAX_BYTES: "7"}}
    reports = {report.name: report for report in assess_topics(label_topics(), there, configs)}
    assert {name: report.role for name, report in reports.items()} == {
        "texts": "input",
        "labels.a": "output",
        "labels.b": "output",
        "review": "review",
        "texts.dead": "dead",
    }
    assert [name for name, report in reports.items() if report.shape is None] == ["labels.b"]
    assert len(reports["labels.a"].warnings) == 1
    assert len(reports["review"].warnings) == 2


async def test_a_worker_waits_for_every_label_topic() -> None:
    settings, clock = label_topics(), Clock()
    there = Answers(cluster(texts=1, labels_a=1, review=1, texts_dead=1))
    with pytest.raises(BrokerError, match=r"has no topic labels\.b\n"):
        await wait_for_topics(
            settings, settings.effective_routes, 1, clock=clock, sleep=clock.sleep, describe=there
        )
