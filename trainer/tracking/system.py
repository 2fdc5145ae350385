"""System figures while a training runs: CPU, memory and GPU, sampled in a thread.

The names are those of MLflow, which shows them on a page of their own.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Thread

FIRST_S = 1.0
INTERVAL_S = 10.0
STOP_TIMEOUT_S = 2.0
MEGABYTE = 1e6


class SystemSampler:
    """Passes the system figures to a function: after a second, at an interval, and at the end."""

    def __init__(self, report: Callable[[Mapping[str, float]], None], interval_s: float = INTERVAL_S) -> None:
        self._report = report
        self._interval_s = interval_s
        self._stopped = Event()
        self._thread = Thread(target=self._sample, name="labelstream-system", daemon=True)

    def start(self) -> None:
        """Start sampling."""
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and stop; a driver that does not answer is not waited for."""
        if self._thread.is_alive():
            self._stopped.set()
            self._thread.join(STOP_TIMEOUT_S)

    def _sample(self) -> None:
        import psutil

        process = psutil.Process()
        # The first call only sets the start of the interval that the next call measures.
        psutil.cpu_percent()
        wait_s = FIRST_S
        while not self._stopped.wait(wait_s):
            self._report(system_figures(process))
            wait_s = self._interval_s
        self._report(system_figures(process))


def system_figures(process: "psutil.Process") -> dict[str, float]:  # type: ignore[name-defined] # noqa: F821
    """Return the current figures of the machine, and the memory of a process."""
    import psutil

    memory = psutil.virtual_memory()
    figures = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_percentage": memory.percent,
        "system_memory_usage_megabytes": memory.used / MEGABYTE,
        "process_memory_megabytes": process.memory_info().rss / MEGABYTE,
        **_gpu_figures(),
    }
    return {f"system/{name}": round(float(value), 2) for name, value in figures.items()}


def _gpu_figures() -> dict[str, float]:
    import torch

    figures = {}
    for at in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(at)
        figures[f"gpu_{at}_memory_usage_megabytes"] = (total - free) / MEGABYTE
        figures[f"gpu_{at}_memory_usage_percentage"] = 100 * (total - free) / total
        # The utilisation needs the package nvidia-ml-py.
        with suppress(Exception):
            figures[f"gpu_{at}_utilization_percentage"] = torch.cuda.utilization(at)
    return figures
