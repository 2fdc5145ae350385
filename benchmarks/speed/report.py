"""Sections of tables, and the Markdown report that contains them between markers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

TITLE = "# Benchmarks\n"
KIND = "bench"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first column contains words, the others contain figures."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        lines = [self.columns, ["---", *("---:" for _ in self.columns[1:])], *self.rows]
        body = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        return f"**{self.caption}**\n\n{body}" if self.caption else body

    def show(self, console: Console) -> None:
        """Print the table."""
        table = RichTable(title=self.caption or None, title_justify="left", box=box.SIMPLE_HEAD)
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


@dataclass(frozen=True, slots=True)
class Check:
    """A target and its result in this run."""

    name: str
    required: str
    measured: str
    met: bool


def at_most(name: str, measured: float, limit: float, unit: str = "", digits: int = 2) -> Check:
    """Return the check of an upper limit."""
    return Check(name, f"≤ {limit:,g}{unit}", f"{measured:,.{digits}f}{unit}", measured <= limit)


def at_least(name: str, measured: float, limit: float, unit: str = "", digits: int = 2) -> Check:
    """Return the check of a lower limit."""
    return Check(name, f"≥ {limit:,g}{unit}", f"{measured:,.{digits}f}{unit}", measured >= limit)


@dataclass(slots=True)
class Section:
    """The results of one group."""

    title: str
    method: str
    """The method of measurement, one paragraph."""
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def all_tables(self) -> list[Table]:
        """Return all tables, the table of the targets last."""
        if not self.checks:
            return self.tables
        rows = [[c.name, c.required, c.measured, "yes" if c.met else "**no**"] for c in self.checks]
        return [*self.tables, Table("Targets", ["target", "required", "measured", "met"], rows)]

    def markdown(self, provenance: str) -> str:
        """Return the section in Markdown."""
        parts = [f"## {self.title}", self.method, *(table.markdown() for table in self.all_tables())]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join([*parts, provenance])


def merge(
    document: str, sections: Mapping[str, str], order: Sequence[str], kind: str = KIND, title: str = TITLE
) -> str:
    """Replace sections between their markers and leave the rest of the document unchanged.

    Args:
        document: the current document, empty if there is none.
        sections: the new text of each section, by name.
        order: the names of all sections in document order; a section without markers is inserted before the
            first later section that has markers, or else appended.
        kind: the prefix of the markers.
        title: the first line of a new document.
    """
    text = document if document.strip() else title
    for name, body in sections.items():
        begin, end = _markers(name, kind)
        block = f"{begin}\n{body.strip()}\n{end}"
        if begin in text and end in text:
            head, _, rest = text.partition(begin)
            _, _, tail = rest.partition(end)
            text = f"{head}{block}{tail}"
            continue
        later = order[order.index(name) + 1 :]
        next_marker = next((m for m in (_markers(other, kind)[0] for other in later) if m in text), None)
        if next_marker is None:
            text = f"{text.rstrip()}\n\n{block}\n"
        else:
            text = text.replace(next_marker, f"{block}\n\n{next_marker}", 1)
    return text


def missing(document: str, order: Sequence[str], kind: str = KIND) -> list[str]:
    """Return the names of the sections that the document lacks."""
    return [name for name in order if _markers(name, kind)[0] not in document]


def _markers(name: str, kind: str) -> tuple[str, str]:
    return f"<!-- {kind}:{name} -->", f"<!-- end of {kind}:{name} -->"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
