"""The page in a browser, and everything that it asked for, complained of, or ran."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page

from tests.page.browser import Chromium

DEADLINE_MS = 60_000
LIVE = "body[data-link=live]"


@dataclass
class Opened:
    """A page and what was seen of it."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, css: str) -> str:
        """The text of one element."""
        return self.page.inner_text(css).strip()

    def rows(self, css: str) -> list[list[str]]:
        """The cells of a table's body, also of those that are not shown at this width."""
        cells: list[list[str]] = self.page.eval_on_selector_all(
            f"{css} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return cells

    def awaiting(self, css: str, text: str) -> None:
        """Wait until an element says something."""
        self.page.wait_for_function(
            "([css, text]) => document.querySelector(css)?.textContent.includes(text)",
            arg=[css, text],
            timeout=DEADLINE_MS,
        )

    @property
    def foreign(self) -> list[str]:
        """What was asked of anyone but the worker."""
        return [url for url in self.requests if not url.startswith(f"{self.origin}/")]

    @property
    def sideways(self) -> int:
        """Pixels by which the page is wider than its window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider


def open_page(
    chromium: Chromium,
    port: int,
    *,
    password: str | None = None,
    javascript: bool = True,
) -> Opened:
    """Open a worker's page in a context of its own, and wait until it is live."""
    context = chromium.browser.new_context(
        viewport={"width": 1440, "height": 900},
        java_script_enabled=javascript,
        http_credentials={"username": "any", "password": password} if password else None,
    )
    page = context.new_page()
    page.set_default_timeout(DEADLINE_MS)
    opened = Opened(page, f"http://127.0.0.1:{port}")

    def complained(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            opened.complaints.append(f"{message.text} ({urlsplit(message.location['url']).path})")

    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", complained)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("dialog", lambda dialog: opened.complaints.append(f"dialog: {dialog.message}"))
    page.goto(f"{opened.origin}/")
    if javascript:
        page.wait_for_selector(LIVE)
    return opened
