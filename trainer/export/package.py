"""The build of a bundle: files, fp32 graph, parity checks, variants, manifest and publication."""

import contextlib
import csv
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError

from stream import __version__
from stream.bundle import Bundle, Manifest, VariantEntry, new_staging, publish
from stream.classify import TextInput, Tokeniser
from stream.errors import BundleError, UsageError, one_line
from stream.output_files import write_file
from stream.runtime import PaddedBatch
from trainer.export.agreement import MAX_REAL_ROWS
from trainer.export.bundle_source import BuildObserver, BundleSource
from trainer.export.card import model_card
from trainer.export.graph import capture_graph
from trainer.export.metrics_files import manifest_summary, write_metrics
from trainer.export.parity import ValidationRows, check_parity, unmeasured_parity
from trainer.export.reference import edge_case_rows, evenly_spaced, further_rows, write_reference
from trainer.export.saved_settings import settings_of
from trainer.export.variants import CALIBRATION_ROWS, VariantPlan, available_variants, make_variant
from trainer.export.write_errors import typed_write_errors
from trainer.model.base_model import PROBLEM_TYPES
from trainer.model.inference import ModelOutput, Progress, torch_logits, torch_token_logits
from trainer.model.saving import SETTINGS, loadable_model, longest_text, window_settings, write_model

ONNX_FILE = "onnx/model.onnx"
REQUIRED_VARIANT = "fp32"
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "optimum",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "nncf",
    "numpy",
)


@contextlib.contextmanager
def staging_folder(store: Path, name: str) -> Iterator[Path]:
    """Yield a folder for building the next version of a bundle; unpublished files are removed at the end.

    Raises:
        UsageError: the store is not writable, or its disk is full.
    """
    try:
        staging = new_staging(store, name)
    except OSError as exc:
        raise UsageError(
            f"the bundle store {store} cannot be written", cause=str(exc), fix="pass another --bundle-store"
        ) from None
    try:
        with typed_write_errors(store):
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

    A variant other than fp32 is skipped with a warning if it cannot be made, or if it does not pass its
    parity check and the user did not accept it.

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
    kept = evenly_spaced(len(source.rows), MAX_REAL_ROWS)
    validation_rows = [source.rows[at] for at in kept]
    more = further_rows(source.more_rows, validation_rows, MAX_REAL_ROWS - len(kept))
    reference = [
        *validation_rows,
        *more,
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
    validation = _validation_rows(source, kept, len(more))
    parity = check_parity(draft, REQUIRED_VARIANT, validation=validation, progress=progress)
    entry = draft.manifest.variants[REQUIRED_VARIANT].model_copy(update={"parity": parity})
    made, skipped = _make_variants(source, draft, len(reference), validation, observer)
    manifest = draft.manifest.model_copy(
        update={"variants": {REQUIRED_VARIANT: entry, **made}, "skipped_variants": skipped}
    )
    metrics = source.info.metrics
    write_metrics(staging, metrics, manifest.labels)
    card = model_card(manifest, metrics, weights=source.weights, own_code=any(staging.glob("modeling_*.py")))
    write_file(staging / "README.md", card.encode())
    return publish(staging, manifest, store)


def write_splits(file: Path, rows: Sequence[tuple[int, str | None, str]]) -> None:
    """Write the split of each row as CSV: row number (from 1, without the header), id or "", split."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("row", "id", "split"))
        writer.writerows((row, key or "", split) for row, key, split in rows)


def _write_configuration(source: BundleSource, staging: Path) -> None:
    """Write the tokenizer, config.json and the weights as `from_pretrained` reads them."""
    tokenizer, inference, config = source.tokenizer, source.inference, source.model.config
    max_length, windows = inference.max_length, None
    if inference.windows is not None:
        windows = window_settings(inference.windows, max_length, tokenizer)
    tokenizer.model_max_length = max_length if windows is None else longest_text(windows)
    # The Rust tokenizer would otherwise save the padding and truncation of its last call.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.enable_truncation(max_length)
    tokenizer.save_pretrained(staging)
    config.id2label = dict(enumerate(inference.labels))
    config.label2id = {label: at for at, label in enumerate(inference.labels)}
    # A pipeline of transformers chooses softmax or sigmoid by this member.
    config.problem_type = PROBLEM_TYPES.get("single-label" if inference.task == "pair" else inference.task)
    model = loadable_model(source.model, token=inference.task == "token", windows=windows)
    setattr(model.config, SETTINGS, settings_of(inference))
    write_model(model, staging, weights=source.weights)


def _draft_manifest(source: BundleSource, staging: Path) -> Manifest:
    """Export the fp32 graph and return the manifest, with a parity that is not measured yet."""
    inference, info = source.inference, source.info
    graph = source.graph or capture_graph(
        source.model,
        token=inference.task == "token",
        metadata_columns=inference.preprocessing.metadata_width,
    )
    graph.write(source.model, staging / ONNX_FILE)
    try:
        return _manifest(source, staging, graph.inputs)
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
        metrics=manifest_summary(info.metrics),
        libraries=_library_versions(),
        git=_git_commit(),
        created_at=datetime.now(UTC),
    )


def _reference_logits(source: BundleSource, rows: Sequence[TextInput], progress: Progress) -> ModelOutput:
    inference = source.inference
    infer = torch_token_logits if inference.task == "token" else torch_logits
    try:
        return infer(source.model, source.tokenizer, rows, inference.preprocessing, progress)
    except Exception as exc:
        raise BundleError(
            f"the {source.model.config.model_type} model fails on the reference texts",
            cause=one_line(exc),
            fix="check that its config.json, weights and tokenizer belong together, or use another model",
        ) from exc


def _validation_rows(source: BundleSource, kept: Sequence[int], more: int) -> ValidationRows:
    """Return the real rows of the reference: the kept rows of the source, and `more` rows after them."""
    metric = source.metric
    if metric is None:
        return ValidationRows(len(kept), more=more)
    return ValidationRows(
        len(kept),
        score=lambda output: metric(kept, output),
        row_score=lambda rows, output: metric([kept[row] for row in rows], output),
        more=more,
    )


def _make_variants(
    source: BundleSource, draft: Bundle, rows: int, validation: ValidationRows, observer: BuildObserver
) -> tuple[dict[str, VariantEntry], dict[str, str]]:
    """Make the variants and check their parity; `rows` counts the reference rows.

    Returns:
        The manifest entries of the published variants, and the reason for each variant that is left out.
    """
    planned = available_variants() if source.variants is None else source.variants
    plan = planned if isinstance(planned, VariantPlan) else VariantPlan(planned)
    calibration = _calibration_inputs(draft, source.calibration)
    found, skipped = {}, dict(plan.not_made)
    for recipe in plan.recipes:
        progress = observer.stage(f"verify {recipe.name}", rows)
        outcome = make_variant(draft, recipe, calibration, validation, progress)
        entry, name = outcome.entry, recipe.name
        if entry is not None and outcome.problem and name in plan.accepted:
            entry = entry.model_copy(
                update={"parity": entry.parity.model_copy(update={"accepted_by_user": True})}
            )
            observer.warn(f"variant {name} is published because of --accept-variant: {outcome.details}")
        elif outcome.problem:
            file = draft.path / recipe.file
            file.unlink(missing_ok=True)
            observer.warn(f"variant {name} is skipped: {outcome.details}{_remedy(name, entry)}")
            skipped[name] = outcome.problem
            continue
        if entry is not None:
            found[name] = entry
    return found, skipped


def _remedy(name: str, entry: VariantEntry | None) -> str:
    """Return what the user can do about a variant that is skipped."""
    if entry is None:
        return ""
    accept = f"to publish it as it is: --accept-variant {name}"
    if entry.parity.verdict == "undecided":
        return f"; to decide it: more data, or for `labelstream export` more --texts; {accept}"
    return f"; {accept}"


def _calibration_inputs(draft: Bundle, rows: Sequence[TextInput]) -> list[PaddedBatch]:
    """Return the graph inputs of some rows, one row each, from the worker's own tokenizer."""
    picked = [rows[at] for at in evenly_spaced(len(rows), CALIBRATION_ROWS)]
    if not picked:
        return []
    tokeniser = Tokeniser(draft)
    return [tokeniser.pad([tokens]) for tokens in tokeniser.encode(picked)]


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
