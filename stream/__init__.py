"""labelstream's worker: text events in, labelled events out, nothing lost in between."""

from importlib.metadata import version

__version__ = version("labelstream-kafka")
