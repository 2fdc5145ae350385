"""Schema registries with Confluent's interface: schemas by id, and values with the id of their schema."""

from stream.registry.cache import SchemaCache
from stream.registry.client import RegistryClient
from stream.registry.formats import SCHEMA_TYPES
from stream.registry.frame import check_no_header_id
from stream.registry.labels import LabelSchema
from stream.registry.subjects import Compatibility, SubjectReport, check_subjects, register_subjects
from stream.registry.worker import RouteSchemas, open_schemas

__all__ = [
    "SCHEMA_TYPES",
    "Compatibility",
    "LabelSchema",
    "RegistryClient",
    "RouteSchemas",
    "SchemaCache",
    "SubjectReport",
    "check_no_header_id",
    "check_subjects",
    "open_schemas",
    "register_subjects",
]
