"""The model card: what a reader of the bundle's folder wants to know first."""

from collections.abc import Mapping
from typing import Any

from stream.bundle import Manifest
from trainer.report import FIGURES, figures


def model_card(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    """README.md of a bundle, with the front matter that model hubs read; holds no text of the data."""
    name = manifest.name
    parts = [
        _front_matter(),
        f"# {name}\n\n{_what(manifest)} "
        f"{'Windows of' if manifest.windows else 'Cut after'} {manifest.max_length} tokens.",
        _training(manifest, metrics.get("training", {})),
        _results(metrics.get("test", {})),
        _proof(manifest),
        f"## Use\n\n```\nlabelstream verify {name}\nlabelstream worker --bundle {name}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(manifest: Manifest) -> str:
    names = ", ".join(f"`{label}`" for label in manifest.labels)
    read = "a pair of texts" if manifest.takes_pair else "a text"
    if manifest.metadata:
        read += " and its metadata (" + ", ".join(f"`{column.name}`" for column in manifest.metadata) + ")"
    says = {
        "single-label": f"gives one of {len(manifest.labels)} labels: {names}.",
        "multi-label": f"gives any of {len(manifest.labels)} labels: {names}.",
        "regression": f"gives a number: {names}.",
        "token": f"marks spans by {len(manifest.labels)} tags: {names}.",
    }
    return f"Reads {read} and {says[manifest.head]}"


def _front_matter() -> str:
    return "---\npipeline_tag: text-classification\ntags:\n- labelstream\n- onnx\n---"


def _training(manifest: Manifest, training: Mapping[str, Any]) -> str:
    if not training:
        return ""
    data = manifest.data
    splits = ", ".join(f"{name} {rows}" for name, rows in data["splits"].items())
    return (
        f"## Training\n\nFine-tuned from {training['base_model']} on `{data['file']}` "
        f"({data['sha256'].removeprefix('sha256:')[:16]}…): {data['rows']} rows; {splits}. "
        f"Learning rate {training['learning_rate']:g}, batches of {training['batch_size']}, "
        f"seed {training['seed']}; of {training['epochs_run']} epochs number {training['best_epoch']} "
        f"had the best validation {FIGURES[training['chosen_by']]}."
    )


def _results(test: Mapping[str, Any]) -> str:
    if not test:
        return ""
    lines = [
        f"## Results on {test['rows']} held-out rows",
        "",
        f"{figures(test)} (95% intervals).",
    ]
    if "per_label" in test:
        lines += ["", "| label | precision | recall | F1 | rows |", "|---|---|---|---|---|"]
    for label, row in test.get("per_label", {}).items():
        name = label.replace("|", "\\|")
        lines.append(
            f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']} |"
        )
    return "\n".join(lines)


def _proof(manifest: Manifest) -> str:
    lines = []
    for name, entry in manifest.variants.items():
        parity = entry.parity
        lines.append(
            f"- `{entry.file}` ({name}): largest logit difference from PyTorch "
            f"{parity.max_abs_logit_diff:.1e} (allowed {parity.tolerance:g}), "
            f"the same label for {parity.label_agreement:.2%} of {parity.rows} reference texts."
        )
    return (
        "## Proof\n\n"
        + "\n".join(lines)
        + "\n\n`reference.jsonl` holds these texts: validation rows and awkward "
        "made-up ones. Mind that before you share the folder."
    )
