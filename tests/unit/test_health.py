"""Health in words: what is so, what is not, and why."""

import orjson
import pytest

from stream.web.health import (
    Check,
    as_json,
    check_broker,
    check_bundles,
    check_group,
    check_sessions,
    passed,
)


class FakePulse:
    """A broker that was heard of so long ago."""

    def __init__(self, silent_s: float, failure: str = "") -> None:
        self.silent_s = silent_s
        self.failure = failure
        self.healthy = silent_s < 15


class FakeMember:
    """A member of a group with these partitions."""

    def __init__(self, joined: bool, *assigned: tuple[str, int]) -> None:
        self.joined = joined
        self.assigned = assigned


def test_an_inference_may_take_as_long_as_a_stall() -> None:
    assert check_sessions(0, 300).ok
    assert check_sessions(300, 300).ok
    assert check_sessions(301, 300) == (False, "an inference has been running for 301 s, 300 s are too many")


def test_every_bundle_has_to_be_warm() -> None:
    assert check_bundles(2, 2).ok
    assert check_bundles(1, 2) == (False, "1 of 2 loaded and warm")


@pytest.mark.parametrize(
    ("member", "stopping", "ok", "found"),
    [
        (FakeMember(True, ("texts", 0), ("texts", 1)), False, True, "2 partitions assigned"),
        (FakeMember(True), False, True, "standing by, other workers have them all"),
        (FakeMember(False), False, False, "joining the group, or its partitions are being given out anew"),
        (FakeMember(True, ("texts", 0)), True, False, "the worker is stopping"),
    ],
)
def test_the_group_has_to_have_answered(member: FakeMember, stopping: bool, ok: bool, found: str) -> None:
    assert check_group(member, stopping) == (ok, found)


def test_a_broker_that_is_silent_is_named_with_the_reason() -> None:
    assert check_broker("kafka:9092", FakePulse(14.9, "no answer in time")).ok, (
        "one missed answer is no outage"
    )
    found = check_broker("kafka:9092", FakePulse(20, "connection refused"))
    assert found == (False, "kafka:9092 has not answered for 20 s: connection refused")
    assert check_broker("kafka:9092", FakePulse(20)).found == "kafka:9092 has not answered for 20 s"


def test_the_answer_is_an_object_with_a_line_a_check() -> None:
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
