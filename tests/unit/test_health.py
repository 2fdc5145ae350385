"""Health checks and their texts."""

import orjson
import pytest

from stream.web.health import (
    Check,
    as_json,
    check_broker,
    check_bundles,
    check_group,
    check_sessions,
    check_topics,
    passed,
)


class FakeProbe:
    """A probe whose broker last answered `silent_s` seconds ago."""

    def __init__(self, silent_s: float, failure: str = "") -> None:
        self.silent_s = silent_s
        self.failure = failure
        self.healthy = silent_s < 15


class FakeMember:
    """A group member with these partitions, whose requests the group may refuse."""

    def __init__(self, joined: bool, *assigned: tuple[str, int], refusal: str = "") -> None:
        self.joined = joined
        self.assigned = assigned
        self.group_refusal = refusal


def test_an_inference_longer_than_the_stall_limit_fails() -> None:
    assert check_sessions(0, 300).ok
    assert check_sessions(300, 300).ok
    assert check_sessions(301, 300) == (False, "an inference has been running for 301 s (limit: 300 s)")


def test_every_bundle_must_be_warm() -> None:
    assert check_bundles(2, 2).ok
    assert check_bundles(1, 2) == (False, "1 of 2 loaded and warm")


@pytest.mark.parametrize(
    ("member", "stopping", "ok", "message"),
    [
        (FakeMember(True, ("texts", 0), ("texts", 1)), False, True, "2 partitions assigned"),
        (FakeMember(True), False, True, "on standby: other workers have all partitions"),
        (FakeMember(False), False, False, "joining the consumer group, or a rebalance is in progress"),
        (FakeMember(True, ("texts", 0)), True, False, "the worker is stopping"),
        (FakeMember(False, refusal="the group refuses"), False, False, "the group refuses"),
        (FakeMember(True, ("texts", 0), refusal="the group refuses"), False, False, "the group refuses"),
    ],
)
def test_the_group_check_needs_a_joined_member(
    member: FakeMember, stopping: bool, ok: bool, message: str
) -> None:
    assert check_group(member, stopping) == (ok, message)


def test_a_silent_broker_fails_with_the_reason() -> None:
    assert check_broker("kafka:9092", FakeProbe(14.9, "no answer in time")).ok, (
        "one missed answer is no outage"
    )
    check = check_broker("kafka:9092", FakeProbe(20, "connection refused"))
    assert check == (False, "kafka:9092 has not answered for 20 s: connection refused")
    assert check_broker("kafka:9092", FakeProbe(20)).found == "kafka:9092 has not answered for 20 s"


def test_the_json_has_one_line_per_check() -> None:
    checks = {"bundles": Check(True, "1 of 1"), "broker": Check(False, 'says "no"')}
    assert not passed(checks)
    body = as_json("ready", checks)
    assert orjson.loads(body) == {
        "ready": False,
        "bundles": {"ok": True, "found": "1 of 1"},
        "broker": {"ok": False, "found": 'says "no"'},
    }
    assert [line.split(b":")[0].strip(b' {"') for line in body.splitlines()] == [
        b"ready",
        b"bundles",
        b"broker",
    ]


def test_a_topic_that_cannot_be_read_fails_the_check() -> None:
    assert check_topics("") == Check(True, "the input topics exist")
    assert check_topics("no texts") == Check(False, "no texts")
