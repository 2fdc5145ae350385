"""The Python API: its results are those of `labelstream predict`, from any thread and any event loop."""

import asyncio
import dataclasses
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.api import Classification, Classifier, RowError, TextInput
from stream.api.calls import CHUNK_ROWS
from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError, Reason, UsageError
from stream.event_loop import EventLoopThread
from stream.observe.metrics import ModelMetrics
from stream.settings import load_settings
from stream.worker.route_model import OpenModel, open_model
from tests.real.kinds import BY_NAME, KINDS, make_bundle_of
from tests.unit.predict_command import lines, make_bundles, run

NOT_MEMBERS = ("row", "id", "text", "text_pair")
PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
TEXTS = [f"my card was charged {number} times" for number in range(40)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def single(bundles: dict[str, Bundle]) -> Iterator[Classifier]:
    with Classifier.open(bundles["single"].path, device="cpu") as classifier:
        yield classifier


def predicted(bundle: Bundle, rows: list[TextInput], folder: Path) -> list[dict[str, Any]]:
    """Return the members that `labelstream predict` prints for rows, or their error."""
    file = folder / "rows.jsonl"
    file.write_bytes(b"".join(orjson.dumps(dataclasses.asdict(row)) + b"\n" for row in rows))
    printed = lines(run(bundle, "--input", file, "--columns", "none").stdout)
    return [{name: value for name, value in line.items() if name not in NOT_MEMBERS} for line in printed]


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_the_results_of_every_kind_are_those_of_predict(
    bundles: dict[str, Bundle], name: str, tmp_path: Path
) -> None:
    rows = [*BY_NAME[name].rows, TextInput("  ", "  ")]
    with Classifier.open(bundles[name].path, device="cpu") as classifier:
        results = classifier.classify(rows)
    found = [{"error": str(r)} if isinstance(r, RowError) else dict(r.members) for r in results]
    assert found == predicted(bundles[name], rows, tmp_path)
    assert "error" in found[-1]
    for result in results[:-1]:
        assert isinstance(result, Classification)
        for member in ("label", "score", "scores", "value", "abstained"):
            assert getattr(result, member) == result.members.get(member, getattr(Classification(), member))
        assert list(result.labels or ()) == result.members.get("labels", [])
        assert [span._asdict() for span in result.spans or ()] == result.members.get("spans", [])


def test_one_row_has_one_result_and_many_have_a_list(single: Classifier) -> None:
    (expected,) = single.classify([TEXTS[0]])
    for row in (TEXTS[0], TextInput(TEXTS[0]), {"text": TEXTS[0], "id": 7}):
        assert single.classify(row) == expected
    assert single.classify([]) == []
    assert single.classify(iter(TEXTS[:2])) == single.classify(tuple(TEXTS[:2]))


def test_pairs_are_tuples_or_inputs(bundles: dict[str, Bundle]) -> None:
    with Classifier.open(bundles["pair"].path, device="cpu") as classifier:
        one, two, alone = classifier.classify([("my card", "refund"), TextInput("my card", "refund"), "a"])
        assert isinstance(one, Classification)
        assert one == two
        assert alone == RowError(Reason.SCHEMA, "text_pair is missing; the model compares two texts")


def test_a_row_that_fails_has_its_error_and_the_others_have_labels(bundles: dict[str, Bundle]) -> None:
    rows: list[Any] = ["my card", "", "x" * 11, 3, None, b"bytes", "\ud800", {"metadata": {}}, float("nan")]
    with Classifier.open(bundles["single"].path, device="cpu", max_text_chars=10) as classifier:
        good, *failed = classifier.classify(rows)
    assert isinstance(good, Classification)
    reasons = [result.reason.value for result in failed if isinstance(result, RowError)]
    assert reasons == ["empty", "too-large", "schema", "schema", "decode", "decode", "schema", "schema"]
    assert str(failed[0]) == "empty: text contains only white space"


def test_values_of_metadata_that_are_not_json_are_read_as_text(bundles: dict[str, Bundle]) -> None:
    class Amount:
        def __str__(self) -> str:
            return "12.5"

    with Classifier.open(bundles["metadata"].path, device="cpu") as classifier:
        rows = [TextInput("my card", None, {"amount": amount}) for amount in (12.5, Amount())]
        one, two = classifier.classify(rows)
    assert one == two


async def test_concurrent_calls_share_batches(bundles: dict[str, Bundle]) -> None:
    settings = load_settings({"device": "cpu", "sessions": 1})
    loop, metrics = EventLoopThread("test"), ModelMetrics()
    opened = loop.run(open_model(str(bundles["single"].path), "auto", settings, None, metrics))
    async with Classifier(loop, opened, settings) as classifier:
        alone = [classifier.classify(text) for text in TEXTS[:2]]
        before = metrics.registry.get_sample_value("labelstream_batch_rows_count") or 0
        results = await asyncio.gather(*(classifier.aclassify(text) for text in TEXTS))
    assert results[:2] == alone
    inferences = (metrics.registry.get_sample_value("labelstream_batch_rows_count") or 0) - before
    assert 0 < inferences < len(TEXTS) / 2


def test_threads_call_at_once(single: Classifier) -> None:
    expected = single.classify(TEXTS)
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(single.classify, TEXTS)] == expected


async def test_both_interfaces_work_in_a_running_event_loop(single: Classifier) -> None:
    assert single.classify(TEXTS) == await single.aclassify(TEXTS)


async def test_opening_and_closing_do_not_block_the_event_loop(bundles: dict[str, Bundle]) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with await Classifier.aopen(bundles["single"].path, device="cpu") as classifier:
        assert isinstance(await classifier.aclassify("my card"), Classification)
    counting.cancel()
    assert turns > 1


def test_many_chunks_keep_their_order(single: Classifier) -> None:
    many = [TEXTS[at % len(TEXTS)] for at in range(2 * CHUNK_ROWS + 1)]
    by_text = dict(zip(TEXTS, single.classify(TEXTS), strict=True))
    assert single.classify(many) == [by_text[text] for text in many]


class HeldClassifier:
    """Holds all calls until they are released, and then raises an error or answers."""

    backlog_s = 0.0

    def __init__(self, opened: OpenModel, error: BaseException | None = None) -> None:
        self.entered = threading.Event()
        self.release = asyncio.Event()
        self._classifier = opened.classifier
        self._error = error

    async def classify(self, inputs: Any) -> Any:
        self.entered.set()
        await self.release.wait()
        if self._error is not None:
            raise self._error
        return await self._classifier.classify(inputs)

    def close(self) -> None:
        self._classifier.close()


def held(bundle: Bundle, error: BaseException | None = None, **flags: object) -> tuple[Classifier, Any, Any]:
    """Return a classifier whose calls are held, with its model and its loop."""
    settings = load_settings({"device": "cpu", **flags})
    loop = EventLoopThread("test")
    opened = loop.run(open_model(str(bundle.path), "auto", settings, None, ModelMetrics()))
    holding: Any = HeldClassifier(opened, error)
    return Classifier(loop, dataclasses.replace(opened, classifier=holding), settings), holding, loop


def test_close_waits_for_the_calls_and_refuses_new_ones(bundles: dict[str, Bundle]) -> None:
    classifier, holding, loop = held(bundles["single"])
    with ThreadPoolExecutor(2) as threads:
        call = threads.submit(classifier.classify, "my card")
        assert holding.entered.wait(10)
        closing = threads.submit(classifier.close)
        while not classifier._closed:
            pass
        with pytest.raises(UsageError, match="is closed"):
            classifier.classify("refund")
        assert not call.done()
        loop._loop.call_soon_threadsafe(holding.release.set)
        assert isinstance(call.result(10), Classification)
        closing.result(10)
    classifier.close()
    assert not loop._thread.is_alive()


def test_close_gives_up_a_call_that_takes_too_long(bundles: dict[str, Bundle]) -> None:
    classifier, holding, _ = held(bundles["single"], drain_deadline_s=0.01)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(classifier.classify, "my card")
        assert holding.entered.wait(10)
        classifier.close()
        with pytest.raises(UsageError, match="is closed"):
            call.result(10)


async def test_a_cancelled_call_leaves_the_classifier_usable(bundles: dict[str, Bundle]) -> None:
    classifier, holding, loop = held(bundles["single"])
    call = asyncio.create_task(classifier.aclassify("my card"))
    assert await asyncio.to_thread(holding.entered.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    loop._loop.call_soon_threadsafe(holding.release.set)
    assert isinstance(await classifier.aclassify("my card"), Classification)
    await classifier.aclose()


def test_a_fault_of_the_device_is_raised(bundles: dict[str, Bundle]) -> None:
    classifier, holding, loop = held(bundles["single"], DeviceError("the device is gone"))
    loop._loop.call_soon_threadsafe(holding.release.set)
    with pytest.raises(DeviceError, match="is gone"):
        classifier.classify(TEXTS * 50)
    classifier.close()


def test_a_fork_has_no_classifier(single: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(UsageError, match="another process"):
        single.classify("my card")


def test_references_options_and_errors_are_those_of_the_worker(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bundles["single"].path.parents[1]
    monkeypatch.setenv("LABELSTREAM_DEVICE", "cpu")
    with Classifier.open("single@1", bundle_store=store, top_k=1) as classifier:
        result = classifier.classify("my card")
        assert isinstance(result, Classification)
        assert len(result.scores or ()) == 1
        assert (classifier.model.name, classifier.model.version, classifier.model.device) == (
            "single",
            "1",
            "cpu",
        )
        assert classifier.model.labels == BY_NAME["single"].labels
    with pytest.raises(BundleError):
        Classifier.open("missing", bundle_store=store)
    # A setting of a worker that has no effect here is refused like a misspelt one.
    for name in ("devcie", "linger_ms", "text_field"):
        with pytest.raises(UsageError, match=name):
            Classifier.open("single@1", bundle_store=store, **{name: "1"})  # type: ignore[arg-type]
    with Classifier.open("single@1", bundle_store=store) as classifier:
        for rows in (b"refund", None, 7, bytearray(b"x")):
            with pytest.raises(UsageError, match="rows are of type"):
                classifier.classify(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("example", [block for block in EXAMPLES if "stream.api" in block])
def test_the_examples_of_the_documentation_work(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle_of(dataclasses.replace(BY_NAME["single"], name="tickets"), tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert "refund" in capsys.readouterr().out


def test_importing_the_api_loads_neither_torch_nor_kafka_nor_a_web_server() -> None:
    heavy = "{'torch', 'transformers', 'trainer', 'faust', 'aiokafka', 'redis', 'starlette', 'uvicorn'}"
    code = f"import sys, stream.api; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
