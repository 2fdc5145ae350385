"""The free model's worker with one function of the compiled codec replaced, to measure what that saves.

python -m benchmarks.speed.codec_worker FUNCTION --bundle support --broker HOST:PORT ...
"""

import sys

import typer

from benchmarks.speed.codec_twins import REPLACED, replace
from benchmarks.speed.free_worker import worker

if __name__ == "__main__":
    name = sys.argv.pop(1)
    if name not in REPLACED:
        sys.exit(f"no such function: {name}; there are {', '.join(REPLACED)}")
    replace(name)
    app = typer.Typer()
    app.command()(worker)
    app()
