"""The main figures as static HTML, for browsers without JavaScript."""

from html import escape

from stream.web.page.history import Percentiles
from stream.web.page.scrape import AGE
from stream.web.page.snapshot import Snapshot


def noscript_html(snapshot: Snapshot) -> str:
    """Return the worker's state and the main figures of a snapshot as HTML."""
    state = snapshot.state
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _figures(snapshot)
    )
    return (
        f"<p><strong>{escape(state.name.capitalize())}.</strong> {escape(state.reason)}</p>"
        f"<table><caption>Main figures when this page was loaded</caption><tbody>{rows}</tbody></table>"
    )


def _figures(snapshot: Snapshot) -> list[tuple[str, str]]:
    outcomes = snapshot.outcomes
    return [
        ("Events per second", f"{snapshot.per_s:,.1f}"),
        ("Event age, p50 / p99", _ages(snapshot.durations[AGE])),
        ("Lag (events not yet finished)", f"{snapshot.lag_total:,}"),
        ("Labelled", f"{outcomes.get('labelled', 0):,}"),
        ("Dead letters", f"{outcomes.get('dead', 0):,}"),
        *((("Dropped without a label", f"{dropped:,}"),) if (dropped := outcomes.get("dropped", 0)) else ()),
        *((f"Bundle of route {route.name}", route.bundle or "loading") for route in snapshot.routes),
    ]


def _ages(percentiles: Percentiles) -> str:
    if not percentiles.observed:
        return "none"
    ages = (percentiles.p50, percentiles.p99)
    return " / ".join("over 60 s" if age is None else f"{age:.3g} s" for age in ages)
