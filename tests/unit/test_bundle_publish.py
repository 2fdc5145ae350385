"""Publication of a bundle: complete or absent, whatever happens at whichever step."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.bundle import Bundle, latest_version, new_staging, open_bundle, publication, publish
from stream.bundle import versions as versions_module
from stream.errors import UsageError
from tests.real.kinds import BY_NAME, make_bundle_of
from trainer.export.package import staging_folder

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
# The steps of `publish` before the version is in the store, in their order.
STEPS = (
    (publication, "file_digest"),
    (publication, "sync"),
    (publication, "write_file"),
    (Path, "rename"),
)


@pytest.fixture
def first(tmp_path: Path) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path / "store")


@contextmanager
def filled_staging(bundle: Bundle) -> Iterator[Path]:
    """Yield a staging folder with the files of a bundle."""
    with staging_folder(bundle.path.parent.parent, bundle.manifest.name) as staging:
        shutil.copytree(bundle.path, staging, dirs_exist_ok=True)
        yield staging


def contents(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), FULL])
@pytest.mark.parametrize(("owner", "step"), STEPS)
def test_an_error_or_an_interruption_before_the_rename_changes_nothing(
    first: Bundle, owner: object, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    store = first.path.parent.parent
    before = contents(store)
    expected = UsageError if error is FULL else type(error)
    with monkeypatch.context() as patched, pytest.raises(expected), filled_staging(first) as staging:
        patched.setattr(owner, step, fail)
        publish(staging, first.manifest, store)
    assert contents(store) == before
    assert [path.name for path in (store / "single").iterdir() if path.is_dir()] == ["1"]
    assert open_bundle("single", store).reference == "single@1"


def test_a_first_bundle_that_fails_leaves_no_folder(first: Bundle, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging_folder(tmp_path / "new" / "store", "single") as staging:
        (staging / "onnx").mkdir()
        raise KeyboardInterrupt
    assert not (tmp_path / "new" / "store").exists()


def test_a_full_disk_after_the_rename_names_the_command_that_completes_it(
    first: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise UsageError("cannot write latest", cause="No space left on device")

    store = first.path.parent.parent
    with monkeypatch.context() as patched, filled_staging(first) as staging:
        patched.setattr(versions_module, "write_file", full)
        with pytest.raises(UsageError, match="single@2 is complete, but it is not the latest") as raised:
            publish(staging, first.manifest, store)
    assert f"labelstream bundles promote single@2 --bundle-store {store}" in raised.value.fix
    assert latest_version(store, "single") == "1"
    assert open_bundle("single@2", store).manifest.version == "2"


def test_two_processes_with_one_id_have_their_own_staging_folders(tmp_path: Path) -> None:
    one = new_staging(tmp_path, "single")
    (one / "model").write_text("of the first")
    two = new_staging(tmp_path, "single")
    assert one != two
    assert (one / "model").read_text() == "of the first"


def test_a_version_is_readable_for_others(first: Bundle) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert first.path.stat().st_mode & 0o777 == 0o777 & ~umask
    assert (first.path / "labelstream.json").stat().st_mode & 0o777 == 0o666 & ~umask
