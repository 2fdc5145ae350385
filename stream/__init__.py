"""The labelstream worker, which labels the text events of Kafka topics, and its commands."""

from importlib.metadata import version

__version__ = version("labelstream-kafka")
