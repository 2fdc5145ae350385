"""The model card: what a reader of the bundle's folder wants to know first."""

from collections.abc import Mapping
from typing import Any

from stream.bundle import Manifest
from trainer.figures import FIGURES

WHAT = {
    "single-label": "Classifies {what} as one of {count} labels",
    "pair": "Classifies {what} as one of {count} labels",
    "multi-label": "Gives {what} any of {count} labels",
    "regression": "Measures one number of {what}",
    "token": "Tags the words of {what} with {count} labels and joins them to spans",
}
PIPELINE = {"token": "token-classification"}
MOST_LABELS = 50


def model_card(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    """README.md of a bundle, with the front matter that model hubs read; holds no text of the data."""
    name = manifest.name
    parts = [
        _front_matter(manifest),
        f"# {name}\n\n{_task(manifest)}",
        _origin(manifest, metrics),
        _results(metrics.get("test", {})),
        _calibration(manifest, metrics.get("calibration")),
        _proof(manifest),
        f"## Use\n\n```\nlabelstream verify {name}\nlabelstream predict {name} --text '…'\n"
        f"labelstream worker --bundle {name}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(manifest: Manifest) -> str:
    pipeline = PIPELINE.get(manifest.task, "text-classification")
    return f"---\npipeline_tag: {pipeline}\ntags:\n- labelstream\n- onnx\n---"


def _task(manifest: Manifest) -> str:
    what = "a pair of texts" if manifest.takes_pair else "a text"
    if manifest.metadata:
        what += f" with its metadata ({', '.join(f'`{column.name}`' for column in manifest.metadata)})"
    labels = [f"`{label}`" for label in manifest.labels[:MOST_LABELS]]
    more = len(manifest.labels) - len(labels)
    told = [
        f"{WHAT[manifest.task].format(what=what, count=len(manifest.labels))}: {', '.join(labels)}"
        + (f" and {more} more." if more else ".")
    ]
    if manifest.values:
        told.append("The labels stand for numbers, and the expected one is given too.")
    if manifest.abstain_below:
        told.append(f"Below a probability of {manifest.abstain_below:g} it abstains.")
    if manifest.windows:
        told.append(
            f"Longer texts are read in windows of {manifest.max_length} tokens that share "
            f"{manifest.windows.stride}, at most {manifest.windows.most}; their logits are pooled "
            f"({manifest.windows.pooling})."
        )
    else:
        told.append(f"What is longer than {manifest.max_length} tokens is cut.")
    return " ".join(told)


def _origin(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    if "exported" in metrics:
        return f"## Origin\n\nExported from {metrics['exported']['model']} as it was; nothing was trained."
    training = metrics.get("training")
    if not training:
        return ""
    data = manifest.data
    splits = ", ".join(f"{name} {rows}" for name, rows in data["splits"].items())
    chosen = FIGURES.get(training.get("chosen_by", "macro_f1"), "figure")
    return (
        f"## Training\n\nFine-tuned from {training['base_model']} on `{data['file']}` "
        f"({data['sha256'].removeprefix('sha256:')[:16]}…): {data['rows']} rows; {splits}. "
        f"Learning rate {training['learning_rate']:g}, batches of {training['batch_size']}, "
        f"seed {training['seed']}; of {training['epochs_run']} epochs number {training['best_epoch']} "
        f"had the best validation {chosen}."
    )


def _results(test: Mapping[str, Any]) -> str:
    if not test:
        return ""
    intervals = test.get("intervals", {})
    lines = [
        f"## Results on {test['rows']} held-out rows",
        "",
        "| figure | value | 95% interval |",
        "|---|---|---|",
    ]
    for name, title in FIGURES.items():
        if test.get(name) is not None:
            ends = intervals.get(name)
            interval = f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
            lines.append(f"| {title} | {test[name]:.3f} | {interval} |")
    if test.get("per_label"):
        lines += ["", "| label | precision | recall | F1 | support |", "|---|---|---|---|---|"]
    for label, row in test.get("per_label", {}).items():
        name = label.replace("|", "\\|")
        lines.append(
            f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']} |"
        )
    return "\n".join(lines)


def _calibration(manifest: Manifest, found: Mapping[str, Any] | None) -> str:
    told = []
    if found and found.get("test"):
        test = found["test"]
        told.append(
            f"Logits are divided by {manifest.temperature:.3g} before they become probabilities; that moves "
            f"the expected calibration error on the held-out rows from {test['ece_before']:.3f} to "
            f"{test['ece_after']:.3f}."
        )
    if manifest.thresholds:
        told.append(
            "Each label has its own threshold, tuned on the validation rows; labelstream.json has them."
        )
    if manifest.target:
        told.append(
            f"A logit of 0 means {manifest.target.mean:g}, one of 1 means "
            f"{manifest.target.mean + manifest.target.std:g}."
        )
    return "## Calibration\n\n" + " ".join(told) if told else ""


def _proof(manifest: Manifest) -> str:
    lines = []
    for name, entry in manifest.variants.items():
        parity = entry.parity
        line = (
            f"- `{entry.file}` ({name}): largest logit difference from PyTorch "
            f"{parity.max_abs_logit_diff:.1e} (allowed {parity.tolerance:.3g}), the same decision for "
            f"{parity.label_agreement:.2%} of {parity.rows}"
        )
        if parity.metric_loss is not None:
            line += f", the metric {parity.metric_loss:.4f} worse"
        if parity.close_rows:
            rows = ", ".join(map(str, parity.close_rows))
            line += f"; nearer to a border than twice the difference: rows {rows}"
        lines.append(f"{line}.")
    return (
        "## Proof\n\n"
        + "\n".join(lines)
        + "\n\n`reference.jsonl` holds the texts of this proof: real ones, as a rule of the validation part, "
        "and awkward made-up ones. Mind that before you share the folder."
    )
