"""A partition that has work and does not move is stalled, also while other partitions progress."""

import pytest

from stream.errors import StalledError
from stream.kafka.consumer import PartitionProgress
from stream.worker.stalls import StallDetector

STUCK, OTHER = ("texts", 3), ("texts", 1)
IDLE = PartitionProgress(lag=0, safe_offset=40, committed=40, unfinished=False)


class Setup:
    """A detector that is checked every second; partition 1 always progresses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.detector = StallDetector(300, lambda: self.now)

    def check_for(
        self, seconds: int, stuck: PartitionProgress, *, room: bool = True, broker_answers: bool = True
    ) -> StalledError | None:
        """Return the first error within this many seconds."""
        for _ in range(seconds):
            self.now += 1
            at = int(self.now)
            partitions = {
                OTHER: PartitionProgress(lag=5, safe_offset=at, committed=at, unfinished=True),
                STUCK: stuck,
            }
            error = self.detector.check(partitions, lambda _: room, broker_answers=broker_answers)
            if error is not None:
                return error
        return None


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_a_batch_that_never_finishes_is_a_stall(setup: Setup) -> None:
    at = PartitionProgress(lag=9, safe_offset=40, committed=40, unfinished=True)
    for room in (True, False):
        setup = Setup()
        assert setup.check_for(300, at, room=room) is None
        error = setup.check_for(1, at, room=room)
        assert error is not None
        assert error.exit_code == 5
        assert "texts-3 has finished no event for 300 s, with 9 events waiting" in error.message
        assert "offset 40" in error.cause


def test_a_partition_that_is_not_read_is_a_stall(setup: Setup) -> None:
    at = PartitionProgress(lag=9, safe_offset=40, committed=40, unfinished=False)
    assert setup.check_for(300, at) is None
    error = setup.check_for(1, at)
    assert error is not None
    assert "was not read" in error.message


def test_a_partition_that_waits_for_the_model_is_no_stall(setup: Setup) -> None:
    at = PartitionProgress(lag=9_000, safe_offset=40, committed=40, unfinished=False)
    assert setup.check_for(3_000, at, room=False) is None
    assert setup.check_for(299, at) is None, "only the time with room counts"


def test_finished_offsets_that_are_not_committed_are_a_stall(setup: Setup) -> None:
    at = PartitionProgress(lag=0, safe_offset=41, committed=40, unfinished=False)
    assert setup.check_for(300, at) is None
    error = setup.check_for(1, at)
    assert error is not None
    assert "were not committed" in error.message
    assert "committed is 40, finished is 41" in error.cause


def test_commits_that_stand_still_while_events_finish_are_a_stall(setup: Setup) -> None:
    error = None
    for offset in range(41, 400):
        at = PartitionProgress(lag=9, safe_offset=offset, committed=40, unfinished=True)
        error = error or setup.check_for(1, at)
    assert error is not None
    assert "were not committed" in error.message


def test_a_first_commit_that_never_succeeds_is_a_stall(setup: Setup) -> None:
    error = setup.check_for(302, IDLE._replace(committed=None))
    assert error is not None


def test_commits_are_not_expected_while_the_broker_is_silent(setup: Setup) -> None:
    at = PartitionProgress(lag=0, safe_offset=41, committed=40, unfinished=False)
    assert setup.check_for(3_000, at, broker_answers=False) is None
    assert setup.check_for(300, at) is None


def test_an_idle_partition_is_no_stall(setup: Setup) -> None:
    assert setup.check_for(3_000, IDLE) is None


@pytest.mark.parametrize("unfinished", [True, False])
def test_movement_starts_the_time_again(setup: Setup, unfinished: bool) -> None:
    for offset in range(40, 50):
        at = PartitionProgress(lag=9, safe_offset=offset, committed=offset, unfinished=unfinished)
        assert setup.check_for(299, at) is None


def test_a_partition_that_was_revoked_in_between_starts_the_time_again(setup: Setup) -> None:
    at = PartitionProgress(lag=9, safe_offset=40, committed=40, unfinished=True)
    assert setup.check_for(200, at) is None
    assert setup.detector.check({}, lambda _: True, broker_answers=True) is None
    assert setup.check_for(200, at) is None
