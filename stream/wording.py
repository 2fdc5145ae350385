"""Wording of messages."""

BUNDLE_FORMS = "a folder, NAME or NAME@VERSION in the store, hf://OWNER/NAME, or models:/NAME@ALIAS"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "1,200 rows".

    Args:
        number: the number.
        noun: the noun in the singular, whose plural ends with s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_worker_settings(command: str) -> str:
    """Return a command, and that it needs the settings of the worker, as the `fix` of an error."""
    return f"{command}, with the worker's settings (the same --config, flags and environment)"


CREATE_TOPICS = with_worker_settings("labelstream topics create")
