"""The worker with the free model and record batches of at most 1,000 events.

    python -m benchmarks.speed.thousand_worker --bundle support --broker HOST:PORT ...

The batches of the free model are larger. Most models are slower and have smaller ones, for which a
transaction costs more per event.
"""

import typer

from benchmarks.speed.free_worker import worker
from stream.classify import throughput

EVENTS = 1_000

if __name__ == "__main__":
    throughput.MAX_RECORD_BATCH = EVENTS
    app = typer.Typer()
    app.command()(worker)
    app()
