"""A schema as the registry holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema of the registry.

    Attributes:
        schema_id: its id.
        type: AVRO, JSON or PROTOBUF.
        text: the schema.
        references: the texts of the schemas that it needs, by the names that it uses, each after its own.
    """

    schema_id: int
    type: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)
