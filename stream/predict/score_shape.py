"""The shapes of the scores in the output of `labelstream predict`."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from stream.bundle import Manifest
from stream.errors import UsageError

SHAPES = ("none", "wide", "long")
MEMBERS = {
    "single-label": ("label", "score", "scores"),
    "multi-label": ("labels", "scores"),
    "regression": ("value",),
    "token": ("spans",),
}
WIDE_PREFIX = "score_"


class ScoreShape(Protocol):
    """Arranges the members of a prediction as the fields of one or more lines.

    Attributes:
        names: the names of all fields, in the order of CSV columns.
    """

    names: tuple[str, ...]

    def lines(self, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the fields of each line of a row."""


def score_shape(name: str | None, manifest: Manifest) -> ScoreShape:
    """Return the shape of a name, one of `SHAPES`; None for the members of label events.

    Raises:
        UsageError: the name is unknown, or the bundle has no score for each label.
    """
    if name is None:
        return _Event(manifest)
    if name not in SHAPES:
        raise UsageError(f"--scores {name} is not valid", fix=f"use one of: {', '.join(SHAPES)}")
    if name == "none":
        return _NoScores(manifest)
    if manifest.head not in ("single-label", "multi-label"):
        what = "numbers" if manifest.head == "regression" else "spans"
        raise UsageError(
            f"--scores {name} needs a score for each label",
            cause=f"the bundle predicts {what}",
            fix="leave --scores out",
        )
    return _Wide(manifest) if name == "wide" else _Long(manifest)


class _Event:
    """The members of label events: `scores` is an object."""

    def __init__(self, manifest: Manifest) -> None:
        value = ("value",) if manifest.values is not None else ()
        abstained = manifest.abstain_below is not None and manifest.head != "token"
        self.names: tuple[str, ...] = (
            *MEMBERS[manifest.head],
            *value,
            *(("abstained",) if abstained else ()),
        )

    def lines(self, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield dict(members)


class _NoScores(_Event):
    """The members of label events without `scores`."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.names = tuple(name for name in self.names if name != "scores")

    def lines(self, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield {name: value for name, value in members.items() if name != "scores"}


class _Wide(_NoScores):
    """A field for the score of each label, in the order of the bundle's labels."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._labels = [(label, f"{WIDE_PREFIX}{label}") for label in manifest.labels]
        self.names = (*self.names, *(name for _, name in self._labels))

    def lines(self, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        scores = members["scores"]
        for fields in super().lines(members):
            yield fields | {name: scores[label] for label, name in self._labels}


class _Long(_Event):
    """A line for each label, best first: the label, its score, its rank, and whether it is predicted."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        further = [name for name in self.names if name not in MEMBERS[manifest.head]]
        self.names = ("label", "score", "rank", "predicted", *further)

    def lines(self, members: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        predicted = members["labels"] if "labels" in members else [members.get("label")]
        further = {name: members[name] for name in self.names if name in members.keys() - {"label", "score"}}
        for rank, (label, score) in enumerate(members["scores"].items(), 1):
            line = {"label": label, "score": score, "rank": rank, "predicted": label in predicted}
            yield line | further
