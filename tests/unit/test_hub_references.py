"""References to bundles outside the store, without the network and without huggingface_hub."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import is_reference, open_bundle
from stream.bundle.hub_reference import check_repository, parse_hub_reference
from stream.bundle.references import bundle_cache, resolve_reference
from stream.errors import UsageError
from tests.unit.hub_process import SAVED


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf://owner/name", "owner/name", "main"),
        ("hf://owner/name@v1.0", "owner/name", "v1.0"),
        ("hf://owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
        ("hf://owner/name@feature@2", "owner/name", "feature@2"),
        ("hf://name", "name", "main"),
    ],
)
def test_a_reference_has_a_repository_and_a_revision(text: str, repository: str, revision: str) -> None:
    found = parse_hub_reference(text)
    assert (found.repository, found.revision) == (repository, revision)


@pytest.mark.parametrize("name", ["", "a/b/c", "a//b", "é/b", "a/b.git", "a/..", "a--b/c", "a/b-", "x" * 97])
def test_names_that_no_repository_can_have(name: str) -> None:
    assert not check_repository(name)


def test_other_bundles_are_no_references(tmp_path: Path) -> None:
    for text in ("tickets", "tickets@3", str(tmp_path), "C:\\bundles\\3"):
        assert resolve_reference(text, tmp_path) is None
        assert not is_reference(text)
    odd = tmp_path / "odd:" / "x"
    odd.mkdir(parents=True)
    assert resolve_reference(str(odd), tmp_path) is None


def test_the_cache_follows_its_variable_then_xdg_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_BUNDLE_CACHE", "/srv/bundles")
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    monkeypatch.setenv("HOME", "/home/someone")
    assert bundle_cache() == Path("/srv/bundles")
    monkeypatch.delenv("LABELSTREAM_BUNDLE_CACHE")
    assert bundle_cache() == Path("/srv/cache/labelstream")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert bundle_cache() == Path("/home/someone/.cache/labelstream")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABELSTREAM_BUNDLE_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError) as refused:
        open_bundle("hf://owner/name")
    assert "huggingface_hub" in refused.value.cause
    assert "hub" in refused.value.fix


def test_a_local_bundle_does_not_import_the_library() -> None:
    code = (
        "import sys; from stream.bundle import open_bundle; "
        f"open_bundle({str(SAVED)!r}); print('huggingface_hub' in sys.modules, 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
