"""Stock Faust: an agent that takes up to 256 events at a time and sends a label event for each."""

import asyncio

from faust.types import StreamT

from benchmarks.speed.rivals.faust_app import make_app, run
from benchmarks.speed.rivals.job import Job, free_label


def main() -> None:
    """Label until killed."""
    app, source, target = make_app(Job.read())

    @app.agent(source)  # type: ignore[untyped-decorator]
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
            # Faust commits what the loop has left behind, so it is left when the broker has confirmed it.
            await asyncio.gather(*sent)

    run(app)


if __name__ == "__main__":
    main()
