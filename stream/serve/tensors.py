"""The tensors of the Open Inference Protocol, version 2: inputs to events, results to outputs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

from stream.bundle import Manifest
from stream.classify import Prediction
from stream.codec import MILLIONTHS
from stream.records.lookup import kind_of
from stream.serve.problems import Kind, RequestError
from stream.wording import count_of
from stream.worker.row_classifier import ClassifiedRow

BYTES, FP64, BOOL = "BYTES", "FP64", "BOOL"
COLUMN_DIMENSIONS = 2


class InputTensor(msgspec.Struct):
    """An input of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class RequestedOutput(msgspec.Struct):
    """An output that the client asks for."""

    name: str


class InferRequest(msgspec.Struct):
    """The body of an inference request. Parameters are accepted and ignored, as the protocol allows."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None


Members = dict[str, Any]
"""The members of a label event; empty for a row with an error."""

Values = Callable[[Sequence[ClassifiedRow], Sequence[Members]], list[Any]]
"""Returns the values of a tensor for rows and the members of their predictions."""


class TensorForm(NamedTuple):
    """The name and type of a tensor, its shape with -1 for the rows, and for an output its values."""

    name: str
    datatype: str
    shape: list[int]
    values: Values = lambda *_: []

    def metadata(self) -> dict[str, Any]:
        """Return the description of the tensor."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}


def input_forms(manifest: Manifest) -> list[TensorForm]:
    """Return the inputs of a bundle."""
    names = ["text"]
    names += ["text_pair"] if manifest.takes_pair else []
    names += ["metadata"] if manifest.metadata else []
    return [TensorForm(name, BYTES, [-1]) for name in names]


def output_forms(manifest: Manifest) -> list[TensorForm]:
    """Return the outputs of a bundle, in order; the last one holds the errors of rows."""
    labels = len(manifest.labels)
    scores = TensorForm("scores", FP64, [-1, labels], lambda rows, _: _scores(rows, labels))
    abstained = TensorForm("abstained", BOOL, [-1], _member("abstained", missing=False))
    forms: list[TensorForm] = []
    match manifest.head:
        case "single-label":
            label = TensorForm("label", BYTES, [-1], _member("label", missing=""))
            forms += [
                label,
                TensorForm("score", FP64, [-1], _member("score", missing=0.0)),
                scores,
                abstained,
            ]
        case "multi-label":
            forms += [TensorForm("labels", BYTES, [-1], _json_member("labels")), scores, abstained]
        case "token":
            forms += [TensorForm("spans", BYTES, [-1], _json_member("spans"))]
        case "regression":
            pass
    if manifest.head == "regression" or manifest.values is not None:
        forms.append(TensorForm("value", FP64, [-1], _member("value", missing=0.0)))
    return [*forms, TensorForm("error", BYTES, [-1], _errors)]


def read_events(inputs: Sequence[InputTensor], manifest: Manifest) -> list[bytes]:
    """Return the events of a request.

    Raises:
        RequestError: an input is missing, unknown, or has another type or shape.
    """
    known = [form.name for form in input_forms(manifest)]
    required = [name for name in known if name != "metadata"]
    given = {tensor.name: _strings(tensor) for tensor in inputs if _is_known(tensor.name, known)}
    if missing := [name for name in required if name not in given]:
        raise _bad(f"the input {missing[0]} is missing", _expected(known))
    if len({len(column) for column in given.values()}) > 1:
        raise _bad("the inputs have different numbers of rows", "send one value per row in every input")
    if "metadata" in given:
        given["metadata"] = [_object(at, text) for at, text in enumerate(given["metadata"])]
    return [orjson.dumps(dict(zip(given, row, strict=True))) for row in zip(*given.values(), strict=True)]


def output_tensors(forms: Sequence[TensorForm], rows: Sequence[ClassifiedRow]) -> list[dict[str, Any]]:
    """Return the outputs of a response.

    Args:
        forms: the outputs to return.
        rows: the rows of the request.
    """
    members = [row.result.fields() if isinstance(row.result, Prediction) else {} for row in rows]
    return [
        {**form.metadata(), "shape": [len(rows), *form.shape[1:]], "data": form.values(rows, members)}
        for form in forms
    ]


def _is_known(name: str, known: Sequence[str]) -> bool:
    if name not in known:
        raise _bad(f"the input {name[:80]!r} is unknown", _expected(known))
    return True


def _expected(known: Sequence[str]) -> str:
    optional = ", of which metadata may be left out" if "metadata" in known else ""
    return (
        f"send an input with each of the names {', '.join(known)}{optional}"
        if known[1:]
        else (f"send one input with the name {known[0]}")
    )


def _strings(tensor: InputTensor) -> list[Any]:
    if tensor.datatype != BYTES:
        raise _bad(
            f"the input {tensor.name} has the datatype {tensor.datatype[:80]!r}", "set its datatype to BYTES"
        )
    shape, data = tensor.shape, tensor.data
    if len(shape) == COLUMN_DIMENSIONS and shape[1] == 1:
        # Clients that batch add a dimension, and may nest the data accordingly.
        data = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in data]
    elif len(shape) != 1:
        raise _bad(
            f"the input {tensor.name} has the shape {shape}",
            "set its shape to [N] or [N, 1], where N is the number of rows",
        )
    if shape[0] != len(data):
        raise _bad(
            f"the input {tensor.name} has {count_of(len(data), 'value')} in data, and the shape {shape}",
            f"set its shape to [{len(data)}], or send {count_of(shape[0], 'value')}",
        )
    for at, value in enumerate(data):
        if not isinstance(value, str):
            raise _bad(
                f"the input {tensor.name} has {kind_of(value)} in data[{at}], not a string",
                "send each text as a string",
            )
    return data


def _object(at: int, text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _bad(
            f"the input metadata has no JSON object in data[{at}]",
            'send each row of metadata as the text of a JSON object, such as "{\\"age\\": 7}"',
        )
    return found


def _bad(message: str, fix: str) -> RequestError:
    return RequestError(Kind.BAD_REQUEST, message, fix=fix)


def _member(name: str, *, missing: object) -> Values:
    def values(_: Sequence[ClassifiedRow], members: Sequence[Members]) -> list[Any]:
        found = [of_row.get(name) for of_row in members]
        return [missing if value is None else value for value in found]

    return values


def _json_member(name: str) -> Values:
    return lambda _, members: [orjson.dumps(of_row.get(name, [])).decode() for of_row in members]


def _scores(rows: Sequence[ClassifiedRow], labels: int) -> list[float]:
    """Return the scores of all labels, row by row, in the bundle's order; zeros for a row with an error."""
    none = bytes(4 * labels)
    stored = [row.result.stored if isinstance(row.result, Prediction) else none for row in rows]
    scores: list[float] = (np.frombuffer(b"".join(stored), dtype="<u4") / MILLIONTHS).tolist()
    return scores


def _errors(rows: Sequence[ClassifiedRow], _: Sequence[Members]) -> list[Any]:
    return [
        "" if isinstance(row.result, Prediction) else f"{row.result.reason.value}: {row.result.message}"
        for row in rows
    ]
