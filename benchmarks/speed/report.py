"""Sections of tables, and the Markdown file that holds them between marks. Pure, but for showing a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

TITLE = "# Benchmarks\n"
KIND = "bench"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a caption; the first column is words, the others are figures."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in GitHub's Markdown."""
        lines = [self.columns, ["---", *("---:" for _ in self.columns[1:])], *self.rows]
        body = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        return f"**{self.caption}**\n\n{body}" if self.caption else body

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(title=self.caption or None, title_justify="left", box=box.SIMPLE_HEAD)
        for at, column in enumerate(self.columns):
            table.add_column(column, justify="right" if at else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


@dataclass(frozen=True, slots=True)
class Check:
    """A target, and whether this run met it."""

    what: str
    needed: str
    measured: str
    met: bool


def at_most(what: str, measured: float, limit: float, unit: str = "", digits: int = 2) -> Check:
    """A target that is met from below."""
    return Check(what, f"≤ {limit:,g}{unit}", f"{measured:,.{digits}f}{unit}", measured <= limit)


def at_least(what: str, measured: float, limit: float, unit: str = "", digits: int = 2) -> Check:
    """A target that is met from above."""
    return Check(what, f"≥ {limit:,g}{unit}", f"{measured:,.{digits}f}{unit}", measured >= limit)


@dataclass(slots=True)
class Section:
    """What one group found."""

    title: str
    method: str
    """How it was measured, one paragraph."""
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def everything(self) -> list[Table]:
        """All tables, the one of the targets last."""
        if not self.checks:
            return self.tables
        rows = [[c.what, c.needed, c.measured, "yes" if c.met else "**no**"] for c in self.checks]
        return [*self.tables, Table("Against the targets", ["target", "needed", "measured", "met"], rows)]

    def markdown(self, provenance: str) -> str:
        """The section as it stands in the report."""
        parts = [f"## {self.title}", self.method, *(table.markdown() for table in self.everything())]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join([*parts, provenance])


def merge(
    document: str, sections: Mapping[str, str], order: Sequence[str], kind: str = KIND, title: str = TITLE
) -> str:
    """Put sections between their marks, and leave all else as it stands.

    Args:
        document: the file so far, empty if there is none.
        sections: new text by name.
        order: names in the order in which sections are to stand; one that has no marks yet is put before the
            first later one that has, else at the end.
        kind: what the marks are called.
        title: first line of a new document.
    """
    text = document if document.strip() else title
    for name, body in sections.items():
        begin, end = _marks(name, kind)
        block = f"{begin}\n{body.strip()}\n{end}"
        if begin in text and end in text:
            head, _, rest = text.partition(begin)
            _, _, tail = rest.partition(end)
            text = f"{head}{block}{tail}"
            continue
        later = order[order.index(name) + 1 :]
        mark = next((m for m in (_marks(other, kind)[0] for other in later) if m in text), None)
        if mark is None:
            text = f"{text.rstrip()}\n\n{block}\n"
        else:
            text = text.replace(mark, f"{block}\n\n{mark}", 1)
    return text


def missing(document: str, order: Sequence[str], kind: str = KIND) -> list[str]:
    """Names of sections that the document does not hold."""
    return [name for name in order if _marks(name, kind)[0] not in document]


def _marks(name: str, kind: str) -> tuple[str, str]:
    return f"<!-- {kind}:{name} -->", f"<!-- end of {kind}:{name} -->"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
