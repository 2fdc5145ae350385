"""Whether a worker lives and whether it is ready, check by check, in words."""

from collections.abc import Mapping, Sized
from typing import NamedTuple, Protocol

import orjson


class Check(NamedTuple):
    """One thing that has to be so, and what was found."""

    ok: bool
    found: str


Checks = Mapping[str, Check]


class Answering(Protocol):
    """What is asked of `BrokerProbe`."""

    failure: str

    @property
    def silent_s(self) -> float: ...
    @property
    def healthy(self) -> bool: ...


class Member(Protocol):
    """What is asked of `BatchConsumer`."""

    joined: bool

    @property
    def assigned(self) -> Sized: ...


def passed(checks: Checks) -> bool:
    """Whether everything is so."""
    return all(check.ok for check in checks.values())


def check_sessions(longest_s: float, bound_s: float) -> Check:
    """The model's threads answer: no inference takes longer than a stall may.

    Args:
        longest_s: for how long the longest inference has been running, seconds; 0 when none runs.
        bound_s: seconds that are too many.
    """
    if longest_s > bound_s:
        return Check(
            False, f"an inference has been running for {longest_s:.0f} s, {bound_s:g} s are too many"
        )
    return Check(True, "the sessions answer")


def check_bundles(warm: int, wanted: int) -> Check:
    """Every route's bundle is loaded and warm."""
    return Check(warm == wanted, f"{warm} of {wanted} loaded and warm")


def check_group(member: Member, stopping: bool) -> Check:
    """The group has answered: with partitions, or by keeping this worker in reserve."""
    if stopping:
        return Check(False, "the worker is stopping")
    if not member.joined:
        return Check(False, "joining the group, or its partitions are being given out anew")
    count = len(member.assigned)
    return Check(
        True, f"{count} partitions assigned" if count else "standing by, other workers have them all"
    )


def check_broker(broker: str, probe: Answering) -> Check:
    """The broker answered lately."""
    if probe.healthy:
        return Check(True, f"{broker} answers")
    cause = f": {probe.failure}" if probe.failure else ""
    return Check(False, f"{broker} has not answered for {probe.silent_s:.0f} s{cause}")


def as_json(verdict: str, checks: Checks) -> bytes:
    """A JSON object: the verdict, then a line a check, for machines and for whoever reads them."""
    members = {verdict: passed(checks), **{name: check._asdict() for name, check in checks.items()}}
    lines = [orjson.dumps(name) + b": " + orjson.dumps(value) for name, value in members.items()]
    return b"{" + b",\n ".join(lines) + b"}\n"
