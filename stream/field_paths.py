"""Paths of fields in JSON events, and templates that join several fields; syntax only."""

import re
from dataclasses import dataclass
from string import Formatter
from typing import NamedTuple

EVERY_ELEMENT = "*"
OPTIONAL = "?"
_ESCAPE = re.compile(r"~(?![01])")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The path of a field: `customer.text`, or as a JSON Pointer (RFC 6901) `/customer/text`.

    In an array, a step is the number of an element, or `*` for all elements.

    Attributes:
        written: the path as the settings have it.
        steps: the names on the path, the outermost first.
    """

    written: str
    steps: tuple[str, ...]

    @property
    def only_names(self) -> bool:
        """True if no step can be that of an array."""
        return not any(step == EVERY_ELEMENT or step.isdecimal() for step in self.steps)


class TemplatePart(NamedTuple):
    """The text of a template before a field, and the field; the last part may have no field."""

    literal: str
    path: FieldPath | None
    optional: bool


def parse_path(written: str) -> FieldPath:
    """Parse a dotted path or a JSON Pointer.

    Raises:
        ValueError: the path is empty, has an empty step, or is written in another syntax.
    """
    if written.startswith("/"):
        if _ESCAPE.search(written):
            raise ValueError(f"{written!r}: in a JSON Pointer, ~ is written ~0 and / in a name is written ~1")
        steps = written[1:].split("/")
        return FieldPath(written, tuple(step.replace("~1", "/").replace("~0", "~") for step in steps))
    steps = written.split(".")
    if not all(steps):
        raise ValueError(f"{written!r} is not a path; a path is written a.b.c or /a/b/c")
    if written.startswith("$") or "[" in written:
        raise ValueError(
            f"{written!r}: JSONPath is not supported; an element is written items.0.text, all elements "
            "items.*.text, and a name with such characters as a JSON Pointer"
        )
    return FieldPath(written, tuple(steps))


def parse_template(written: str) -> tuple[TemplatePart, ...]:
    r"""Parse a template such as `{subject}\n\n{body}`; `{name?}` may be missing, `{{` is a brace.

    Raises:
        ValueError: a brace has no partner, a path is invalid, or there is no field.
    """
    parts = []
    try:
        found = list(Formatter().parse(written))
    except ValueError:
        raise ValueError(
            f"{written!r}: a brace has no partner; {{{{ and }}}} stand for braces in the text"
        ) from None
    for literal, name, form, conversion in found:
        if form or conversion:
            raise ValueError(f"{written!r}: a field is only a path, without ! and :")
        optional = name is not None and name.endswith(OPTIONAL)
        path = None if name is None else parse_path(name.removesuffix(OPTIONAL))
        parts.append(TemplatePart(literal, path, optional))
    if not any(part.path for part in parts):
        raise ValueError(
            f"{written!r} names no field; a field is written {{subject}}, {{{{ and }}}} stand for braces"
        )
    return tuple(parts)
