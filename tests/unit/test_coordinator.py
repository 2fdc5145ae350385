"""aiokafka's coordinator with the watch, and a broker that refuses requests by script."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaConnectionError,
    KafkaError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitResponse_v3, OffsetFetchResponse_v3
from aiokafka.protocol.group import (
    HeartbeatResponse_v1,
    JoinGroupResponse_v5,
    LeaveGroupResponse_v1,
    SyncGroupResponse_v3,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from stream.errors import Fatal
from stream.kafka.faust import coordinator as watched
from stream.kafka.faust.stable_offsets import OffsetFetchResponse_v7
from stream.kafka.group import UNREACHABLE, UNSTABLE, GroupAnswers
from stream.settings import load_settings
from tests.real.wait import until_async

TP = TopicPartition("texts", 0)
DEADLINE_S = 30
JOINING = ("FindCoordinator", "JoinGroup", "SyncGroup")


class ScriptedClient:
    """A client whose broker answers every request with the code that the test has set.

    Attributes:
        codes: the error codes by request; other requests are accepted.
        sent: the names of the requests, in order.
    """

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.codes: dict[str, int] = {}
        self.sent: list[str] = []
        self.connected = True

    async def coordinator_lookup(self, _kind: Any, _key: str) -> int:
        self.sent.append("FindCoordinator")
        self._check_connection()
        if code := self.codes.get("FindCoordinator", 0):
            raise for_code(code)()
        return 0

    async def send(self, _node: int, request: Any, *, group: Any) -> Any:
        name = type(request).__name__.removesuffix("Request").removeprefix("Stable")
        self.sent.append(name)
        self._check_connection()
        code = self.codes.get(name, 0)
        assignment = ConsumerProtocolMemberAssignment(0, [(TP.topic, [TP.partition])], b"").encode()
        partition = [(TP.topic, [(TP.partition, code)])]
        responses: Mapping[str, Any] = {
            "JoinGroup": lambda: JoinGroupResponse_v5(0, code, 1, "roundrobin", "leader", "me", []),
            "SyncGroup": lambda: SyncGroupResponse_v3(0, code, assignment),
            "Heartbeat": lambda: HeartbeatResponse_v1(0, code),
            "LeaveGroup": lambda: LeaveGroupResponse_v1(0, code),
            "OffsetCommit": lambda: OffsetCommitResponse_v3(0, partition),
            # The broker returns no partitions with an error of the group.
            "OffsetFetch": lambda: (
                OffsetFetchResponse_v7(0, [(TP.topic, [(TP.partition, 7, -1, "", code, {})], {})], 0, {})
                if code == UNSTABLE
                else OffsetFetchResponse_v3(0, [] if code else [(TP.topic, [(TP.partition, 7, "", 0)])], code)
            ),
        }
        return responses[name]()

    def _check_connection(self) -> None:
        if not self.connected:
            raise KafkaConnectionError("gone")

    async def ready(self, _node: int, *, group: Any) -> bool:
        self.sent.append("Connect")
        return self.connected and "Connect" not in self.codes

    async def force_metadata_update(self) -> bool:
        return True


class Member(ConsumerRebalanceListener):
    """A member of a group: aiokafka's coordinator with the watch, on the scripted client."""

    def __init__(self) -> None:
        self.assigned = False
        self.now = 0.0
        self.fatal: list[Fatal] = []
        self.client = ScriptedClient()
        self.subscription = SubscriptionState()
        self.subscription.register_fetch_waiters(set())
        self.coordinator = GroupCoordinator(
            self.client,
            self.subscription,
            group_id="mail",
            heartbeat_interval_ms=1,
            session_timeout_ms=60_000,
            retry_backoff_ms=1,
            max_poll_interval_ms=1,
            enable_auto_commit=False,
        )
        settings = load_settings({"group": "mail", "retry_deadline_s": str(DEADLINE_S)})
        self.answers = GroupAnswers(settings, lambda: self.now, self.fatal.append)
        self.watch = watched.CoordinatorWatch(self.coordinator, self.answers)

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.assigned = False

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.assigned = TP in assigned

    def subscribe(self) -> None:
        self.subscription.subscribe({TP.topic}, listener=self)

    async def join(self) -> None:
        self.subscribe()
        await self.until_assigned()

    async def until_assigned(self) -> None:
        await until_async(lambda: self.assigned, 5, "the partition")

    async def until_sent(self, name: str, count: int = 3) -> None:
        """Wait until the member has sent a request several times more."""
        wanted = self.client.sent.count(name) + count
        await until_async(lambda: self.client.sent.count(name) >= wanted, 5, f"{count} more {name}")

    async def commit(self) -> None:
        await self.coordinator.commit_offsets(None, {TP: OffsetAndMetadata(8, "")})


@pytest.fixture
async def member(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Member]:
    monkeypatch.setattr(watched, "RETRY_S", 0.001)
    member = Member()
    yield member
    member.client.codes.clear()
    member.client.connected = True
    await asyncio.wait_for(member.coordinator.close(), 5)


# The codes that aiokafka takes for fatal, those it does not know, and those it retries without a word.
REFUSALS = [
    *[(request, code) for request in JOINING for code in (15, 30, 35)],
    *[("JoinGroup", code) for code in (14, 16, 23, 24, 26, 42, 81, 82)],
    *[("SyncGroup", code) for code in (16, 23, 24, 81, 82)],
    ("Connect", UNREACHABLE),
]


@pytest.mark.parametrize(("request_name", "code"), REFUSALS)
async def test_a_member_that_may_not_join_retries_joins_later_or_ends_the_worker(
    member: Member, request_name: str, code: int
) -> None:
    member.client.codes = {request_name: code}
    member.subscribe()
    await member.until_sent(request_name)
    assert not member.assigned
    member.now = DEADLINE_S
    await until_async(lambda: member.fatal, 5, "the end of the worker")
    error = member.fatal[0]
    assert (error.exit_code, bool(error.fix)) == (4, True)
    assert member.answers.refusal
    member.client.codes = {}
    await member.until_assigned()
    assert member.answers.refusal == ""


@pytest.mark.parametrize("code", [24, 30, 35, 82, 9_999])
async def test_a_refused_heartbeat_releases_the_partitions_until_it_is_accepted(
    member: Member, code: int
) -> None:
    await member.join()
    member.client.codes = {"Heartbeat": code, "JoinGroup": code}
    await member.until_sent("JoinGroup")
    assert not member.assigned
    assert member.answers.refusal
    member.client.codes = {}
    await member.until_assigned()
    await member.until_sent("Heartbeat")
    assert member.answers.refusal == ""
    assert member.fatal == []


@pytest.mark.parametrize("code", [12, 28, 29, 30, 43])
async def test_a_commit_that_stays_refused_ends_the_worker(member: Member, code: int) -> None:
    await member.join()
    member.client.codes = {"OffsetCommit": code}
    for member.now in (0, DEADLINE_S):
        with pytest.raises(KafkaError):
            await member.commit()
    assert member.fatal
    member.client.codes = {}
    await member.commit()
    assert member.answers.refusal == ""


@pytest.mark.parametrize("code", [14, 15, 16])
async def test_committed_offsets_are_never_missing_because_the_coordinator_moves(
    member: Member, code: int
) -> None:
    await member.join()
    lookups = member.client.sent.count("FindCoordinator")
    member.client.codes = {"OffsetFetch": code}
    fetching = asyncio.create_task(member.coordinator.fetch_committed_offsets([TP]))
    await member.until_sent("OffsetFetch")
    assert not fetching.done()
    member.client.codes = {}
    assert await asyncio.wait_for(fetching, 5) == {TP: OffsetAndMetadata(7, "")}
    moved = code != 14
    assert (member.client.sent.count("FindCoordinator") > lookups) == moved


async def test_committed_offsets_are_never_missing_because_of_a_permission(member: Member) -> None:
    await member.join()
    member.client.codes = {"OffsetFetch": 30}
    with pytest.raises(GroupAuthorizationFailedError):
        await member.coordinator.fetch_committed_offsets([TP])


async def test_an_offset_that_a_transaction_is_about_to_change_is_not_used(member: Member) -> None:
    await member.join()
    member.client.codes = {"OffsetFetch": UNSTABLE}
    fetching = asyncio.create_task(member.coordinator.fetch_committed_offsets([TP]))
    await member.until_sent("OffsetFetch")
    assert not fetching.done()
    assert not member.answers.refusal, "most transactions end soon"
    member.now = DEADLINE_S
    await until_async(lambda: member.fatal, 5, "the end of the worker")
    assert "UNSTABLE_OFFSET_COMMIT" in member.fatal[0].cause
    member.client.codes = {}
    assert await asyncio.wait_for(fetching, 5) == {TP: OffsetAndMetadata(7, "")}
    assert member.answers.refusal == ""


async def test_the_refresh_of_committed_offsets_goes_on_after_a_refusal(member: Member) -> None:
    member.client.codes = {"OffsetFetch": 30}
    await member.join()
    committed = member.subscription.subscription.assignment.state_value(TP).fetch_committed()
    await member.until_sent("OffsetFetch")
    joins = member.client.sent.count("JoinGroup")
    member.client.codes = {}
    assert (await asyncio.wait_for(committed, 5)).offset == 7
    assert member.client.sent.count("JoinGroup") == joins, "the group is not disturbed"


async def test_a_member_that_does_not_fetch_stays_in_the_group(member: Member) -> None:
    await member.join()
    await member.until_sent("Heartbeat", 20)
    assert "LeaveGroup" not in member.client.sent
    assert member.assigned


async def test_a_lost_connection_is_no_refusal(member: Member) -> None:
    member.client.codes = {"JoinGroup": 14}
    member.subscribe()
    await member.until_sent("JoinGroup")
    member.client.connected = False
    await member.until_sent("FindCoordinator")
    member.now, member.client.connected = 10 * DEADLINE_S, True
    await member.until_sent("JoinGroup")
    assert member.fatal == []


async def test_a_topic_that_may_not_be_described_is_a_refusal(member: Member) -> None:
    await member.join()
    member.client.cluster.unauthorized_topics = {"texts", "of-another-group"}
    for listener in member.client.cluster._listeners:
        listener(member.client.cluster)
    assert "READ on texts" in member.answers.refusal
    member.client.cluster.unauthorized_topics = set()
    for listener in member.client.cluster._listeners:
        listener(member.client.cluster)
    assert member.answers.refusal == ""


async def test_a_coordination_that_fails_ends_the_worker(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(_name: str) -> None:
        raise AssertionError("no assignor")

    monkeypatch.setattr(member.coordinator, "_lookup_assignor", lookup)
    member.subscribe()
    await until_async(lambda: member.fatal, 5, "the end of the worker")
    assert "no assignor" in member.fatal[0].cause


async def test_a_member_that_closes_during_a_refusal_ends_at_once(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "RETRY_S", 3_600)
    member.client.codes = {"JoinGroup": 30}
    member.subscribe()
    await member.until_sent("JoinGroup", 1)
    await asyncio.wait_for(member.coordinator.close(), 5)


def test_loading_is_retriable() -> None:
    assert GroupLoadInProgressError.retriable, "aiokafka retries the request for committed offsets"
