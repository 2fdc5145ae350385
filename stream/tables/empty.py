"""The error of a data file without rows."""

from stream.errors import UsageError


class EmptyTableError(UsageError):
    """A data file holds no rows."""

    def __init__(self, name: str, cause: str) -> None:
        """
        Args:
            name: the name of the file in messages.
            cause: the content that it has instead.
        """
        super().__init__(f"{name} holds no rows", cause=cause, fix="name a file with rows")
