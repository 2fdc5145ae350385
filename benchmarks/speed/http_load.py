"""Sends classification requests to `labelstream serve`, in its own process. Prints one line of JSON.

python -m benchmarks.speed.http_load PORT TEXTS ROWS CONNECTIONS SECONDS RATE. Each request has ROWS texts.
RATE is the requests per second of an open loop; 0 sends each next request when the answer has arrived.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import orjson

from benchmarks.speed.punctual import punctual
from benchmarks.speed.stats import percentile
from benchmarks.speed.texts import read_texts

OK = b"HTTP/1.1 200"
WARM_UP_SHARE = 0.2
"""The share of the time at the beginning whose answers are not counted."""


def main(
    port: int, texts: list[str], rows: int, connections: int, seconds: float, rate: float
) -> dict[str, float]:
    """Send requests, and measure the answers after the warm-up.

    Args:
        port: the port of the server on loopback.
        texts: the texts, which are repeated if they are too few.
        rows: the texts of each request.
        connections: the number of connections.
        seconds: the duration.
        rate: the requests per second of an open loop, 0 for a closed loop.

    Returns:
        requests_s, the answers per second; p50_ms and p99_ms, percentiles of the time from the due time of a
        request to its answer; refused, the number of answers other than 200.
    """
    with punctual():
        return asyncio.run(_run(port, requests(texts, rows), connections, seconds, rate))


def requests(texts: list[str], rows: int) -> Iterator[bytes]:
    """Yield the bytes of requests without end."""
    every = cycle(texts)
    while True:
        body = orjson.dumps({"rows": [*islice(every, rows)]})
        yield (
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


async def _run(
    port: int, sent: Iterator[bytes], connections: int, seconds: float, rate: float
) -> dict[str, float]:
    began = time.perf_counter()
    counted_from, ends = began + WARM_UP_SHARE * seconds, began + seconds
    due_times = (began + number / rate for number in range(int(rate * seconds))) if rate else None
    answers: list[tuple[float, float]] = []
    refused = 0

    async def work() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (now := time.perf_counter()) < ends:
            due = next(due_times, None) if due_times is not None else now
            if due is None:
                break
            await asyncio.sleep(max(0.0, due - now))
            writer.write(next(sent))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            refused += not head.startswith(OK)
            answers.append((due, time.perf_counter()))
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    counted = [(due, done) for due, done in answers if done >= counted_from]
    delays_ms = [(done - due) * 1e3 for due, done in counted]
    return {
        "requests_s": len(counted) / (max(done for _, done in counted) - counted_from),
        "p50_ms": percentile(delays_ms, 0.50),
        "p99_ms": percentile(delays_ms, 0.99),
        "refused": refused,
    }


if __name__ == "__main__":
    port_, file, rows_, connections_, seconds_, rate_ = sys.argv[1:]
    figures = main(
        int(port_), read_texts(Path(file)), int(rows_), int(connections_), float(seconds_), float(rate_)
    )
    print(orjson.dumps(figures).decode(), flush=True)
