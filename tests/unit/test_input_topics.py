"""The identity of input topics: deleted, created again, absent, denied, grown."""

import pytest

from stream.errors import BrokerError
from stream.kafka.input_topics import InputTopics, TopicState, commit_metadata, committed_topic_id
from stream.settings import load_settings
from stream.worker.exit import as_labelstream_error

OLD, NEW = TopicState("old-id", 4), TopicState("new-id", 4)
MISSING, DENIED = TopicState(missing=True), TopicState(denied=True)


class Setup:
    def __init__(self) -> None:
        self.now = 0.0
        self.topics = InputTopics(120, lambda: self.now)

    def observe_at(self, now: float, state: TopicState) -> bool:
        self.now = now
        return self.topics.observe({"texts": state})


@pytest.fixture
def setup() -> Setup:
    started = Setup()
    started.topics.start_epoch({"texts": OLD})
    return started


def test_the_id_in_the_metadata_of_an_offset_is_read_again() -> None:
    assert committed_topic_id(commit_metadata("9aJ-x_7")) == "9aJ-x_7"
    assert commit_metadata(None) == ""
    for foreign in ("", None, "of another client"):
        assert committed_topic_id(foreign) is None


def test_an_unchanged_topic_does_not_end_the_epoch(setup: Setup) -> None:
    assert not setup.observe_at(5, OLD)
    assert setup.topics.is_current("texts")
    assert setup.topics.topic_id("texts") == "old-id"


def test_a_new_id_ends_the_epoch_and_nothing_is_committed_until_the_next(setup: Setup) -> None:
    assert setup.observe_at(5, NEW)
    assert not setup.topics.is_current("texts")
    setup.topics.start_epoch({"texts": NEW})
    assert setup.topics.recreated == {"texts"}
    assert setup.topics.is_current("texts")
    assert setup.topics.topic_id("texts") == "new-id"
    assert not setup.observe_at(10, NEW)
    setup.topics.start_epoch({"texts": NEW})
    assert setup.topics.recreated == set(), "it is reported once"


def test_a_broker_that_still_reports_the_old_id_does_not_end_the_epoch(setup: Setup) -> None:
    setup.topics.start_epoch({"texts": NEW})
    assert not setup.observe_at(5, OLD)
    setup.topics.start_epoch({"texts": OLD})
    assert setup.topics.topic_id("texts") == "new-id"
    assert setup.topics.recreated == set()


def test_a_missing_topic_is_not_committed_and_a_topic_that_returns_ends_the_epoch(setup: Setup) -> None:
    assert not setup.observe_at(5, MISSING)
    assert not setup.topics.is_current("texts")
    setup.topics.start_epoch({"texts": MISSING})
    assert setup.topics.absent == {"texts"}
    assert not setup.observe_at(10, MISSING)
    assert setup.observe_at(15, NEW)
    setup.topics.start_epoch({"texts": NEW})
    assert (setup.topics.absent, setup.topics.recreated) == (frozenset(), {"texts"})


def test_a_topic_that_was_missing_for_a_moment_is_read_as_before(setup: Setup) -> None:
    setup.observe_at(5, MISSING)
    assert not setup.observe_at(10, OLD), "the positions are still valid"
    assert setup.topics.is_current("texts")
    setup.topics.start_epoch({"texts": MISSING})
    assert setup.observe_at(15, OLD), "the epoch started without it"
    setup.topics.start_epoch({"texts": OLD})
    assert setup.topics.recreated == set()


def test_a_topic_that_is_missing_for_too_long_is_an_error_with_the_true_cause(setup: Setup) -> None:
    setup.observe_at(5, OLD)
    setup.observe_at(10, MISSING)
    setup.now = 124.9
    assert setup.topics.error is None
    assert setup.topics.problem == "the broker has not listed texts for 120 s"
    setup.now = 125
    error = setup.topics.error
    assert isinstance(error, BrokerError)
    assert error.message == "the input topic texts was deleted"
    assert error.cause == "UnknownTopicOrPartitionError: the broker has not listed it for 120 s"
    assert "labelstream topics create" in error.fix
    setup.observe_at(126, NEW)
    assert (setup.topics.error, setup.topics.problem) == (None, "")


def test_a_topic_that_may_not_be_read_is_an_error_at_once() -> None:
    user = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me", "sasl_password": "x"}
    settings = load_settings({"input_topic": "texts", **user})
    for refused in ("in a fetch", "in the metadata"):
        setup = Setup()
        setup.topics.start_epoch({"texts": OLD})
        if refused == "in a fetch":
            setup.topics.deny("texts")
        else:
            setup.observe_at(5, DENIED)
        error = setup.topics.error
        assert isinstance(error, BrokerError)
        ends_with = as_labelstream_error(error, settings)
        assert ends_with.exit_code == 4
        assert "READ on texts" in ends_with.cause
        assert "User:me --operation Read --topic texts" in ends_with.fix
        assert not setup.topics.is_current("texts")
        assert setup.topics.problem


def test_an_id_in_a_committed_offset_shows_that_the_topic_was_created_again_while_no_worker_ran() -> None:
    setup = Setup()
    setup.topics.start_epoch({"texts": NEW})
    setup.topics.compare("texts", [None, "new-id"])
    assert setup.topics.recreated == set()
    setup.topics.compare("texts", [None, "old-id", "new-id"])
    assert setup.topics.recreated == {"texts"}


def test_partitions_are_new_if_they_were_added_or_the_topic_was_created_again(setup: Setup) -> None:
    assert not setup.topics.is_new("texts", 7), "the first epoch does not know which partitions are old"
    setup.topics.start_epoch({"texts": TopicState("old-id", 6)})
    assert [setup.topics.is_new("texts", partition) for partition in (3, 4, 5)] == [False, True, True]
    setup.topics.start_epoch({"texts": TopicState("old-id", 6)})
    assert not setup.topics.is_new("texts", 5)
    setup.topics.start_epoch({"texts": NEW})
    assert setup.topics.is_new("texts", 0)


def test_a_broker_that_reports_no_ids_or_no_state_changes_nothing() -> None:
    setup = Setup()
    setup.topics.start_epoch({"texts": TopicState(None, 4)})
    assert not setup.observe_at(5, TopicState(None, 4))
    assert not setup.topics.observe({})
    assert setup.topics.is_current("texts")
    assert setup.topics.is_current("a topic without a state")
    assert setup.topics.topic_id("texts") is None
    setup.topics.compare("texts", ["old-id"])
    assert setup.topics.recreated == set()
