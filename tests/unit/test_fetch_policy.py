"""A fetch waits for more only when more is expected, or when the model is busy anyway."""

import pytest

from stream.kafka.fetch_policy import ENOUGH_BYTES, IDLE_MAX_WAIT_MS, LONGEST_WAIT_S, FetchPolicy, FetchWait

AT_ONCE = FetchWait(1, IDLE_MAX_WAIT_MS)


class Story:
    def __init__(self, linger_s: float = 0.005) -> None:
        self.now_s = 100.0
        self.busy_s = 0.0
        self.fetch_policy = FetchPolicy(linger_s, lambda: self.now_s, lambda: self.busy_s)

    def reads(self, per_s: float, seconds: float = 5.0, every_s: float = 0.01) -> "Story":
        for _ in range(round(seconds / every_s)):
            self.now_s += every_s
            self.fetch_policy.read(round(per_s * every_s))
        return self


def test_before_anything_was_read_an_event_is_fetched_at_once() -> None:
    assert Story().fetch_policy.wait == AT_ONCE


def test_at_low_load_an_event_is_fetched_at_once() -> None:
    assert Story().reads(per_s=100).fetch_policy.wait == AT_ONCE


def test_when_more_is_expected_within_the_linger_a_fetch_gathers_for_so_long() -> None:
    assert Story(0.005).reads(per_s=1_000).fetch_policy.wait == FetchWait(ENOUGH_BYTES, 5)
    assert Story(0.02).reads(per_s=100).fetch_policy.wait == FetchWait(ENOUGH_BYTES, 20)


def test_without_linger_nothing_waits() -> None:
    assert Story(0.0).reads(per_s=1_000_000).fetch_policy.wait == AT_ONCE


def test_a_load_that_has_ended_is_forgotten() -> None:
    story = Story().reads(per_s=10_000)
    story.now_s += 10
    assert story.fetch_policy.wait == AT_ONCE


@pytest.mark.parametrize(
    ("busy_s", "wait_ms"), [(0.0, 5), (0.008, 5), (0.06, 30), (1_000.0, LONGEST_WAIT_S * 1000)]
)
def test_while_the_model_has_enough_to_do_events_gather_at_the_broker(busy_s: float, wait_ms: float) -> None:
    story = Story(0.005).reads(per_s=1_000)
    story.busy_s = busy_s
    assert story.fetch_policy.wait == FetchWait(ENOUGH_BYTES, round(wait_ms))


def test_a_busy_model_holds_nothing_back_at_low_load() -> None:
    story = Story().reads(per_s=50, every_s=0.1)
    story.busy_s = 1.0
    assert story.fetch_policy.wait == AT_ONCE
