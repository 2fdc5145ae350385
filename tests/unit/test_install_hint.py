"""The commands that messages and documents print install this project, not a package of the same name."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import stream
from stream.errors import install_hint

PROJECT = Path(__file__).parents[2]
ROOTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt", "pyproject.toml")
FOLDERS = ("docs", "stream", "trainer", "tests", "benchmarks", "deploy", ".ci")
TEXT = {".py", ".md", ".sh", ".toml", ".txt", ".yml", ".json", ""}
# Matches `pip install` of the name that belongs to somebody else on the package index.
FOREIGN = re.compile(r"install (?:-\S+ )*['\"]?labelstream(?![\w.-]*\.whl)(?![\w-])")


def documents() -> list[Path]:
    files = [PROJECT / name for name in ROOTS]
    for folder in FOLDERS:
        files += [path for path in (PROJECT / folder).rglob("*") if path.is_file() and path.suffix in TEXT]
    return [path for path in files if path != Path(__file__)]


def test_nothing_installs_the_foreign_package_of_this_name() -> None:
    lines = [
        f"{path.relative_to(PROJECT)}:{number}"
        for path in documents()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert lines == []


def test_the_pattern_matches_install_commands_of_the_foreign_package() -> None:
    assert FOREIGN.search("pip install 'labelstream[cpu]'")
    assert FOREIGN.search("pip install -U labelstream")
    assert not FOREIGN.search("pip install labelstream_kafka-0.1.0-py3-none-any.whl")
    assert not FOREIGN.search("pip install '.[cpu]'")


@pytest.mark.checkout
def test_the_hint_names_extras_that_exist() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert install_hint("cpu", "openvino") == "in the labelstream clone: pip install '.[cpu,openvino]'"
    pattern = re.compile(r"install_hint\(([^)]*)\)")
    used = {
        extra
        for package in ("stream", "trainer")
        for path in (PROJECT / package).rglob("*.py")
        for call in pattern.findall(path.read_text(encoding="utf-8"))
        for extra in re.findall(r"['\"](\w[\w-]*)['\"]", call)
    }
    assert {"cpu", "gpu", "trainer", "demo", "lora", "openvino"} <= used
    assert used <= set(project["optional-dependencies"])


def test_the_version_is_that_of_the_distribution() -> None:
    assert stream.__version__ == version("labelstream-kafka")
