"""The sample data set: 960 support messages with six intents, written for this project."""

from importlib.resources import files
from pathlib import Path


def sample_path() -> Path:
    """Return the path of the CSV file with the columns id, time, channel, text, intent."""
    return Path(str(files(__name__) / "support.csv"))
