"""The steps of the demo: train, verify, start broker and worker, produce and consume events."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from rich.console import Console
from rich.live import Live

from stream.bundle import Bundle, file_digest, latest_version, open_bundle
from stream.demo.broker import DevBroker
from stream.demo.events import DemoEvent, demo_events, held_out_ids
from stream.demo.parts import cache_hits, labelstream, running_worker
from stream.demo.screen import clipped_lines, live_view, summary
from stream.demo.stats import DemoStats
from stream.errors import BrokerError, BundleError
from stream.kafka.faust.metadata import topic_partitions
from stream.sample import sample_path

NAME = "support"
TOPICS = ("texts", "labels", "texts.dead")
BACK_DEADLINE_S = 120.0
REFRESHES_PER_S = 8


async def run_demo(folder: Path, rate: float, redis_url: str | None, console: Console) -> None:
    """Train or reuse a bundle, start a broker and a worker, produce the sample, and show the results.

    Args:
        folder: folder for the bundle and the worker's log.
        rate: events to produce per second.
        redis_url: Redis for the second cache tier; None for none.
        console: the console for the output.

    Raises:
        Fatal: broker or worker did not start, or an event did not come back.
    """
    store, log = folder / "bundles", folder / "worker.log"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = await trained_bundle(store, console)
    events = demo_events(sample_path())
    stats = DemoStats({e.id: e.intent for e in events if e.intent}, held_out_ids(bundle.path))
    async with AsyncExitStack() as stack:
        console.rule("[bold]3  broker: an in-memory development broker[/]")
        broker = stack.enter_context(DevBroker(TOPICS))
        console.print(f"listening on {broker.address}")
        console.rule("[bold]4  worker: in its own process[/]")
        arguments = ["--broker", broker.address, "--bundle", NAME, "--bundle-store", str(store)]
        arguments += ["--redis-url", redis_url] if redis_url else []
        console.print(f"labelstream worker {' '.join(arguments[:4])} …", soft_wrap=True)
        with console.status("loading the model and joining the consumer group"):
            web = await stack.enter_async_context(running_worker(arguments, log))
        console.print(f"ready, metrics on {web}/metrics")
        console.rule("[bold]5  events: produce, label, consume[/]")
        await send_and_watch(broker.address, events, rate, stats, console)
        hits = await cache_hits(web)
    hits.setdefault("local", 0)
    console.print(summary(stats, hits if redis_url else {"local": hits["local"]}, str(bundle.path), log))
    check(stats, events)


async def trained_bundle(store: Path, console: Console) -> Bundle:
    """Return the bundle of the demo: the existing one if it was trained on this sample, else a new one."""
    console.rule("[bold]1  train: fine-tune a small encoder on the sample, and export it to ONNX[/]")
    if _is_current(store):
        console.print(f"reusing {store / NAME}, trained on this sample; delete the folder to train again")
    else:
        results = store.parent / "results"
        folders = ("--bundle-store", str(store), "--results", str(results))
        await labelstream("train", "sample", "--name", NAME, *folders)
    console.rule("[bold]2  verify: compare the ONNX export with the trained model[/]")
    await labelstream("verify", NAME, "--bundle-store", str(store))
    return open_bundle(NAME, store)


def _is_current(store: Path) -> bool:
    if latest_version(store, NAME) is None:
        return False
    try:
        return open_bundle(NAME, store).manifest.data.get("sha256") == file_digest(sample_path())
    except BundleError:
        return False


async def send_and_watch(
    address: str, events: list[DemoEvent], rate: float, stats: DemoStats, console: Console
) -> None:
    """Produce the events at a constant rate, and show the records of the label and dead-letter topics.

    Raises:
        BrokerError: not all events came back in time.
    """
    texts = {event.id: orjson.loads(event.value)["text"] for event in events if event.intent}
    consumer = AIOKafkaConsumer(bootstrap_servers=address, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        consumer.assign(
            [
                TopicPartition(topic, at)
                for topic in TOPICS[1:]
                for at in await topic_partitions(consumer, topic)
            ]
        )
        await consumer.seek_to_beginning()
        producing = asyncio.create_task(produce(address, events, rate, stats))
        with (
            clipped_lines(console),
            Live(
                live_view(stats, len(events), texts), console=console, refresh_per_second=REFRESHES_PER_S
            ) as live,
        ):
            async with asyncio.timeout(len(events) / rate + BACK_DEADLINE_S):
                while stats.finished < len(events) or not producing.done():
                    await receive(consumer, stats)
                    live.update(live_view(stats, len(events), texts))
        if not console.is_terminal:
            # Without a terminal the last frame lacks its final line break.
            console.print()
        await producing
    except TimeoutError:
        raise BrokerError(
            f"only {stats.finished} of {len(events)} events came back",
            cause="the worker or the development broker fell behind",
            fix="read the worker's log, or try a lower --rate",
        ) from None
    finally:
        await consumer.stop()


async def receive(consumer: AIOKafkaConsumer, stats: DemoStats) -> None:
    """Consume the records that have arrived, and add them to the statistics."""
    fetched = await consumer.getmany(timeout_ms=100)
    now = time.time()
    for tp, records in fetched.items():
        for record in records:
            if tp.topic == "labels":
                stats.add_label(record.value, record.timestamp / 1000, now)
            else:
                stats.add_dead_letter(dict(record.headers), record.timestamp / 1000, now)


async def produce(address: str, events: list[DemoEvent], rate: float, stats: DemoStats) -> None:
    """Produce the events at a constant rate."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        began = time.monotonic()
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await producer.send("texts", event.value, key=event.key, headers=list(event.headers))
            stats.produced += 1
        await producer.flush()
    finally:
        await producer.stop()


def check(stats: DemoStats, events: list[DemoEvent]) -> None:
    """Check that every event came back once, valid ones labelled and invalid ones as dead letters.

    Raises:
        BrokerError: the numbers do not match.
    """
    invalid = sum(event.intent is None for event in events)
    if (stats.labelled, stats.reasons.total()) != (len(events) - invalid, invalid):
        raise BrokerError(
            "the numbers of events do not match",
            cause=f"{len(events) - invalid} valid and {invalid} invalid events were produced",
            fix="run the demo again with a new --folder, and report it if it fails again",
        )
