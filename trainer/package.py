"""Everything of a bundle but the training: files, graph, proof, manifest, and its place in the store."""

import contextlib
import csv
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Bundle, Manifest, VariantEntry, new_staging, publish
from stream.bundle.manifest import MetadataColumn, SpanRules, TargetScale, Task, Windows
from stream.classify.inputs import TextInput
from stream.errors import UsageError
from trainer.card import model_card
from trainer.export import export_onnx
from trainer.inference import torch_logits
from trainer.parity import prove, reference_texts, unproven, write_reference
from trainer.variants import VARIANTS, VariantRecipe, add_variants

ONNX_FILE = "onnx/model.onnx"
VARIANT = "fp32"
LIBRARIES = (
    "labelstream",
    "torch",
    "transformers",
    "tokenizers",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class About:
    """What the manifest and the model card tell besides the model itself.

    Attributes:
        name: of the bundle.
        data: digest of the input file, its row and class counts, the splits' sizes.
        metrics: everything that was measured; goes to metrics.json whole, without `test.confusion` and
            `test.per_label` to the manifest.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """What the manifest says of the task beside the graph; the fields are the manifest's."""

    task: Task
    labels: list[str]
    max_length: int
    text_pair: bool = False
    values: list[float] | None = None
    thresholds: dict[str, float] | None = None
    abstain_below: float | None = None
    temperature: float = 1.0
    target: TargetScale | None = None
    metadata: list[MetadataColumn] | None = None
    windows: Windows | None = None
    spans: SpanRules | None = None


@contextlib.contextmanager
def staging_folder(store: Path, name: str) -> Iterator[Path]:
    """A folder to build the next version of `name` in; whatever is not published from it is removed.

    Raises:
        UsageError: the store cannot be written.
    """
    try:
        staging = new_staging(store, name)
    except OSError as exc:
        raise UsageError(
            f"the bundle store {store} cannot be written", why=str(exc), mend="give another --bundle-store"
        ) from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in (store / name, store):
            with contextlib.suppress(OSError):
                folder.rmdir()


def build_bundle(
    staging: Path,
    model: Any,
    tokenizer: Any,
    served: Served,
    real: Sequence[TextInput],
    about: About,
    store: Path,
    stage: Callable[[str, int], Callable[[int], None]] = lambda _name, _total: lambda _done: None,
    variants: Sequence[VariantRecipe] = VARIANTS,
    warn: Callable[[str], None] = lambda _: None,
    calibration: Sequence[TextInput] = (),
) -> Bundle:
    """Export, prove and publish a trained classifier.

    A variant besides fp32 that cannot be made, or is over its tolerance, is left out with a warning.

    Args:
        staging: from `staging_folder`; files that are already there become part of the bundle.
        model: a sequence classifier in float32 whose id2label names the labels.
        tokenizer: its fast tokenizer.
        served: what the manifest says of the task.
        real: rows for the reference, kept in the bundle as reference.jsonl.
        about: the manifest's other fields.
        store: the bundle store.
        stage: opens a stage of so many units and returns what is told of the units done.
        variants: what to make from the fp32 graph.
        warn: told in one line of a variant that was left out.

    Raises:
        BundleError: the fp32 graph does not fit the worker or is over its tolerance; nothing was published.
    """
    model = model.cpu().float()
    max_length = served.max_length
    rows = reference_texts([row.text for row in real], tokenizer, max_length)
    told = stage("export", 1)
    _write_configuration(staging, model, tokenizer, max_length)
    inputs = export_onnx(model, staging / ONNX_FILE)
    told(1)
    told = stage("verify", 2 * len(rows))
    write_reference(
        staging,
        rows,
        torch_logits(
            model, tokenizer, [TextInput(row) for row in rows], max_length=max_length, progress=told
        ),
    )
    draft = Manifest(
        name=about.name,
        task=served.task,
        labels=served.labels,
        max_length=max_length,
        temperature=served.temperature,
        inputs=inputs,
        pad_token_id=tokenizer.pad_token_id,
        variants={
            VARIANT: VariantEntry(
                file=ONNX_FILE,
                precision="fp32",
                size_bytes=(staging / ONNX_FILE).stat().st_size,
                parity=unproven(len(rows)),
            )
        },
        data=dict(about.data),
        metrics=_summary(about.metrics),
        libraries=_libraries(),
        git=_git_commit(),
        created_at=datetime.now(UTC),
    )
    parity = prove(Bundle(staging, draft, digest=""), VARIANT, told)
    entry = draft.variants[VARIANT].model_copy(update={"parity": parity})
    proven = draft.model_copy(update={"variants": {VARIANT: entry}})
    manifest = add_variants(staging, proven, variants, stage, warn)
    (staging / "metrics.json").write_bytes(orjson.dumps(about.metrics, option=orjson.OPT_INDENT_2) + b"\n")
    (staging / "README.md").write_text(model_card(manifest, about.metrics), encoding="utf-8")
    return publish(staging, manifest, store)


def write_splits(file: Path, rows: Sequence[tuple[int, str | None, str]]) -> None:
    """Write which row went where: row number (from 1, without the header), id if there is one, split."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", "id", "split"))
        writer.writerows((row, key or "", split) for row, key, split in rows)


def _write_configuration(staging: Path, model: Any, tokenizer: Any, max_length: int) -> None:
    tokenizer.model_max_length = max_length
    # The backend keeps the padding and truncation of its last call, which would be saved as the model's own.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.enable_truncation(max_length)
    tokenizer.save_pretrained(staging)
    model.config.save_pretrained(staging)


def _summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    test = {k: v for k, v in metrics.get("test", {}).items() if k not in ("per_label", "confusion")}
    return {**metrics, **({"test": test} if test else {})}


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _git_commit() -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
