"""The processes of the demo: trainer and worker commands, all of them ended with the demo."""

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
    """Ask the kernel to kill this child process when its parent dies; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def labelstream(*arguments: str) -> None:
    """Run a `labelstream` command in this terminal until it ends.

    Raises:
        SystemExit: the command failed and has printed its error; the exit code is that of the command.
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
    """Run a worker process inside the context, and yield the address of its web port once it is ready.

    Args:
        arguments: the arguments of `labelstream worker`.
        log: file for the output of the worker.

    Raises:
        Fatal: the worker did not become ready; the error contains the end of its log.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream", "worker", *arguments, "--web-port", str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # In a session of its own the worker does not receive Ctrl-C; the demo stops it.
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
    """Return the cache hits by tier, from the worker's /metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/metrics") as answer:
        text = await answer.text()
    return {
        sample.labels["tier"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "labelstream_cache_requests_total" and sample.labels["result"] == "hit"
    }


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
