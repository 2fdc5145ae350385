"""The labelled rows that a bundle is evaluated on, read with the bundle's own task, columns and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream.bundle import Bundle
from stream.errors import UsageError
from trainer.data.bundle_columns import column_config, format_config
from trainer.data.examples import Data, Example
from trainer.data.input_rows import InputRows
from trainer.data.known_labels import match_labels
from trainer.data.read import data_digest, load_data, parse_data
from trainer.data.split_choice import choose_split


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """The rows of an evaluation and what is known about them.

    Attributes:
        examples: the evaluated rows, with labels of the bundle.
        training: the rows that the bundle was trained on, as far as they are known.
        rows: the cells of all rows of the input.
        split: the name of the evaluated split, or `all`.
        facts: the description of the data for metrics.json.
        notes: one line for each guess and each finding, for the user.
        warnings: one line for each finding that makes the figures misleading.
    """

    examples: Sequence[Example]
    training: Sequence[Example]
    rows: InputRows
    split: str
    facts: dict[str, Any]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = field(default_factory=tuple)


def read_evaluation_data(
    bundle: Bundle,
    source: Path | str,
    flags: Mapping[str, Any],
    *,
    split: str | None = None,
    train_data: Path | None = None,
) -> EvaluationData:
    """Read labelled rows for the evaluation of a bundle.

    Args:
        bundle: the bundle.
        source: a file, a folder, or the id of a data set on the Hub.
        flags: the settings that the user gave, by the names of `DataConfig`.
        split: the rows to evaluate: train, validation, test or all; None for the default.
        train_data: the training data of the bundle, for the nearest training rows; of data with splits the
            training rows count. None if `source` has them.

    Raises:
        UsageError: the data cannot be read, or have no row that the bundle can be evaluated on.
    """
    data, notes, known = _read(bundle, source, flags)
    chosen = choose_split(data, bundle, split)
    if not chosen.examples:
        raise UsageError(
            "there is no row to evaluate",
            cause=f"{len(data.no_text)} rows have no text and {len(data.no_label)} no label",
            fix="check --text-column and --label-column, or name other data",
        )
    training = chosen.training
    if train_data is not None:
        training = _training_rows(bundle, train_data, flags)
    warnings = []
    if chosen.includes_training:
        warnings.append(
            "the bundle was trained or tuned on some of these rows, so that the figures are too good"
        )
    left_out = {
        "no_text": len(data.no_text),
        "no_label": len(data.no_label),
        "unknown_label": len(known["left_out"]),
    }
    facts = {
        "file": data.path.name,
        "sha256": data_digest(data),
        "rows": len(data.examples) + sum(left_out.values()),
        "evaluated": len(chosen.examples),
        "split": chosen.split,
        "left_out": left_out,
        "unknown_labels": known["unknown"],
        "labels_without_rows": known["without_rows"],
    }
    return EvaluationData(
        chosen.examples, training, data.rows, chosen.split, facts, [*notes, chosen.note], warnings
    )


def _training_rows(bundle: Bundle, source: Path, flags: Mapping[str, Any]) -> list[Example]:
    """Return the rows of the training split, or all rows of data without splits."""
    data, _, _ = _read(bundle, source, flags, needs_train=True)
    return choose_split(data, bundle, None).training or list(data.examples)


def _read(
    bundle: Bundle, source: Path | str, flags: Mapping[str, Any], *, needs_train: bool = False
) -> tuple[Data, list[str], dict[str, Any]]:
    """Return the data with the labels of the bundle, notes, and the labels that do not match."""
    manifest = bundle.manifest
    config = format_config(manifest, flags)
    loaded = load_data(source, config, needs_train=needs_train)
    config, column_notes = column_config(config, manifest, loaded.sources[0].table.columns)
    data, locate = parse_data(source, loaded, config)
    known = match_labels(data.examples, manifest, config.similar_labels, locate)
    findings = {
        "unknown": dict(known.unknown),
        "left_out": known.left_out,
        "without_rows": list(known.without_rows),
    }
    return replace(data, examples=known.examples), [*data.notes, *column_notes, *known.notes], findings
