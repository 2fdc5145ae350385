"""The metrics of a bundle: a summary for the manifest, and files for what grows with the number of labels."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from stream.output_files import write_file

METRICS_FILE = "metrics.json"
CONFUSION_FILE = "confusion.csv"
CONFUSION_CELLS = "confusion_cells"
# A matrix of 1,500 labels has 2.25 million numbers, and every worker parses the manifest.
PER_LABEL = ("per_label", "per_label_intervals", "confusion", CONFUSION_CELLS, "weights")


def manifest_summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without their tables and matrices of labels, at any depth."""
    return {
        name: manifest_summary(value) if isinstance(value, Mapping) else value
        for name, value in metrics.items()
        if name not in PER_LABEL
    }


def write_metrics(folder: Path, metrics: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Write metrics.json, and for one label per row confusion.csv.

    confusion.csv has a line for each split, actual label and predicted label that occur together, with the
    number of rows. Its size depends on the number of rows, not on the square of the number of labels.

    Args:
        folder: the folder of the bundle.
        metrics: all metrics, by section.
        labels: the labels in the order of the logits.
    """
    sections = {name: section for name, section in metrics.items() if isinstance(section, Mapping)}
    kept = {
        name: {key: value for key, value in section.items() if key != CONFUSION_CELLS}
        for name, section in sections.items()
    }
    write_file(folder / METRICS_FILE, orjson.dumps({**metrics, **kept}, option=orjson.OPT_INDENT_2) + b"\n")
    cells = [
        (split, labels[actual], labels[predicted], rows)
        for split, section in sections.items()
        for actual, predicted, rows in section.get(CONFUSION_CELLS, ())
    ]
    if cells:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("split", "label", "predicted", "rows"))
        writer.writerows(cells)
        write_file(folder / CONFUSION_FILE, table.getvalue().encode())
