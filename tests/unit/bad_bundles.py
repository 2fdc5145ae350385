"""Ways to break a bundle: each changes a copy of an intact bundle, and names what the error must contain."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx

MANIFEST = "labelstream.json"
GRAPH = "onnx/model.onnx"
NUMERIC = {"kind": "numeric", "name": "amount", "mean": 0.0, "std": 1.0}

Break = Callable[[Path], None]


class BadBundle(NamedTuple):
    """A broken bundle: its name, the change, and the words of the error."""

    name: str
    change: Break
    words: tuple[str, ...]


def read_manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return found


def write_manifest(folder: Path, manifest: object) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest))


def relist(folder: Path, *more: str) -> None:
    """Write the present digests of all listed files, and of further ones, into the manifest."""
    manifest = read_manifest(folder)
    for name in [*manifest["files"], *more]:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        manifest["files"][name] = f"sha256:{digest}"
    write_manifest(folder, manifest)


def member(path: str, value: object) -> Break:
    """Set a member of the manifest, by its dotted path."""

    def change(folder: Path) -> None:
        manifest = read_manifest(folder)
        *parents, last = path.split(".")
        inner = manifest
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        write_manifest(folder, manifest)

    return change


def literal(path: str, text: str) -> Break:
    """Set a member of the manifest to a text that Python's JSON writer would not write."""

    def change(folder: Path) -> None:
        member(path, "HERE")(folder)
        file = folder / MANIFEST
        file.write_text(file.read_text().replace('"HERE"', text))

    return change


def listed(name: str, digest: str = "sha256:" + "0" * 64) -> Break:
    """Add a path to the listed files."""

    def change(folder: Path) -> None:
        manifest = read_manifest(folder)
        manifest["files"][name] = digest
        write_manifest(folder, manifest)

    return change


def content(data: bytes) -> Break:
    """Replace the manifest by these bytes."""

    def change(folder: Path) -> None:
        (folder / MANIFEST).write_bytes(data)

    return change


def graph(edit: Callable[[Any], object]) -> Break:
    """Edit the ONNX graph, and list its new digest."""

    def change(folder: Path) -> None:
        model = onnx.load(folder / GRAPH)
        edit(model)
        (folder / GRAPH).write_bytes(model.SerializeToString())
        relist(folder)

    return change


def graph_bytes(edit: Callable[[bytes], bytes]) -> Break:
    """Edit the bytes of the ONNX graph, and list their new digest."""

    def change(folder: Path) -> None:
        (folder / GRAPH).write_bytes(edit((folder / GRAPH).read_bytes()))
        relist(folder)

    return change


def external(location: str) -> Callable[[Any], None]:
    """Move the weights of a graph to another file, without writing that file."""

    def edit(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        tensor.external_data.add(key="location", value=location)

    return edit


def replaced(name: str, make: Callable[[Path], object]) -> Break:
    """Replace a listed file by something else of that name."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def outside(name: str) -> Break:
    """Move a listed file out of the folder, and leave a link to it."""

    def change(folder: Path) -> None:
        moved = folder.parent / "outside"
        (folder / name).rename(moved)
        (folder / name).symlink_to(moved)

    return change


def bind_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        # The path of a socket is limited to 108 bytes.
        here = Path.cwd()
        os.chdir(file.parent)
        try:
            listening.bind(file.name)
        finally:
            os.chdir(here)


def sparse_manifest(folder: Path) -> None:
    """Make the manifest 1 GB long without writing 1 GB."""
    os.truncate(folder / MANIFEST, 2**30)


def set_shape(name: str, *sizes: int | str) -> Callable[[Any], None]:
    """Declare another shape of an input or output."""

    def edit(model: Any) -> None:
        (info,) = [v for v in (*model.graph.input, *model.graph.output) if v.name == name]
        shape = info.type.tensor_type.shape
        del shape.dim[:]
        for size in sizes:
            shape.dim.add(**{"dim_value" if isinstance(size, int) else "dim_param": size})

    return edit


def set_element(name: str, element: int) -> Callable[[Any], None]:
    """Declare other elements of an input or output."""

    def edit(model: Any) -> None:
        (info,) = [v for v in (*model.graph.input, *model.graph.output) if v.name == name]
        info.type.tensor_type.elem_type = element

    return edit


def rename_output(model: Any) -> None:
    model.graph.output[0].name = "scores"


def add_compiled_context(model: Any) -> None:
    model.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["x"])


def unlist(name: str) -> Break:
    """Remove a file from the list, and leave it in the folder."""

    def change(folder: Path) -> None:
        manifest = read_manifest(folder)
        del manifest["files"][name]
        write_manifest(folder, manifest)

    return change


NUMBERS = [
    BadBundle("temperature NaN", literal("temperature", "NaN"), ("temperature", "finite")),
    BadBundle("temperature infinite", literal("temperature", "-Infinity"), ("temperature", "finite")),
    BadBundle("temperature 1e400", literal("temperature", "1e400"), ("temperature",)),
    BadBundle("temperature zero", member("temperature", 0), ("temperature",)),
    BadBundle("temperature negative", member("temperature", -1.0), ("temperature",)),
    BadBundle("temperature tiny", member("temperature", 1e-300), ("temperature",)),
    BadBundle("temperature in quotes", member("temperature", "1.0"), ("temperature", "number")),
    BadBundle(
        "threshold above 1",
        member("thresholds", {"billing": 0.5, "refund": 1.5, "delivery": 0.5}),
        ("thresholds.refund",),
    ),
    BadBundle("threshold NaN", literal("thresholds", '{"billing": NaN}'), ("thresholds.billing", "finite")),
    BadBundle("thresholds of other labels", member("thresholds", {"billing": 0.5}), ("thresholds",)),
    BadBundle("abstain_below 2", member("abstain_below", 2), ("abstain_below",)),
    BadBundle("value 1e400", literal("values", "[1, 2, 1e400]"), ("values.2",)),
    BadBundle("value beyond reason", member("values", [1, 2, 1e200]), ("values.2",)),
    BadBundle("too few values", member("values", [1.0, 2.0]), ("values",)),
    BadBundle("target std zero", member("target", {"mean": 0, "std": 0}), ("target.std",)),
    BadBundle("target mean NaN", literal("target", '{"mean": NaN}'), ("target.mean", "finite")),
    BadBundle("column std NaN", literal("metadata", json.dumps([NUMERIC]).replace("1.0", "NaN")), (".std",)),
    BadBundle("column std 1e-320", member("metadata", [{**NUMERIC, "std": 1e-320}]), ("metadata", ".std")),
    BadBundle("columns repeated", member("metadata", [NUMERIC, NUMERIC]), ("metadata", "once")),
    BadBundle("max_length zero", member("max_length", 0), ("max_length",)),
    BadBundle("max_length huge", member("max_length", 10**12), ("max_length",)),
    BadBundle("max_length beyond 64 bits", literal("max_length", "1" * 500), ("max_length",)),
    BadBundle("max_length true", member("max_length", True), ("max_length",)),
    BadBundle("pad_token_id negative", member("pad_token_id", -1), ("pad_token_id",)),
    BadBundle("pad_token_id huge", member("pad_token_id", 2**40), ("pad_token_id",)),
    BadBundle("stride of a whole window", member("windows", {"stride": 16}), ("windows.stride",)),
    BadBundle("most windows", member("windows", {"stride": 1, "most": 10**9}), ("windows.most",)),
    BadBundle("size negative", member("variants.fp32.size_bytes", -1), ("variants.fp32.size_bytes",)),
    BadBundle("tolerance NaN", literal("variants.fp32.parity.tolerance", "NaN"), ("parity.tolerance",)),
]
NAMES = [
    BadBundle("no labels", member("labels", []), ("labels",)),
    BadBundle("labels repeated", member("labels", ["a", "a", "b"]), ("labels", "unique")),
    BadBundle("label with an escape sequence", member("labels", ["a", "\x1b[2J", "c"]), ("labels.1",)),
    BadBundle("label of 10,000 characters", member("labels", ["a", "b" * 10_000, "c"]), ("labels.1",)),
    BadBundle("inputs repeated", member("inputs", ["input_ids", "input_ids"]), ("inputs", "unique")),
    BadBundle("name with a path", member("name", "../evil"), ("name",)),
    BadBundle("version with a path", member("version", "1/../2"), ("version",)),
    BadBundle("unknown task", member("task", "guess"), ("task",)),
    BadBundle("next schema", member("schema_version", 2), ("schema_version",)),
]
PATHS = [
    BadBundle("path with ..", listed("onnx/../../evil"), ("files", "`..`")),
    BadBundle("path absolute", listed("/etc/hostname"), ("files", "absolute")),
    BadBundle("path with a backslash", listed("onnx\\evil"), ("files", "contains the character")),
    BadBundle("path with NUL", listed("evil\0"), ("files", "contains the character")),
    BadBundle("path with a drive", listed("C:evil"), ("files", "contains the character")),
    BadBundle("path of a memory address", listed("*/_ORT_MEM_ADDR_/*"), ("files", "contains the character")),
    BadBundle("path with an empty part", listed("onnx//model.onnx"), ("files", "empty part")),
    BadBundle("path empty", listed(""), ("files",)),
    BadBundle("path of 2,000 characters", listed("a" * 2_000), ("files", "characters")),
    BadBundle("paths that differ in case", listed("Tokenizer.json"), ("files", "differ only in case")),
    BadBundle("manifest in its own list", listed(MANIFEST), ("files", MANIFEST)),
    BadBundle("digest too short", listed("evil", "sha256:00"), ("files.evil",)),
    BadBundle("variant outside", member("variants.fp32.file", "../model.onnx"), ("variants.fp32.file",)),
    BadBundle("variant not listed", unlist(GRAPH), (GRAPH, "not covered by a digest")),
    BadBundle(
        "tokenizer not listed", unlist("tokenizer.json"), ("tokenizer.json", "not covered by a digest")
    ),
    BadBundle("reference not listed", unlist("reference.npz"), ("reference.npz", "not covered by a digest")),
]
MANIFESTS = [
    BadBundle("manifest empty", content(b""), (MANIFEST, "not valid")),
    BadBundle("manifest not JSON", content(b"{'name': 1}"), (MANIFEST, "not valid")),
    BadBundle("manifest not UTF-8", content(b'{"name": "\xff"}'), (MANIFEST, "not valid")),
    BadBundle("manifest a list", content(b"[]"), (MANIFEST, "not valid")),
    BadBundle("manifest nested 10,000 deep", content(b"[" * 10_000), (MANIFEST, "not valid")),
    BadBundle(
        "manifest data nested 10,000 deep",
        literal("data", '{"a":' * 10_000 + "1" + "}" * 10_000),
        (MANIFEST, "not valid"),
    ),
    BadBundle("manifest of 1 GB", sparse_manifest, (MANIFEST, "limit")),
    BadBundle("manifest a folder", replaced(MANIFEST, Path.mkdir), (MANIFEST, "a directory")),
    BadBundle("manifest a pipe", replaced(MANIFEST, os.mkfifo), (MANIFEST, "a named pipe")),
    BadBundle("manifest outside", outside(MANIFEST), (MANIFEST, "a link to")),
    BadBundle(
        "manifest a loop of links", replaced(MANIFEST, lambda file: file.symlink_to(file.name)), (MANIFEST,)
    ),
]
FILES = [
    BadBundle("file missing", lambda folder: (folder / GRAPH).unlink(), (GRAPH, "is missing")),
    BadBundle("file changed", replaced("reference.jsonl", Path.touch), ("reference.jsonl", "was changed")),
    BadBundle("file a folder", replaced("tokenizer.json", Path.mkdir), ("tokenizer.json", "a directory")),
    BadBundle("file a pipe", replaced("tokenizer.json", os.mkfifo), ("tokenizer.json", "a named pipe")),
    BadBundle("file a socket", replaced("tokenizer.json", bind_socket), ("tokenizer.json", "a socket")),
    BadBundle(
        "file a device",
        replaced("tokenizer.json", lambda file: file.symlink_to("/dev/zero")),
        ("tokenizer.json", "a link to /dev/zero"),
    ),
    BadBundle("graph outside", outside(GRAPH), (GRAPH, "a link to")),
    BadBundle("tokenizer outside", outside("tokenizer.json"), ("tokenizer.json", "a link to")),
    BadBundle(
        "unlisted data",
        lambda folder: (folder / "onnx/model.onnx.data").touch(),
        ("model.onnx.data", "digest"),
    ),
    BadBundle("unlisted file", lambda folder: (folder / "vocab.txt").touch(), ("vocab.txt", "digest")),
    BadBundle("unlisted link", lambda folder: (folder / "more").symlink_to("/etc"), ("more", "digest")),
]
GRAPHS = [
    BadBundle("graph empty", graph_bytes(lambda _: b""), (GRAPH, "not an ONNX model", "empty")),
    BadBundle("graph of text", graph_bytes(lambda _: b"not a graph"), (GRAPH, "not an ONNX model")),
    BadBundle("graph cut", graph_bytes(lambda data: data[:-9]), (GRAPH, "not an ONNX model")),
    BadBundle("graph without a graph", graph(lambda m: m.ClearField("graph")), (GRAPH, "no graph")),
    BadBundle(
        "fewer labels than logits", member("labels", ["a", "b"]), ("labels", "3 logits", "names 2 labels")
    ),
    BadBundle(
        "more labels than logits", member("labels", ["a", "b", "c", "d"]), ("3 logits", "names 4 labels")
    ),
    BadBundle(
        "input that the graph lacks",
        member("inputs", ["input_ids", "attention_mask", "token_type_ids"]),
        ("inputs", "token_type_ids"),
    ),
    BadBundle("input that the manifest lacks", member("inputs", ["input_ids"]), ("inputs", "attention_mask")),
    BadBundle("input of int32", graph(set_element("input_ids", 6)), ("inputs.input_ids", "int64")),
    BadBundle("input of fixed rows", graph(set_shape("input_ids", 1, 16)), ("inputs.input_ids", "[1, 16]")),
    BadBundle("input with three axes", graph(set_shape("input_ids", "a", "b", "c")), ("inputs.input_ids",)),
    BadBundle("output of float64", graph(set_element("logits", 11)), ("logits", "float32")),
    BadBundle("output of tokens", graph(set_shape("logits", "a", "b", 3)), ("logits", "[?, ?, 3]")),
    BadBundle("output of another name", graph(rename_output), ("no output logits", "scores")),
    BadBundle("external data not listed", graph(external("model.data")), ("onnx/model.data", "digest")),
    BadBundle("external data above", graph(external("../../model.data")), (GRAPH, "`..`")),
    BadBundle("external data absolute", graph(external("/dev/zero")), (GRAPH, "absolute")),
    BadBundle(
        "external data in memory", graph(external("*/_ORT_MEM_ADDR_/*")), (GRAPH, "contains the character")
    ),
    BadBundle("compiled context", graph(add_compiled_context), (GRAPH, "EPContext")),
]
BAD_BUNDLES = [*NUMBERS, *NAMES, *PATHS, *MANIFESTS, *FILES, *GRAPHS]
