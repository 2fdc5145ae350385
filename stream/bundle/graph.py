"""The inputs, outputs and external data files of an ONNX graph, read without loading the model.

The worker has ONNX Runtime, which opens external data files by itself, and no library that reads a graph. The
few fields that matter are found by walking the protobuf encoding; tensors are skipped, so that a graph of
gigabytes takes milliseconds.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

FLOAT32, INT64 = 1, 7
"""Element types of onnx.TensorProto."""

# A graph has a few thousand nodes with some dozens of fields each; a file beyond this limit is no such graph.
MAX_FIELDS = 5_000_000
MAX_DEPTH = 64
MAX_VARINT_BITS = 64

# Field numbers of onnx.proto: the messages that lead from the model to its tensors. "external" is an entry of
# TensorProto.external_data.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}
_MODEL_GRAPH, _GRAPH_INPUT, _GRAPH_OUTPUT, _NODE_OPERATOR, _TENSOR_NAME = 7, 11, 12, 4, 8
# The number of open messages at a field of the main graph; graphs of control flow lie deeper.
_IN_MAIN_GRAPH = 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedGraphError(ValueError):
    """A file is not an ONNX model in protobuf encoding."""


class TensorInfo(NamedTuple):
    """The declared type of an input or output.

    Attributes:
        element: the element type of onnx.TensorProto; 0 if it is not declared.
        shape: the dimensions, None for each one that is not fixed; None if no shape is declared.
    """

    element: int
    shape: tuple[int | None, ...] | None


@dataclass(slots=True)
class Graph:
    """The parts of an ONNX model that a bundle is checked against.

    Attributes:
        inputs: the inputs by name, without those that have a stored value.
        outputs: the outputs by name.
        external: the locations of external data, relative to the folder of the file.
        operators: the names of all operators.
    """

    inputs: dict[str, TensorInfo] = field(default_factory=dict)
    outputs: dict[str, TensorInfo] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)


def read_graph(file: BinaryIO) -> Graph:
    """Read the parts of an ONNX model from an open file.

    Raises:
        MalformedGraphError: the file is not an ONNX model.
    """
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).run()
    except ValueError as exc:
        # An empty file cannot be mapped.
        raise (
            exc if isinstance(exc, MalformedGraphError) else MalformedGraphError("the file is empty")
        ) from None


class _Walk:
    """One pass over the messages of a model, with a stack of its own: nesting cannot exhaust Python's."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._left = MAX_FIELDS
        self._graph = Graph()
        self._stored: set[str] = set()
        self._has_graph = False

    def run(self) -> Graph:
        stack = [("model", self._fields(0, len(self._data)))]
        while stack:
            kind, fields = stack[-1]
            for number, wire, at, stop in fields:
                if wire != _BYTES:
                    continue
                self._read_field(kind, number, (at, stop), len(stack))
                child = _CHILDREN[kind].get(number)
                if child == "external":
                    self._read_external(at, stop)
                elif child is not None:
                    stack.append((child, self._fields(at, stop)))
                    break
            else:
                stack.pop()
            if len(stack) > MAX_DEPTH:
                raise MalformedGraphError(f"its messages are nested more than {MAX_DEPTH} deep")
        if not self._has_graph:
            raise MalformedGraphError("it contains no graph")
        for name in self._stored:
            self._graph.inputs.pop(name, None)
        return self._graph

    def _read_field(self, kind: str, number: int, span: tuple[int, int], depth: int) -> None:
        if (kind, number) == ("model", _MODEL_GRAPH):
            self._has_graph = True
        elif (kind, number, depth) == ("graph", _GRAPH_INPUT, _IN_MAIN_GRAPH):
            self._graph.inputs.update([self._value_info(*span)])
        elif (kind, number, depth) == ("graph", _GRAPH_OUTPUT, _IN_MAIN_GRAPH):
            self._graph.outputs.update([self._value_info(*span)])
        elif (kind, number, depth) == ("tensor", _TENSOR_NAME, _IN_MAIN_GRAPH + 1):
            self._stored.add(self._text(*span))
        elif (kind, number) == ("node", _NODE_OPERATOR):
            self._graph.operators.add(self._text(*span))

    def _read_external(self, start: int, end: int) -> None:
        """Read an entry of external data, a pair of strings; every `location` counts, used or not."""
        found = dict.fromkeys((1, 2), "")
        for number, wire, at, stop in self._fields(start, end):
            if wire == _BYTES:
                found[number] = self._text(at, stop)
        if found[1] == "location":
            self._graph.external.add(found[2])

    def _value_info(self, start: int, end: int) -> tuple[str, TensorInfo]:
        """Read a ValueInfoProto: its name, and the tensor type in the fields type, tensor_type."""
        name, element = "", 0
        shape: list[int | None] | None = None
        for number, wire, at, stop in self._fields(start, end):
            if (number, wire) == (1, _BYTES):
                name = self._text(at, stop)
            elif (number, wire) == (2, _BYTES):
                for tensor in self._messages(at, stop, 1):
                    for member, kind, first, last in self._fields(*tensor):
                        if (member, kind) == (1, _VARINT):
                            element = first
                        elif (member, kind) == (2, _BYTES):
                            shape = [*(shape or ()), *map(self._dimension, self._messages(first, last, 1))]
        return name, TensorInfo(element, None if shape is None else tuple(shape))

    def _dimension(self, span: tuple[int, int]) -> int | None:
        """Return the value of a dimension, or None if it has a name or nothing."""
        value = None
        for number, wire, at, _ in self._fields(*span):
            # Larger values are negative ones, which some exporters write for a dynamic dimension.
            value = at if (number, wire) == (1, _VARINT) and at < 1 << 63 else None
        return value

    def _messages(self, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
        for number, wire, at, stop in self._fields(start, end):
            if (number, wire) == (wanted, _BYTES):
                yield at, stop

    def _fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield the fields of a message: number, wire type, and the bounds of its bytes or (value, 0)."""
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise MalformedGraphError(f"it has more than {MAX_FIELDS:,} fields")
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
                raise MalformedGraphError(f"byte {at} is not the start of a protobuf field")
            if wire == _VARINT:
                value, at = self._varint(at, end)
                yield number, wire, value, 0
                continue
            length = 8 if wire == _FIXED64 else 4
            if wire == _BYTES:
                length, at = self._varint(at, end)
            if length > end - at:
                raise MalformedGraphError(
                    f"the field at byte {at} is longer than its message; is the file cut?"
                )
            yield number, wire, at, at + length
            at += length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, MAX_VARINT_BITS + 6, 7):
            if at >= end:
                raise MalformedGraphError("it ends within a number; is the file cut?")
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise MalformedGraphError(f"the number that ends at byte {at} is too long")

    def _text(self, at: int, stop: int) -> str:
        try:
            return self._data[at:stop].decode()
        except UnicodeDecodeError:
            raise MalformedGraphError(f"the name at byte {at} is not UTF-8") from None
