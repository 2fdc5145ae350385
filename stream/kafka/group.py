"""The answers of the consumer group's coordinator, and the errors for its refusals."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog
from aiokafka.errors import for_code

from stream.errors import BrokerError, Fatal, one_line
from stream.kafka.permissions import group_error, topic_error
from stream.settings import Settings
from stream.wording import CREATE_TOPICS

SESSION_TIMEOUT_S = 10.0
# The pause before the coordinator is asked again after a refusal.
RETRY_S = 1.0
# A coordinator that moves to another broker refuses requests for a moment.
GRACE_S = 5.0
# Without an answer for this time, nobody knows whether a refusal lasts: the broker was away. A join may take
# the 30 s of the rebalance timeout.
GAP_S = 40.0

ACCEPTED = 0
UNKNOWN_TOPIC, TOPIC_DENIED, GROUP_DENIED = 3, 29, 30
# Not a code of Kafka: the broker that coordinates the group accepts no connection.
UNREACHABLE = -2
UNSTABLE = 88
# The member joins the group again after these answers; they are part of every rebalance.
REJOIN = frozenset({22, 25, 27, 79})
# aiokafka raises this error if a broker does not answer.
TIMED_OUT = 7
# The coordinator moves, starts or loads the group, or a transaction of an earlier worker is being ended.
TEMPORARY = frozenset({14, 15, 16, UNREACHABLE, UNSTABLE})

# aiokafka does not know these codes.
NAMES: Mapping[int, str] = {
    81: "GROUP_MAX_SIZE_REACHED",
    82: "FENCED_INSTANCE_ID",
    UNSTABLE: "UNSTABLE_OFFSET_COMMIT",
    UNREACHABLE: "no connection",
}

OTHER_GROUP = "or choose another group: --group NAME"
# By code: the cause, and the fix. Both are formatted with `broker`, `group` and `topic`.
CAUSES: Mapping[int, tuple[str, str]] = {
    UNREACHABLE: (
        "the broker that coordinates the group cannot be reached at its advertised address",
        "set advertised.listeners of every broker to an address that this machine can reach; labelstream "
        "doctor lists the addresses",
    ),
    UNKNOWN_TOPIC: (
        "the topic {topic} does not exist any more",
        f"create it again: {CREATE_TOPICS}",
    ),
    12: (
        "the broker's limit for the metadata of an offset is too low",
        "raise offset.metadata.max.bytes of the broker",
    ),
    14: ("the coordinator does not finish loading the group", "check the log of the broker"),
    15: (
        "the group has no coordinator; the topic __consumer_offsets has no leader or could not be created",
        "check it: kafka-topics.sh --bootstrap-server {broker} --describe --topic __consumer_offsets; with "
        "fewer than three brokers set offsets.topic.replication.factor of the broker",
    ),
    16: ("the coordinator of the group keeps moving", "check the log of the broker"),
    23: (
        "a member of the group uses another protocol or another assignor than roundrobin",
        "find and stop it: kafka-consumer-groups.sh --bootstrap-server {broker} --describe --group {group} "
        f"--members --verbose; {OTHER_GROUP}",
    ),
    24: ("the broker does not accept the name of the group", "choose another group: --group NAME"),
    26: (
        f"the broker does not allow a session timeout of {SESSION_TIMEOUT_S:g} s",
        f"set group.min.session.timeout.ms of the broker to at most {SESSION_TIMEOUT_S * 1000:.0f}, and "
        "group.max.session.timeout.ms to at least as much",
    ),
    28: (
        "the offsets do not fit into a record of __consumer_offsets",
        "raise max.message.bytes of the topic __consumer_offsets",
    ),
    35: ("the broker does not support this version of the request", "upgrade the broker"),
    43: (
        "a topic's message format is too old for the request",
        "upgrade the broker and its log.message.format.version",
    ),
    81: (
        "the group has as many members as the broker allows",
        f"raise group.max.size of the broker, run fewer workers, {OTHER_GROUP}",
    ),
    UNSTABLE: (
        "a transaction that commits offsets of the group does not end",
        "find it: kafka-transactions.sh --bootstrap-server {broker} list; then restart the broker that "
        "coordinates it",
    ),
    82: ("another member of the group has the same group.instance.id", "stop the other member"),
}
UNEXPLAINED = ("the reason is in the log of the broker", f"check it, {OTHER_GROUP}")


class Answer(NamedTuple):
    """The answer of the broker to one request about the group.

    Attributes:
        request: the name of the request, such as `JoinGroup`.
        code: the error code, 0 for an accepted request.
        topic: the topic that the code belongs to, empty if it belongs to the group.
    """

    request: str
    code: int
    topic: str = ""

    @property
    def name(self) -> str:
        """Kafka's name of the code."""
        known = for_code(self.code)
        return known.message if known.errno == self.code else NAMES.get(self.code, f"error {self.code}")


def refusal_error(settings: Settings, answer: Answer) -> BrokerError:
    """Return the error for an answer that refuses a request."""
    if answer.code == GROUP_DENIED:
        return group_error(settings)
    if answer.code == TOPIC_DENIED:
        return topic_error(settings, [answer.topic])
    cause, fix = CAUSES.get(answer.code, UNEXPLAINED)
    names = {"broker": settings.broker, "group": settings.group, "topic": answer.topic}
    return BrokerError(
        f"the consumer group {settings.group} refuses this worker",
        cause=f"{answer.name} to {answer.request}: {cause.format_map(names)}",
        fix=fix.format_map(names),
    )


class GroupAnswers:
    """The refusals of the group's coordinator, by request, and the time since the first of each.

    A request that is refused for longer than `retry_deadline_s` ends the worker. The consumer's thread
    records answers; the event loop reads `refusal`.

    Attributes:
        refusal: the current refusal in words, empty without one.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float], on_fatal: Callable[[Fatal], object]
    ) -> None:
        """
        Args:
            settings: the group, the user and the deadline.
            clock: returns monotonic seconds.
            on_fatal: receives the error that ends the worker; called in the consumer's thread.
        """
        self._settings = settings
        self._clock = clock
        self._on_fatal = on_fatal
        # By request: the times of the first and of the last refusal.
        self._since: dict[str, tuple[float, float]] = {}
        self._logged: set[Answer] = set()
        self._log = structlog.get_logger(__name__)
        self.refusal = ""

    def record(self, answer: Answer) -> None:
        """Record an answer of the broker."""
        if answer.code == ACCEPTED:
            self._accept(answer.request)
        elif answer.code not in REJOIN and answer.code != TIMED_OUT:
            self._refuse(answer)

    def coordination_ended(self, error: BaseException) -> None:
        """End the worker: the client does not take part in the group any more."""
        self._on_fatal(
            Fatal(
                "the Kafka client left the consumer group because of an unexpected error",
                cause=one_line(error.__cause__ or error),
                fix="restart the worker, as a supervisor does; nothing was lost",
            )
        )

    def _accept(self, request: str) -> None:
        if not self._since:
            return
        accepted = [request]
        if request == "SyncGroup":
            # A new generation: earlier refusals concern the generation before it.
            accepted = [name for name in self._since if name != "Metadata"]
        for name in accepted:
            self._since.pop(name, None)
        if not self._since:
            self.refusal = ""
            if self._logged:
                self._logged.clear()
                self._log.info("the consumer group accepts the worker again", group=self._settings.group)

    def _refuse(self, answer: Answer) -> None:
        now, deadline_s = self._clock(), self._settings.retry_deadline_s
        first, last = self._since.get(answer.request, (now, now))
        if now - last > GAP_S:
            first = now
        self._since[answer.request] = first, now
        lasted_s = now - first
        if answer.code in TEMPORARY and lasted_s < min(GRACE_S, deadline_s):
            return
        error = refusal_error(self._settings, answer)
        self.refusal = f"{error.message}: {error.cause}"
        if answer not in self._logged:
            self._logged.add(answer)
            self._log.warning(
                error.message,
                request=answer.request,
                cause=error.cause,
                fix=error.fix,
                retry_deadline_s=deadline_s,
            )
        if lasted_s + RETRY_S > deadline_s:
            cause = f"{error.cause}; retried for {lasted_s:.0f} s"
            self._on_fatal(BrokerError(error.message, cause=cause, fix=error.fix))
