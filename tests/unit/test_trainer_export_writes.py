"""Exports that cannot be written or are interrupted, on the command line."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream.bundle import Bundle
from stream.cli import main
from stream.errors import BundleError, UsageError
from tests.real.wait import until
from tests.unit.saved_models import classifier, reconfigure, saved
from tests.unit.small_bundle import partial_manifest
from trainer.export.variants import INT8, make_variant
from trainer.export.write_errors import typed_write_errors

__all__ = ["classifier", "saved"]

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def labelstream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process; return the exit code and the output."""
    monkeypatch.setenv("COLUMNS", "300")
    # It ends the process some time after `main`, and this process runs the other tests.
    monkeypatch.setattr("stream.cli.end_process_after", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["labelstream", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert "unexpected error" not in printed.err
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")


def full_disk_in_a_library(*_: object, **__: object) -> None:
    try:
        full_disk()
    except OSError as exc:
        raise RuntimeError("serialisation failed") from exc


def full_disk_in_rust(*_: object, **__: object) -> None:
    raise ValueError("I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("failing", [full_disk, full_disk_in_a_library, full_disk_in_rust])
def test_a_full_disk_during_the_export_is_an_error_of_writing(
    classifier: Path, labelstream: Command, monkeypatch: pytest.MonkeyPatch, failing: Callable[..., None]
) -> None:
    monkeypatch.setattr("onnx.save", failing)
    store = classifier.parent / "store"
    code, output = labelstream("export", classifier, "--bundle-store", store)
    assert code == 2, output
    assert "error: cannot write" in output
    assert "cause: No space left on device" in output
    assert "fix: free some space, or pass another --bundle-store" in output
    assert not store.exists()


def test_a_full_disk_during_a_variant_is_no_fault_of_the_conversion(tmp_path: Path) -> None:
    recipe = replace(INT8, make=full_disk)
    variants = {"fp32": SimpleNamespace(file="model.onnx")}
    draft = Bundle(tmp_path, partial_manifest(variants=variants), digest="")
    with pytest.raises(OSError, match="No space left"):
        make_variant(draft, recipe, [], None, lambda _: None)


@pytest.mark.parametrize("limit", [1_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_limit_of_the_size_of_files_is_an_error_of_writing(
    classifier: Path, labelstream: Command, limit: int
) -> None:
    """The lower limit ends the tokenizer's file, the higher one the graph."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = classifier.parent / "store"
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code, output = labelstream("export", classifier, "--bundle-store", store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, "error: cannot write" in output) == (2, True), output
    assert "ulimit -f" in output
    assert not store.exists()


def test_an_export_that_fails_for_another_reason_is_an_error_of_the_model(
    classifier: Path, labelstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no operator")

    monkeypatch.setattr("torch.onnx.export", failing)
    code, output = labelstream("export", classifier, "--bundle-store", classifier.parent / "store")
    assert code == BundleError.exit_code
    assert "cannot be exported to ONNX" in output


def test_a_store_that_is_a_file_cannot_be_written(classifier: Path, labelstream: Command) -> None:
    (classifier.parent / "store").write_text("")
    code, output = labelstream("export", classifier, "--bundle-store", classifier.parent / "store")
    assert (code, "cannot be written" in output) == (2, True), output


def test_an_interrupted_export_exits_with_130_and_leaves_nothing(
    classifier: Path, labelstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.onnx.export", interrupted)
    store = classifier.parent / "store"
    code, output = labelstream("export", classifier, "--bundle-store", store)
    assert (code, store.exists()) == (130, False), output


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_in_the_store(classifier: Path, sent: signal.Signals, code: int) -> None:
    store = classifier.parent / "store"
    command = [sys.executable, "-m", "stream", "export", str(classifier), "--bundle-store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        until(lambda: store.exists() or process.poll() is not None, 120, "the folder of the store")
        process.send_signal(sent)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert not store.exists()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device"),
        (OSError(errno.EDQUOT, "x"), os.strerror(errno.EDQUOT)),
        (OSError(errno.EROFS, "x", "f"), "Read-only file system"),
        (PermissionError(errno.EACCES, "x", "f"), "Permission denied"),
        (RuntimeError("[enforce fail] No space left on device"), "No space left on device"),
        (RuntimeError("[Errno 28] No space"), "No space left on device"),
    ],
)
def test_errors_of_writing_are_typed(tmp_path: Path, error: Exception, cause: str) -> None:
    with pytest.raises(UsageError, match="cannot write") as refused, typed_write_errors(tmp_path):
        raise error
    assert refused.value.cause == cause


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x"), RuntimeError("x"), ValueError()])
def test_other_errors_are_not_errors_of_writing(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, typed_write_errors(tmp_path):
        raise error
    assert raised.value is error


def test_a_file_that_a_library_may_not_read_is_not_an_error_of_writing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="later"), typed_write_errors(tmp_path):
        try:
            raise PermissionError(errno.EACCES, "cache")  # noqa: TRY301
        except PermissionError:
            raise RuntimeError("later")  # noqa: B904 - the context is what the test is about


@pytest.mark.parametrize(
    "arguments",
    [
        ("--debug", "export", "./nowhere"),
        ("export", "--debug", "./nowhere"),
        ("export", "./nowhere", "--debug"),
        ("train", "nowhere.csv", "--debug"),
        ("verify", "nowhere", "--debug"),
        ("bundles", "show", "nowhere", "--debug"),
        ("bundles", "--debug", "show", "nowhere"),
    ],
)
def test_debug_is_accepted_in_every_position(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["labelstream", *arguments])
    with pytest.raises((UsageError, BundleError)):
        main()


def test_without_debug_the_error_has_no_traceback(
    labelstream: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = labelstream("export", "./nowhere")
    assert (code, "error: ./nowhere is not a base model" in output) == (2, True)


@pytest.mark.parametrize("length", ["0", "1", "-5", "many"])
def test_a_maximum_length_that_is_too_short_is_refused(
    classifier: Path, labelstream: Command, length: str
) -> None:
    code, output = labelstream("export", classifier, "--max-length", length)
    assert (code, "--max-length" in output) == (2, True), output


def test_a_name_outside_utf_8_is_printable(classifier: Path, labelstream: Command) -> None:
    folder = classifier.rename(classifier.with_name("caf\udce9"))
    reconfigure(folder, model_type="berd")
    code, output = labelstream("export", folder, "--bundle-store", classifier.parent / "store")
    assert (code, "config.json of caf?" in output) == (2, True), output
