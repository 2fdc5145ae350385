"""The PyTorch model in a bundle: transformers, `trainer.load`, `predict` and the worker's runtime agree."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import trainer
from stream.bundle import Bundle
from stream.classify import TextInput, Tokeniser, merge_tokens
from stream.commands.predict import predict
from stream.runtime import OnnxRuntime
from stream.verify import infer_all
from tests.real.architectures import ARCHITECTURES, make_architecture
from tests.real.given_back import KINDS, GivenBack
from tests.real.tiny_bundle import TEXTS
from trainer.model.heads import TextClassifier
from trainer.model.layers import encoder_of
from trainer.model.saving import loadable_model, write_model

pytestmark = pytest.mark.slow
CLOSE = 1e-5


@pytest.mark.parametrize("name", KINDS)
def test_every_reader_of_a_bundle_computes_the_same(
    bundle_of: Callable[[str], Bundle], tmp_path: Path, name: str
) -> None:
    kind = KINDS[name]
    if kind.lora:
        pytest.importorskip("peft")
    bundle = bundle_of(name)
    loaded = trainer.load(bundle.path)
    onnx = infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), kind.rows)
    ours = loaded.logits(kind.rows)
    np.testing.assert_allclose(np.concatenate([*ours]) if kind.task == "token" else ours, onnx, atol=CLOSE)
    assert np.ptp(onnx, axis=0).max() > 0.1, "the logits of this kind differ between rows"
    found = transformers_logits(bundle.path, kind)
    for row, logits in enumerate(worker_logits(bundle, kind.rows)):
        np.testing.assert_allclose(found[row], logits, atol=CLOSE)
    close(loaded.predict(kind.rows), predictions(bundle, kind.rows, tmp_path))


@pytest.mark.parametrize("token", [False, True], ids=["texts", "tokens"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_own_head_on_every_architecture_is_loaded_again(
    given_back_store: Path, tmp_path: Path, name: str, token: bool
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    standard, tokenizer = make_architecture(name, token=token)
    pooling: Any = "tokens" if token else "mean"
    model = TextClassifier(encoder_of(standard), pooling=pooling, classifier="mlp").eval()
    write_model(loadable_model(model, token=token), tmp_path)
    auto_model = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    again, found = auto_model.from_pretrained(tmp_path, trust_remote_code=True, output_loading_info=True)
    assert not any(found.values()), found
    batch = tokenizer([TEXTS[0], "a"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(again.eval()(**batch).logits, model(**batch).logits, atol=CLOSE)


def transformers_logits(folder: Path, kind: GivenBack) -> list[np.ndarray]:
    """Return the logits of `from_pretrained`: [labels] of each row, or [own tokens, labels] of tags."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
    )

    auto_model = (
        AutoModelForTokenClassification if kind.task == "token" else AutoModelForSequenceClassification
    )
    model = auto_model.from_pretrained(folder, trust_remote_code=kind.own)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=kind.own)
    assert model.config.architectures == [type(model).__name__]
    assert model.dtype == torch.float32
    pairs = [row.text_pair for row in kind.rows] if kind.pair else None
    batch = tokenizer(
        [row.text for row in kind.rows],
        pairs,
        padding=True,
        truncation=True,
        return_tensors="pt",
        return_special_tokens_mask=True,
    )
    special = batch.pop("special_tokens_mask").bool().numpy()
    if "metadata" in kind.settings:
        batch["metadata"] = model.encode_metadata([row.metadata for row in kind.rows])
    with torch.inference_mode():
        logits = model(**batch).logits.numpy()
    return [row[~of] for row, of in zip(logits, special, strict=True)] if kind.task == "token" else [*logits]


def worker_logits(bundle: Bundle, rows: Sequence[TextInput]) -> list[np.ndarray]:
    """Return the logits of the worker's runtime: [labels] of each row, or [own tokens, labels] of tags."""
    runtime, tokeniser = OnnxRuntime(bundle, "fp32"), Tokeniser(bundle)
    if bundle.manifest.head != "token":
        return [*infer_all(runtime, tokeniser, rows)]
    found = []
    for encoded in tokeniser.encode(rows):
        windows = bundle.manifest.windows
        parts: Any = encoded.windows(windows.most if windows else 1)  # type: ignore[attr-defined]
        logits = [runtime.infer(tokeniser.pad([part]))[0] for part in parts]
        found.append(merge_tokens(logits, parts, windows.stride if windows else 0)[0])
    return found


def predictions(bundle: Bundle, rows: Sequence[TextInput], folder: Path) -> list[dict[str, Any]]:
    """Return what `labelstream predict` writes for rows, without the columns of the input."""
    members = [{"text": row.text, "text_pair": row.text_pair, "metadata": row.metadata} for row in rows]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in members))
    app = typer.Typer()
    app.command()(predict)
    files = ["--input", str(folder / "in.jsonl"), "--output", str(folder / "out.jsonl"), "--columns", "none"]
    # `auto` may choose bf16, whose figures are less exact.
    done = CliRunner().invoke(app, [str(bundle.path), "--variant", "fp32", *files])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in ("row", "text", "text_pair")}
        for line in lines
    ]


def close(found: Any, expected: Any) -> None:
    """Check that two JSON values are equal, numbers to 1e-5."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=CLOSE * max(1.0, abs(expected)))
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            close(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            close(mine, theirs)
    else:
        assert found == expected
