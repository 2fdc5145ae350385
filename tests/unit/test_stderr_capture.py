"""What ONNX Runtime writes past Python comes out as log lines."""

import logging
import os
from pathlib import Path

import onnxruntime
import pytest

from stream.observe.stderr_capture import native_lines, own_end, tell
from tests.real.tiny_bundle import make_tiny_bundle


def test_lines_of_a_real_session_are_log_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_bundle(tmp_path).path / "onnx/model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 1
    with caplog.at_level(logging.INFO, "onnxruntime"), native_lines():
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    told = [record for record in caplog.records if record.name == "onnxruntime"]
    assert told, "at this severity it tells what it does"
    assert {record.levelname for record in told} == {"INFO"}
    assert all(record.getMessage() and "\x1b" not in record.getMessage() for record in told)
    assert all(".cc:" in record.__dict__["where"] for record in told)
    assert "onnxruntime" not in capfd.readouterr().err


def test_standard_error_is_as_before_afterwards_also_after_an_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyError), native_lines():
        os.write(2, b"meanwhile\n")
        raise KeyError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err.endswith("afterwards\n")


def test_more_than_a_pipe_holds_is_no_problem(caplog: pytest.LogCaptureFixture) -> None:
    with native_lines():
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
    tell(line)
    assert caplog.record_tuples == [(name, level, message)]


def test_log_lines_have_an_end_of_their_own() -> None:
    with open(2, "w", closefd=False) as stream, own_end(stream) as own:
        assert own.fileno() != 2
        assert os.fstat(own.fileno()).st_ino == os.fstat(2).st_ino
