"""The lines that `labelstream predict` writes for a row."""

from collections.abc import Mapping
from typing import Any

from stream.bundle import Manifest
from stream.classify import Prediction
from stream.predict.evaluation import Evaluation
from stream.predict.kept_columns import KeptColumns
from stream.predict.output_header import Header, PredictionWriter
from stream.predict.row_reader import Columns, InputRow
from stream.predict.run import PredictedRow
from stream.predict.score_shape import ScoreShape


class RowOutput:
    """Turns rows with their results into the lines of the output, and evaluates them."""

    def __init__(self, shape: ScoreShape, kept: KeptColumns, evaluation: Evaluation | None = None) -> None:
        """
        Args:
            shape: the arrangement of the scores.
            kept: the columns of the input that are copied.
            evaluation: the comparison with a column of the input.
        """
        self._shape = shape
        self._kept = kept
        self._evaluation = evaluation

    def skip(self, row: InputRow) -> None:
        """Pass over a row that was written before, so that later rows name their columns as they would."""
        self._kept.fields(row.cells)

    def write(self, writer: PredictionWriter, predicted: PredictedRow) -> None:
        """Write the lines of a row: own fields first, then the copied columns."""
        row, result = predicted.row, predicted.result
        members = result.fields() if isinstance(result, Prediction) else None
        if self._evaluation is not None:
            self._evaluation.add(row.cells, members, row.offset)
        start = _start(predicted)
        copied = self._kept.fields(row.cells)
        if members is None:
            writer.write(_joined(start, {"error": predicted.error}, copied))
            return
        for line in self._shape.lines(members):
            writer.write(_joined(start, line, copied))


def output_header(manifest: Manifest, shape: ScoreShape) -> tuple[str, ...]:
    """Return the columns that the output has without those of the input."""
    pair = ("text_pair",) if manifest.takes_pair else ()
    return ("row", "id", "text", *pair, *shape.names, "error")


def kept_columns(
    chosen: tuple[str, ...] | None,
    own: tuple[str, ...],
    columns: Columns,
    header: list[str] | None,
    types: Mapping[str, Any] | None = None,
) -> tuple[KeptColumns, Header]:
    """Return the copied columns, and the header of a CSV or Parquet output.

    Args:
        chosen: the names of the columns; None for all.
        own: the columns of the output itself.
        columns: the columns of the input that the model or the output reads.
        header: the columns of the input; None for JSON.
        types: the Arrow types of the columns of a Parquet input.

    Raises:
        UsageError: the input lacks a chosen column.
    """
    roles = [
        role
        for role, name in (("text", columns.text), ("text_pair", columns.text_pair), ("id", columns.id))
        if role == name
    ]
    # The output has a second text also where the bundle reads only the first.
    kept = KeptColumns(chosen, {*own, "text_pair"}, roles)
    if header is None:
        return kept, Header(own, None if chosen is None else kept.names(chosen), None)
    known = types or {}
    kept_names = kept.header(header)
    sources = header if chosen is None else chosen
    of_output = {name: known.get(source) for name, source in zip(kept_names, sources, strict=True)}
    return kept, Header(own, kept_names, of_output | {"id": known.get(columns.id)})


def _start(predicted: PredictedRow) -> dict[str, Any]:
    fields: dict[str, Any] = {"row": predicted.row.offset}
    if predicted.row.own_id is not None:
        fields["id"] = predicted.row.own_id
    if predicted.event is not None:
        fields["text"] = predicted.event.text
        if predicted.event.text_pair is not None:
            fields["text_pair"] = predicted.event.text_pair
    return fields


def _joined(
    start: Mapping[str, Any], line: Mapping[str, Any], copied: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return all fields; the text of a row that the decoder refused is the cell of the input."""
    own = {**start, **line}
    return own | {name: value for name, value in copied.items() if name not in own}
