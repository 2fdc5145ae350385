"""`torchrun … -m trainer train …` and `python -m trainer train …`: the `labelstream` command."""

import contextlib
import io
import sys
import time
from typing import NoReturn

from stream.cli import main as labelstream
from trainer.processes import is_main_process, process_rank

SIGNALLED = 128
DELAY_SECONDS = 3.0


def main() -> NoReturn:
    """Run the command line; only the main process prints, unless another one fails alone."""
    if is_main_process():
        labelstream()
    errors = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            labelstream()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        if 0 < code < SIGNALLED:
            # The main process has most errors too, and prints them; the launcher then ends this process.
            time.sleep(DELAY_SECONDS)
            sys.stderr.write(f"process {process_rank()}:\n{errors.getvalue()}")
        raise


if __name__ == "__main__":
    main()
