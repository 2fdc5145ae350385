"""`labelstream predict` in the process of the test."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import typer
from typer.testing import CliRunner, Result

from stream.bundle import Bundle
from stream.commands.predict import predict
from tests.real.kinds import BY_NAME, make_bundle_of


def make_bundles(store: Path, names: Iterable[str] = BY_NAME) -> dict[str, Bundle]:
    """Make a bundle of each kind, by the name of the kind."""
    return {name: make_bundle_of(BY_NAME[name], store) for name in names}


def run(bundle: Bundle, *arguments: object) -> Result:
    """Run the command on the CPU, and raise its error."""
    app = typer.Typer()
    app.command()(predict)
    words = [str(bundle.path), "--device", "cpu", *map(str, arguments)]
    result = CliRunner().invoke(app, words, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def lines(output: str) -> list[dict[str, Any]]:
    """Parse JSON lines."""
    return [orjson.loads(line) for line in output.splitlines()]
