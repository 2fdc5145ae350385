"""Lines that ONNX Runtime writes to standard error become log lines."""

import logging
import os
from pathlib import Path

import onnxruntime
import pytest

from stream.observe.stderr_capture import captured_stderr, log_native_line, uncaptured
from tests.real.tiny_bundle import make_tiny_bundle


def test_lines_of_a_real_session_become_log_lines(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A library that another test has loaded may have added a handler that writes to a closed stream.
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    model = make_tiny_bundle(tmp_path).path / "onnx/model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 1
    with caplog.at_level(logging.INFO, "onnxruntime"), captured_stderr():
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    records = [record for record in caplog.records if record.name == "onnxruntime"]
    assert records, "at this severity ONNX Runtime logs its steps"
    assert {record.levelname for record in records} == {"INFO"}
    assert all(record.getMessage() and "\x1b" not in record.getMessage() for record in records)
    assert all(".cc:" in record.__dict__["where"] for record in records)
    assert "onnxruntime" not in capfd.readouterr().err


def test_standard_error_is_restored_also_after_an_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyError), captured_stderr():
        os.write(2, b"meanwhile\n")
        raise KeyError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err.endswith("afterwards\n")


def test_more_lines_than_a_pipe_holds_are_captured(caplog: pytest.LogCaptureFixture) -> None:
    with captured_stderr():
        for number in range(2_000):
            os.write(2, f"{number:0100}\n".encode())
    assert [int(record.getMessage()) for record in caplog.records if record.name == "stderr"] == [
        *range(2_000)
    ]


@pytest.mark.parametrize(
    ("line", "name", "level", "message"),
    [
        (
            "\x1b[1;31m2026-11-21 20:28:31.1 [E:onnxruntime:Default, provider.cc:7 Load] no such file\x1b[m",
            "onnxruntime",
            logging.ERROR,
            "no such file",
        ),
        (
            "2026-11-21 20:28:31.1 [W:onnxruntime:, a.cc:1 B] be [careful]",
            "onnxruntime",
            logging.WARNING,
            "be [careful]",
        ),
        ("100% of something else", "stderr", logging.WARNING, "100% of something else"),
    ],
)
def test_a_line_keeps_its_level(
    caplog: pytest.LogCaptureFixture, line: str, name: str, level: int, message: str
) -> None:
    log_native_line(line)
    assert caplog.record_tuples == [(name, level, message)]


def test_an_uncaptured_stream_has_its_own_descriptor() -> None:
    with open(2, "w", closefd=False) as stream, uncaptured(stream) as own:
        assert own.fileno() != 2
        assert os.fstat(own.fileno()).st_ino == os.fstat(2).st_ino
