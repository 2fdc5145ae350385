"""`labelstream schemas` without a registry: the wait for it, and the compatibility levels."""

import socket
from typing import get_args

import pytest
from typer.testing import CliRunner

from stream.cli import app
from stream.errors import RegistryError
from stream.registry import Compatibility

WIDE = {"COLUMNS": "300", "TERM": "dumb"}


@pytest.mark.parametrize("command", ["check", "register"])
def test_a_command_waits_briefly_for_a_registry_that_is_away(command: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        flags = ["--schema-registry-url", url, "--output-format", "avro", "--timeout-s", "0.1"]
        result = CliRunner().invoke(app, ["schemas", command, *flags])
    assert isinstance(result.exception, RegistryError)
    assert result.exception.message == f"the schema registry {url} is not available"
    assert result.exception.cause.endswith("waited 0.1 s")


def test_the_help_lists_the_compatibility_levels() -> None:
    shown = CliRunner().invoke(app, ["schemas", "register", "--help"], env=WIDE).stdout
    assert all(level in shown for level in get_args(Compatibility))


def test_an_unknown_compatibility_level_is_refused() -> None:
    result = CliRunner().invoke(app, ["schemas", "register", "--compatibility", "SOME"], env=WIDE)
    assert result.exit_code == 2
    assert "'SOME' is not one of 'BACKWARD'" in result.output
