"""The check of a bundle's ONNX graphs against its manifest."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from stream.bundle.fields import check_path
from stream.bundle.files import EXPORT_AGAIN, open_regular
from stream.bundle.graph import FLOAT32, INT64, Graph, MalformedGraphError, TensorInfo, read_graph
from stream.bundle.manifest import Manifest
from stream.errors import BundleError

OUTPUT = "logits"
METADATA = "metadata"
# A node of this operator names a compiled model in another file, which a provider would load.
COMPILED_CONTEXT = "EPContext"
ELEMENTS = {FLOAT32: "float32", INT64: "int64"}


def check_graphs(folder: Path, manifest: Manifest) -> None:
    """Check the graph of every variant: it fits the manifest, and its external data files are listed.

    Raises:
        BundleError: a file is not an ONNX model, has other inputs, outputs or labels than the manifest, or
            reads a file that the manifest does not list.
    """
    for name in sorted({entry.file for entry in manifest.variants.values()}):
        try:
            with open_regular(folder, name) as file:
                graph = read_graph(file)
            _check_files(name, graph, manifest)
            _check_inputs(graph, manifest)
            _check_output(graph, manifest)
        except ValueError as exc:
            what = (
                "is not an ONNX model"
                if isinstance(exc, MalformedGraphError)
                else "does not fit its manifest"
            )
            raise BundleError(
                f"{name} in the bundle {folder} {what}", cause=str(exc), fix=EXPORT_AGAIN
            ) from None


def _check_files(name: str, graph: Graph, manifest: Manifest) -> None:
    for location in sorted(graph.external):
        path = str(PurePosixPath(name).parent / check_path(location))
        if path not in manifest.files:
            raise ValueError(
                f"it reads its weights from {path}, which is not covered by a digest under files"
            )
    if COMPILED_CONTEXT in graph.operators:
        raise ValueError(f"its operator {COMPILED_CONTEXT} loads a compiled model from outside the graph")


def _check_inputs(graph: Graph, manifest: Manifest) -> None:
    if set(graph.inputs) != set(manifest.inputs):
        raise ValueError(
            f"inputs: the graph reads {_names(graph.inputs)}, the manifest names {_names(manifest.inputs)}"
        )
    for name, found in graph.inputs.items():
        wanted = TensorInfo(INT64, (None, None))
        if name == METADATA:
            wanted = TensorInfo(FLOAT32, (None, manifest.metadata_width))
        _check_tensor(f"inputs.{name}", found, wanted)


def _check_output(graph: Graph, manifest: Manifest) -> None:
    if OUTPUT not in graph.outputs:
        raise ValueError(f"the graph has no output {OUTPUT}, only {_names(graph.outputs)}")
    found, labels = graph.outputs[OUTPUT], len(manifest.labels)
    if found.shape and found.shape[-1] not in (None, labels):
        raise ValueError(
            f"labels: the graph computes {found.shape[-1]} logits, the manifest names {labels} labels"
        )
    tokens = (None,) if manifest.head == "token" else ()
    _check_tensor(OUTPUT, found, TensorInfo(FLOAT32, (None, *tokens, labels)))


def _check_tensor(name: str, found: TensorInfo, wanted: TensorInfo) -> None:
    """Check an element type and a shape; a dimension that the worker varies must not be fixed."""
    if found.element != wanted.element:
        given = ELEMENTS.get(found.element, f"of type {found.element}")
        raise ValueError(f"{name}: its elements are {given}, not {ELEMENTS[wanted.element]}")
    if found.shape is None or wanted.shape is None:
        return
    fits = len(found.shape) == len(wanted.shape) and all(
        size is None or size == needed for size, needed in zip(found.shape, wanted.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name}: its shape is {_shape(found.shape)}, not {_shape(wanted.shape)}")


def _shape(sizes: Iterable[int | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(ascii(name[:80])[1:-1] for name in names)) or "nothing"
