"""Figures of matplotlib: their style, and their PNG and SVG files."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from trainer.evaluation.palette import PLACEHOLDERS

PNG_DPI = 150
CSS_PX_PER_INCH = 96
SERIES = 6
DASHES = ("-", "--", "-.", ":")
TAG = re.compile(r"<[^>]*>")
UNUSED = re.compile(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", re.DOTALL)
IDENTIFIER = re.compile(r' id="([^"]+)"')
REFERENCE = re.compile(r'(?<=[("])#([^"#()<>\s]+)')
FONT_SIZE = re.compile(r"font: (?:\d+ )?([\d.]+px) [^;\"]*;")
PAGE_FONT = re.compile(r"font-family: [^;\"]*;? ?")
PLACEHOLDER = re.compile(r"#0102[0-9a-f]{2}")
NAMES = {placeholder: name for name, placeholder in PLACEHOLDERS.items()}


@dataclass(frozen=True, slots=True)
class Style:
    """The colours by name, and the font families, of a set of figures."""

    colours: Mapping[str, str]
    fonts: tuple[str, ...] = ("DejaVu Sans",)

    @property
    def series(self) -> list[tuple[str, str]]:
        """The colour and the dash pattern of each curve; both differ, so that colour is not the only cue."""
        return [(self.colours[f"series-{at % SERIES + 1}"], DASHES[at % len(DASHES)]) for at in range(12)]


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its name and its caption.

    Attributes:
        name: the name of the file without its suffix.
        title: the title, which is not part of the figure.
        caption: what the figure shows, and what was left out.
        figure: the figure.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@contextmanager
def drawing(style: Style) -> Iterator[None]:
    """Apply a style inside the block, whatever matplotlibrc file or notebook settings exist.

    Labels are plain text: no `$` begins a formula.
    """
    ink, muted = style.colours["text"], style.colours["muted"]
    settings: dict[str, Any] = {
        "font.family": list(style.fonts),
        "font.size": 9,
        "text.parse_math": False,
        "text.color": ink,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.labelcolor": muted,
        "axes.edgecolor": muted,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.prop_cycle": cycler(color=[style.colours[f"series-{at + 1}"] for at in range(SERIES)]),
        "axes.unicode_minus": False,
        "grid.color": style.colours["edge"],
        "grid.linewidth": 0.8,
        "xtick.color": muted,
        "ytick.color": muted,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": style.colours["card"],
        "figure.constrained_layout.use": True,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "svg.hashsalt": "report",
    }
    defaults: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"
    }
    with warnings.catch_warnings():
        # A font without a character of a label shows a box; the report shows the character.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        with matplotlib.rc_context(defaults | settings):
            yield


def new_figure(
    width: float, height: float, *, columns: int = 1, rows: int = 1
) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure of a size in inches, and its axes from left to right and from top to bottom."""
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def add_legend(axes: Axes, names: Mapping[str, Any], **position: Any) -> None:
    """Add a legend; the names are set afterwards because matplotlib leaves out those that begin with `_`."""
    if not names:
        return
    legend = axes.legend(list(names.values()), [str(at) for at in range(len(names))], **position)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=PNG_DPI)
    return buffer.getvalue()


def svg_element(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element of a page, drawn in placeholders, in the colours of the page.

    Args:
        figure: a figure that was drawn in the colours of `PLACEHOLDERS`.
        name: a name that no other figure of the page has.
        description: the text that screen readers read.
    """
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = UNUSED.sub("", text[text.index("<svg") :])
    identifiers = set(IDENTIFIER.findall(text)) & set(REFERENCE.findall(text))
    numbers = {identifier: f"{name}-{number}" for number, identifier in enumerate(sorted(identifiers))}
    text = TAG.sub(lambda tag: _adapt_tag(tag[0], numbers), text)
    label = escape(description, quote=True)
    width_px = round(figure.get_figwidth() * CSS_PX_PER_INCH)
    start = f'<svg role="img" aria-label="{label}" style="--width: {width_px}px"'
    return start + text.removeprefix("<svg")


def _adapt_tag(tag: str, numbers: Mapping[str, str]) -> str:
    """Return a tag in the fonts and colours of the page, and with identifiers that the page has once."""
    tag = PAGE_FONT.sub("", FONT_SIZE.sub(r"font-size: \1;", tag))
    tag = REFERENCE.sub(lambda found: f"#{numbers.get(found[1], found[1])}", tag)
    tag = IDENTIFIER.sub(lambda found: f' id="{numbers[found[1]]}"' if found[1] in numbers else "", tag)
    return PLACEHOLDER.sub(lambda found: f"var(--{NAMES[found[0]]})" if found[0] in NAMES else found[0], tag)
