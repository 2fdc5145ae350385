"""The text of labelstream's errors in tracebacks and on the command line."""

import traceback

import pytest

from stream.cli import show_error
from stream.errors import LabelstreamError, Poison, Reason, UsageError


def test_a_traceback_shows_the_cause_and_the_fix_once() -> None:
    error = UsageError("it failed", cause="no file", fix="name a file")
    shown = traceback.format_exception(error)
    assert "".join(shown).splitlines()[-3:] == [
        "stream.errors.UsageError: it failed",
        "cause: no file",
        "fix: name a file",
    ]


def test_an_error_without_a_cause_and_a_fix_has_no_notes() -> None:
    assert not hasattr(Poison(Reason.EMPTY, "no text"), "__notes__")


def test_the_command_line_prints_each_part_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(LabelstreamError("it failed", cause="no file", fix="name a file"))
    assert capsys.readouterr().err.splitlines() == ["error: it failed", "cause: no file", "fix: name a file"]
