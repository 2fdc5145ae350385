"""Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Browser, Error, sync_playwright

from tests.real.components import MissingComponentError

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
GIVEN = "LABELSTREAM_TEST_CHROMIUM"


def find_chromium() -> str:
    """Return the path of the browser.

    Raises:
        MissingComponentError: no browser is installed.
    """
    if configured := os.environ.get(GIVEN):
        return configured
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    raise MissingComponentError(f"none of {', '.join(PROGRAMS)} is on the PATH")


class Chromium:
    """A headless browser, in which every test opens its own contexts."""

    def __init__(self) -> None:
        """
        Raises:
            MissingComponentError: no browser is installed.
        """
        self.origin = find_chromium()
        self._manager = sync_playwright()
        self._browser: Browser | None = None

    def start(self) -> None:
        """Start the browser with an empty profile."""
        chromium = self._manager.start().chromium
        self._browser = chromium.launch(executable_path=self.origin, headless=True, args=[*FLAGS])

    @property
    def browser(self) -> Browser:
        """The running browser."""
        assert self._browser is not None, "the browser was not started"
        return self._browser

    @property
    def version(self) -> str:
        """The version of the browser."""
        return self.browser.version

    def revive(self) -> None:
        """Close all contexts, and with them the state of a test."""
        for context in self.browser.contexts:
            context.close()

    def close(self) -> None:
        """Stop the browser."""
        if self._browser is not None:
            with suppress(Error):
                self._browser.close()
            self._manager.__exit__()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser inside the context."""
    running = Chromium()
    running.start()
    try:
        yield running.browser
    finally:
        running.close()
