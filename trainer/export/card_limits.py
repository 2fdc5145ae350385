"""The sections of a model card about its limits: intended use, calibration and limitations."""

from collections.abc import Iterator, Mapping
from typing import Any

from stream.bundle import Manifest
from trainer.export.card_text import code, listed

FEW_TEST_ROWS = 20
FEW_TRAINING_ROWS = 50
LOW_F1 = 0.5
MAX_LABELS = 10


def intended_use(manifest: Manifest, languages: tuple[str, ...]) -> str:
    """Return the section on what the model is for, and what it is not for."""
    what = "pairs of texts" if manifest.takes_pair else "texts"
    kind = {"regression": "scoring", "token": "finding spans in"}.get(manifest.task, "classifying")
    spoken = f" in {', '.join(languages)}" if languages else ""
    return (
        f"## Intended use\n\nThe model is made for {kind} {what}{spoken} that resemble its training data: "
        "the same source, kind of text and period. It runs on files and on streams with labelstream.\n\n"
        "It is not made for other kinds of text or other languages, nor as the only basis of decisions about "
        "people. Measure it on your own labelled rows first."
    )


def calibration(manifest: Manifest, measured: Mapping[str, Any] | None) -> str:
    """Return the paragraph on temperature, thresholds and scale; empty if there is none."""
    sentences = []
    if measured and measured.get("test"):
        test = measured["test"]
        sentences.append(
            f"Temperature scaling with {manifest.temperature:.3g} changes the expected calibration error on "
            f"the test rows from {test['ece_before']:.3f} to {test['ece_after']:.3f}."
        )
    if manifest.thresholds:
        sentences.append(
            "Each label has its own threshold, tuned on the validation rows and stored in labelstream.json."
        )
    if manifest.target:
        sentences.append(
            f"A logit of 0 means {manifest.target.mean:g}, a logit of 1 means "
            f"{manifest.target.mean + manifest.target.std:g}."
        )
    return "### Calibration\n\n" + " ".join(sentences) if sentences else ""


def limitations(manifest: Manifest, metrics: Mapping[str, Any], languages: tuple[str, ...]) -> str:
    """Return the section on rare labels, leaks, calibration, length and language."""
    lines = [
        *_evaluated(metrics),
        *_rare(manifest, metrics),
        *_leaks(metrics.get("leaks") or {}),
        *_probabilities(manifest, metrics.get("calibration")),
    ]
    if manifest.windows is None:
        lines.append(f"The model does not see a text beyond {manifest.max_length} tokens.")
    if not languages:
        lines.append("The languages of the training texts are not stated.")
    return "## Limitations\n\n" + "\n".join(f"- {line}" for line in lines)


def _evaluated(metrics: Mapping[str, Any]) -> Iterator[str]:
    test = metrics.get("test")
    if not test:
        yield "The card holds no evaluation: the model was not measured on labelled rows here."
    elif test.get("rows", 0) < 200:
        yield f"The test split has only {test['rows']} rows, so the results are uncertain; see the intervals."


def _rare(manifest: Manifest, metrics: Mapping[str, Any]) -> Iterator[str]:
    counts = manifest.data.get("class_counts")
    if isinstance(counts, Mapping):
        rare = [f"{label}" for label, count in counts.items() if count < FEW_TRAINING_ROWS]
        if rare:
            yield (
                f"{len(rare)} of {len(counts)} labels have fewer than {FEW_TRAINING_ROWS} rows in the data: "
                f"{listed(rare, MAX_LABELS)}."
            )
    rows = (metrics.get("test") or {}).get("per_label") or {}
    few = [label for label, row in rows.items() if row.get("support", 0) < FEW_TEST_ROWS]
    if few:
        yield (
            f"{len(few)} of {len(rows)} labels have fewer than {FEW_TEST_ROWS} test rows, which makes their "
            f"figures uncertain: {listed(few, MAX_LABELS)}."
        )
    weak = sorted(
        (row["f1"], label) for label, row in rows.items() if row.get("f1", 1) < LOW_F1 and label not in few
    )
    if weak:
        named = ", ".join(f"{code(label)} ({f1:.2f})" for f1, label in weak[:MAX_LABELS])
        yield f"The F1 of {len(weak)} labels is below {LOW_F1}: {named}."


def _leaks(leaks: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for kind, words in (("equal", "repeat"), ("near", "nearly repeat")):
        for pair, count in (leaks.get(kind) or {}).items():
            split, _, other = pair.partition(" in ")
            yield (
                f"Rows of the {split} split that {words} a text of the {other} split: {count}. "
                "Results on new texts may be lower."
            )


def _probabilities(manifest: Manifest, measured: Mapping[str, Any] | None) -> Iterator[str]:
    if manifest.task == "regression":
        return
    if measured and measured.get("test"):
        yield (
            f"Scores are calibrated on the validation rows (expected calibration error on the test rows "
            f"{measured['test']['ece_after']:.3f}); on other data they may be too high."
        )
    else:
        yield "The scores are not calibrated: of the answers with a score of 0.9, 90% need not be right."
