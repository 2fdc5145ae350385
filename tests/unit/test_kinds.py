"""Every kind of classifier through the real runtimes: the twin's logits, and what its events say."""

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
from stream.classify.heads import make_head
from stream.classify.inputs import InputReader, Prediction, TextInput
from stream.classify.queue import Limits
from stream.classify.tokenise import RowTokens, Tokeniser, Tokens
from stream.classify.windows import WindowPool, pool
from stream.errors import Poison
from stream.observe.metrics import Metrics
from stream.records import Event, LabelEncoder
from stream.runtime import OnnxRuntime
from stream.runtime.onnx import run_bound
from stream.runtime.openvino import open_streams
from stream.schemas import load_schema
from stream.settings import Settings
from stream.verify.parity import compare, infer_all, read_reference, within_tolerance
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
    """What the stream's own classifier says."""
    tokeniser = Tokeniser(bundle)
    limits = Limits(max_rows=max_rows, max_tokens=max_tokens)
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
def test_every_runtime_says_what_the_twin_says(bundles: dict[str, Bundle], name: str, device: str) -> None:
    bundle = bundles[name]
    rows, wanted = read_reference(bundle)
    runtime = OnnxRuntime(bundle, "fp32") if device == "cpu" else open_streams(bundle, "fp32", 1)[0]
    done: list[int] = []
    found = infer_all(runtime, Tokeniser(bundle), rows, done.append)
    parity = compare(wanted, found, tolerance=1e-3, min_label_agreement=1, manifest=bundle.manifest)
    assert within_tolerance(parity), parity
    assert parity.rows == len(wanted)
    assert sum(done) == len(rows)


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.task != "token"])
def test_the_stream_says_what_the_twins_logits_mean(bundles: dict[str, Bundle], name: str) -> None:
    bundle = bundles[name]
    rows, logits = read_reference(bundle)
    wanted = make_head(bundle.manifest).predictions(logits, ())
    for said, meant in zip(classify(bundle, rows), wanted, strict=True):
        assert isinstance(said, Prediction)
        assert isinstance(meant, Prediction)
        assert said.fields() == _near(meant.fields())


def _near(fields: dict[str, object]) -> dict[str, object]:
    near: dict[str, object] = {}
    for name, value in fields.items():
        numbers = isinstance(value, float | dict)
        near[name] = pytest.approx(value, abs=1e-4) if numbers else value
    return near


@pytest.mark.parametrize("name", NAMES)
def test_what_every_head_writes_fits_the_schema(bundles: dict[str, Bundle], name: str) -> None:
    validator = jsonschema.Draft202012Validator(load_schema("label.v1"))
    encoder = LabelEncoder(name=name, version="1", digest="sha256:" + "a" * 64, variant="fp32")
    for result in classify(bundles[name], BY_NAME[name].rows):
        assert isinstance(result, Prediction)
        event = Event(FakeRecord(b"{}"), "id", "text")
        (label,) = encoder.write(SOURCE, 0, [event], [result])
        validator.validate(orjson.loads(label.value or b""))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_says_the_same_again(bundles: dict[str, Bundle], name: str) -> None:
    kind, manifest = BY_NAME[name], bundles[name].manifest
    found = [r for r in classify(bundles[name], kind.rows) if isinstance(r, Prediction)]
    head = make_head(manifest)
    inputs = InputReader(manifest).read(kind.rows)
    assert all(head.fits(prediction.scores) for prediction in found)
    again = head.restored([prediction.scores for prediction in found], inputs)
    assert [prediction._replace(cached=False) for prediction in again] == found
    assert {prediction.cached for prediction in again} == {True}
    assert not head.fits(b"")
    assert not head.fits(found[0].scores + b"x")


def test_windows_of_one_text_may_be_inferred_apart_and_say_the_same(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["windows"]
    together = classify(bundle, BY_NAME["windows"].rows, max_rows=64, max_tokens=4096)
    apart = classify(bundle, BY_NAME["windows"].rows, max_rows=1, max_tokens=1)
    for one, other in zip(together, apart, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert one.fields() == _near(other.fields())


def test_a_long_text_counts_beyond_the_maximum_length_with_windows_only(bundles: dict[str, Bundle]) -> None:
    start = "my card was charged twice where is my refund it never came in the rain "
    rows = [TextInput(start + end) for end in ("parcel " * 20, "account " * 20)]
    one, other = classify(bundles["single"], rows)
    assert isinstance(one, Prediction)
    assert isinstance(other, Prediction)
    assert one.members == other.members, "cut"
    one, other = classify(bundles["windows"], rows)
    assert isinstance(one, Prediction)
    assert isinstance(other, Prediction)
    assert one.members != other.members, "read in windows"


def test_tags_behind_the_cut_are_found_with_windows(bundles: dict[str, Bundle]) -> None:
    text = "my card was charged twice and the parcel left in the rain where is my refund " * 2
    (cut,) = classify(bundles["token"], [TextInput(text)])
    (whole,) = classify(bundles["token-windows"], [TextInput(text)])
    assert isinstance(cut, Prediction)
    assert isinstance(whole, Prediction)
    assert max(span["end"] for span in cut.fields()["spans"]) < 90
    assert max(span["end"] for span in whole.fields()["spans"]) > 120
    for span in whole.fields()["spans"]:
        assert span["text"] == text[span["start"] : span["end"]]


def test_metadata_the_bundle_does_not_read_changes_nothing(bundles: dict[str, Bundle]) -> None:
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


def test_a_window_that_fails_makes_its_text_poison_once(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["windows"].manifest
    assert manifest.windows is not None
    windows = WindowPool(manifest.windows, manifest, make_head(manifest).predictions)
    (tokens,) = Tokeniser(bundles["windows"]).encode([TextInput("my card " * 20)])
    cut = windows.cut(tokens)
    assert len(cut) > 2
    poison = Poison.__new__(Poison)
    assert windows.mark_failed(cut[1], poison) is None
    logits = np.zeros((len(cut) - 1, 3), dtype=np.float32)
    outcomes = windows.outcomes(logits, [window for window in cut if window is not cut[1]])
    assert outcomes[:-1] == [None] * (len(cut) - 2)
    assert outcomes[-1] is poison


def test_a_text_that_the_head_fails_on_is_poison_and_the_others_are_not(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["windows"].manifest
    assert manifest.windows is not None
    head = make_head(manifest)

    def judge(logits: np.ndarray, tokens: Sequence[Tokens]) -> Sequence[Prediction | Poison]:
        if (logits > 5).any():
            raise ArithmeticError("too much")
        return head.predictions(logits, tokens)

    windows = WindowPool(manifest.windows, manifest, judge)
    cut = [
        windows.cut(tokens)[0] for tokens in Tokeniser(bundles["windows"]).encode([TextInput("my card")] * 2)
    ]
    good, bad = windows.outcomes(np.array([[0, 0, 0], [9, 0, 0]], dtype=np.float32), cut)
    assert isinstance(good, Prediction)
    assert isinstance(bad, Poison)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_window_without_finite_logits_spoils_its_text(pooling: str) -> None:
    logits = np.array([[1, 2], [-np.inf, 3]], dtype=np.float32)
    assert np.isnan(pool(logits, pooling)).all()


def test_no_more_windows_than_the_bundle_allows(bundles: dict[str, Bundle]) -> None:
    (tokens,) = Tokeniser(bundles["windows-max"]).encode([TextInput("my card " * 100)])
    assert isinstance(tokens, RowTokens)
    assert len(tokens.windows(3)) == 3
    assert len(tokens.windows(100)) > 10


def test_windows_count_as_parts_of_a_row_in_the_models_pace(bundles: dict[str, Bundle]) -> None:
    bundle, noted = bundles["windows"], []
    classifier = make_classifier(
        bundle,
        "fp32",
        [OnnxRuntime(bundle, "fp32")],
        Tokeniser(bundle),
        Limits(max_rows=2, max_tokens=40),
        Settings(),
        None,
        Metrics(),
    )
    classifier._batcher.pace.note = lambda rows, seconds: noted.append(rows)  # type: ignore[method-assign]
    texts = ["my card " * 30, "refund", "parcel " * 40]
    try:
        answers = asyncio.run(classifier.classify(texts))
    finally:
        classifier.close()
    assert len(answers.results) == len(texts)
    assert sum(noted) == pytest.approx(len(texts))
    assert len(noted) > len(texts)


@pytest.mark.parametrize("of_single_texts", [0, 1])
@pytest.mark.parametrize("pair", [False, True])
def test_types_of_tokens_are_those_of_the_tokenizers_template(
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
def test_bound_inputs_of_every_type_give_the_logits_that_run_gives(
    bundles: dict[str, Bundle], name: str
) -> None:
    tokeniser = Tokeniser(bundles[name])
    padded = tokeniser.pad(tokeniser.encode(BY_NAME[name].rows))
    session = onnxruntime.InferenceSession(
        bundles[name].path / "onnx/model.onnx", providers=["CPUExecutionProvider"]
    )
    bound = run_bound(session, padded, "cpu", 0)
    np.testing.assert_array_equal(bound, OnnxRuntime(bundles[name], "fp32").infer(padded))
    assert bound.dtype == np.float32
