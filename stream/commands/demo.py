"""`labelstream demo`: see it work before you set anything up."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Where the bundle and the worker's log are kept.")] = Path(
        ".demo"
    ),
    rate: Annotated[float, typer.Option(min=1, help="Events produced per second.")] = 120,
    redis_url: Annotated[
        str | None,
        typer.Option(help="A Redis for the second cache tier.", show_default="in-process cache only"),
    ] = None,
) -> None:
    """Train on the sample, start a broker and a worker, and watch labels arrive.

    Needs no Kafka: the broker is a development broker that keeps nothing. The first run trains, later runs
    reuse the bundle.

        labelstream demo

        labelstream demo --rate 500 --redis-url redis://127.0.0.1:6379/0
    """
    import logging

    from rich.console import Console

    from stream.demo.broker import require_library
    from stream.demo.run import run_demo

    require_library()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(run_demo(folder, rate, redis_url, Console()))
