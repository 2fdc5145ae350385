"""The benchmark groups by name."""

from collections.abc import Callable

from benchmarks.speed.context import Bench
from benchmarks.speed.groups import cache, codec, formats, free, gpu, http, latency, memory, minilm
from benchmarks.speed.report import Section

Group = Callable[[Bench], Section]

GROUPS: dict[str, Group] = {
    "free": free.run,
    "formats": formats.run,
    "codec": codec.run,
    "cache": cache.run,
    "minilm": minilm.run,
    "latency": latency.run,
    "http": http.run,
    "memory": memory.run,
    "gpu": gpu.run,
}
"""The groups in the order in which they run and appear in the report."""

TITLES = {
    "free": free.TITLE,
    "formats": formats.TITLE,
    "codec": codec.TITLE,
    "cache": cache.TITLE,
    "minilm": minilm.TITLE,
    "latency": latency.TITLE,
    "http": http.TITLE,
    "memory": memory.TITLE,
    "gpu": gpu.TITLE,
}
