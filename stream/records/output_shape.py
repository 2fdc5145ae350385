"""The JSON of an output: a label event with fields of the input, or the input with the label event added."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import orjson

from stream.codec import Record
from stream.field_paths import parse_path
from stream.records.event_json import event_json, members_of
from stream.records.events import Event

TEXT = "text"
EVENT = "event"
# With these, JSON may write a name in another way than orjson does.
_ESCAPES = (b"\\u", b"\\/")
Tree = dict[str, "bytes | Tree"]


class OutputShape(Protocol):
    """Combines a label event with its input."""

    def apply(self, event: Event, label: bytes) -> bytes:
        """Return the JSON of the output.

        Args:
            event: the event.
            label: the JSON of its label event.
        """


class IncludeShape:
    """Copies fields of the input into the member `event` of the label event; a missing field is left out.

    `text` is the text that the model has read. All other fields are copied byte for byte, below the names on
    their paths.
    """

    def __init__(self, include: Iterable[str], read: Callable[[Record], bytes | None]) -> None:
        """
        Args:
            include: `text`, or paths of fields.
            read: returns the JSON of a record, None if it is a text.
        """
        written = list(dict.fromkeys(include))
        self._read = read
        self._with_text = TEXT in written
        self._paths = [parse_path(path).steps for path in written if path != TEXT]

    def apply(self, event: Event, label: bytes) -> bytes:
        """See `OutputShape.apply`."""
        tree: Tree = {}
        value = self._read(event.record) if self._paths else None
        if value is not None:
            for steps in self._paths:
                _copy(value, steps, tree)
        if self._with_text:
            tree[TEXT] = orjson.dumps(event.text)
        return b'%b,"%b":%b}' % (label[:-1], EVENT.encode(), _write(tree))


class EnrichShape:
    """Adds the label event to the input as one member; all else stays byte for byte.

    A member of this name that the input already has is replaced, for instance if an enriched event is
    labelled again.
    """

    def __init__(self, label_field: str) -> None:
        """
        Args:
            label_field: the name of the added member.
        """
        self._name = label_field
        self._quoted = orjson.dumps(label_field)

    def apply(self, event: Event, label: bytes) -> bytes:
        """See `OutputShape.apply`."""
        value = (event_json(event.record) or b"{}").strip()
        if self._quoted in value or any(escape in value for escape in _ESCAPES):
            value = self._without_member(value)
        comma = b"" if value[1:-1].isspace() or len(value) == 2 else b","
        return b"%b%b%b:%b}" % (value[:-1], comma, self._quoted, label)

    def _without_member(self, value: bytes) -> bytes:
        members = members_of(value)
        if self._name not in members:
            return value
        kept = (b"%b:%b" % (orjson.dumps(name), raw) for name, raw in members.items() if name != self._name)
        return b"{%b}" % b",".join(kept)


def _copy(value: bytes, steps: tuple[str, ...], tree: Tree) -> None:
    """Copy the field at a path into a tree of the same form, if the event has it."""
    for step in steps[:-1]:
        value = members_of(value).get(step, b"")
        if not value:
            return
    found = members_of(value).get(steps[-1])
    if found is None:
        return
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if not isinstance(inner, dict):
            # A shorter path has copied the whole object.
            return
        tree = inner
    tree[steps[-1]] = found


def _write(tree: Tree) -> bytes:
    return b"{%b}" % b",".join(_members(tree))


def _members(tree: Tree) -> Iterator[bytes]:
    for name, found in tree.items():
        yield b"%b:%b" % (orjson.dumps(name), found if isinstance(found, bytes) else _write(found))
