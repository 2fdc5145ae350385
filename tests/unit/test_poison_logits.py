"""Logits that a head cannot interpret cost only the text that they belong to, also with windows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.classify import Prediction, RowResult, Tokeniser, Tokens, make_head
from stream.classify.heads import Head
from stream.errors import Poison
from stream.runtime import Logits, PaddedBatch
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.small_bundle import small_bundle
from tests.unit.test_classifier import WordRuntime
from tests.unit.test_poison_texts import BATCH_FAULTS, StopWord, classifier_of, outcomes


class PickyHead:
    """A head that fails on a batch with a text of three words, of which one is `good`."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def predict(self, logits: Logits, tokens: Sequence[Tokens]) -> Sequence[RowResult]:
        if any(row[1] > 1 and len(of_row) == 3 for row, of_row in zip(logits, tokens, strict=True)):
            raise StopWord("a long good text")
        return self._head.predict(logits, tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._head, name)


async def test_only_the_text_on_which_the_head_fails_becomes_a_dead_letter(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    classifier = classifier_of(bundle, head=PickyHead(make_head(bundle.manifest)))
    assert await outcomes(classifier, "good", "good up up", "bad up up", "bad") == [
        "good",
        "model",
        "bad",
        "bad",
    ]


async def test_a_head_that_loses_a_result_costs_no_call_its_end(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    head = make_head(bundle.manifest)
    predict = head.predict
    head.predict = lambda logits, tokens: predict(logits, tokens)[:1]  # type: ignore[method-assign]
    assert await outcomes(classifier_of(bundle, head=head), "good", "bad", "word") == ["good", "bad", "bad"]


@pytest.mark.parametrize("name", ["single", "abstain", "ordinal", "many", "regression", "token"])
@pytest.mark.parametrize("shape", [(1,), (1, 7), (1, 1, 1), (1, 0), (2, 3, 4)])
def test_every_head_refuses_logits_of_another_shape(
    tmp_path_factory: pytest.TempPathFactory, name: str, shape: tuple[int, ...]
) -> None:
    bundle = make_bundle_of(BY_NAME[name], tmp_path_factory.mktemp(name))
    (tokens,) = Tokeniser(bundle).encode_rows(["my card"])
    with pytest.raises((ValueError, IndexError)):
        make_head(bundle.manifest).predict(np.zeros(shape, dtype=np.float32), [tokens])


@pytest.mark.parametrize("name", ["single", "many", "regression"])
def test_logits_that_overflow_become_poison_and_not_a_number(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    manifest = make_bundle_of(BY_NAME[name], tmp_path_factory.mktemp(name)).manifest
    scale = manifest.target.model_copy(update={"std": 1e300}) if manifest.target else None
    head = make_head(manifest.model_copy(update={"temperature": 1e-30, "target": scale}))
    logits = np.full((2, len(manifest.labels)), 3e38, dtype=np.float32)
    logits[1] = 0
    huge, zero = head.predict(logits, [])
    assert isinstance(huge, Poison)
    assert isinstance(zero, Prediction)


# --- windows


def window_runtime(change: Callable[[Logits], Any]) -> Any:
    class WindowRuntime(WordRuntime):
        def infer(self, inputs: PaddedBatch) -> Logits:
            rows = len(inputs["input_ids"])
            logits = np.zeros((rows, 3), dtype=np.float32)
            logits[:, 0] = 1
            return change(logits) if rows > 1 else logits

    return WindowRuntime()


@pytest.mark.parametrize("name", sorted(BATCH_FAULTS.keys() - {"one nan", "infinite"}))
async def test_windows_of_a_batch_with_wrong_logits_are_received_once(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    bundle = make_bundle_of(BY_NAME["windows"], tmp_path_factory.mktemp("windows"))
    classifier = classifier_of(bundle, runtime=window_runtime(BATCH_FAULTS[name]))
    texts = ["my card " * 20, "refund", "parcel " * 30]
    assert await outcomes(classifier, *texts) == ["billing"] * 3
    assert await outcomes(classifier, *texts) == ["billing"] * 3


async def test_a_window_without_finite_logits_makes_only_its_text_a_dead_letter(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bundle = make_bundle_of(BY_NAME["windows"], tmp_path_factory.mktemp("windows"))
    refund = Tokeniser(bundle).encode_rows(["refund"])[0].ids[1]

    class NanRuntime(WordRuntime):
        def infer(self, inputs: PaddedBatch) -> Logits:
            ids = inputs["input_ids"]
            logits = np.tile(np.array([1, 0, 0], dtype=np.float32), (len(ids), 1))
            logits[(ids == refund).any(axis=1)] = np.nan
            return logits

    classifier = classifier_of(bundle, runtime=NanRuntime())
    texts = ["my card " * 20, "my card " * 20 + "refund", "parcel " * 30, "refund"]
    assert await outcomes(classifier, *texts) == ["billing", "model", "billing", "model"]
