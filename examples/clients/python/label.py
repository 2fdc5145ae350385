"""Send texts to a worker and print their labels: python label.py [BROKER [INPUT LABELS DEAD]]."""

import asyncio
import sys

from stream.client import Classification, LabelClient, LabelstreamError

TEXTS = ["My card was charged twice", "The app crashes when I open it", " "]


async def main() -> None:
    broker, input_topic, output_topic, dead_topic = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    async with LabelClient(
        broker=broker, input_topic=input_topic, output_topic=output_topic, dead_topic=dead_topic
    ) as client:
        for text, result in zip(TEXTS, await client.classify_many(TEXTS), strict=True):
            if isinstance(result, Classification):
                print(f"{result.label} {result.score:.4f} {text}")
            else:
                print(f"dead letter: {result}")


DEFAULTS = ["127.0.0.1:9092", "texts", "labels", "texts.dead"]

if __name__ == "__main__":
    try:
        asyncio.run(main())
    except LabelstreamError as error:
        sys.exit(f"error: {error.message}\ncause: {error.cause}\nfix: {error.fix}")
