"""The results of classifications, for users of the Python packages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream.errors import Reason


class TextSpan(NamedTuple):
    """A span of the text: its type, its first and last character (exclusive), its text, and its score."""

    type: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The prediction for one row. Attributes that the bundle's task does not have are None.

    Attributes:
        label: the label; None also if the bundle abstained.
        score: the probability of the label, 0 to 1, with six digits.
        scores: the probabilities of the best labels, best first.
        labels: the labels of a multi-label bundle, best first; empty if none reaches its threshold.
        value: the number of a regression, or the expected value of ordinal labels.
        spans: the spans of a token bundle, in the order of the text.
        abstained: True if no score reaches the bundle's abstain threshold.
        members: the same as the JSON members that a label event has.
    """

    label: str | None = None
    score: float | None = None
    scores: Mapping[str, float] | None = None
    labels: tuple[str, ...] | None = None
    value: float | None = None
    spans: tuple[TextSpan, ...] | None = None
    abstained: bool = False
    members: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RowError:
    """The reason for which one row has no prediction.

    Attributes:
        reason: the reason, from the same closed list as that of a dead letter.
        message: the reason in words; it never contains the text.
    """

    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.message}"


def classification(members: Mapping[str, Any]) -> Classification:
    """Return the prediction of a label event.

    Args:
        members: its JSON members.
    """
    labels, spans = members.get("labels"), members.get("spans")
    return Classification(
        label=members.get("label"),
        score=members.get("score"),
        scores=members.get("scores"),
        labels=None if labels is None else tuple(labels),
        value=members.get("value"),
        spans=None if spans is None else tuple(map(_span, spans)),
        abstained=members.get("abstained", False),
        members=members,
    )


def _span(found: Mapping[str, Any]) -> TextSpan:
    # Members of later versions are ignored.
    return TextSpan(found["type"], found["start"], found["end"], found.get("text", ""), found["score"])
