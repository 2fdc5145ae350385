"""Everything of a bundle but the training: files, graph, proof, manifest, and its place in the store."""

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Bundle, Manifest, VariantEntry, new_staging, publish
from stream.bundle.manifest import MetadataColumn, SpanRules, TargetScale, Task, Windows
from stream.classify.inputs import TextInput
from stream.classify.tokenise import Tokeniser
from stream.errors import UsageError
from stream.runtime.base import Padded
from trainer.export.card import model_card
from trainer.export.graph import export_onnx
from trainer.export.parity import Output, Validation, prove, unproven
from trainer.export.provenance import git_commit, library_versions
from trainer.export.reference import awkward_rows, spread, write_reference
from trainer.export.static_int8 import CALIBRATION_ROWS
from trainer.export.variants import VariantRecipe, add_variants, available_variants
from trainer.model.encoding import Preprocessing
from trainer.model.inference import torch_logits, torch_token_logits

Metric = Callable[[Sequence[int], Output], float]
"""The task's own figure of merit, larger is better: of the output for these of the rows given."""

ONNX_FILE = "onnx/model.onnx"
VARIANT = "fp32"


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
    rows: Sequence[TextInput],
    about: About,
    store: Path,
    stage: Callable[[str, int], Callable[[int], None]] = lambda _name, _total: lambda _done: None,
    variants: Sequence[VariantRecipe] | None = None,
    warn: Callable[[str], None] = lambda _: None,
    calibration: Sequence[TextInput] = (),
    metric: Metric | None = None,
) -> Bundle:
    """Export, prove and publish a trained classifier.

    A variant besides fp32 that cannot be made, or is over its tolerance, is left out with a warning.

    Args:
        staging: from `staging_folder`; files that are already there become part of the bundle.
        model: a classifier of transformers or a `trainer.model.heads.TextClassifier`, in float32.
        tokenizer: its fast tokenizer.
        served: what the manifest says of the task.
        rows: real rows to hold every graph against, best the validation rows; at most 1,000 of them, evenly
            spread, are kept in the bundle as reference.jsonl.
        about: the manifest's other fields.
        store: the bundle store.
        stage: opens a stage of so many units and returns what is told of the units done.
        variants: what to make from the fp32 graph; default: all that the installed libraries can.
        warn: told in one line of a variant that was left out.
        calibration: training rows; 300 of them, evenly spread, scale the activations of static int8.
        metric: the task's own, of `rows`; a variant may lose no more of it than its terms say.

    Raises:
        BundleError: the fp32 graph does not fit the worker or is over its tolerance; nothing was published.
    """
    model = model.cpu().float()
    kept = spread(len(rows))
    awkward = awkward_rows(
        tokenizer,
        served.max_length,
        pair=served.text_pair or served.task == "pair",
        metadata=served.metadata or (),
    )
    reference = [*(rows[at] for at in kept), *awkward]
    told = stage("export", 1)
    _write_configuration(staging, model, tokenizer, served)
    draft = _draft(staging, model, tokenizer, served, about)
    told(1)
    told = stage("verify", 2 * len(reference))
    infer = torch_token_logits if served.task == "token" else torch_logits
    preprocessing = Preprocessing(served.max_length, served.windows, served.metadata)
    logits = infer(model, tokenizer, reference, preprocessing, told)
    write_reference(staging, reference, logits)
    score = None if metric is None else lambda output: metric(kept, output)
    validation = Validation(len(kept), score)
    parity = prove(Bundle(staging, draft, digest=""), VARIANT, validation=validation, progress=told)
    entry = draft.variants[VARIANT].model_copy(update={"parity": parity})
    manifest = add_variants(
        staging,
        draft.model_copy(update={"variants": {VARIANT: entry}}),
        available_variants() if variants is None else variants,
        stage,
        warn,
        _calibration(staging, draft, calibration),
        validation,
        len(reference),
    )
    (staging / "metrics.json").write_bytes(orjson.dumps(about.metrics, option=orjson.OPT_INDENT_2) + b"\n")
    (staging / "README.md").write_text(model_card(manifest, about.metrics), encoding="utf-8")
    return publish(staging, manifest, store)


def _draft(staging: Path, model: Any, tokenizer: Any, served: Served, about: About) -> Manifest:
    """Export the fp32 graph, and say of it all that is known before it is measured."""
    width = sum(column.width for column in served.metadata or ())
    inputs = export_onnx(model, staging / ONNX_FILE, token=served.task == "token", metadata_columns=width)
    told = {name.name: getattr(served, name.name) for name in fields(served)}
    return Manifest(
        **told,
        name=about.name,
        inputs=inputs,
        pad_token_id=tokenizer.pad_token_id,
        variants={
            VARIANT: VariantEntry(
                file=ONNX_FILE,
                precision="fp32",
                size_bytes=(staging / ONNX_FILE).stat().st_size,
                parity=unproven(),
            )
        },
        data=dict(about.data),
        metrics=_summary(about.metrics),
        libraries=library_versions(),
        git=git_commit(),
        created_at=datetime.now(UTC),
    )


def _calibration(staging: Path, draft: Manifest, rows: Sequence[TextInput]) -> list[Padded]:
    """The graph's inputs for some training rows, one row each, by the worker's own tokenizer."""
    picked = [rows[at] for at in spread(len(rows), CALIBRATION_ROWS)]
    if not picked:
        return []
    tokeniser = Tokeniser(Bundle(staging, draft, digest=""))
    return [tokeniser.pad([tokens]) for tokens in tokeniser.encode(picked)]


def write_splits(file: Path, rows: Sequence[tuple[int, str | None, str]]) -> None:
    """Write which row went where: row number (from 1, without the header), id if there is one, split."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", "id", "split"))
        writer.writerows((row, key or "", split) for row, key, split in rows)


def _write_configuration(staging: Path, model: Any, tokenizer: Any, served: Served) -> None:
    tokenizer.model_max_length = served.max_length
    # The backend keeps the padding and truncation of its last call, which would be saved as the model's own.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.enable_truncation(served.max_length)
    tokenizer.save_pretrained(staging)
    model.config.id2label = dict(enumerate(served.labels))
    model.config.label2id = {label: at for at, label in enumerate(served.labels)}
    model.config.save_pretrained(staging)


def _summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    test = {k: v for k, v in metrics.get("test", {}).items() if k not in ("per_label", "confusion")}
    return {**metrics, **({"test": test} if test else {})}
