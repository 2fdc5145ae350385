"""`python -m tests.page.screenshots docs/images`: screenshots of the page of a worker under traffic."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated

import orjson
import typer
from PIL import Image
from playwright.sync_api import Browser
from rich.console import Console

from stream.bundle import latest_version, open_bundle
from stream.demo.events import BROKEN, demo_events
from stream.demo.parts import labelstream
from stream.demo.run import NAME
from stream.sample import sample_path
from tests.page.browser import chromium
from tests.real.embedded import EmbeddedBroker
from tests.real.redis import RedisServer
from tests.real.worker import WorkerProcess

TOPIC = "texts"
PARTITIONS = 4
SHOTS = {
    f"page-{scheme}-{shape}.png": (scheme, size)
    for scheme in ("light", "dark")
    for shape, size in (("wide", (1440, 900)), ("narrow", (360, 780)))
}
READY_S = 300.0
BURST_EVENTS = 60
BROKEN_SHARE = 0.004


def main(
    folder: Annotated[Path, typer.Argument(help="Folder for the screenshots.")],
    demo: Annotated[Path, typer.Option(help="Folder of the demo; a missing bundle is trained.")] = Path(
        ".demo"
    ),
    seconds: Annotated[float, typer.Option(help="Seconds of traffic before the first screenshot.")] = 300,
    rate: Annotated[float, typer.Option(help="Average events per second.")] = 30,
) -> None:
    """Start a broker, Redis and a worker with the trained sample, send events, and take the screenshots."""
    console = Console()
    store = demo / "bundles"
    if latest_version(store, NAME) is None:
        asyncio.run(
            labelstream("train", "sample", "--name", NAME, "--bundle-store", str(store), "--no-results")
        )
    bundle = open_bundle(NAME, store)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker, redis = EmbeddedBroker(), RedisServer()
        for part in (broker, redis):
            part.start()
            stack.callback(part.close)
        for topic in (TOPIC, f"{TOPIC}.labels", f"{TOPIC}.dead"):
            broker.create_topic(topic, PARTITIONS)
        worker = WorkerProcess(broker.address, bundle.path, TOPIC, group="labelstream", redis_url=redis.url)
        stack.callback(worker.close)
        worker.start(ready=False).await_ready(READY_S)
        console.print(f"worker on http://127.0.0.1:{worker.port}, {seconds:g} s of traffic")
        stack.enter_context(traffic(broker, rate))
        time.sleep(seconds)
        browser = stack.enter_context(chromium())
        for name, (scheme, size) in SHOTS.items():
            take_screenshot(browser, worker.port, folder / name, scheme, size)
            console.print(f"{folder / name}: {(folder / name).stat().st_size / 1000:.0f} kB")


def take_screenshot(browser: Browser, port: int, file: Path, scheme: str, size: tuple[int, int]) -> None:
    """Take a screenshot of the whole page."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("body[data-link=live]")
        page.wait_for_selector("#events tbody tr")
        page.screenshot(path=file, full_page=True)
        with Image.open(file) as taken:
            taken.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    finally:
        context.close()


@contextmanager
def traffic(broker: EmbeddedBroker, rate: float) -> Iterator[None]:
    """Send the events of the sample repeatedly inside the context, in waves, with occasional invalid ones."""
    ended = threading.Event()
    sender = threading.Thread(target=_send, args=(broker, rate, ended), daemon=True)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join(60)


def _send(broker: EmbeddedBroker, rate: float, ended: threading.Event) -> None:
    chosen = random.Random(7)
    good = [event for event in demo_events(sample_path()) if event.intent]
    for round_number in count(1):
        # The size of a round varies, so that the throughput line is not flat.
        size = max(1, round(rate * chosen.uniform(0.2, 0.6)))
        if round_number % 90 == 0:
            size += BURST_EVENTS
        for event in chosen.choices(good, k=size):
            value = orjson.loads(event.value)
            value["id"] = f"{event.id}-{round_number}"
            if chosen.random() < 0.3:
                value["text"] += f" (ticket {chosen.randrange(100_000)})"
            broker.produce(TOPIC, orjson.dumps(value), key=event.key)
        if chosen.random() < BROKEN_SHARE * size:
            value, headers = chosen.choice(BROKEN)
            broker.produce(TOPIC, value, headers=headers)
        if ended.wait(0.4):
            return


if __name__ == "__main__":
    typer.run(main)
