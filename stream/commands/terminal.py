"""Output to a terminal, a file or a pipe."""

from rich.console import Console

# In a file or a pipe each row stays on one line, so that the output can be searched.
PIPE_COLUMNS = 1000


def table_console() -> Console:
    """Return a console for tables; in a file or a pipe it does not wrap cells at 80 columns."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)
