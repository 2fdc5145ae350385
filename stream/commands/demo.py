"""`labelstream demo`: the whole pipeline on one machine, without any setup."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the bundle and the worker's log.")] = Path(".demo"),
    rate: Annotated[float, typer.Option(min=1, help="Events to produce per second.")] = 120,
    redis_url: Annotated[
        str | None,
        typer.Option(help="Redis for the second cache tier.", show_default="in-process cache only"),
    ] = None,
) -> None:
    """Train on the sample, start a broker and a worker, and watch labels arrive.

    No Kafka is needed: the demo starts an in-memory development broker. The first run trains the model, and
    later runs reuse its bundle.

        labelstream demo

        labelstream demo --rate 500 --redis-url redis://127.0.0.1:6379/0
    """
    from rich.console import Console

    from stream.demo.broker import require_library
    from stream.demo.run import run_demo
    from stream.kafka.connection import silence_client_logs

    require_library()
    silence_client_logs()
    asyncio.run(run_demo(folder, rate, redis_url, Console()))
