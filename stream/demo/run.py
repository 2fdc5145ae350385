"""The demo from top to bottom."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from rich.console import Console
from rich.live import Live

from stream.bundle import latest_version, open_bundle
from stream.bundle.store import Bundle, digest
from stream.demo.broker import DevBroker
from stream.demo.events import DemoEvent, demo_events, held_out_ids
from stream.demo.parts import cache_hits, labelstream, running_worker
from stream.demo.screen import clipped_lines, live_view, summary
from stream.demo.tally import Tally
from stream.errors import BrokerError, BundleError
from stream.sample import sample_path

NAME = "support"
TOPICS = ("texts", "labels", "texts.dead")
BACK_DEADLINE_S = 120.0
REFRESHES_PER_S = 8


async def run_demo(folder: Path, rate: float, redis_url: str | None, console: Console) -> None:
    """Train or reuse a bundle, start broker and worker, send the sample through, show what comes back.

    Args:
        folder: where the bundle and the worker's log are kept.
        rate: events produced per second.
        redis_url: a Redis for the second cache tier, if any.
        console: where everything is shown.

    Raises:
        Fatal: a part did not start, or an event did not come back.
    """
    store, log = folder / "bundles", folder / "worker.log"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = await trained_bundle(store, console)
    events = demo_events(sample_path())
    tally = Tally({e.id: e.intent for e in events if e.intent}, held_out_ids(bundle.path))
    async with AsyncExitStack() as stack:
        console.rule("[bold]3  broker: a development broker that keeps nothing[/]")
        broker = stack.enter_context(DevBroker(TOPICS))
        console.print(f"listening on {broker.address}")
        console.rule("[bold]4  worker: a process of its own[/]")
        arguments = ["--broker", broker.address, "--bundle", NAME, "--bundle-store", str(store)]
        arguments += ["--redis-url", redis_url] if redis_url else []
        console.print(f"labelstream worker {' '.join(arguments[:4])} …", soft_wrap=True)
        with console.status("loading the model and joining the consumer group"):
            web = await stack.enter_async_context(running_worker(arguments, log))
        console.print(f"ready, metrics on {web}/metrics")
        console.rule("[bold]5  events: produced, labelled, received[/]")
        await send_and_watch(broker.address, events, rate, tally, console)
        hits = await cache_hits(web)
    hits.setdefault("local", 0)
    console.print(summary(tally, hits if redis_url else {"local": hits["local"]}, str(bundle.path), log))
    check(tally, events)


async def trained_bundle(store: Path, console: Console) -> Bundle:
    """The demo's bundle: the finished one when it was made from this very sample, else a new one."""
    console.rule("[bold]1  train: fine-tune a small encoder on the sample, export to ONNX[/]")
    if _is_finished(store):
        console.print(
            f"reusing {store / NAME}, which was made from this sample; remove the folder to train again"
        )
    else:
        await labelstream("train", "sample", "--name", NAME, "--bundle-store", str(store))
    console.rule("[bold]2  verify: does the export say what the trained model said?[/]")
    await labelstream("verify", NAME, "--bundle-store", str(store))
    return open_bundle(NAME, store)


def _is_finished(store: Path) -> bool:
    if latest_version(store, NAME) is None:
        return False
    try:
        return open_bundle(NAME, store).manifest.data.get("sha256") == digest(sample_path())
    except BundleError:
        return False


async def send_and_watch(
    address: str, events: list[DemoEvent], rate: float, tally: Tally, console: Console
) -> None:
    """Produce at a constant rate and show what arrives on the label and dead-letter topics.

    Raises:
        BrokerError: not everything came back in time.
    """
    texts = {event.id: orjson.loads(event.value)["text"] for event in events if event.intent}
    consumer = AIOKafkaConsumer(bootstrap_servers=address, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        consumer.assign(
            [TopicPartition(topic, at) for topic in TOPICS[1:] for at in await _partitions(consumer, topic)]
        )
        await consumer.seek_to_beginning()
        producing = asyncio.create_task(produce(address, events, rate, tally))
        with (
            clipped_lines(console),
            Live(
                live_view(tally, len(events), texts), console=console, refresh_per_second=REFRESHES_PER_S
            ) as live,
        ):
            async with asyncio.timeout(len(events) / rate + BACK_DEADLINE_S):
                while tally.finished < len(events) or not producing.done():
                    await receive(consumer, tally)
                    live.update(live_view(tally, len(events), texts))
        if not console.is_terminal:
            # There the last picture is written without the end of its last line.
            console.print()
        await producing
    except TimeoutError:
        raise BrokerError(
            f"only {tally.finished} of {len(events)} events came back",
            cause="the worker or the development broker fell behind",
            fix="read the worker's log; try a lower --rate",
        ) from None
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client._wait_on_metadata(topic)
    return sorted(consumer.partitions_for_topic(topic) or ())


async def receive(consumer: AIOKafkaConsumer, tally: Tally) -> None:
    """Take in what has arrived."""
    fetched = await consumer.getmany(timeout_ms=100)
    now = time.time()
    for tp, records in fetched.items():
        for record in records:
            if tp.topic == "labels":
                tally.saw_label(record.value, record.timestamp / 1000, now)
            else:
                tally.saw_dead_letter(dict(record.headers), record.timestamp / 1000, now)


async def produce(address: str, events: list[DemoEvent], rate: float, tally: Tally) -> None:
    """Send the events at a constant rate."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        began = time.monotonic()
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await producer.send("texts", event.value, key=event.key, headers=list(event.headers))
            tally.produced += 1
        await producer.flush()
    finally:
        await producer.stop()


def check(tally: Tally, events: list[DemoEvent]) -> None:
    """Every event came back once: labelled, or as a dead letter if it was broken.

    Raises:
        BrokerError: the numbers do not agree.
    """
    broken = sum(event.intent is None for event in events)
    if (tally.labelled, tally.reasons.total()) != (len(events) - broken, broken):
        raise BrokerError(
            "the numbers do not agree",
            cause=f"{len(events) - broken} good and {broken} broken events went in",
            fix="run the demo again with --folder somewhere new and report it",
        )
