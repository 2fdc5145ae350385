"""Faust as it comes, with the options of its documentation that make it faster."""

import tempfile
from pathlib import Path

import faust

from benchmarks.speed.rivals.job import Job


def make_app(job: Job) -> tuple[faust.App, faust.TopicT, faust.TopicT]:
    """An app with the topics that it reads and writes.

    Values stay bytes, no leader topic, large producer batches and a large stream buffer; the Cython parts are
    used where the installed package has them.
    """
    app = faust.App(
        job.group,
        broker=f"kafka://{job.broker}",
        store="memory://",
        # Faust makes its folder whether there are tables or not; not where the benchmark was started.
        datadir=str(Path(tempfile.gettempdir()) / "labelstream-bench-faust"),
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        producer_acks=-1,
        producer_linger=0.005,
        producer_max_batch_size=262_144,
        producer_compression_type=job.compression,
        stream_buffer_maxsize=4_096,
    )
    raw = {"key_serializer": "raw", "value_serializer": "raw"}
    return app, app.topic(job.source, **raw), app.topic(job.target, **raw)


def run(app: faust.App) -> None:
    """Run the worker. Not at level warning: there Faust logs at DEBUG for its spinner, 35 µs per event."""
    faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()
