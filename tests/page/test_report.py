"""report.html in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.evaluation import (
    ABOUT,
    HISTORY,
    label_names,
    make_findings,
    make_metrics,
    multi_rows,
    regression_rows,
    single_rows,
    token_rows,
)
from tests.page.browser import Chromium
from trainer.evaluation.page import write_page

pytestmark = pytest.mark.slow

# The contrast of each text with the first opaque background behind it; marks and cells are tested elsewhere.
LOW_CONTRAST = """() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const level = (rgb) => rgb.slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const rgb = parse(getComputedStyle(node).backgroundColor);
      if (rgb.length === 3) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest("svg, mark, script, option") || !node.checkVisibility()) continue;
    const [one, other] = [level(parse(getComputedStyle(node).color)), level(ground(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([node.tagName, node.textContent.slice(0, 30), ratio]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each task."""
    folder = tmp_path_factory.mktemp("reports")
    tasks = {
        "single": single_rows(300, label_names(20)),
        "multi": multi_rows(150, label_names(5)),
        "regression": regression_rows(150),
        "token": token_rows(60),
    }
    files = {}
    for name, rows in tasks.items():
        files[name] = folder / f"{name}.html"
        write_page(rows, make_metrics(rows), make_findings(rows), HISTORY, ABOUT, files[name])
    return files


class Opened:
    """An open report, with the errors and the requests observed so far."""

    def __init__(self, chromium: Chromium, file: Path, **options: Any) -> None:
        context = chromium.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def column(self, table: str, at: int) -> list[str]:
        """Return the visible texts of a column."""
        cells: list[str] = self.page.eval_on_selector_all(
            f"#{table} tbody tr:not([hidden])", f"rows => rows.map(row => row.cells[{at}].textContent)"
        )
        return cells


@pytest.fixture
def single(chromium: Chromium, reports: dict[str, Path]) -> Iterator[Opened]:
    """The report of one label per row."""
    opened = Opened(chromium, reports["single"])
    yield opened
    assert opened.errors == []


def test_a_heading_sorts_by_numbers_and_by_names(single: Opened) -> None:
    heading = single.page.locator("#per-label th").nth(1)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    numbers = [float(text) for text in single.column("per-label", 1)]
    assert numbers == sorted(numbers, reverse=True)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in single.column("per-label", 1)] == sorted(numbers)
    single.page.locator("#per-label th button").nth(0).click()
    assert single.column("per-label", 0) == sorted(label_names(20))
    assert heading.get_attribute("aria-sort") is None


def test_the_keyboard_sorts(single: Opened) -> None:
    single.page.locator("#slices-table th button").nth(2).focus()
    single.page.keyboard.press("Enter")
    assert single.column("slices-table", 2) == ["210", "120", "80", "44"]


def test_words_and_lists_filter_rows(single: Opened) -> None:
    tools = single.page.locator(".tools[data-for=mistakes-table]")
    assert tools.locator("output").inner_text() == "40 rows"
    tools.locator("input").fill("REFUND shoes")
    refunds = single.column("mistakes-table", 4)
    assert 0 < len(refunds) < 40
    assert all("refund of the shoes" in text for text in refunds)
    assert tools.locator("output").inner_text() == f"{len(refunds)} of 40 rows"
    tools.locator("input").fill("")
    tools.locator("select").first.select_option("card_arrival")
    assert set(single.column("mistakes-table", 2)) == {"card_arrival"}


def test_the_switch_overrides_the_theme_of_the_system_and_is_kept(
    chromium: Chromium, reports: dict[str, Path]
) -> None:
    opened = Opened(chromium, reports["single"], color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert opened.page.evaluate(ground) == "rgb(14, 18, 23)"
    opened.page.select_option("#theme", "light")
    assert opened.page.evaluate(ground) == "rgb(244, 246, 248)"
    tick = opened.page.locator("#scores svg text").first
    assert tick.evaluate("node => getComputedStyle(node).fill") == "rgb(86, 98, 115)"
    opened.page.reload()
    assert opened.page.evaluate(ground) == "rgb(244, 246, 248)"
    assert opened.errors == []


def test_the_explorer_shows_the_cost_of_a_threshold(single: Opened) -> None:
    page = single.page
    page.select_option("#curve", label="card_not_working")
    assert page.inner_text("#cost").startswith("0.5: cost ")
    page.fill("#threshold", "0.9")
    assert page.inner_text("#cost").startswith("0.9: cost ")
    assert page.locator("#chart .line").get_attribute("points")


@pytest.mark.parametrize("task", ["single", "multi", "regression", "token"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_every_task_legibly(
    chromium: Chromium, reports: dict[str, Path], task: str, scheme: str
) -> None:
    opened = Opened(chromium, reports[task], viewport={"width": 390, "height": 844}, color_scheme=scheme)
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.page.evaluate(wider) == 0
    assert opened.page.evaluate(LOW_CONTRAST) == []
    assert opened.requests == [reports[task].as_uri()]
    assert opened.errors == []


def test_the_tables_are_there_without_javascript(chromium: Chromium, reports: dict[str, Path]) -> None:
    opened = Opened(chromium, reports["single"], java_script_enabled=False)
    assert opened.page.locator("#per-label tbody tr").count() == 20
    assert opened.page.locator(".tools").first.is_hidden()
