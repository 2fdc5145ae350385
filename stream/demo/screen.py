"""What the demo shows: labels as they arrive, then a summary."""

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
    """Long lines are cut by the terminal meanwhile.

    Terminals disagree on the width of emoji and of some scripts; a line that wraps would spoil the redrawing.
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


def live_view(tally: DemoStats, total: int, texts: dict[str, str]) -> Group:
    """The newest label events over a bar of those that have come back."""
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("id", no_wrap=True, width=13)
    table.add_column("label", no_wrap=True, width=9)
    table.add_column("score", justify="right", width=6)
    table.add_column("cached", width=6)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for label in tally.recent:
        table.add_row(
            Text(label["id"]),
            Text(label["label"], style="bold cyan"),
            f"{label['score']:.3f}",
            "yes" if label["cached"] else "",
            Text(" ".join(texts.get(label["id"], "").split()), style="dim"),
        )
    for _ in range(NEWEST_ROWS - len(tally.recent)):
        table.add_row("", "", "", "", "")
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_row(
        f"{tally.finished}/{total} events back",
        ProgressBar(total=total, completed=tally.finished),
        f"{tally.labelled} labelled",
        f"[yellow]{tally.reasons.total()} dead letters[/]",
    )
    return Group(Panel(table, title="label events, newest last"), bar)


def summary(tally: DemoStats, cache: dict[str, float], bundle: str, log: Path) -> Panel:
    """The end: what went in, what came out, how fast, how right."""
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(tally.reasons.items())) or "none"
    labels = ", ".join(f"{label} {n}" for label, n in tally.labels.most_common())
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("events in", f"{tally.produced}")
    table.add_row("labelled", f"{tally.labelled}  ({labels})")
    table.add_row("dead-lettered", f"{tally.reasons.total()}  ({reasons})")
    table.add_row("cache hits", ", ".join(f"{tier}: {n:.0f}" for tier, n in cache.items()))
    table.add_row("throughput", f"{tally.events_per_second:.0f} events/s, as fast as they were produced")
    table.add_row(
        "latency", f"p50 {tally.latency_ms(50):.0f} ms, p99 {tally.latency_ms(99):.0f} ms, end to end"
    )
    accuracy = "no held-out events" if tally.accuracy is None else f"{tally.accuracy:.1%}"
    table.add_row("accuracy", f"{accuracy} on {tally.judged} events that training never saw")
    table.add_row("bundle", bundle)
    table.add_row("worker's log", str(log))
    return Panel(table, title="[green]done[/]", expand=False)
