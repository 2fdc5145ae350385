"""The parts of the server: admission, lines, tensors, limits and the OpenAPI document."""

import asyncio
import re
import subprocess
import sys
from typing import Any

import openapi_spec_validator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from stream.serve.admission import Admission
from stream.serve.app import openapi_document
from stream.serve.limits import ServeLimits
from stream.serve.ndjson import LineSplitter
from stream.serve.problems import Kind, RequestError
from stream.serve.row_json import as_event
from stream.serve.tensors import InputTensor, read_events
from tests.unit.small_bundle import partial_manifest


@pytest.mark.parametrize(("backlog_s", "retry_after"), [(0.0, "1"), (2.1, "3")])
def test_a_full_queue_says_when_a_retry_is_worthwhile(backlog_s: float, retry_after: str) -> None:
    admission = Admission(10, lambda: backlog_s)
    admission.enter(6)
    admission.enter(4)
    with pytest.raises(RequestError) as refused:
        admission.enter(1)
    assert refused.value.kind is Kind.QUEUE_FULL
    assert refused.value.headers == {"Retry-After": retry_after}
    admission.leave(4)
    admission.enter(4)


async def test_bulk_rows_wait_in_order_and_leave_half_of_the_queue() -> None:
    admission = Admission(10, lambda: 0.0)
    await admission.enter_bulk(5)
    first, second = (asyncio.create_task(admission.enter_bulk(rows)) for rows in (3, 1))
    await asyncio.sleep(0)
    admission.enter(5)
    admission.leave(5)
    assert not first.done()
    admission.leave(5)
    await asyncio.gather(first, second)
    assert admission.rows == 4


async def test_a_cancelled_bulk_request_gives_its_place_back() -> None:
    admission = Admission(4, lambda: 0.0)
    await admission.enter_bulk(2)
    waiting, next_one = (asyncio.create_task(admission.enter_bulk(rows)) for rows in (2, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    admission.leave(2)
    await next_one
    assert admission.rows == 1
    admitted = asyncio.create_task(admission.enter_bulk(2))
    await asyncio.sleep(0)
    admission.leave(1)
    # It was admitted, and is cancelled before it continues.
    admitted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await admitted
    assert admission.rows == 0


async def test_a_chunk_beyond_the_share_is_admitted_alone() -> None:
    admission = Admission(4, lambda: 0.0)
    await admission.enter_bulk(100)
    assert admission.rows == 100


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_do_not_depend_on_the_parts_of_a_body(lines: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    splitter = LineSplitter(100)
    found = [line for part in parts for line in splitter.add(part)] + splitter.finish()
    assert found == [line.strip() for line in lines if line.strip()]


def test_a_line_that_is_too_long_is_kept_in_part() -> None:
    splitter = LineSplitter(3)
    assert [*splitter.add(b"abcdef"), *splitter.add(b"ghi"), *splitter.add(b"\nok\n")] == [b"abcd", b"ok"]
    assert splitter.add(b"vwxyz\nlast") == [b"vwxy"]
    assert splitter.finish() == [b"last"]


@pytest.mark.parametrize(
    ("row", "event"),
    [
        (b'"a \\u00e9"', b'{"text":"a \\u00e9"}'),
        (b'{"text": "a"}', b'{"text": "a"}'),
        (b'"a","text_pair":"b"', b'"a","text_pair":"b"'),
        (b'"a', b'"a'),
        (b"5", b"5"),
    ],
)
def test_a_string_is_the_text_of_an_event(row: bytes, event: bytes) -> None:
    assert as_event(row) == event


PAIR = partial_manifest(task="pair", metadata=None, text_pair=None)


def tensor(name: str = "text", data: Any = ("a",), shape: Any = None, datatype: str = "BYTES") -> InputTensor:
    return InputTensor(name, shape or [len(data)], datatype, list(data))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "the input text is missing"),
        ([tensor()], "the input text_pair is missing"),
        ([tensor("texts")], "the input 'texts' is unknown"),
        ([tensor(), tensor("text_pair", ("a", "b"))], "the inputs have different numbers of rows"),
        ([tensor(datatype="FP32")], "the input text has the datatype 'FP32'"),
        ([tensor(shape=[1, 2, 3])], "the input text has the shape [1, 2, 3]"),
        ([tensor(shape=[3])], "the input text has 1 value in data, and the shape [3]"),
        ([tensor(data=[1])], "the input text has a number in data[0], not a string"),
    ],
)
def test_tensors_that_are_not_rows_are_refused(inputs: list[InputTensor], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)) as refused:
        read_events(inputs, PAIR)
    assert refused.value.kind is Kind.BAD_REQUEST
    assert refused.value.fix


def test_tensors_become_events() -> None:
    inputs = [tensor(data=[["a"], "b"], shape=[2, 1]), tensor("text_pair", ("c", "d"))]
    assert read_events(inputs, PAIR) == [b'{"text":"a","text_pair":"c"}', b'{"text":"b","text_pair":"d"}']


def test_the_queue_holds_a_request_of_the_maximum_size() -> None:
    with pytest.raises(UsageError, match="--max-rows 9 exceeds --max-queue-rows 8"):
        ServeLimits(max_rows=9, max_queue_rows=8).check()


def test_the_openapi_document_is_valid() -> None:
    openapi_spec_validator.validate(openapi_document())


def test_neither_the_worker_nor_the_command_line_imports_the_web_framework() -> None:
    code = (
        "import sys, stream.worker.run, stream.commands.worker, stream.commands.serve;"
        "print(sorted({'starlette', 'uvicorn', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
