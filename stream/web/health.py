"""Liveness and readiness checks of a worker, each with a result in words."""

from collections.abc import Mapping, Sized
from typing import NamedTuple, Protocol

import orjson

from stream.wording import count_of


class Check(NamedTuple):
    """The result of one check: whether it passed, and the finding as a sentence."""

    ok: bool
    found: str


Checks = Mapping[str, Check]


class BrokerHealth(Protocol):
    """The view of `BrokerProbe` that `check_broker` needs."""

    failure: str

    @property
    def silent_s(self) -> float: ...
    @property
    def healthy(self) -> bool: ...


class GroupMember(Protocol):
    """The view of `BatchConsumer` that `check_group` needs."""

    joined: bool

    @property
    def assigned(self) -> Sized: ...
    @property
    def group_refusal(self) -> str: ...


def passed(checks: Checks) -> bool:
    """Return True if every check passed."""
    return all(check.ok for check in checks.values())


def check_sessions(longest_s: float, bound_s: float) -> Check:
    """Check that no inference has been running longer than the stall limit.

    Args:
        longest_s: seconds that the longest current inference has been running; 0 when none runs.
        bound_s: the limit in seconds.
    """
    if longest_s > bound_s:
        return Check(False, f"an inference has been running for {longest_s:.0f} s (limit: {bound_s:g} s)")
    return Check(True, "the inference sessions respond")


def check_bundles(warm: int, wanted: int) -> Check:
    """Check that the bundle of every route is loaded and warmed up."""
    return Check(warm == wanted, f"{warm} of {wanted} loaded and warm")


def check_group(member: GroupMember, stopping: bool) -> Check:
    """Check that the worker has joined its consumer group, and that the group accepts its requests.

    A member without partitions passes.

    Args:
        member: the worker's consumer.
        stopping: True if the worker is shutting down.
    """
    if stopping:
        return Check(False, "the worker is stopping")
    if member.group_refusal:
        return Check(False, member.group_refusal)
    if not member.joined:
        return Check(False, "joining the consumer group, or a rebalance is in progress")
    count = len(member.assigned)
    return Check(
        True,
        f"{count_of(count, 'partition')} assigned"
        if count
        else "on standby: other workers have all partitions",
    )


def check_topics(problem: str) -> Check:
    """Check that the input topics can be read.

    Args:
        problem: a topic that cannot be read, in words; empty if there is none.
    """
    return Check(not problem, problem or "the input topics exist")


def check_broker(broker: str, probe: BrokerHealth) -> Check:
    """Check that the broker answered recently.

    Args:
        broker: the bootstrap servers, for the text.
        probe: the result of the last probes.
    """
    if probe.healthy:
        return Check(True, f"{broker} answers")
    cause = f": {probe.failure}" if probe.failure else ""
    return Check(False, f"{broker} has not answered for {probe.silent_s:.0f} s{cause}")


def as_json(verdict: str, checks: Checks) -> bytes:
    """Return a JSON object of the overall result and every check, one member per line for readability.

    Args:
        verdict: the name of the overall result, "live" or "ready".
        checks: the checks by name.
    """
    members = {verdict: passed(checks), **{name: check._asdict() for name, check in checks.items()}}
    lines = [orjson.dumps(name) + b": " + orjson.dumps(value) for name, value in members.items()]
    return b"{" + b",\n ".join(lines) + b"}\n"
