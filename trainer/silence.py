"""Suppression of the libraries' own prints, progress bars and warnings."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


def silence_libraries() -> None:
    """Turn off the libraries' warnings, log lines and progress bars for the whole process."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(torch|transformers|accelerate|optimum|sklearn)\b.*")


@contextlib.contextmanager
def no_output() -> Iterator[None]:
    """Suppress warnings, log lines below critical, and everything that Python code prints in this block."""
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)
