"""The AsyncAPI document of the configured routes."""

from stream.asyncapi.document import make_document

__all__ = ["make_document"]
