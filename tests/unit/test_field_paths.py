"""Paths of fields and templates: what is a path, and what the errors say."""

import pytest

from stream.field_paths import parse_path, parse_template


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("text", ("text",)),
        ("data.message.text", ("data", "message", "text")),
        ("/data/message/text", ("data", "message", "text")),
        ("items.0.text", ("items", "0", "text")),
        ("items.*.text", ("items", "*", "text")),
        ("/a.b/c~1d/~0", ("a.b", "c/d", "~")),
        ("/", ("",)),
        ("/a//b", ("a", "", "b")),
        ("/$schema/x[0]", ("$schema", "x[0]")),
        ("größe.text", ("größe", "text")),
    ],
)
def test_a_path_is_dotted_or_a_json_pointer(written: str, steps: tuple[str, ...]) -> None:
    assert parse_path(written).steps == steps


@pytest.mark.parametrize("written", ["", ".", "a..b", ".a", "a.", "$.a", "a[0].b", "/a~2", "/~"])
def test_another_syntax_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"is not a path|JSONPath is not supported|in a JSON Pointer"):
        parse_path(written)


def test_a_template_has_literals_and_fields() -> None:
    parts = parse_template("{{{subject}: {/body/text}\n{note?}!")
    assert [(part.literal, part.path and part.path.steps, part.optional) for part in parts] == [
        ("{", None, False),
        ("", ("subject",), False),
        (": ", ("body", "text"), False),
        ("\n", ("note",), True),
        ("!", None, False),
    ]


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("no field", "names no field"),
        ("{a", "no partner"),
        ("a}", "no partner"),
        ("{}", "not a path"),
        ("{?}", "not a path"),
        ("{a!r}", "only a path"),
        ("{a:>8}", "only a path"),
        ("{a..b}", "not a path"),
    ],
)
def test_an_invalid_template_is_refused(written: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_template(written)
