"""Stock Faust: an agent that takes up to 256 events at a time and sends a label event for each of them."""

import asyncio

from faust.types import StreamT

from benchmarks.speed.baselines.faust_app import make_app, run
from benchmarks.speed.baselines.job import Job, free_label


def main() -> None:
    """Label events until the process is killed."""
    app, source, target = make_app(Job.read())

    @app.agent(source)
    async def label(stream: StreamT) -> None:
        async for batch in stream.take_events(256, within=0.05):
            sent = [
                await target.send(
                    key=event.key,
                    value=free_label(event.value),
                    partition=event.message.partition,
                    headers=list(event.message.headers),
                )
                for event in batch
            ]
            # Faust commits a batch when the loop asks for the next one, so confirmations are awaited first.
            await asyncio.gather(*sent)

    run(app)


if __name__ == "__main__":
    main()
