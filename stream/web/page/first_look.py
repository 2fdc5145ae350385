"""The page for browsers without JavaScript: the main figures, as of the moment it was asked for."""

from html import escape

from stream.web.page.history import Percentiles
from stream.web.page.readings import AGE
from stream.web.page.snapshot import Snapshot


def first_look(snapshot: Snapshot) -> str:
    """The state and the main figures as HTML."""
    standing = snapshot.standing
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _figures(snapshot)
    )
    return (
        f"<p><strong>{escape(standing.state.capitalize())}.</strong> {escape(standing.reason)}</p>"
        f"<table><caption>Main figures when this page was loaded</caption><tbody>{rows}</tbody></table>"
    )


def _figures(snapshot: Snapshot) -> list[tuple[str, str]]:
    outcomes = snapshot.outcomes
    return [
        ("Finished a second", f"{snapshot.per_s:,.1f}"),
        ("Age at the label, p50 / p99", _ages(snapshot.durations[AGE])),
        ("Waiting", f"{snapshot.lag_total:,}"),
        ("Labelled", f"{outcomes.get('labelled', 0):,}"),
        ("Dead letters", f"{outcomes.get('dead', 0):,}"),
        *((f"Bundle of {route.name}", route.bundle or "loading") for route in snapshot.routes),
    ]


def _ages(found: Percentiles) -> str:
    if not found.observed:
        return "none"
    return " / ".join("over 60 s" if age is None else f"{age:.3g} s" for age in (found.p50, found.p99))
