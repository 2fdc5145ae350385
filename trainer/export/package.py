"""The build of a bundle: files, fp32 graph, parity checks, variants, manifest and publication."""

import contextlib
import csv
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from stream import __version__
from stream.bundle import Bundle, Manifest, VariantEntry, new_staging, publish
from stream.classify import TextInput, Tokeniser
from stream.errors import BundleError, UsageError
from stream.runtime import PaddedBatch
from trainer.export.bundle_source import BuildObserver, BundleSource
from trainer.export.card import model_card
from trainer.export.graph import export_onnx
from trainer.export.parity import ValidationRows, check_parity, unmeasured_parity
from trainer.export.reference import edge_case_rows, evenly_spaced, write_reference
from trainer.export.variants import CALIBRATION_ROWS, available_variants, make_variant
from trainer.model.inference import ModelOutput, Progress, torch_logits, torch_token_logits

MAX_REFERENCE_ROWS = 1000
ONNX_FILE = "onnx/model.onnx"
REQUIRED_VARIANT = "fp32"
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "nncf",
    "numpy",
)


@contextlib.contextmanager
def staging_folder(store: Path, name: str) -> Iterator[Path]:
    """Yield a folder for building the next version of a bundle; unpublished files are removed at the end.

    Raises:
        UsageError: the store is not writable.
    """
    try:
        staging = new_staging(store, name)
    except OSError as exc:
        raise UsageError(
            f"the bundle store {store} cannot be written", cause=str(exc), fix="pass another --bundle-store"
        ) from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in (store / name, store):
            with contextlib.suppress(OSError):
                folder.rmdir()


def build_bundle(
    source: BundleSource, staging: Path, store: Path, observer: BuildObserver = BuildObserver()
) -> Bundle:
    """Export a trained classifier, check the parity of every variant with PyTorch, and publish the bundle.

    A variant other than fp32 that cannot be made or exceeds its parity limits is skipped with a warning.

    Args:
        source: the classifier, its manifest fields and the rows for the parity checks.
        staging: the folder of `staging_folder`; files that it already holds become part of the bundle.
        store: the bundle store.
        observer: reports progress and warnings.

    Raises:
        BundleError: the fp32 graph does not fit the worker or exceeds its tolerance, or the manifest has a
            value that no worker accepts; nothing is published.
    """
    source.model.cpu().float()
    kept = evenly_spaced(len(source.rows), MAX_REFERENCE_ROWS)
    reference = [
        *(source.rows[at] for at in kept),
        *edge_case_rows(
            source.tokenizer,
            source.inference.max_length,
            pair=source.inference.takes_pair,
            metadata=source.inference.metadata or (),
        ),
    ]
    progress = observer.stage("export", 1)
    _write_configuration(source, staging)
    draft = Bundle(staging, _draft_manifest(source, staging), digest="")
    progress(1)
    progress = observer.stage("verify", 2 * len(reference))
    write_reference(staging, reference, _reference_logits(source, reference, progress))
    metric = source.metric
    score = None if metric is None else lambda output: metric(kept, output)
    validation = ValidationRows(len(kept), score)
    parity = check_parity(draft, REQUIRED_VARIANT, validation=validation, progress=progress)
    entry = draft.manifest.variants[REQUIRED_VARIANT].model_copy(update={"parity": parity})
    variants = {
        REQUIRED_VARIANT: entry,
        **_make_variants(source, draft, len(reference), validation, observer),
    }
    manifest = draft.manifest.model_copy(update={"variants": variants})
    metrics = source.info.metrics
    (staging / "metrics.json").write_bytes(orjson.dumps(metrics, option=orjson.OPT_INDENT_2) + b"\n")
    (staging / "README.md").write_text(model_card(manifest, metrics), encoding="utf-8")
    return publish(staging, manifest, store)


def write_splits(file: Path, rows: Sequence[tuple[int, str | None, str]]) -> None:
    """Write the split of each row as CSV: row number (from 1, without the header), id or "", split."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", "id", "split"))
        writer.writerows((row, key or "", split) for row, key, split in rows)


def _write_configuration(source: BundleSource, staging: Path) -> None:
    tokenizer, labels, max_length = source.tokenizer, source.inference.labels, source.inference.max_length
    tokenizer.model_max_length = max_length
    # The Rust tokenizer would otherwise save the padding and truncation of its last call.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.enable_truncation(max_length)
    tokenizer.save_pretrained(staging)
    source.model.config.id2label = dict(enumerate(labels))
    source.model.config.label2id = {label: at for at, label in enumerate(labels)}
    source.model.config.save_pretrained(staging)


def _draft_manifest(source: BundleSource, staging: Path) -> Manifest:
    """Export the fp32 graph and return the manifest, with a parity that is not measured yet."""
    inference, info = source.inference, source.info
    inputs = export_onnx(
        source.model,
        staging / ONNX_FILE,
        token=inference.task == "token",
        metadata_columns=inference.preprocessing.metadata_width,
    )
    try:
        return _manifest(source, staging, inputs)
    except ValidationError as exc:
        found = exc.errors(include_url=False)[0]
        raise BundleError(
            f"the bundle {info.name} cannot have this manifest",
            cause=f"{'.'.join(map(str, found['loc']))}: {found['msg']}",
            fix="correct the data or the option that this value comes from",
        ) from None


def _manifest(source: BundleSource, staging: Path, inputs: list[str]) -> Manifest:
    inference, info = source.inference, source.info
    return Manifest(
        **{attribute.name: getattr(inference, attribute.name) for attribute in fields(inference)},
        name=info.name,
        inputs=inputs,
        pad_token_id=source.tokenizer.pad_token_id,
        variants={
            REQUIRED_VARIANT: VariantEntry(
                file=ONNX_FILE,
                precision="fp32",
                size_bytes=(staging / ONNX_FILE).stat().st_size,
                parity=unmeasured_parity(),
            )
        },
        data=dict(info.data),
        metrics=_summary(info.metrics),
        libraries=_library_versions(),
        git=_git_commit(),
        created_at=datetime.now(UTC),
    )


def _reference_logits(source: BundleSource, rows: Sequence[TextInput], progress: Progress) -> ModelOutput:
    inference = source.inference
    infer = torch_token_logits if inference.task == "token" else torch_logits
    return infer(source.model, source.tokenizer, rows, inference.preprocessing, progress)


def _make_variants(
    source: BundleSource, draft: Bundle, rows: int, validation: ValidationRows, observer: BuildObserver
) -> dict[str, VariantEntry]:
    """Return the manifest entries of the variants within their limits; `rows` counts the reference rows."""
    calibration = _calibration_inputs(draft, source.calibration)
    found = {}
    for recipe in available_variants() if source.variants is None else source.variants:
        progress = observer.stage(f"verify {recipe.name}", rows)
        entry, reason = make_variant(draft, recipe, calibration, validation, progress)
        if entry is None:
            (draft.path / recipe.file).unlink(missing_ok=True)
            observer.warn(f"variant {recipe.name} is skipped: {reason}")
        else:
            found[recipe.name] = entry
    return found


def _calibration_inputs(draft: Bundle, rows: Sequence[TextInput]) -> list[PaddedBatch]:
    """Return the graph inputs of some rows, one row each, from the worker's own tokenizer."""
    picked = [rows[at] for at in evenly_spaced(len(rows), CALIBRATION_ROWS)]
    if not picked:
        return []
    tokeniser = Tokeniser(draft)
    return [tokeniser.pad([tokens]) for tokens in tokeniser.encode(picked)]


def _summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    test = {k: v for k, v in metrics.get("test", {}).items() if k not in ("per_label", "confusion")}
    return {**metrics, **({"test": test} if test else {})}


def _library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that affect a bundle."""
    found = {"labelstream": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _git_commit() -> str | None:
    """Return the commit of the working directory, or None outside a repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
