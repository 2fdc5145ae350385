"""The sample: 960 support messages in six intents, written for this project."""

from importlib.resources import files
from pathlib import Path


def sample_path() -> Path:
    """The CSV with the columns id, time, channel, text, intent."""
    return Path(str(files(__name__) / "support.csv"))
