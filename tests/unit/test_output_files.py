"""Output files: complete or absent, beside every kind of destination."""

import errno
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stream.errors import UsageError
from stream.output_files import OutputFile, check_not_input, is_inside, is_replaced, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_at_the_end_and_keeps_mode_and_owner(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    file.chmod(0o640)
    before = file.stat()
    with OutputFile(file) as output:
        output.write(b"new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert (file.stat().st_mode, file.stat().st_uid) == (before.st_mode, before.st_uid)
    assert names(tmp_path) == ["out.csv"]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_file(tmp_path / "new", b"x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_an_error_or_an_interruption_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException], existing: bool
) -> None:
    file = tmp_path / "out.jsonl"
    if existing:
        file.write_text("old")
    with pytest.raises(error), OutputFile(file) as output:
        output.write(b"x" * 100_000)
        raise error
    assert names(tmp_path) == (["out.jsonl"] if existing else [])
    assert not existing or file.read_text() == "old"


@pytest.mark.parametrize("step", [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_at_the_end_leaves_the_old_file(
    tmp_path: Path, step: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "out.jsonl"
    file.write_text("old")
    monkeypatch.setattr(*step, full)
    with pytest.raises(UsageError, match=r"cannot write .*out\.jsonl") as raised:
        write_file(file, b"x")
    assert "No space left" in raised.value.cause
    assert "free some space" in raised.value.fix
    assert names(tmp_path) == ["out.jsonl"]
    assert file.read_text() == "old"


@pytest.mark.parametrize("rows", [1, 100])
def test_a_file_that_grows_beyond_the_limit_leaves_the_old_file(tmp_path: Path, rows: int) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with (
            pytest.raises(UsageError, match=r"cannot write .*out\.jsonl") as raised,
            OutputFile(file) as output,
        ):
            for _ in range(rows):
                output.write(b"x" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "too large" in raised.value.cause
    assert names(tmp_path) == ["out.jsonl"]
    assert file.read_text() == "old"


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out", tmp_path / "link"
    link.symlink_to("real/out")
    for content in (b"one", b"two"):
        write_file(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert names(tmp_path / "real") == ["out"]


def test_a_mounted_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", busy)
    (tmp_path / "out").write_text("old and longer")
    write_file(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_text() == "new"
    assert names(tmp_path) == ["out"]


def refused(tmp_path: Path, make: Callable[[Path], Path]) -> UsageError:
    path = make(tmp_path)
    before = names(tmp_path)
    with pytest.raises(UsageError) as raised:
        write_file(path, b"x")
    assert str(path) in raised.value.message
    assert names(tmp_path) == before
    return raised.value


def test_a_missing_folder_is_refused_with_the_command_that_creates_it(tmp_path: Path) -> None:
    error = refused(tmp_path, lambda folder: folder / "a b" / "c" / "out.csv")
    assert "does not exist" in error.cause
    assert f"mkdir -p '{tmp_path / 'a b' / 'c'}'" in error.fix


def test_a_folder_and_a_loop_of_links_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, lambda folder: folder).cause == "it is a folder"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "symbolic links" in refused(tmp_path, lambda _: loop).cause


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    file.chmod(0o444)
    assert refused(tmp_path, lambda _: file).cause == "the file is read-only"
    assert file.read_text() == "old"


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("é" * 127)
    write_file(file, b"x")
    assert file.read_bytes() == b"x"


def test_a_pipe_receives_the_bytes_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, b"rows")
    reader.join()
    assert received == [b"rows"]
    assert pipe.is_fifo()
    assert not is_replaced(pipe)


def test_a_device_is_written_directly() -> None:
    write_file(Path("/dev/null"), b"rows")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(UsageError, match="cannot write /dev/full"):
        write_file(Path("/dev/full"), b"rows")


@pytest.mark.parametrize("through_link", [False, True])
def test_an_open_file_is_appended_to_and_not_replaced(tmp_path: Path, through_link: bool) -> None:
    file = tmp_path / "log"
    file.write_text("before\n")
    with file.open("ab") as log:
        path = Path(f"/dev/fd/{log.fileno()}")
        if through_link:
            path = tmp_path / "link"
            path.symlink_to(f"/dev/fd/{log.fileno()}")
        assert not is_replaced(path)
        write_file(path, b"rows\n")
        log.write(b"after\n")
    assert file.read_text() == "before\nrows\nafter\n"


def test_an_unused_file_number_is_an_error() -> None:
    with pytest.raises(UsageError, match="cannot write /dev/fd/987"):
        write_file(Path("/dev/fd/987"), b"")


def test_an_output_that_is_an_input_is_refused_under_every_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\na\n")
    (tmp_path / "hard").hardlink_to(source)
    (tmp_path / "soft").symlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path)
    for output in ("in.csv", "./in.csv", "hard", "soft", "folder/in.csv", f"folder/../{tmp_path.name}/hard"):
        with pytest.raises(UsageError, match="is an input") as raised:
            check_not_input(tmp_path / output, [tmp_path / "other", source])
        assert str(source) in raised.value.cause
    check_not_input(tmp_path / "new", [source])
    check_not_input(tmp_path / "hard", [tmp_path / "other"])
    check_not_input(Path("/dev/null"), [Path("/dev/null")])


def test_standard_streams_on_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a\n")
    found = source.stat()
    monkeypatch.setattr(os, "fstat", lambda _number: found)
    for output, given in ((None, source), (Path("-"), source), (source, Path("-"))):
        with pytest.raises(UsageError, match="is an input"):
            check_not_input(output, [given])


def test_a_file_is_inside_a_folder_under_every_name(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "onnx").mkdir(parents=True)
    (tmp_path / "link").symlink_to(bundle)
    (tmp_path / "out").symlink_to(bundle / "new")
    for inside in ("bundle/new", "bundle/onnx/new", "link/new", "bundle/./onnx/../new", "out", "bundle/a/b"):
        assert is_inside(tmp_path / inside, bundle)
        assert is_inside(tmp_path / inside, tmp_path / "link")
    for outside in ("new", "bundle2/new", "bundle/../new"):
        assert not is_inside(tmp_path / outside, bundle)
