"""Every kind of classifier with the real runtimes: logits, predictions and label events."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import numpy as np
import onnxruntime
import orjson
import pytest
from tokenizers import processors

from stream.bundle import Bundle
from stream.classify import (
    BatchLimits,
    InputReader,
    Prediction,
    RowResult,
    RowTokens,
    TextInput,
    Tokeniser,
    Tokens,
    WindowPool,
    make_head,
    pool_logits,
)
from stream.errors import Poison
from stream.observe.metrics import Metrics
from stream.records import Event, LabelEncoder
from stream.runtime import OnnxRuntime, open_openvino_runtimes
from stream.runtime.onnx import run_with_io_binding
from stream.schemas import load_schema
from stream.settings import Settings
from stream.verify import compare, infer_all, read_reference, within_tolerance
from stream.worker.route_model import make_classifier
from tests.real.kinds import BY_NAME, KINDS, make_bundle_of, make_tokenizer
from tests.unit.records import SOURCE, FakeRecord
from tests.unit.small_bundle import small_bundle

NAMES = [kind.name for kind in KINDS]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    store = tmp_path_factory.mktemp("kinds")
    return {kind.name: make_bundle_of(kind, store) for kind in KINDS}


def classify(
    bundle: Bundle, rows: Sequence[TextInput], max_rows: int = 3, max_tokens: int = 40
) -> list[Prediction | Poison]:
    """Return the results of the worker's classifier."""
    tokeniser = Tokeniser(bundle)
    limits = BatchLimits(max_rows=max_rows, max_tokens=max_tokens)
    classifier = make_classifier(
        bundle, "fp32", [OnnxRuntime(bundle, "fp32")], tokeniser, limits, Settings(), None, Metrics()
    )

    async def run() -> list[Prediction | Poison]:
        await classifier.warm_up([(3, 16), (1, 4)])
        return [*(await classifier.classify(InputReader(bundle.manifest).read(rows))).results]

    try:
        return asyncio.run(run())
    finally:
        classifier.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_every_runtime_computes_the_reference_logits(
    bundles: dict[str, Bundle], name: str, device: str
) -> None:
    bundle = bundles[name]
    rows, reference = read_reference(bundle)
    runtime = OnnxRuntime(bundle, "fp32") if device == "cpu" else open_openvino_runtimes(bundle, "fp32", 1)[0]
    done: list[int] = []
    logits = infer_all(runtime, Tokeniser(bundle), rows, done.append)
    parity = compare(reference, logits, tolerance=1e-3, min_label_agreement=1, manifest=bundle.manifest)
    assert within_tolerance(parity), parity
    assert parity.rows == len(reference)
    assert sum(done) == len(rows)


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.task != "token"])
def test_the_classifier_predicts_from_the_reference_logits(bundles: dict[str, Bundle], name: str) -> None:
    bundle = bundles[name]
    rows, logits = read_reference(bundle)
    predictions = make_head(bundle.manifest).predict(logits, ())
    for actual, expected in zip(classify(bundle, rows), predictions, strict=True):
        assert isinstance(actual, Prediction)
        assert isinstance(expected, Prediction)
        assert actual.fields() == _near(expected.fields())


def _near(fields: dict[str, object]) -> dict[str, object]:
    near: dict[str, object] = {}
    for name, value in fields.items():
        numbers = isinstance(value, float | dict)
        near[name] = pytest.approx(value, abs=1e-4) if numbers else value
    return near


@pytest.mark.parametrize("name", NAMES)
def test_the_label_events_of_every_head_match_the_schema(bundles: dict[str, Bundle], name: str) -> None:
    validator = jsonschema.Draft202012Validator(load_schema("label.v1"))
    encoder = LabelEncoder(name=name, version="1", digest="sha256:" + "a" * 64, variant="fp32")
    for result in classify(bundles[name], BY_NAME[name].rows):
        assert isinstance(result, Prediction)
        event = Event(FakeRecord(b"{}"), "id", "text")
        (label,) = encoder.write(SOURCE, 0, [event], [result])
        validator.validate(orjson.loads(label.value or b""))


@pytest.mark.parametrize("name", NAMES)
def test_restored_predictions_are_equal_except_for_cached(bundles: dict[str, Bundle], name: str) -> None:
    kind, manifest = BY_NAME[name], bundles[name].manifest
    predictions = [r for r in classify(bundles[name], kind.rows) if isinstance(r, Prediction)]
    head = make_head(manifest)
    inputs = InputReader(manifest).read(kind.rows)
    assert all(head.accepts(prediction.stored) for prediction in predictions)
    assert all(head.possible([prediction.stored for prediction in predictions], inputs))
    restored = head.restore([prediction.stored for prediction in predictions], inputs)
    assert [prediction._replace(cached=False) for prediction in restored] == predictions
    assert {prediction.cached for prediction in restored} == {True}
    assert not head.accepts(b"")
    assert not head.accepts(predictions[0].stored + b"x")


def test_the_prediction_of_a_text_does_not_depend_on_the_batches_of_its_windows(
    bundles: dict[str, Bundle],
) -> None:
    bundle = bundles["windows"]
    together = classify(bundle, BY_NAME["windows"].rows, max_rows=64, max_tokens=4096)
    apart = classify(bundle, BY_NAME["windows"].rows, max_rows=1, max_tokens=1)
    for one, other in zip(together, apart, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert one.fields() == _near(other.fields())


def test_only_windows_read_a_text_beyond_the_maximum_length(bundles: dict[str, Bundle]) -> None:
    start = "my card was charged twice where is my refund it never came in the rain "
    rows = [TextInput(start + end) for end in ("parcel " * 20, "account " * 20)]
    one, other = classify(bundles["single"], rows)
    assert isinstance(one, Prediction)
    assert isinstance(other, Prediction)
    assert one.members == other.members, "truncated"
    one, other = classify(bundles["windows"], rows)
    assert isinstance(one, Prediction)
    assert isinstance(other, Prediction)
    assert one.members != other.members, "split into windows"


def test_windows_find_tags_beyond_the_maximum_length(bundles: dict[str, Bundle]) -> None:
    text = "my card was charged twice and the parcel left in the rain where is my refund " * 2
    (truncated,) = classify(bundles["token"], [TextInput(text)])
    (whole,) = classify(bundles["token-windows"], [TextInput(text)])
    assert isinstance(truncated, Prediction)
    assert isinstance(whole, Prediction)
    assert max(span["end"] for span in truncated.fields()["spans"]) < 90
    assert max(span["end"] for span in whole.fields()["spans"]) > 120
    for span in whole.fields()["spans"]:
        assert span["text"] == text[span["start"] : span["end"]]


def test_metadata_that_the_bundle_does_not_read_has_no_effect(bundles: dict[str, Bundle]) -> None:
    reader = InputReader(bundles["metadata"].manifest)
    same = reader.read(
        [
            TextInput("a", "pair", {"amount": "7.0", "channel": "email", "other": {"x": 1}}),
            TextInput("a", None, {"channel": "email", "amount": 7}),
        ]
    )
    assert same[0] == same[1]
    assert len(set(reader.read(BY_NAME["metadata"].rows))) == len(BY_NAME["metadata"].rows)


def test_padded_inputs_have_the_graphs_types(bundles: dict[str, Bundle]) -> None:
    tokeniser = Tokeniser(bundles["metadata"])
    padded = tokeniser.pad(tokeniser.encode(BY_NAME["metadata"].rows[:3]))
    assert padded["metadata"].dtype == np.float32
    assert padded["metadata"].shape == (3, 3)
    padded = Tokeniser(bundles["global"]).pad(Tokeniser(bundles["global"]).encode([TextInput("my card")] * 2))
    assert padded["global_attention_mask"].tolist() == [[1, 0, 0, 0]] * 2


def test_a_failed_window_makes_its_text_poison_once(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["windows"].manifest
    windows = WindowPool(manifest, make_head(manifest))
    (tokens,) = Tokeniser(bundles["windows"]).encode([TextInput("my card " * 20)])
    split = windows.split(tokens)
    assert len(split) > 2
    poison = Poison.__new__(Poison)
    assert windows.mark_failed(split[1], poison) is None
    logits = np.zeros((len(split) - 1, 3), dtype=np.float32)
    results = windows.collect(logits, [window for window in split if window is not split[1]])
    assert results[:-1] == [None] * (len(split) - 2)
    assert results[-1] is poison


def test_only_the_text_that_makes_the_head_fail_is_poison(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["windows"].manifest
    head = make_head(manifest)
    predict = head.predict

    def fail_on_large_logits(logits: np.ndarray, tokens: Sequence[Tokens]) -> Sequence[RowResult]:
        if (logits > 5).any():
            raise ArithmeticError("too large")
        return predict(logits, tokens)

    head.predict = fail_on_large_logits  # type: ignore[method-assign]
    windows = WindowPool(manifest, head)
    split = [
        windows.split(tokens)[0]
        for tokens in Tokeniser(bundles["windows"]).encode([TextInput("my card")] * 2)
    ]
    good, bad = windows.collect(np.array([[0, 0, 0], [9, 0, 0]], dtype=np.float32), split)
    assert isinstance(good, Prediction)
    assert isinstance(bad, Poison)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_window_with_non_finite_logits_makes_all_pooled_logits_nan(pooling: str) -> None:
    logits = np.array([[1, 2], [-np.inf, 3]], dtype=np.float32)
    assert np.isnan(pool_logits(logits, pooling)).all()


def test_the_number_of_windows_is_bounded(bundles: dict[str, Bundle]) -> None:
    (tokens,) = Tokeniser(bundles["windows-max"]).encode([TextInput("my card " * 100)])
    assert isinstance(tokens, RowTokens)
    assert len(tokens.windows(3)) == 3
    assert len(tokens.windows(100)) > 10


def test_windows_count_as_parts_of_a_row_in_the_throughput(bundles: dict[str, Bundle]) -> None:
    bundle, recorded = bundles["windows"], []
    classifier = make_classifier(
        bundle,
        "fp32",
        [OnnxRuntime(bundle, "fp32")],
        Tokeniser(bundle),
        BatchLimits(max_rows=2, max_tokens=40),
        Settings(),
        None,
        Metrics(),
    )
    classifier._throughput.record = lambda rows, seconds: recorded.append(rows)  # type: ignore[method-assign]
    texts = ["my card " * 30, "refund", "parcel " * 40]
    try:
        batch = asyncio.run(classifier.classify(texts))
    finally:
        classifier.close()
    assert len(batch.results) == len(texts)
    assert sum(recorded) == pytest.approx(len(texts))
    assert len(recorded) > len(texts)


@pytest.mark.parametrize("of_single_texts", [0, 1])
@pytest.mark.parametrize("pair", [False, True])
def test_type_ids_are_those_of_the_tokenizers_template(
    tmp_path: Path, of_single_texts: int, pair: bool
) -> None:
    small = small_bundle(tmp_path)
    tokenizer = make_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"[CLS]:{of_single_texts} $A:{of_single_texts}",
        pair="[CLS] $A $B:1",
        special_tokens=[("[CLS]", 2)],
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    manifest = small.manifest.model_copy(
        update={"inputs": ["input_ids", "token_type_ids"], "text_pair": pair, "max_length": 16}
    )
    tokeniser = Tokeniser(Bundle(small.path, manifest, small.digest))
    padded = tokeniser.pad(tokeniser.encode([TextInput("my card", "lost it" if pair else None)] * 2))
    types = tokenizer.encode("my card", "lost it" if pair else None).type_ids
    assert set(types) == ({0, 1} if pair else {of_single_texts})
    np.testing.assert_array_equal(padded["token_type_ids"], [types] * 2)


@pytest.mark.parametrize("name", ["metadata", "token", "global"])
def test_io_binding_computes_the_logits_of_a_plain_run_for_every_input_type(
    bundles: dict[str, Bundle], name: str
) -> None:
    tokeniser = Tokeniser(bundles[name])
    padded = tokeniser.pad(tokeniser.encode(BY_NAME[name].rows))
    session = onnxruntime.InferenceSession(
        bundles[name].path / "onnx/model.onnx", providers=["CPUExecutionProvider"]
    )
    bound = run_with_io_binding(session, padded, "cpu", 0)
    np.testing.assert_array_equal(bound, OnnxRuntime(bundles[name], "fp32").infer(padded))
    assert bound.dtype == np.float32
