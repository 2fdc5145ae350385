"""Reading of JSON events whose fields have other names than those of labelstream's own events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from re import compile as pattern
from typing import Any, Protocol

import msgspec

from stream.codec import is_rfc3339
from stream.errors import Poison, Reason, missing_module
from stream.field_paths import EVERY_ELEMENT, FieldPath, TemplatePart, parse_path, parse_template
from stream.records.fields import Fields, from_object
from stream.records.json_object import parse_json
from stream.records.lookup import describe_array, kind_of, look_up, look_up_or_none
from stream.records.unix_time import unix_time
from stream.routes import REGISTRY_INPUTS, RouteOptions

# orjson reads longer integers as floats.
_LONG_INTEGER = pattern(rb"[0-9]{19}")
_parse_exactly = msgspec.json.Decoder().decode

TEXT, TEXT_PAIR = "text", "text_pair"
MAX_ATTRIBUTES = 500
# The attributes of a shorter document take less than 0.2 s however many they are.
UNCHECKED_HTML_CHARS = 50_000


class EventReader(Protocol):
    """Reads the fields of a JSON event."""

    def parse(self, value: bytes, data: str | None = None) -> Any:
        """Parse JSON as `parse_json` does.

        Raises:
            Poison: the value is not JSON.
        """

    def read(self, found: Any) -> Fields:
        """Return the fields of parsed JSON.

        Raises:
            Poison: it is not an object.
        """


class NativeReader:
    """Reads labelstream's own events."""

    def parse(self, value: bytes, data: str | None = None) -> Any:
        """See `EventReader.parse`."""
        return parse_json(value, data)

    def read(self, found: Any) -> Fields:
        """See `EventReader.read`."""
        return from_object(found)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The paths of the fields of a route's events.

    A path of None stands for the name of labelstream's own events; a field of that name and another type is
    ignored, since no setting names it.

    Attributes:
        text: the parts of the text; one part without a literal is the field itself.
        is_template: True if `text` is a template, in which numbers and booleans are written as in JSON.
        text_pair: the path of the second text; None if the model reads one text.
        id: the path of the id.
        time: the path of the time.
        metadata: the paths of metadata columns by name; None reads the object `metadata`.
        clean: returns the visible text of a field's text; None for plain text.
    """

    text: tuple[TemplatePart, ...]
    is_template: bool = False
    text_pair: FieldPath | None = None
    id: FieldPath | None = None
    time: FieldPath | None = None
    metadata: Mapping[str, FieldPath] | None = None
    clean: Callable[[str], str] | None = None

    def parse(self, value: bytes, data: str | None = None) -> Any:
        """Parse JSON as `parse_json` does; integers of any size stay exact."""
        found = parse_json(value, data)
        return _parse_exactly(value) if _LONG_INTEGER.search(value) else found

    def read(self, found: Any) -> Fields:
        """Return the fields of parsed JSON; an error of the text is kept in `Fields.problem`.

        Raises:
            Poison: it is not an object.
        """
        own = from_object(found)
        problem: Poison | None = None
        text = text_pair = event_id = None
        try:
            event_id = self._id(found, own)
            text = self._text(found)
            text_pair = self._text_pair(found)
        except Poison as exc:
            problem = exc
        return Fields(
            event_id,
            text,
            text_pair,
            self._metadata(found, own),
            as_time(own.time if self.time is None else look_up_or_none(found, self.time, "time_field")),
            is_object=True,
            problem=problem,
        )

    def _text(self, found: Any) -> str:
        if self.is_template:
            return "".join(part.literal + self._template_field(found, part) for part in self.text)
        path = self.text[0].path
        assert path is not None
        return self._string(look_up(found, path, "text_field"), path, "text_field")

    def _template_field(self, found: Any, part: TemplatePart) -> str:
        if part.path is None:
            return ""
        if part.optional:
            value = look_up_or_none(found, part.path, "text_template")
            if value is None:
                return ""
        else:
            value = look_up(found, part.path, "text_template")
        if isinstance(value, bool | int | float):
            return msgspec.json.encode(value).decode()
        return self._string(value, part.path, "text_template")

    def _text_pair(self, found: Any) -> str | None:
        if self.text_pair is None:
            return None
        return self._string(
            look_up(found, self.text_pair, "text_pair_field"), self.text_pair, "text_pair_field"
        )

    def _string(self, value: Any, path: FieldPath, setting: str) -> str:
        """Return the text of a field, for a path with `*` the texts joined by line feeds."""
        parts = value if EVERY_ELEMENT in path.steps and isinstance(value, list) else [value]
        if not parts and setting != "text_template":
            raise Poison(Reason.EMPTY, f"{setting} {path.written}: the array is empty")
        for part in parts:
            if not isinstance(part, str):
                raise Poison(Reason.SCHEMA, f"{setting} {path.written}: {_not_a_string(part, path)}")
        return "\n".join(map(self.clean, parts) if self.clean else parts)

    def _id(self, found: Any, own: Fields) -> Any:
        value = own.id if self.id is None else look_up_or_none(found, self.id, "id_field")
        if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
            return value
        if self.id is None:
            return None
        raise Poison(
            Reason.SCHEMA,
            f"id_field {self.id.written}: the value is {kind_of(value)}, not a string or an integer",
        )

    def _metadata(self, found: Any, own: Fields) -> Any:
        if self.metadata is None:
            return own.metadata if isinstance(own.metadata, Mapping) else None
        return {name: look_up_or_none(found, path, "metadata_fields") for name, path in self.metadata.items()}


def _not_a_string(value: Any, path: FieldPath) -> str:
    if isinstance(value, list):
        return f"the value is {describe_array(path.steps, len(path.steps))}"
    return f"the value is {kind_of(value)}, not a string"


def as_time(value: Any) -> str | None:
    """Return a date-time of RFC 3339 for one, or for a Unix time; None for anything else."""
    if isinstance(value, str):
        return value if is_rfc3339(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return unix_time(value)
    return None


def make_mapping(options: RouteOptions, *, takes_pair: bool) -> FieldMapping | None:
    """Return the field mapping of a route, None if its events are labelstream's own.

    Args:
        options: the options of the route.
        takes_pair: True if the model compares two texts.

    Raises:
        UsageError: the library that reads HTML is not installed.
    """
    # Values with a schema have times and metadata of other types than JSON events, as foreign events do.
    of_registry = options.input_format in REGISTRY_INPUTS
    if not (options.maps_fields or of_registry) and options.text_format == "plain":
        return None
    return FieldMapping(
        _text(options),
        is_template=bool(options.text_template),
        text_pair=parse_path(options.text_pair_field or TEXT_PAIR) if takes_pair else None,
        id=_path(options.id_field),
        time=_path(options.time_field),
        metadata={name: parse_path(path) for name, path in options.metadata_fields.items()} or None,
        clean=visible_text() if options.text_format == "html" else None,
    )


def _text(options: RouteOptions) -> tuple[TemplatePart, ...]:
    if options.text_template:
        return parse_template(options.text_template)
    return (TemplatePart("", parse_path(options.text_field or TEXT), optional=False),)


def _path(written: str) -> FieldPath | None:
    return parse_path(written) if written else None


def visible_text() -> Callable[[str], str]:
    """Return the function that reads the visible text of HTML, that of the library html-text.

    Raises:
        UsageError: the library is not installed.
    """
    try:
        from html_text import extract_text
        from lxml.etree import HTMLParser, fromstring
    except ModuleNotFoundError as exc:
        raise missing_module("text_format = html needs a library", exc, "html") from exc

    def read(html: str) -> str:
        if len(html) > UNCHECKED_HTML_CHARS:
            # lxml takes a time that grows with the square of the attributes when it makes a tag's element. It
            # makes none for a target.
            fromstring(html.encode(), HTMLParser(target=AttributeCounter(), encoding="utf-8"))
        found: str = extract_text(html)
        return found

    return read


class AttributeCounter:
    """A target of lxml's parser, which refuses a tag with very many attributes."""

    def start(self, _tag: str, attributes: Mapping[str, str]) -> None:
        """Check the attributes of a tag.

        Raises:
            Poison: they are too many.
        """
        if len(attributes) > MAX_ATTRIBUTES:
            raise Poison(
                Reason.TOO_LARGE,
                f"a tag of the HTML has {len(attributes)} attributes, {MAX_ATTRIBUTES} are allowed",
            )

    def close(self) -> None:
        """End the document."""
