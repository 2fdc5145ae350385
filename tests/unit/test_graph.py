"""The walk over the protobuf encoding of ONNX models agrees with the onnx library."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.bundle.graph import Graph, MalformedGraphError, TensorInfo, read_graph
from tests.real.kinds import KINDS, Kind, make_tokenizer, make_weights, write_graph

TENSOR = onnx.TensorProto.DESCRIPTOR
Steps = tuple[str, ...]


def read(data: bytes) -> Graph:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return read_graph(file)


def paths_to_tensors(message: Any, before: Steps = (), seen: tuple[str, ...] = ()) -> Iterator[Steps]:
    """Yield every chain of fields from a message to a tensor, each type of message at most once."""
    for field in message.fields:
        if field.message_type is None or field.message_type.name in seen:
            continue
        steps = (*before, field.name)
        if field.message_type.name == TENSOR.name:
            yield steps
        else:
            yield from paths_to_tensors(field.message_type, steps, (*seen, field.message_type.name))


PATHS = [*paths_to_tensors(onnx.ModelProto.DESCRIPTOR, (), ("ModelProto",))]


def add(message: Any, step: str) -> Any:
    inner = getattr(message, step)
    return inner.add() if hasattr(inner, "add") else inner


@pytest.mark.parametrize("steps", PATHS, ids=".".join)
def test_external_data_is_found_wherever_a_model_can_have_a_tensor(steps: Steps) -> None:
    model = onnx.ModelProto()
    model.graph.name = "main"
    message: Any = model
    for step in steps:
        message = add(message, step)
    message.external_data.add(key="offset", value="0")
    message.external_data.add(key="location", value="weights.bin")
    assert read(model.SerializeToString()).external == {"weights.bin"}


def test_all_places_of_tensors_are_tried() -> None:
    assert {"graph.initializer", "functions.node.attribute.t", "graph.sparse_initializer.values"} <= {
        ".".join(steps) for steps in PATHS
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_inputs_and_outputs_are_those_of_the_onnx_library(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    write_graph(kind, make_weights(kind, make_tokenizer().get_vocab_size()), file)
    with file.open("rb") as opened:
        found = read_graph(opened)
    model = onnx.load(file)
    for ours, theirs in ((found.inputs, model.graph.input), (found.outputs, model.graph.output)):
        assert ours == {
            info.name: TensorInfo(
                info.type.tensor_type.elem_type,
                tuple(
                    dim.dim_value if dim.HasField("dim_value") else None
                    for dim in info.type.tensor_type.shape.dim
                ),
            )
            for info in theirs
        }
    assert found.operators == {node.op_type for node in model.graph.node}
    assert found.external == set()


def test_an_input_with_a_stored_value_is_no_input() -> None:
    model = onnx.ModelProto()
    model.graph.input.add(name="x")
    model.graph.input.add(name="weights")
    model.graph.initializer.add(name="weights")
    model.graph.node.add().attribute.add().g.initializer.add(name="x")
    assert set(read(model.SerializeToString()).inputs) == {"x"}, "a subgraph's values are its own"


def test_parts_of_a_repeated_message_count_together() -> None:
    """A field that occurs twice is merged by protobuf, so a second part may hide what the first shows."""
    first, second = onnx.ModelProto(), onnx.ModelProto()
    first.graph.input.add(name="x")
    second.graph.initializer.add().external_data.add(key="location", value="weights.bin")
    found = read(first.SerializeToString() + second.SerializeToString())
    assert (set(found.inputs), found.external) == ({"x"}, {"weights.bin"})


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes in protobuf encoding."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


@pytest.mark.parametrize(("levels", "fits"), [(10, True), (5_000, False)])
def test_deep_nesting_is_refused(levels: int, fits: bool) -> None:
    graph = b""
    for _ in range(levels):
        # A graph with a node with an attribute that is a graph.
        graph = field(1, field(5, field(6, graph)))
    if fits:
        assert read(field(7, graph)) == Graph()
        return
    with pytest.raises(MalformedGraphError, match="nested"):
        read(field(7, graph))


@pytest.mark.parametrize("data", [b"", b"\0", b"\x0b", b"\x3a\x7f", b"\xff" * 20, b"\x08", b"{}"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedGraphError):
        read(data)


def small_model() -> bytes:
    model = onnx.ModelProto()
    model.graph.input.add(name="x").type.tensor_type.shape.dim.add(dim_value=3)
    model.graph.initializer.add(name="w", dims=[2]).external_data.add(key="location", value="file")
    model.graph.node.add(op_type="Add").attribute.add(name="a").t.raw_data = b"abc"
    data: bytes = model.SerializeToString()
    return data


@settings(max_examples=500)
@given(st.data())
def test_damaged_models_never_raise_anything_else(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([small_model(), b""])) + data.draw(st.binary(max_size=40)))
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content))
    except MalformedGraphError as error:
        assert str(error)
