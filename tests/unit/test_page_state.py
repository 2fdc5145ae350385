"""The state of a worker, from its figures."""

from dataclasses import replace

import pytest

from stream.web.page.state import StateInputs, derive_state, duration

HEALTHY = StateInputs(waiting_for=None, assigned=4, waiting=0, waiting_before=0, span_s=30, per_s=100)


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({}, "keeping up", "no event is waiting"),
        ({"waiting": 1}, "keeping up", "1 event is waiting"),
        ({"waiting": 500, "waiting_before": 100}, "keeping up", "500 events are waiting"),
        ({"waiting_for": "the model to load"}, "not ready", "Waiting for the model to load."),
        ({"assigned": 0}, "standby", "takes over"),
        ({"per_s": 0}, "idle", "no new ones"),
        ({"per_s": 0, "blocked": 1_500}, "idle", "1,500 more wait behind an open transaction"),
        ({"waiting": 6_000, "waiting_before": 8_000}, "catching up", "2,000 fewer than 30 s ago"),
        ({"waiting": 6_000, "waiting_before": 2_000}, "falling behind", "4,000 more than 30 s ago"),
        ({"waiting": 6_000, "waiting_before": 6_000}, "falling behind", "1 min of work"),
        (
            {"waiting": 9, "per_s": 0, "stuck_s": 12},
            "falling behind",
            "No event was finished in the last 12 s",
        ),
        ({"waiting": 9, "per_s": 0, "stuck_s": 1}, "keeping up", "9 events are waiting"),
        ({"waiting": 9_000, "per_s": 0, "stuck_s": 1}, "catching up", "9,000 events are waiting"),
    ],
)
def test_each_state_has_its_reason(changes: dict[str, object], name: str, reason: str) -> None:
    state = derive_state(replace(HEALTHY, **changes))  # type: ignore[arg-type]
    assert state.name == name
    assert reason in state.reason


def test_the_bottleneck_is_named_when_partitions_are_paused() -> None:
    behind = replace(HEALTHY, waiting=6_000, waiting_before=2_000)
    assert "bottleneck" not in derive_state(behind).reason
    assert "bottleneck" in derive_state(replace(behind, paused=4)).reason


def test_a_duration_has_one_unit() -> None:
    assert [duration(s) for s in (0.1, 59, 60, 3_599, 5_400)] == ["1 s", "59 s", "1 min", "60 min", "1.5 h"]
