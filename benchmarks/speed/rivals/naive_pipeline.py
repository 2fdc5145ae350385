"""The naive way: a Faust agent that gives 32 texts at a time to transformers.pipeline. More: MODEL_FOLDER."""

import asyncio
import os

import orjson
from faust.types import StreamT

from benchmarks.speed.rivals.faust_app import make_app, run
from benchmarks.speed.rivals.job import Job

ROWS = 32


def main() -> None:
    """Label until killed."""
    job = Job.read()
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    from transformers import pipeline

    classify = pipeline("text-classification", job.more[0], batch_size=ROWS, truncation=True, device="cpu")
    app, source, target = make_app(job)

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def label(stream: StreamT) -> None:
        async for batch in stream.take_events(ROWS, within=0.05):
            events = [orjson.loads(event.value) for event in batch]
            answers = classify([event["text"] for event in events], top_k=20)
            sent = []
            for event, given, scores in zip(batch, events, answers, strict=True):
                best = scores[0]
                value = {
                    "id": given["id"],
                    "label": best["label"],
                    "score": best["score"],
                    "scores": {score["label"]: score["score"] for score in scores},
                }
                sent.append(
                    await target.send(
                        key=event.key,
                        value=orjson.dumps(value),
                        partition=event.message.partition,
                        headers=list(event.message.headers),
                    )
                )
            await asyncio.gather(*sent)

    run(app)


if __name__ == "__main__":
    main()
