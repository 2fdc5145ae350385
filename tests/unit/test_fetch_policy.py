"""A fetch waits for more events only if they are expected soon, or if the model is busy."""

import pytest

from stream.kafka.fetch_policy import ENOUGH_BYTES, IDLE_MAX_WAIT_MS, MAX_WAIT_S, FetchPolicy, FetchWait

AT_ONCE = FetchWait(1, IDLE_MAX_WAIT_MS)


class Setup:
    def __init__(self, linger_s: float = 0.005) -> None:
        self.now_s = 100.0
        self.busy_s = 0.0
        self.fetch_policy = FetchPolicy(linger_s, lambda: self.now_s, lambda: self.busy_s)

    def reads(self, per_s: float, seconds: float = 5.0, every_s: float = 0.01) -> "Setup":
        for _ in range(round(seconds / every_s)):
            self.now_s += every_s
            self.fetch_policy.count(round(per_s * every_s))
        return self


def test_before_the_first_event_a_fetch_does_not_wait() -> None:
    assert Setup().fetch_policy.wait == AT_ONCE


def test_at_low_load_a_fetch_does_not_wait() -> None:
    assert Setup().reads(per_s=100).fetch_policy.wait == AT_ONCE


def test_a_fetch_waits_for_the_linger_time_if_the_next_event_is_expected_within_it() -> None:
    assert Setup(0.005).reads(per_s=1_000).fetch_policy.wait == FetchWait(ENOUGH_BYTES, 5)
    assert Setup(0.02).reads(per_s=100).fetch_policy.wait == FetchWait(ENOUGH_BYTES, 20)


def test_without_linger_a_fetch_does_not_wait() -> None:
    assert Setup(0.0).reads(per_s=1_000_000).fetch_policy.wait == AT_ONCE


def test_the_rate_decays_after_the_load_ends() -> None:
    setup = Setup().reads(per_s=10_000)
    setup.now_s += 10
    assert setup.fetch_policy.wait == AT_ONCE


@pytest.mark.parametrize(
    ("busy_s", "wait_ms"), [(0.0, 5), (0.008, 5), (0.06, 30), (1_000.0, MAX_WAIT_S * 1000)]
)
def test_a_fetch_waits_longer_while_the_model_is_busy(busy_s: float, wait_ms: float) -> None:
    setup = Setup(0.005).reads(per_s=1_000)
    setup.busy_s = busy_s
    assert setup.fetch_policy.wait == FetchWait(ENOUGH_BYTES, round(wait_ms))


def test_at_low_load_a_fetch_does_not_wait_for_a_busy_model() -> None:
    setup = Setup().reads(per_s=50, every_s=0.1)
    setup.busy_s = 1.0
    assert setup.fetch_policy.wait == AT_ONCE
