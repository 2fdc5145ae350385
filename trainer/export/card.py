"""The model card of a bundle, README.md."""

from collections.abc import Mapping
from typing import Any

from stream.bundle import Manifest
from trainer.metric_titles import METRIC_TITLES

TASKS = {
    "single-label": "Classifies {what} as one of {count} labels",
    "pair": "Classifies {what} as one of {count} labels",
    "multi-label": "Assigns any number of {count} labels to {what}",
    "regression": "Predicts one number for {what}",
    "token": "Tags the words of {what} with {count} labels and joins the tags to spans",
}
PIPELINE = {"token": "token-classification"}
MAX_LABELS = 50


def model_card(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    """Return the model card with front matter for model hubs; it contains no text of the data."""
    name = manifest.name
    parts = [
        _front_matter(manifest),
        f"# {name}\n\n{_task(manifest)}",
        _origin(manifest, metrics),
        _results(metrics.get("test", {})),
        _calibration(manifest, metrics.get("calibration")),
        _parity(manifest),
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
    labels = [f"`{label}`" for label in manifest.labels[:MAX_LABELS]]
    more = len(manifest.labels) - len(labels)
    sentences = [
        f"{TASKS[manifest.task].format(what=what, count=len(manifest.labels))}: {', '.join(labels)}"
        + (f" and {more} more." if more else ".")
    ]
    if manifest.values:
        sentences.append("The labels stand for numbers; predictions include the expected value.")
    if manifest.abstain_below:
        sentences.append(f"The model abstains if the best probability is below {manifest.abstain_below:g}.")
    if manifest.windows:
        sentences.append(
            f"Longer texts are split into at most {manifest.windows.most} windows of {manifest.max_length} "
            f"tokens with an overlap of {manifest.windows.stride} tokens; the logits of the windows are "
            f"pooled ({manifest.windows.pooling})."
        )
    else:
        sentences.append(f"Inputs are truncated to {manifest.max_length} tokens.")
    return " ".join(sentences)


def _origin(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    if "exported" in metrics:
        return f"## Origin\n\nExported from {metrics['exported']['model']} without further training."
    training = metrics.get("training")
    if not training:
        return ""
    data = manifest.data
    splits = ", ".join(f"{name} {rows}" for name, rows in data["splits"].items())
    metric = METRIC_TITLES.get(training.get("chosen_by", "macro_f1"), "metric")
    return (
        f"## Training\n\nFine-tuned from {training['base_model']} on `{data['file']}` "
        f"(SHA-256 {data['sha256'].removeprefix('sha256:')[:16]}…): {data['rows']} rows; {splits}. "
        f"Learning rate {training['learning_rate']:g}, batch size {training['batch_size']}, "
        f"seed {training['seed']}. Epoch {training['best_epoch']} of {training['epochs_run']} "
        f"had the best {metric} on the validation split."
    )


def _results(test: Mapping[str, Any]) -> str:
    if not test:
        return ""
    intervals = test.get("intervals", {})
    lines = [
        f"## Results on {test['rows']} test rows",
        "",
        "| metric | value | 95% interval |",
        "|---|---|---|",
    ]
    for name, title in METRIC_TITLES.items():
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


def _calibration(manifest: Manifest, calibration: Mapping[str, Any] | None) -> str:
    sentences = []
    if calibration and calibration.get("test"):
        test = calibration["test"]
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
    return "## Calibration\n\n" + " ".join(sentences) if sentences else ""


def _parity(manifest: Manifest) -> str:
    lines = []
    for name, entry in manifest.variants.items():
        parity = entry.parity
        line = (
            f"- `{entry.file}` ({name}): largest logit difference {parity.max_abs_logit_diff:.1e} "
            f"(allowed {parity.tolerance:.3g}), same decision for "
            f"{parity.label_agreement:.2%} of {parity.rows}"
        )
        if parity.metric_loss is not None:
            line += f", metric loss {parity.metric_loss:.4f}"
        if parity.close_rows:
            rows = ", ".join(map(str, parity.close_rows))
            line += f"; rows with a margin below twice the difference: {rows}"
        lines.append(f"{line}.")
    return (
        "## Parity with PyTorch\n\nEach ONNX file was compared with the trained PyTorch model:\n\n"
        + "\n".join(lines)
        + "\n\n`reference.jsonl` contains the compared texts: real texts, usually of the validation split, "
        "and synthetic edge cases. Check that you may share these texts before you share the folder."
    )
