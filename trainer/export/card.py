"""The model card of a bundle, README.md, after the template of the Hub."""

from collections.abc import Iterator, Mapping
from typing import Any

from stream.bundle import Manifest, describe_agreement
from trainer.export.card_limits import calibration, intended_use, limitations
from trainer.export.card_metadata import CardDetails, card_metadata
from trainer.export.card_text import code, plain
from trainer.export.card_usage import usage
from trainer.metric_titles import TITLES, shown_metrics

TASKS = {
    "single-label": "Classifies {what} as one of {count} labels",
    "pair": "Classifies {what} as one of {count} labels",
    "multi-label": "Assigns any number of {count} labels to {what}",
    "regression": "Predicts one number for {what}",
    "token": "Tags the words of {what} with {count} labels and joins the tags to spans",
}
MAX_LABELS = 50
MAX_ROW_NUMBERS = 20
REPORT = "report.html"


def model_card(
    manifest: Manifest,
    metrics: Mapping[str, Any],
    details: CardDetails = CardDetails(),
    *,
    weights: bool = False,
    own_code: bool = False,
    report: bool = False,
) -> str:
    """Return the model card with its metadata; it contains no text of the data.

    Args:
        manifest: the manifest.
        metrics: all measurements.
        details: what the bundle does not know, such as the licence.
        weights: whether the bundle holds the PyTorch weights.
        own_code: whether transformers needs the code in the bundle to load them.
        report: whether report.html is beside the card.
    """
    metadata = card_metadata(manifest, metrics, details, weights=weights, own_code=own_code)
    parts = [
        f"---\n{metadata.to_yaml(line_break=chr(10))}\n---",
        f"# {plain(manifest.name)}\n\n{_task(manifest)}",
        intended_use(manifest, details.languages),
        usage(manifest, details.repository, weights=weights, own_code=own_code),
        _origin(manifest, metrics),
        _evaluation(manifest, metrics, report=report),
        limitations(manifest, metrics, details.languages),
        _parity(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _task(manifest: Manifest) -> str:
    what = "a pair of texts" if manifest.takes_pair else "a text"
    if manifest.metadata:
        columns = [code(column.name) for column in manifest.metadata[:MAX_LABELS]]
        more_columns = len(manifest.metadata) - len(columns)
        columns += [f"{more_columns} more"] if more_columns else []
        what += f" with its metadata ({', '.join(columns)})"
    labels = [*map(code, manifest.labels[:MAX_LABELS])]
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
        model = plain(str(metrics["exported"]["model"]))
        return (
            f"## Training data\n\nNot known: the model was exported from {model} without further training. "
            "See the card of that model."
        )
    training = metrics.get("training")
    if not training:
        return ""
    data = manifest.data
    splits = ", ".join(f"{name} {rows}" for name, rows in data["splits"].items())
    metric = TITLES.get(training.get("chosen_by", "macro_f1"), "metric")
    return (
        f"## Training data\n\n{code(str(data['file']))} "
        f"(SHA-256 {data['sha256'].removeprefix('sha256:')[:16]}…): {data['rows']} rows; {splits}.\n\n"
        f"## Training procedure\n\nFine-tuned from {plain(str(training['base_model']))}. "
        f"Learning rate {training['learning_rate']:g}, batch size {training['batch_size']}, "
        f"seed {training['seed']}. Epoch {training['best_epoch']} of {training['epochs_run']} "
        f"had the best {metric} on the validation split."
    )


def _evaluation(manifest: Manifest, metrics: Mapping[str, Any], *, report: bool) -> str:
    parts = [
        _results(metrics.get("test") or {}),
        f"All results, with the errors of the model: [{REPORT}]({REPORT})." if report else "",
        calibration(manifest, metrics.get("calibration")),
    ]
    found = [part for part in parts if part]
    return "\n\n".join(["## Evaluation", *found]) if found else ""


def _results(test: Mapping[str, Any]) -> str:
    if not test:
        return ""
    intervals = test.get("intervals", {})
    lines = [
        f"### Results on {test['rows']} test rows",
        "",
        "| metric | value | 95% interval |",
        "|---|---|---|",
    ]
    for name in shown_metrics(test):
        ends = intervals.get(name)
        interval = f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
        lines.append(f"| {TITLES[name]} | {test[name]:.3f} | {interval} |")
    return "\n".join([*lines, *_per_label(test.get("per_label", {}))])


def _per_label(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of all labels, or of those with the lowest F1 if there are many."""
    if not rows:
        return
    yield ""
    shown = [*rows.items()]
    if len(shown) > MAX_LABELS:
        shown = sorted(shown, key=lambda label_and_row: label_and_row[1]["f1"])[:MAX_LABELS]
        yield f"The {MAX_LABELS} of {len(rows)} labels with the lowest F1; metrics.json has all labels."
        yield ""
    yield from ("| label | precision | recall | F1 | support |", "|---|---|---|---|---|")
    for label, row in shown:
        cells = [plain(label), *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))]
        yield f"| {' | '.join(cells)} | {row['support']} |"


def _parity(manifest: Manifest) -> str:
    lines = []
    for name, entry in manifest.variants.items():
        parity = entry.parity
        line = (
            f"- `{entry.file}` ({name}): largest logit difference {parity.max_abs_logit_diff:.1e} "
            f"(allowed {parity.tolerance:.3g}), same decision for "
            f"{parity.label_agreement:.2%} of {parity.rows}"
        )
        if parity.real is not None:
            line += f"; on real texts for {describe_agreement(parity)}"
        if parity.metric_loss is not None:
            line += f", metric loss {parity.metric_loss:.4f}"
        if parity.close_rows:
            rows = ", ".join(map(str, parity.close_rows[:MAX_ROW_NUMBERS]))
            if (more := len(parity.close_rows) - MAX_ROW_NUMBERS) > 0:
                rows += f" and {more} more, which labelstream.json lists"
            line += f"; rows with a margin below twice the difference: {rows}"
        if parity.accepted_by_user:
            line += f". **It did not pass its parity check ({parity.verdict}) and was published on request**"
        lines.append(f"{line}.")
    return (
        "## Parity with PyTorch\n\nEach ONNX file was compared with the trained PyTorch model:\n\n"
        + "\n".join(lines)
        + "\n\n`reference.jsonl` contains the compared texts: real texts, usually of the validation and "
        "training splits, and synthetic edge cases. Check that you may share these texts before you share "
        "the folder."
    )
