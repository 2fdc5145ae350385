"""The help of every command in a terminal of 80 columns."""

import platform
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from stream import __version__
from stream.cli import app
from stream.commands.help import use_whole_names

CUT_NAME = re.compile(r"-[\w-]*…")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if hasattr(command, "list_commands"):
        context = command.make_context("labelstream", [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


COMMANDS = {path: command for path, command in commands(typer.main.get_command(app)) if path}


def shown_help(application: typer.Typer, *path: str) -> str:
    result = CliRunner().invoke(application, [*path, "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
def test_no_option_name_is_cut(path: tuple[str, ...]) -> None:
    shown = shown_help(app, *path)
    assert max(map(len, shown.splitlines())) == 80
    assert not CUT_NAME.findall(shown)
    visible = [param for param in COMMANDS[path].params if not getattr(param, "hidden", False)]
    names = {name for param in visible for name in param.opts if name.startswith("--")}
    words = set(re.findall(r"--[\w-]+", shown))
    assert names <= words


def test_the_version_is_shown_with_those_of_python_and_the_runtime() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    shown = result.output.strip().split(", ")
    assert shown[:2] == [f"labelstream {__version__}", f"Python {platform.python_version()}"]
    assert any(name.startswith("onnxruntime") for name in shown[2:])


def test_the_help_of_train_and_predict_is_among_them() -> None:
    assert {("train",), ("predict",), ("bundles", "show")} <= set(COMMANDS)


def long_options(
    rows: Annotated[
        int,
        typer.Option(
            "--rows", "--per_device_train_batch_size", "-r", min=1, max=9, help="Rows of a batch, and more."
        ),
    ] = 2,
    share: Annotated[float, typer.Option("--a-share-with-a-long-name", max=0.5, help="A share.")] = 0.1,
    plain: Annotated[bool, typer.Option("--plain", help="Plain output.")] = False,
) -> None:
    typer.echo(f"{rows} {share} {plain}")


def test_the_description_lists_the_range_and_the_other_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    application = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    application.command()(long_options)
    command: Any = typer.main.get_command(application)
    use_whole_names(command)
    command(["--help"], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--rows -r <int> Rows of a batch, and more. From 1 to 9. Also: --per_device_train_batch_" in shown
    assert "--a-share-with-a-long-name <float> A share. At most 0.5." in shown
    # The help does not change what the command accepts.
    command(["--per_device_train_batch_size", "3", "--plain"], standalone_mode=False)
    assert capsys.readouterr().out == "3 0.1 True\n"
    with pytest.raises(Exception, match="less than or equal to 9"):
        command(["-r", "10"], standalone_mode=False)
