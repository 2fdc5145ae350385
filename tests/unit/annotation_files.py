"""Files of annotation tools, and the spans that a training reads from them."""

import json
from pathlib import Path
from typing import Any

from trainer.config import DataConfig
from trainer.data.examples import Data
from trainer.data.read import read_data

TEXT = "Anna van Dam lives in New York."
PERSON, PLACE = (0, 12), (22, 30)


def write(folder: Path, rows: Any, name: str = "data.jsonl") -> Path:
    path = folder / name
    lines = "\n".join(map(json.dumps, rows)) if path.suffix == ".jsonl" else json.dumps(rows)
    path.write_text(lines, encoding="utf-8")
    return path


def read(folder: Path, rows: Any, name: str = "data.jsonl", **options: Any) -> Data:
    return read_data(write(folder, rows, name), DataConfig(**{"task": "token", **options}))


def spans(data: Data) -> list[list[tuple[str, str]]]:
    """Return the type and the text of the spans that the tags of each row mark."""
    found = []
    for example in data.examples:
        of_row: list[tuple[str, int, int]] = []
        for (start, end), tag in zip(example.word_spans, example.labels, strict=True):
            if tag.startswith("B-"):
                of_row.append((tag[2:], start, end))
            elif tag.startswith("I-"):
                of_row[-1] = (tag[2:], of_row[-1][1], end)
        found.append([(kind, example.text[start:end]) for kind, start, end in of_row])
    return found


def notes(data: Data) -> str:
    return "\n".join(data.notes)


BOTH = [("person", "Anna van Dam"), ("place", "New York")]


def task(text: str, *results: list[dict[str, Any]], **flags: Any) -> dict[str, Any]:
    annotations = [{"id": at, "result": result, "was_cancelled": False} for at, result in enumerate(results)]
    for annotation in annotations:
        annotation.update(flags)
    return {"id": 1, "data": {"text": text}, "annotations": annotations, "predictions": []}


def region(start: int, end: int, label: str, quoted: str | None = None) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label], **({"text": quoted} if quoted else {})}
    return {"value": value, "from_name": "ner", "to_name": "text", "type": "labels"}
