"""The headline of the page."""

from dataclasses import replace

import pytest

from stream.web.page.standing import Facts, duration, judge

WELL = Facts(waiting_for=None, assigned=4, waiting=0, waiting_before=0, span_s=30, per_s=100)


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, "keeping up", "no event is waiting"),
        ({"waiting": 1}, "keeping up", "1 event is waiting"),
        ({"waiting": 500, "waiting_before": 100}, "keeping up", "500 events are waiting"),
        ({"waiting_for": "the model to load"}, "not ready", "Waiting for the model to load."),
        ({"assigned": 0}, "standing by", "takes over"),
        ({"per_s": 0}, "idle", "no new ones"),
        ({"waiting": 6_000, "waiting_before": 8_000}, "catching up", "2,000 fewer than 30 s ago"),
        ({"waiting": 6_000, "waiting_before": 2_000}, "falling behind", "4,000 more than 30 s ago"),
        ({"waiting": 6_000, "waiting_before": 6_000}, "falling behind", "1 min of work"),
        ({"waiting": 9, "per_s": 0, "stuck_s": 12}, "falling behind", "None was finished in the last 12 s"),
        ({"waiting": 9, "per_s": 0, "stuck_s": 1}, "keeping up", "9 events are waiting"),
        ({"waiting": 9_000, "per_s": 0, "stuck_s": 1}, "catching up", "9,000 events are waiting"),
    ],
)
def test_the_state_says_why(changes: dict[str, object], state: str, said: str) -> None:
    found = judge(replace(WELL, **changes))  # type: ignore[arg-type]
    assert found.state == state
    assert said in found.reason


def test_the_bottleneck_is_named_when_partitions_are_paused() -> None:
    behind = replace(WELL, waiting=6_000, waiting_before=2_000)
    assert "bottleneck" not in judge(behind).reason
    assert "bottleneck" in judge(replace(behind, paused=4)).reason


def test_a_length_of_time_has_one_unit() -> None:
    assert [duration(s) for s in (0.1, 59, 60, 3_599, 5_400)] == ["1 s", "59 s", "1 min", "60 min", "1.5 h"]
