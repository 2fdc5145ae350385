"""aiokafka's group coordinator, changed to retry after an error and to report every refusal.

After an error, aiokafka's coordinator waits until the application calls `getmany` of its consumer. Faust
reads from the fetcher directly, so the coordinator would wait for ever, without a log line.
"""

import asyncio
import math
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import BrokerResponseError, for_code

from stream.kafka.faust.stable_offsets import (
    OffsetFetchResponse_v7,
    UnstableOffsetError,
    stable_request,
    without_pending_offsets,
)
from stream.kafka.group import (
    RETRY_S,
    TOPIC_DENIED,
    UNKNOWN_TOPIC,
    UNREACHABLE,
    UNSTABLE,
    Answer,
    GroupAnswers,
)

COORDINATOR_MOVED = (15, 16)


class CoordinatorWatch:
    """Watches a coordinator: records the answers of the broker, and retries after an error."""

    def __init__(self, coordinator: Any, answers: GroupAnswers) -> None:
        """Change the coordinator. The consumer's thread creates the watch, after the consumer has started.

        Args:
            coordinator: the `GroupCoordinator` of an aiokafka consumer.
            answers: receives the answers of the broker.
        """
        self._coordinator = coordinator
        self._answers = answers
        self._client = coordinator._client
        self._send = coordinator._send_req
        self._look_up = self._client.coordinator_lookup
        self._ready = self._client.ready
        coordinator._send_req = self.send
        coordinator._push_error_to_user = self.retry
        self._client.coordinator_lookup = self.look_up
        self._client.ready = self.ready
        # A member without partitions does not fetch. aiokafka would take that for a stuck application, leave
        # the group and never join again. `stream.worker.watchdog` detects a worker that is stuck.
        coordinator._max_poll_interval = math.inf
        coordinator._coordination_task.add_done_callback(self._on_end)
        self._client.cluster.add_listener(self._on_metadata)

    async def send(self, request: Any) -> Any:
        """Send a request to the coordinator, and record the answer.

        Raises:
            KafkaError: the coordinator is unknown, does not answer, or refuses to return committed offsets.
        """
        response = await self._send(stable_request(request))
        if isinstance(response, OffsetFetchResponse_v7):
            response = self._stable_response(response)
        answer = _answer(request, response)
        if answer.request != "LeaveGroup":
            self._answers.record(answer)
        # An answer without a topic is that of the response as a whole.
        if answer.request == "OffsetFetch" and answer.code and not answer.topic:
            # aiokafka ignores the error code of the response. It would take the missing offsets for offsets
            # that nobody has committed, and the worker would read from the start or from the end of the log.
            if answer.code in COORDINATOR_MOVED:
                self._coordinator.coordinator_dead()
            raise for_code(answer.code)(answer.name)
        return response

    def _stable_response(self, response: Any) -> Any:
        """Return an OffsetFetch response in the version that aiokafka reads.

        Raises:
            UnstableOffsetError: a transaction that commits an offset of an assigned partition is not decided.
        """
        subscription = self._coordinator._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        assigned = frozenset() if assignment is None else frozenset(assignment.tps)
        try:
            return without_pending_offsets(response, assigned)
        except UnstableOffsetError:
            self._answers.record(Answer("OffsetFetch", UNSTABLE))
            raise

    async def look_up(self, kind: Any, key: str) -> Any:
        """Find the coordinator of the group, and record the answer.

        Raises:
            KafkaError: the broker does not answer, or refuses.
        """
        try:
            node = await self._look_up(kind, key)
        except BrokerResponseError as exc:
            self._answers.record(Answer("FindCoordinator", exc.errno))
            raise
        self._answers.record(Answer("FindCoordinator", 0))
        return node

    async def ready(self, node: int, *, group: Any = ConnectionGroup.DEFAULT) -> bool:
        """Connect to a broker, and record whether the coordinator of the group can be reached."""
        connected: bool = await self._ready(node, group=group)
        if group == ConnectionGroup.COORDINATION:
            self._answers.record(Answer("Connect", 0 if connected else UNREACHABLE))
        return connected

    async def retry(self, _error: BaseException) -> None:
        """Let the coordinator go on after an error, when a pause is over or the consumer closes."""
        coordinator = self._coordinator
        await asyncio.wait([coordinator._closing], timeout=RETRY_S)
        if _failed(coordinator._heartbeat_task):
            # The member does not know whether it still belongs to the group. Joining again releases the
            # partitions, so that nothing is published twice for as long as the group refuses the worker.
            coordinator.request_rejoin()
        if _failed(coordinator._commit_refresh_task):
            coordinator._commit_refresh_task = None
            subscription = coordinator._subscription.subscription
            if subscription is not None and subscription.assignment is not None:
                coordinator.start_commit_offsets_refresh_task(subscription.assignment)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._answers.coordination_ended(error)

    def _on_metadata(self, cluster: Any) -> None:
        subscription = self._coordinator._subscription.subscription
        if subscription is not None:
            # The leader of the group assigns no partitions of a topic that it may not describe.
            denied = sorted(cluster.unauthorized_topics & subscription.topics)
            for topic in denied[:1]:
                self._answers.record(Answer("Metadata", TOPIC_DENIED, topic))
            if not denied:
                self._answers.record(Answer("Metadata", 0))


def _failed(task: "asyncio.Task[None] | None") -> bool:
    return task is not None and task.done() and not task.cancelled() and task.exception() is not None


def _answer(request: Any, response: Any) -> Answer:
    """Return the first refusal in a response, or the answer that accepts the request."""
    name = type(request).__name__.removesuffix("Request")
    if code := getattr(response, "error_code", 0):
        return Answer(name, code)
    # An entry of a partition ends with its error code.
    for topic, partitions in getattr(response, "topics", ()):
        for entry in partitions:
            if entry[-1] and not (name == "OffsetFetch" and entry[-1] == UNKNOWN_TOPIC):
                return Answer(name, entry[-1], topic)
    return Answer(name, 0)
