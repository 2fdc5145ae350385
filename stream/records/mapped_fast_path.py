"""Decoding of mapped JSON events by one typed parse, which skips all members that no path names."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from stream.codec import Record
from stream.errors import is_fault_of_record
from stream.field_paths import FieldPath, parse_path
from stream.records.events import MAX_ID_CHARS, Decoded, Event, SkippedMetadata
from stream.records.mapping import FieldMapping, as_time

Getter = Callable[[Any], Any]
# The names of the fields that no setting names; their values are read if they have these types.
_DEFAULTS = {"id": str | int | None, "time": str | int | float | None}


class PathConflictError(Exception):
    """A path ends where another one goes on, or is one that no structure describes."""


class _Node:
    """A member of the events: a field, or an object that holds some."""

    def __init__(self) -> None:
        self.members: dict[str, _Node] = {}
        self.kind: Any = None
        self.required = False

    def add(self, path: FieldPath, kind: Any, *, required: bool = False) -> None:
        """Add the field at a path below this member.

        Raises:
            PathConflictError: the path may be one of an array, or another path ends on it.
        """
        if not path.only_names:
            raise PathConflictError
        node = self
        for step in path.steps:
            if node.kind is not None:
                raise PathConflictError
            node = node.members.setdefault(step, _Node())
            node.required |= required
        if node.members or node.kind not in (None, kind):
            raise PathConflictError
        node.kind = kind

    def structure(self) -> Any:
        """Return the type of this member.

        Raises:
            PathConflictError: msgspec takes no structure with such names.
        """
        if self.kind is not None:
            return self.kind
        fields: list[Any] = []
        for number, member in enumerate(self.members.values()):
            kind = member.structure()
            fields.append((f"f{number}", kind) if member.required else (f"f{number}", kind | None, None))
        names = {f"f{number}": name for number, name in enumerate(self.members)}
        try:
            return msgspec.defstruct("Mapped", fields, rename=names, kw_only=True, gc=False)
        except ValueError as exc:
            raise PathConflictError from exc

    def getter(self, path: FieldPath) -> Getter:
        """Return the function that reads the field at a path of a parsed event."""
        names, required, node = [], True, self
        for step in path.steps:
            required = required and node.required
            names.append(f"f{list(node.members).index(step)}")
            node = node.members[step]
        # An object that is optional may be None.
        return attrgetter(".".join(names)) if required or len(names) == 1 else partial(_optional, names)


def _optional(names: Sequence[str], found: Any) -> Any:
    for name in names:
        if found is None:
            return None
        found = getattr(found, name)
    return found


class MappedFastPath:
    """Decodes events by a field mapping.

    Raises:
        PathConflictError: no structure describes the mapping, as for elements of arrays.
    """

    def __init__(self, mapping: FieldMapping, max_text_chars: int) -> None:
        """
        Args:
            mapping: the field mapping of the route, for a model that reads one text.
            max_text_chars: the maximum length of a text in characters.
        """
        self._max_text_chars = max_text_chars
        root = _Node()
        root.required = True
        for part in mapping.text:
            if part.path is not None:
                root.add(part.path, str, required=not part.optional)
        id_path, time_path = mapping.id or parse_path("id"), mapping.time or parse_path("time")
        root.add(id_path, _DEFAULTS["id"])
        root.add(time_path, _DEFAULTS["time"])
        columns = mapping.metadata or {"": parse_path("metadata")}
        for path in columns.values():
            root.add(path, Any if mapping.metadata else SkippedMetadata)
        self._parse = msgspec.json.Decoder(root.structure()).decode
        self._text = _text_getter(root, mapping)
        self._id, self._time = root.getter(id_path), root.getter(time_path)
        self._metadata = _metadata_getter(root, mapping)

    def decode(
        self, stem: str, records: Sequence[Record], texts: Sequence[str | None]
    ) -> list[Decoded | None]:
        """See `FastPath.decode`."""
        return list(self._decode(stem, records, texts))

    def _decode(
        self, stem: str, records: Sequence[Record], texts: Sequence[str | None]
    ) -> Iterator[Decoded | None]:
        parse, new, max_chars = self._parse, tuple.__new__, self._max_text_chars
        get_text, get_id, get_time, get_metadata = self._text, self._id, self._time, self._metadata
        for record, value in zip(records, texts, strict=True):
            if value is None:
                yield None
                continue
            try:
                found = parse(value)
                text, own, time = get_text(found), get_id(found), get_time(found)
                if time is not None:
                    time = as_time(time)
                metadata = get_metadata(found)
            except BaseException as exc:
                if not is_fault_of_record(exc):
                    raise
                yield None
                continue
            event_id = f"{stem}{record.offset}" if own is None or own == "" else str(own)
            if not text or len(text) > max_chars or text.isspace() or len(event_id) > MAX_ID_CHARS:
                yield None
                continue
            yield new(Event, (record, event_id, text, None, metadata, time))


def _text_getter(root: _Node, mapping: FieldMapping) -> Getter:
    getters = [(part.literal, None if part.path is None else root.getter(part.path)) for part in mapping.text]
    get, clean = getters[0][1], mapping.clean
    if mapping.is_template or get is None:
        return partial(_fill_template, getters, clean)
    return get if clean is None else partial(_cleaned, clean, get)


def _cleaned(clean: Callable[[str], str], get: Getter, found: Any) -> str:
    return clean(get(found))


def _fill_template(
    getters: Sequence[tuple[str, Getter | None]], clean: Callable[[str], str] | None, found: Any
) -> str:
    pieces = []
    for literal, get in getters:
        pieces.append(literal)
        value = get(found) if get is not None else None
        if value is not None:
            pieces.append(clean(value) if clean is not None else value)
    return "".join(pieces)


def _metadata_getter(root: _Node, mapping: FieldMapping) -> Getter:
    if mapping.metadata is None:
        return root.getter(parse_path("metadata"))
    getters = {name: root.getter(path) for name, path in mapping.metadata.items()}
    return lambda found: {name: get(found) for name, get in getters.items()}
