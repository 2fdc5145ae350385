"""Wording of messages."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "1,200 rows".

    Args:
        number: the number.
        noun: the noun in the singular, whose plural ends with s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
