"""Protobuf values: message types from .proto texts that are read at run time."""

import base64
import binascii
import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from stream.errors import Poison, Reason, missing_module
from stream.registry.frame import read_message_indexes
from stream.registry.registered import RegisteredSchema

MAIN_FILE = "labelstream-registered.proto"
# The names of imports are arguments of protoc, which executes plug-ins that an argument names.
_GOOGLE_FILE = re.compile(r"google/protobuf/[a-z_]+\.proto")
# A message of two bytes can have as many fields with default values as its type.
MAX_FIELDS = 200_000


class ProtobufParser:
    """Parses Protobuf messages of one schema, which may define several message types.

    A field has its name in the .proto text. A field without presence that is not set has its default value,
    any other one is absent. Enums become the names of their values, bytes base64, and the messages of
    google.protobuf such as Timestamp what Protobuf's JSON mapping makes of them.
    """

    type = "PROTOBUF"

    def __init__(self, schema: RegisteredSchema) -> None:
        """
        Args:
            schema: the schema, as .proto text or as a file descriptor in base64, as Confluent's clients
                register it.

        Raises:
            UsageError: a library is not installed.
            ValueError: the text is not a valid .proto file.
        """
        load_compiler()
        from google.protobuf import descriptor_pool, message_factory

        self._schema_id = schema.schema_id
        self._class_of = message_factory.GetMessageClass
        pool = descriptor_pool.DescriptorPool()
        for found in _file_descriptors(schema):
            pool.Add(found)
        self._file = pool.FindFileByName(MAIN_FILE)
        self._top_level = list(self._file.message_types_by_name.values())
        self._classes: dict[tuple[int, ...], Any] = {}

    def parse(self, payload: bytes) -> Any:
        """See `ValueParser.parse`."""
        indexes, body = read_message_indexes(payload)
        message = self._message(indexes)
        try:
            message.ParseFromString(body)
            return MessageReader(MAX_FIELDS).read(message)
        except Poison:
            raise
        except Exception as exc:  # noqa: BLE001 - the error's class depends on protobuf's implementation
            raise Poison(
                Reason.DECODE,
                f"the value is not a message {message.DESCRIPTOR.full_name} of Protobuf schema "
                f"{self._schema_id} ({type(exc).__name__})",
            ) from None

    def _message(self, indexes: tuple[int, ...]) -> Any:
        """Return a new message of the type at a path of indices.

        Raises:
            Poison: the file has no such type.
        """
        if indexes not in self._classes:
            types, found = self._top_level, None
            for index in indexes:
                if not 0 <= index < len(types):
                    path = ",".join(map(str, indexes))
                    raise Poison(
                        Reason.SCHEMA, f"Protobuf schema {self._schema_id} has no message type {path[:40]}"
                    )
                found = types[index]
                types = found.nested_types
            self._classes[indexes] = self._class_of(found)
        return self._classes[indexes]()


class MessageReader:
    """Reads one message as parsed JSON, up to a number of fields."""

    def __init__(self, max_fields: int) -> None:
        """
        Args:
            max_fields: the maximum number of fields of the message and of those that it holds.
        """
        self._max_fields = max_fields
        self._fields = 0

    def read(self, message: Any) -> Any:
        """Return a message as parsed JSON.

        Raises:
            Poison: it has too many fields.
        """
        if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
            from google.protobuf import json_format

            return json_format.MessageToDict(message, preserving_proto_field_name=True)
        fields = message.DESCRIPTOR.fields
        self._fields += 1 + len(fields)
        if self._fields > self._max_fields:
            raise Poison(Reason.TOO_LARGE, f"the message has more than {self._max_fields} fields")
        return {
            field.name: self._field(field, getattr(message, field.name))
            for field in fields
            if not field.has_presence or message.HasField(field.name)
        }

    def _field(self, field: Any, value: Any) -> Any:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            of_values = entry.fields_by_name["value"]
            return {str(key): self._single(of_values, value[key]) for key in value}
        if field.is_repeated:
            return [self._single(field, item) for item in value]
        return self._single(field, value)

    def _single(self, field: Any, value: Any) -> Any:
        if field.message_type is not None:
            return self.read(value)
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known else value
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _file_descriptors(schema: RegisteredSchema) -> Iterable[Any]:
    """Return the descriptors of a schema's file and of all files that it imports, each after its imports."""
    from google.protobuf import descriptor_pb2

    texts = {**schema.references, MAIN_FILE: schema.text}
    with tempfile.TemporaryDirectory(prefix="labelstream-proto-") as folder:
        described = [name for name, text in texts.items() if not _write(Path(folder), name, text)]
        if not described:
            return list(descriptor_pb2.FileDescriptorSet.FromString(_compile(Path(folder), [MAIN_FILE])).file)
    return _of_serialized(texts)


def _write(folder: Path, name: str, text: str) -> bool:
    """Write a .proto file, unless the text is a serialized descriptor; return whether it was written."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("the name of a reference leaves the folder of the schema")
    if _serialized(text) is not None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def _serialized(text: str) -> bytes | None:
    """Return the bytes of a file descriptor in base64, None if the text is something else."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _of_serialized(texts: Mapping[str, str]) -> list[Any]:
    """Return the descriptors of serialized files, whose imports are references or Google's own files."""
    from google.protobuf import descriptor_pb2

    found = {}
    for name, text in texts.items():
        serialized = _serialized(text)
        if serialized is None:
            raise ValueError("a schema of .proto texts and file descriptors")
        descriptor = descriptor_pb2.FileDescriptorProto.FromString(serialized)
        descriptor.name = name
        found[name] = descriptor
    imported = {name for descriptor in found.values() for name in descriptor.dependency}
    others = sorted(imported - found.keys())
    if not all(map(_GOOGLE_FILE.fullmatch, others)):
        raise ValueError("an import is neither a reference of the schema nor a file of google/protobuf")
    return [*_compile_google(others), *found.values()]


def _compile_google(names: list[str]) -> list[Any]:
    from google.protobuf import descriptor_pb2

    if not names:
        return []
    with tempfile.TemporaryDirectory(prefix="labelstream-proto-") as folder:
        return list(descriptor_pb2.FileDescriptorSet.FromString(_compile(Path(folder), names)).file)


def load_compiler() -> Any:
    """Return protoc's module in the library grpcio-tools, which brings the library protobuf.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from grpc_tools import protoc
    except ModuleNotFoundError as exc:
        raise missing_module("Protobuf needs a library", exc, "schemas") from exc
    return protoc


def _compile(folder: Path, names: list[str]) -> bytes:
    """Return the serialized descriptors of .proto files and of their imports.

    Raises:
        ValueError: the files are not valid.
    """
    output = folder / "descriptors"
    flags = [f"--proto_path={folder}", f"--proto_path={files('grpc_tools') / '_proto'}"]
    flags += [f"--descriptor_set_out={output}", "--include_imports"]
    if load_compiler().main(["protoc", *flags, *names]) != 0:
        raise ValueError("the .proto text is not valid")
    return output.read_bytes()
