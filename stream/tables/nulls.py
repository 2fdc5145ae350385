"""Spellings of a missing value in cells, in lower case."""

NULL_TEXTS = frozenset({"nan", "null", "<na>", "#n/a", "nat", "<null>", "\\n"})
"""Spellings that pandas, SQL and Excel write and that name no class."""

AMBIGUOUS_NULL_TEXTS = frozenset({"none", "n/a", "na", "#na", "n.a."})
"""Spellings of either a missing value or a class."""

NUMBER_NULL_TEXTS = NULL_TEXTS | AMBIGUOUS_NULL_TEXTS | {"", "-", "–", "—", "?"}
"""Spellings in a column of numbers, which has no classes."""
