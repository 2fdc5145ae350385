"""What `labelstream dlq` prints: lines, dead letters, summaries and progress."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from stream.commands.tail_cells import header_line, row_line
from stream.dlq.advice import fix_of
from stream.dlq.letters import StoredLetter, is_added
from stream.dlq.masking import mask_bytes, mask_value
from stream.dlq.replay import EXPLANATIONS, Outcome
from stream.dlq.replayer import RunCounts
from stream.dlq.run import Found
from stream.dlq.run import Progress as OnProgress
from stream.wording import count_of

COLUMNS = (
    ("time", 20),
    ("position", 12),
    ("id", 24),
    ("reason", 11),
    ("attempt", 7),
    ("done", 4),
    ("from", 24),
    ("message", 48),
)
MISSING = "-"
NAME_WIDTH = 10


def output() -> Console:
    """Return a console for standard output that does not wrap lines."""
    return Console(highlight=False, soft_wrap=True, markup=False)


def errors() -> Console:
    """Return a console for standard error that does not wrap lines."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def print_header(console: Console) -> None:
    """Print the column names of a list."""
    console.print(header_line(COLUMNS))


def print_row(console: Console, found: Found) -> None:
    """Print a dead letter as a line of a list."""
    letter = found.letter
    cells = [
        format_time(letter.timestamp),
        str(letter.position),
        letter.id or MISSING,
        letter.reason or MISSING,
        str(letter.attempt),
        "yes" if found.done else "no",
        _origin(letter),
        letter.message or MISSING,
    ]
    console.print(row_line(COLUMNS, cells))


def json_row(found: Found) -> bytes:
    """Return a dead letter as a line of JSON, without its key, value and headers."""
    letter = found.letter
    origin = letter.origin
    members = {
        **letter.position._asdict(),
        "timestamp": letter.timestamp,
        "id": letter.id,
        "reason": letter.reason,
        "message": letter.message,
        "attempt": letter.attempt,
        "origin": origin and origin._asdict(),
        "incomplete": letter.incomplete,
        "done": found.done,
        "value_bytes": None if letter.record.value is None else len(letter.record.value),
    }
    return orjson.dumps(members) + b"\n"


def print_reasons(console: Console, topic: str, reasons: Mapping[str, int], shown: int) -> None:
    """Print the number of selected dead letters by reason."""
    total = sum(reasons.values())
    console.print(
        f"{topic}: {count_of(total, 'dead letter')}" + (f" ({_by_reason(reasons)})" if total else "")
    )
    if shown < total:
        console.print(f"not shown: {total - shown:,}; --limit 0 shows all")


def print_letter(console: Console, topic: str, found: Found, *, show_text: bool) -> None:
    """Print a dead letter with its cause and its fix."""
    letter = found.letter
    record = letter.record
    show = _shown if show_text else mask_bytes
    lines = [
        ("position", f"{letter.position} of {topic}"),
        ("id", letter.id or MISSING),
        ("reason", letter.reason or MISSING),
        ("cause", letter.message or MISSING),
        ("fix", fix_of(letter)),
        ("origin", _origin(letter)),
        ("time", format_time(letter.timestamp)),
        ("attempt", str(letter.attempt)),
        ("done", "yes" if found.done else "no"),
        ("key", show(record.key)),
    ]
    for name, data in record.headers:
        lines.append(("header", f"{_escape(name)}: {_shown(data) if is_added(name) else show(data)}"))
    lines.append(("value", _shown(record.value) if show_text else mask_value(record.value)))
    for name, text in lines:
        console.print(f"{name.ljust(NAME_WIDTH)}{text if name == 'value' else _escape(text)}")
    if not show_text:
        console.print("--show-text prints the key, the producer's headers and the value")


def print_run(console: Console, topic: str, counts: RunCounts, seconds: float, *, dry_run: bool) -> None:
    """Print the outcomes of a run."""
    total = sum(counts.outcomes.values())
    end = ": nothing was sent, because this is a dry run" if dry_run else f" in {seconds:.1f} s"
    console.print(f"{topic}: {count_of(total, 'dead letter')}{end}")
    for outcome in Outcome:
        if count := counts.outcomes[outcome]:
            explanation = EXPLANATIONS[outcome]
            if dry_run and outcome is Outcome.REPLAYED:
                explanation = "would be sent"
            console.print(f"  {outcome.ljust(16)}{count:>10,}  {explanation}")
    if counts.reasons:
        console.print(f"  by reason: {_by_reason(counts.reasons)}")


def print_unfinished(console: Console, counts: RunCounts) -> None:
    """Print what a run that ended early may have sent in addition, and how to go on."""
    if counts.sending:
        console.print(
            f"up to {count_of(counts.sending, 'more event')} may have been sent without a record of it"
        )
    console.print("the same command goes on after the recorded events")


@contextmanager
def progress(description: str, *, shown: bool = True) -> Iterator[OnProgress]:
    """Show a progress bar on standard error, if it is a terminal."""
    console = errors()
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
    disabled = not (shown and console.is_terminal)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_line(line: bytes) -> None:
    """Write a line to standard output unchanged."""
    sys.stdout.buffer.write(line)


def format_time(timestamp: int) -> str:
    """Return a timestamp in milliseconds as RFC 3339 in UTC, a dash if there is no such date."""
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        # Producers may write any timestamp, such as microseconds.
        return MISSING


def _origin(letter: StoredLetter) -> str:
    origin = letter.origin
    return f"{origin.topic} {origin.partition}@{origin.offset}" if origin else MISSING


def _by_reason(reasons: Mapping[str, int]) -> str:
    return ", ".join(
        f"{_escape(reason) or MISSING} {count:,}" for reason, count in Counter(reasons).most_common()
    )


def _shown(data: bytes | None) -> str:
    """Return bytes as text in one line; what cannot be printed is escaped."""
    return "null" if data is None else _escape(data.decode("utf-8", "backslashreplace"))


def _escape(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
