"""An unmodified Faust app with the performance options of its documentation."""

import tempfile
from pathlib import Path

import faust

from benchmarks.speed.baselines.job import Job


def make_app(job: Job) -> tuple[faust.App, faust.TopicT, faust.TopicT]:
    """Create an app and the topics that it reads and writes.

    Values stay bytes, and there is no leader topic; producer batches and the stream buffer are large. Faust
    uses its Cython extensions if the installed package contains them.
    """
    app = faust.App(
        job.group,
        broker=f"kafka://{job.broker}",
        store="memory://",
        # Faust always creates this folder, by default in the current one.
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
    """Run the worker, at level info: at level warning Faust logs to its spinner at DEBUG, 35 µs per event."""
    faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()
