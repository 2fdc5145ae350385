"""The page in a browser, with its requests and its errors."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page

from tests.page.browser import Chromium

DEADLINE_MS = 60_000
LIVE = "body[data-link=live]"


@dataclass
class Opened:
    """An open page, with the requests and errors observed so far."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self, css: str) -> str:
        """Return the text of an element."""
        return self.page.inner_text(css).strip()

    def rows(self, css: str) -> list[list[str]]:
        """Return the cells of a table's body, including those that are hidden at this width."""
        cells: list[list[str]] = self.page.eval_on_selector_all(
            f"{css} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        return cells

    def await_text(self, css: str, text: str) -> None:
        """Wait until an element contains a text."""
        self.page.wait_for_function(
            "([css, text]) => document.querySelector(css)?.textContent.includes(text)",
            arg=[css, text],
            timeout=DEADLINE_MS,
        )

    @property
    def foreign_requests(self) -> list[str]:
        """The requests to any host but the worker."""
        return [url for url in self.requests if not url.startswith(f"{self.origin}/")]

    @property
    def overflow_px(self) -> int:
        """The pixels by which the page is wider than its window."""
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
    """Open a worker's page in a new browser context, and wait until it is live."""
    context = chromium.browser.new_context(
        viewport={"width": 1440, "height": 900},
        java_script_enabled=javascript,
        http_credentials={"username": "any", "password": password} if password else None,
    )
    page = context.new_page()
    page.set_default_timeout(DEADLINE_MS)
    opened = Opened(page, f"http://127.0.0.1:{port}")

    def record_error(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            opened.errors.append(f"{message.text} ({urlsplit(message.location['url']).path})")

    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", record_error)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on("dialog", lambda dialog: opened.errors.append(f"dialog: {dialog.message}"))
    page.goto(f"{opened.origin}/")
    if javascript:
        page.wait_for_selector(LIVE)
    return opened
