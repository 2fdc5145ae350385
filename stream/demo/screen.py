"""The terminal output of the demo: labels as they arrive, then a summary."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.demo.stats import DemoStats

NEWEST_ROWS = 12
WRAP_OFF, WRAP_ON = "\x1b[?7l", "\x1b[?7h"


@contextmanager
def clipped_lines(console: Console) -> Iterator[None]:
    """Turn off line wrapping of the terminal inside the context.

    Terminals disagree on the width of emoji and of some scripts, and a wrapped line breaks the redrawing.
    """
    _switch(console, WRAP_OFF)
    try:
        yield
    finally:
        _switch(console, WRAP_ON)


def _switch(console: Console, sequence: str) -> None:
    if console.is_terminal and not console.legacy_windows:
        console.file.write(sequence)
        console.file.flush()


def live_view(stats: DemoStats, total: int, texts: dict[str, str]) -> Group:
    """Return a table of the newest label events above a progress bar.

    Args:
        stats: the statistics so far.
        total: the number of events to be produced.
        texts: the texts by event id.
    """
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("id", no_wrap=True, width=13)
    table.add_column("label", no_wrap=True, width=9)
    table.add_column("score", justify="right", width=6)
    table.add_column("cached", width=6)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for label in stats.recent:
        table.add_row(
            Text(label["id"]),
            Text(label["label"], style="bold cyan"),
            f"{label['score']:.3f}",
            "yes" if label["cached"] else "",
            Text(" ".join(texts.get(label["id"], "").split()), style="dim"),
        )
    for _ in range(NEWEST_ROWS - len(stats.recent)):
        table.add_row("", "", "", "", "")
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_row(
        f"{stats.finished}/{total} events",
        ProgressBar(total=total, completed=stats.finished),
        f"{stats.labelled} labelled",
        f"[yellow]{stats.reasons.total()} dead letters[/]",
    )
    return Group(Panel(table, title="label events, newest last"), bar)


def summary(stats: DemoStats, cache: dict[str, float], bundle: str, log: Path) -> Panel:
    """Return the summary at the end: counts, throughput, latency and accuracy.

    Args:
        stats: the statistics of the whole run.
        cache: cache hits by tier.
        bundle: the path of the bundle.
        log: the path of the worker's log.
    """
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(stats.reasons.items())) or "none"
    labels = ", ".join(f"{label} {n}" for label, n in stats.labels.most_common())
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("events in", f"{stats.produced}")
    table.add_row("labelled", f"{stats.labelled}  ({labels})")
    table.add_row("dead letters", f"{stats.reasons.total()}  ({reasons})")
    table.add_row("cache hits", ", ".join(f"{tier}: {n:.0f}" for tier, n in cache.items()))
    table.add_row("throughput", f"{stats.events_per_second:.0f} events/s, the rate of production")
    table.add_row(
        "latency", f"p50 {stats.latency_ms(50):.0f} ms, p99 {stats.latency_ms(99):.0f} ms, end to end"
    )
    accuracy = "no held-out events" if stats.accuracy is None else f"{stats.accuracy:.1%}"
    table.add_row("accuracy", f"{accuracy} on {stats.judged} events held out from training")
    table.add_row("bundle", bundle)
    table.add_row("worker's log", str(log))
    return Panel(table, title="[green]done[/]", expand=False)
