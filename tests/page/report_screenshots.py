"""`python -m tests.page.report_screenshots docs/images`: screenshots of the report of synthetic rows."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Browser

from tests.evaluation import (
    ABOUT,
    HISTORY,
    label_names,
    make_findings,
    make_metrics,
    single_rows,
)
from tests.page.browser import chromium
from trainer.evaluation.page import write_page

SHOTS = {
    "report-light.png": ("light", (1280, 1500)),
    "report-dark.png": ("dark", (1280, 1500)),
    "report-dark-narrow.png": ("dark", (390, 1500)),
}


def main(folder: Annotated[Path, typer.Argument(help="Folder for the screenshots.")]) -> None:
    """Write a report with 77 labels, and take its screenshots."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = single_rows(1000, label_names(77))
    with TemporaryDirectory() as temporary, chromium() as browser:
        report = Path(temporary) / "report.html"
        write_page(rows, make_metrics(rows), make_findings(rows), HISTORY, ABOUT, report)
        for name, (scheme, size) in SHOTS.items():
            take_screenshot(browser, report, folder / name, scheme, size)
        take_screenshot(
            browser, report, folder / "report-mistakes-light.png", "light", (1280, 900), "mistakes"
        )


def take_screenshot(
    browser: Browser, report: Path, file: Path, scheme: str, size: tuple[int, int], section: str = ""
) -> None:
    """Take a screenshot of the window, at the top of the report or of a section."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{report.as_uri()}#{section}")
    page.screenshot(path=file)
    context.close()
    with Image.open(file) as taken:
        taken.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    typer.run(main)
