"""The demo's processes: a trainer and a worker, started as a user would, and none left behind."""

import asyncio
import ctypes
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from stream.errors import Fatal

READY_DEADLINE_S = 90.0
STOP_DEADLINE_S = 30.0
POLL_S = 0.1
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """In a child, on Linux: be killed when the parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def labelstream(*arguments: str) -> None:
    """Run a `labelstream` command on this terminal until it ends.

    Raises:
        SystemExit: it failed; it has said why, and its exit code becomes ours.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream", *arguments), preexec_fn=end_with_parent
    )
    try:
        code = await process.wait()
    finally:
        await _stop(process, signal.SIGINT)
    if code:
        raise SystemExit(code)


@asynccontextmanager
async def running_worker(arguments: Sequence[str], log: Path) -> AsyncIterator[str]:
    """A worker process that is ready; gives the address of its web port; stopped orderly at the end.

    Raises:
        Fatal: it did not become ready; the end of its log is told.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream", "worker", *arguments, "--web-port", str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the demo, which then stops the worker.
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        try:
            await _until_ready(process, address, log)
            yield address
        finally:
            await _stop(process, signal.SIGTERM)


async def _until_ready(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(int(READY_DEADLINE_S / POLL_S)):
            if process.returncode is not None:
                break
            try:
                async with session.get(f"{address}/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_S)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise Fatal(
        "the worker did not become ready",
        cause=" | ".join(lines[-3:]) or "its log is empty",
        fix=f"read {log}",
    )


async def _stop(process: asyncio.subprocess.Process, by: signal.Signals) -> None:
    if process.returncode is not None:
        return
    process.send_signal(by)
    try:
        await asyncio.wait_for(process.wait(), STOP_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()


async def cache_hits(address: str) -> dict[str, float]:
    """Cache hits by tier, from the worker's /metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
        text = await answer.text()
    return {
        sample.labels["tier"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "labelstream_cache_requests_total" and sample.labels["result"] == "hit"
    }


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
