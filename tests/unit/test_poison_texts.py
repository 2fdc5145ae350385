"""A text that makes the tokenizer, the model or the head fail becomes a dead letter, and no other does."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from stream.bundle import Bundle
from stream.classify import (
    BatchLimits,
    Classifier,
    KeyMaker,
    LocalCache,
    ModelInput,
    ModelParts,
    Prediction,
    PredictionCache,
    Tokeniser,
    Tokens,
    WindowPool,
    make_head,
)
from stream.classify.cache import Key
from stream.classify.heads import Head
from stream.errors import BundleError, DeviceError, Poison, Reason
from stream.runtime import Logits, PaddedBatch
from tests.unit.small_bundle import WORDS, small_bundle
from tests.unit.test_classifier import RecordingObserver, WordRuntime

PANICS = "a" * 60 + "b"


class StopWord(BaseException):
    """An error that is no `Exception`, like a panic of a library in Rust."""


def panicking_tokenizer() -> Tokenizer:
    """Return a tokenizer whose regular expression backtracks without end on `PANICS`."""
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("(a|a|aa)+$"), "isolated")]
    )
    return tokenizer


def save(tokenizer: Tokenizer, bundle: Bundle) -> Bundle:
    tokenizer.save(str(bundle.path / "tokenizer.json"))
    return bundle


def classifier_of(
    bundle: Bundle,
    *,
    tokeniser: Any = None,
    runtime: Any = None,
    head: Head | None = None,
    cache: type[PredictionCache] = PredictionCache,
    local: int = 0,
) -> Classifier:
    used = head or make_head(bundle.manifest)
    windows = WindowPool(bundle.manifest, used) if bundle.manifest.windows else None
    return Classifier(
        ModelParts([runtime or WordRuntime()], tokeniser or Tokeniser(bundle), used, windows),
        cache(KeyMaker(bundle, "fp32"), LocalCache(local), None, used),
        RecordingObserver(),
        BatchLimits(max_rows=4, max_tokens=64),
        1.0,
    )


async def outcomes(classifier: Classifier, *inputs: ModelInput) -> list[str]:
    """Return the label of each input, or the reason of its dead letter."""
    results = (await asyncio.wait_for(classifier.classify(inputs), 60)).results
    return [r.reason.value if isinstance(r, Poison) else r.fields()["label"] for r in results]


# --- the tokenizer


async def test_a_text_that_makes_the_tokenizer_panic_is_isolated(tmp_path: Path) -> None:
    classifier = classifier_of(save(panicking_tokenizer(), small_bundle(tmp_path)))
    texts = [*(f"good {n}" for n in range(20)), PANICS, *(f"bad {n}" for n in range(20)), f"x {PANICS}"]
    with capture_logs() as lines:
        assert await outcomes(classifier, *texts) == [*["good"] * 20, "model", *["bad"] * 20, "model"]
    (line,) = lines
    assert line["errors"] == {"PanicException": 2}
    assert "aaaa" not in str(line)


async def test_calls_that_wait_for_the_same_panicking_text_all_get_the_dead_letter(tmp_path: Path) -> None:
    classifier = classifier_of(save(panicking_tokenizer(), small_bundle(tmp_path)))
    found = await asyncio.gather(
        outcomes(classifier, PANICS, "good", PANICS), outcomes(classifier, "bad", PANICS)
    )
    assert [*found] == [["model", "good", "model"], ["bad", "model"]]
    assert await outcomes(classifier, PANICS, "good") == ["model", "good"], "the classifier still works"


async def test_the_message_of_a_panic_holds_neither_the_text_nor_the_error(tmp_path: Path) -> None:
    classifier = classifier_of(save(panicking_tokenizer(), small_bundle(tmp_path)))
    (result,) = (await classifier.classify([PANICS])).results
    assert isinstance(result, Poison)
    assert result.reason is Reason.MODEL
    assert str(result) == "the tokenizer failed on this text"


class FailingTokeniser:
    """A tokenizer that fails on a text, and on all texts after it until it is loaded again."""

    def __init__(self, bundle: Bundle, fails_on: str = "poison", *, reload_helps: bool = True) -> None:
        self._tokeniser = Tokeniser(bundle)
        self._fails_on = fails_on
        self._reload_helps = reload_helps
        self.broken = False
        self.loads = 0
        self.calls = 0

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]:
        self.calls += 1
        if self.broken or any(self._fails_on in given for given in inputs):
            self.broken = True
            raise StopWord("the lock is poisoned")
        return self._tokeniser.encode_inputs(inputs)

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> PaddedBatch:
        return self._tokeniser.pad(rows, width_multiple)

    def reload(self) -> None:
        self.loads += 1
        self.broken = not self._reload_helps


async def test_a_tokenizer_that_a_panic_has_broken_is_loaded_again(tmp_path: Path) -> None:
    tokeniser = FailingTokeniser(small_bundle(tmp_path))
    classifier = classifier_of(small_bundle(tmp_path), tokeniser=tokeniser)
    assert await outcomes(classifier, "good", "bad", "poison", "good word", "word") == [
        "good",
        "bad",
        "model",
        "good",
        "bad",
    ]
    assert tokeniser.loads > 0


async def test_a_tokenizer_that_cannot_be_restored_ends_the_worker_with_its_cause(tmp_path: Path) -> None:
    tokeniser = FailingTokeniser(small_bundle(tmp_path), reload_helps=False)
    classifier = classifier_of(small_bundle(tmp_path), tokeniser=tokeniser)
    texts = [f"good {number}" for number in range(4_000)]
    with pytest.raises(BundleError) as raised:
        await outcomes(classifier, *texts, "poison")
    assert raised.value.exit_code == 3
    assert "StopWord: the lock is poisoned" in raised.value.cause
    assert tokeniser.calls < 100, "it stops at the first text that a working tokenizer does not explain"


async def test_a_text_without_tokens_becomes_a_dead_letter(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({word: at for at, word in enumerate(WORDS)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens(["good", "bad", "warm", "up"])
    classifier = classifier_of(save(tokenizer, small_bundle(tmp_path)))
    assert await outcomes(classifier, "good", "☃", "bad", "☃☃ ☃") == ["good", "model", "bad", "model"]
    (result,) = (await classifier.classify(["☃"])).results
    assert str(result) == "the tokenizer returns no tokens for this text"


class LongTokens:
    """More tokens than the bundle's maximum length of 8."""

    ids = [WORDS.index("bad")] * 9
    type_ids = [0] * 9

    def __len__(self) -> int:
        return len(self.ids)


async def test_a_text_with_more_tokens_than_the_maximum_length_becomes_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Tokeniser.encode_inputs

    def untruncated(tokeniser: Tokeniser, inputs: Sequence[ModelInput]) -> list[Tokens]:
        encoded = zip(inputs, encode(tokeniser, inputs), strict=True)
        return [LongTokens() if given == "long" else tokens for given, tokens in encoded]

    monkeypatch.setattr(Tokeniser, "encode_inputs", untruncated)
    classifier = classifier_of(small_bundle(tmp_path))
    assert await outcomes(classifier, "good", "long", "bad") == ["good", "model", "bad"]


def test_a_bundle_whose_special_tokens_fill_the_maximum_length_is_refused(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path, max_length=2)
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[PAD] $A [UNK]", pair="[PAD] $A $B", special_tokens=[("[PAD]", 0), ("[UNK]", 1)]
    )
    save(tokenizer, bundle)
    with pytest.raises(BundleError, match="cannot be loaded"):
        Tokeniser(bundle)


def test_a_tokenizer_file_that_cannot_be_read_is_a_bundle_error(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    tokeniser = Tokeniser(bundle)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(BundleError, match="cannot be loaded"):
        tokeniser.reload()


# --- the cache keys


class PickyCache(PredictionCache):
    """A cache that makes no key for a text with `odd`."""

    def keys(self, inputs: Any) -> list[Key]:
        if any("odd" in given for given in inputs):
            raise StopWord("no key")
        return super().keys(inputs)


async def test_a_text_without_a_cache_key_is_isolated(tmp_path: Path) -> None:
    classifier = classifier_of(small_bundle(tmp_path), cache=PickyCache, local=10)
    assert await outcomes(classifier, "good", "odd", "bad", "odd good") == ["good", "model", "bad", "model"]
    batch = await classifier.classify(["good", "odd"])
    assert [isinstance(r, Prediction) and r.cached for r in batch.results] == [True, False]


# --- the model


class OddRuntime(WordRuntime):
    """A runtime that returns wrong logits for batches of some sizes, or for a word."""

    def __init__(self, change: Callable[[np.ndarray, Logits], Any]) -> None:
        super().__init__()
        self._change = change

    def infer(self, inputs: PaddedBatch) -> Logits:
        logits: Logits = self._change(inputs["input_ids"], super().infer(inputs))
        return logits


def of_two_rows(change: Callable[[Logits], Any]) -> Callable[[np.ndarray, Logits], Any]:
    return lambda ids, logits: change(logits) if len(ids) == 2 else logits


BATCH_FAULTS: dict[str, Callable[[Logits], Any]] = {
    "nan": lambda logits: np.full_like(logits, np.nan),
    "one nan": lambda logits: np.where([[True], [False]], np.nan, logits),
    "infinite": lambda logits: np.where([[False], [True]], -np.inf, logits),
    "fewer rows": lambda logits: logits[:0],
    "more rows": lambda logits: np.concatenate([logits, logits]),
    "fewer labels": lambda logits: logits[:, :1],
    "more labels": lambda logits: np.concatenate([logits, logits], axis=1),
    "no labels": lambda logits: logits[:, 0],
    "a dimension more": lambda logits: logits[:, :, None],
    "no array": lambda logits: None,
    "text": lambda logits: logits.astype(str),
}


@pytest.mark.parametrize("name", BATCH_FAULTS)
async def test_logits_that_are_wrong_for_one_batch_size_cost_no_row_its_label(
    tmp_path: Path, name: str
) -> None:
    runtime = OddRuntime(of_two_rows(BATCH_FAULTS[name]))
    classifier = classifier_of(small_bundle(tmp_path), runtime=runtime)
    assert await outcomes(classifier, "good", "bad") == ["good", "bad"]


@pytest.mark.parametrize("name", BATCH_FAULTS)
async def test_logits_that_are_always_wrong_end_the_worker(tmp_path: Path, name: str) -> None:
    change = BATCH_FAULTS[name]
    runtime = OddRuntime(lambda _ids, logits: change(np.concatenate([logits, logits])[:2]))
    classifier = classifier_of(small_bundle(tmp_path), runtime=runtime)
    with pytest.raises(DeviceError):
        await outcomes(classifier, "good", "bad", "word")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_only_the_row_without_finite_logits_becomes_a_dead_letter(tmp_path: Path, value: float) -> None:
    poison = WORDS.index("word")
    runtime = OddRuntime(
        lambda ids, logits: np.where((ids == poison).any(axis=1)[:, None], np.float32(value), logits)
    )
    classifier = classifier_of(small_bundle(tmp_path), runtime=runtime)
    assert await outcomes(classifier, "good", "word", "bad", "good up") == ["good", "model", "bad", "good"]


@pytest.mark.parametrize("error", [StopIteration("end"), StopWord("panic"), GeneratorExit()])
async def test_an_error_of_any_class_in_a_thread_reaches_the_calls(
    tmp_path: Path, error: BaseException
) -> None:
    def fail(ids: np.ndarray, logits: Logits) -> Logits:
        raise error

    classifier = classifier_of(small_bundle(tmp_path), runtime=OddRuntime(fail))
    with pytest.raises(BaseException) as raised:
        await asyncio.wait_for(classifier.classify(["good"]), 10)
    assert not isinstance(raised.value, TimeoutError)
