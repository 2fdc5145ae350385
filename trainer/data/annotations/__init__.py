"""Read the exports of annotation tools: character spans become tags of words, choices become labels.

Label Studio, doccano, Prodigy and spaCy write JSON in which a span is a start, an end and a label. `convert`
replaces such cells by the words and tags that the task token reads, and lists of one choice by the choice.
"""

from collections.abc import Sequence
from dataclasses import replace

from stream.bundle import Task
from trainer.data.annotations.choices import convert_choices
from trainer.data.annotations.label_studio import flatten_tasks, is_label_studio
from trainer.data.annotations.prodigy import clear_rejected, is_prodigy, note_answers
from trainer.data.annotations.span_columns import convert_spans
from trainer.data.columns import RequestedColumns
from trainer.data.files import Table
from trainer.data.sources import DataSource

__all__ = ["convert_annotations"]


def convert_annotations(
    sources: Sequence[DataSource], task: Task, requested: RequestedColumns
) -> list[DataSource]:
    """Convert the annotations of all sources; sources without annotations are not modified.

    Args:
        sources: all sources.
        task: the task: token reads spans, the others read choices.
        requested: the columns that the user named.

    Raises:
        UsageError: an annotation cannot be read, or its column cannot be guessed; the message names the row.
    """
    converted = []
    first_row = 1
    for source in sources:
        table = _convert(source, task, requested, first_row)
        first_row += len(source.table.rows)
        converted.append(replace(source, table=table))
    return converted


def _convert(source: DataSource, task: Task, requested: RequestedColumns, first_row: int) -> Table:
    table = source.table
    if is_label_studio(table):
        table = flatten_tasks(table, source.name)
    if is_prodigy(table):
        table = clear_rejected(table, source.name)
    elif "answer" not in (requested.label, *requested.labels):
        table = note_answers(table, source.name)
    if task == "token":
        return convert_spans(table, requested, source.name, first_row)
    return convert_choices(table, requested, task, source.name, first_row)
