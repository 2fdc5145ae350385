"""The answers of the group's coordinator: refusals are reported, retried, and end the worker in time."""

import pytest
from structlog.testing import capture_logs

from stream.errors import Fatal
from stream.kafka.group import CAUSES, GRACE_S, REJOIN, TEMPORARY, Answer, GroupAnswers, refusal_error
from stream.settings import load_settings

SETTINGS = load_settings({"group": "mail", "broker": "kafka:9092", "retry_deadline_s": "30"})
DENIED, LOADING = Answer("JoinGroup", 30), Answer("JoinGroup", 14)


class Recorded:
    """Answers with a clock that the test sets, and the errors that end the worker."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.fatal: list[Fatal] = []
        self.answers = GroupAnswers(SETTINGS, lambda: self.now, self.fatal.append)

    def refuse_for(self, seconds: int, answer: Answer) -> None:
        """Record the answer once a second."""
        for _ in range(seconds):
            self.answers.record(answer)
            self.now += 1


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_a_refusal_is_reported_at_once_and_logged_once(recorded: Recorded) -> None:
    with capture_logs() as lines:
        recorded.refuse_for(10, DENIED)
    assert "GROUP_AUTHORIZATION_FAILED" in recorded.answers.refusal
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "--group mail" in line["fix"]
    assert recorded.fatal == []


def test_a_refusal_that_lasts_ends_the_worker_within_the_deadline(recorded: Recorded) -> None:
    recorded.refuse_for(30, DENIED)
    assert recorded.fatal == []
    recorded.answers.record(DENIED)
    (error,) = recorded.fatal
    assert recorded.now - 1_000 <= SETTINGS.retry_deadline_s
    assert (error.exit_code, error.fix) == (4, refusal_error(SETTINGS, DENIED).fix)
    assert "retried for 30 s" in error.cause


@pytest.mark.parametrize("accepted", ["JoinGroup", "SyncGroup"])
def test_an_accepted_request_ends_the_refusal(recorded: Recorded, accepted: str) -> None:
    recorded.refuse_for(29, DENIED)
    with capture_logs() as lines:
        recorded.answers.record(Answer(accepted, 0))
    assert recorded.answers.refusal == ""
    assert [line["event"] for line in lines] == ["the consumer group accepts the worker again"]
    recorded.refuse_for(29, DENIED)
    assert recorded.fatal == []


def test_another_accepted_request_does_not_end_the_refusal(recorded: Recorded) -> None:
    commit = Answer("OffsetCommit", 29, "texts")
    for _ in range(32):
        recorded.refuse_for(1, commit)
        recorded.answers.record(Answer("Heartbeat", 0))
    assert "READ on texts" in recorded.fatal[0].cause


def test_a_new_generation_does_not_end_the_refusal_of_the_topic(recorded: Recorded) -> None:
    recorded.refuse_for(1, Answer("Metadata", 29, "texts"))
    recorded.answers.record(Answer("SyncGroup", 0))
    assert "READ on texts" in recorded.answers.refusal
    recorded.answers.record(Answer("Metadata", 0))
    assert recorded.answers.refusal == ""


def test_the_answers_of_every_rebalance_are_no_refusal(recorded: Recorded) -> None:
    for code in REJOIN:
        recorded.refuse_for(100, Answer("Heartbeat", code))
    assert recorded.answers.refusal == ""
    assert recorded.fatal == []


@pytest.mark.parametrize("code", sorted(TEMPORARY))
def test_a_coordinator_that_moves_is_no_refusal_for_a_moment(recorded: Recorded, code: int) -> None:
    answer = Answer("Heartbeat", code)
    with capture_logs() as lines:
        recorded.refuse_for(int(GRACE_S), answer)
        assert (recorded.answers.refusal, lines) == ("", [])
        recorded.refuse_for(1, answer)
        assert answer.name in recorded.answers.refusal
    recorded.refuse_for(30, answer)
    assert recorded.fatal[0].exit_code == 4


def test_an_outage_of_the_broker_starts_the_deadline_again(recorded: Recorded) -> None:
    for answer in (LOADING, DENIED):
        recorded.refuse_for(1, answer)
        recorded.now += 600
        recorded.refuse_for(29, answer)
        assert recorded.fatal == []


def test_a_coordination_that_ended_ends_the_worker(recorded: Recorded) -> None:
    error = RuntimeError("Unexpected error during coordination")
    error.__cause__ = AssertionError("no assignor")
    recorded.answers.coordination_ended(error)
    assert recorded.fatal[0].cause == "AssertionError: no assignor"
    assert recorded.fatal[0].exit_code == 1


@pytest.mark.parametrize("code", [*CAUSES, 29, 30, 9_999])
def test_every_refusal_has_a_name_a_cause_and_a_fix(code: int) -> None:
    error = refusal_error(SETTINGS, Answer("JoinGroup", code, "texts"))
    assert error.exit_code == 4
    assert Answer("JoinGroup", code).name in error.cause
    assert "UNKNOWN to" not in error.cause, "Kafka's name of the code is shown"
    assert error.fix
    assert "{" not in error.message + error.cause + error.fix
    assert "check the broker:" not in error.fix
