"""The store's `latest`: moved by promote and rollback, remembered, never a version changed."""

from pathlib import Path

import pytest

from stream.bundle import latest_version
from stream.bundle.versions import promote, roll_back, versions
from stream.errors import BundleError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for version in ("1", "2", "3", "10"):
        (tmp_path / "support" / version).mkdir(parents=True)
    return tmp_path / "support"


def latest(home: Path) -> str | None:
    return latest_version(home.parent, home.name)


def test_versions_are_numbers_in_order(home: Path) -> None:
    (home / ".staging-7").mkdir()
    promote(home, "2")
    assert versions(home) == ["1", "2", "3", "10"]
    assert versions(home.parent / "none") == []


def test_rollback_goes_back_the_way_that_was_come(home: Path) -> None:
    for version in ("1", "3", "2", "10"):
        promote(home, version)
    assert latest(home) == "10"
    assert [roll_back(home) for _ in range(3)] == ["2", "3", "1"]
    with pytest.raises(BundleError, match="no version before it"):
        roll_back(home)
    assert latest(home) == "1"


def test_promoting_the_latest_is_nothing_new(home: Path) -> None:
    for version in ("1", "2", "2", "2"):
        promote(home, version)
    assert roll_back(home) == "1"


def test_without_a_memory_the_next_lower_version_is_taken(home: Path) -> None:
    (home / "latest").write_text("10\n")
    assert [roll_back(home), roll_back(home)] == ["3", "2"]


def test_versions_that_were_removed_are_passed_over(home: Path) -> None:
    for version in ("1", "3", "2"):
        promote(home, version)
    (home / "3").rmdir()
    assert roll_back(home) == "1"


def test_a_crash_between_the_two_files_is_survived(home: Path) -> None:
    for version in ("1", "3", "2"):
        promote(home, version)
    (home / "latest").write_text("3\n")
    assert roll_back(home) == "1", "the history still ends with what is the latest already"


def test_what_is_not_there_is_refused_and_nothing_moves(home: Path) -> None:
    promote(home, "2")
    with pytest.raises(BundleError, match="no support@7") as told:
        promote(home, "7")
    assert "1, 2, 3, 10" in told.value.cause
    assert latest(home) == "2"
    with pytest.raises(BundleError, match="no bundle nothing"):
        roll_back(home.parent / "nothing")
    assert not (home.parent / "nothing").exists()
