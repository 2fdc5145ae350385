"""The status page over HTTP: headers, files, authentication, and a stop that does not wait for viewers."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import files
from pathlib import Path

import pytest
from aiohttp import BasicAuth, ClientSession
from setuptools import Distribution

from stream.observe.metrics import Metrics
from stream.settings import Settings
from stream.web import page
from stream.web.auth import is_authorized
from stream.web.page import RecentOutcomes, StatusPage
from stream.web.server import WebServer

PROJECT = Path(__file__).parents[2]
STATIC = Path(page.__file__).with_name("static")
TOKEN = "open sésame:1"


@asynccontextmanager
async def worker_port(token_file: Path | None = None) -> AsyncIterator[tuple[str, WebServer]]:
    metrics = Metrics()
    web = WebServer(
        metrics,
        live=dict,
        ready=dict,
        info=dict,
        token_file=token_file,
        page=StatusPage(Settings(bundle="b"), metrics, RecentOutcomes(), waiting_for=lambda: None),
    )
    port = await web.start("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}", web
    finally:
        await web.stop()


async def test_the_page_requests_only_its_own_files_and_sends_security_headers() -> None:
    async with worker_port() as (url, _), ClientSession(url) as session:
        response = await session.get("/")
        html = await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        for name in re.findall(r'(?:href|src)="page/([^"]+)"', html):
            file = await session.get(f"/page/{name}")
            assert file.status == 200, name
            policy = file.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert file.headers["X-Content-Type-Options"] == "nosniff"
            assert file.headers["Cache-Control"] == "no-cache"
        assert response.headers["Content-Security-Policy"] == policy
        assert not re.search(r"https?://|<script(?![^>]* src=)|\son[a-z]+=|style=", html)


async def test_an_unchanged_file_is_not_sent_again() -> None:
    async with worker_port() as (url, _), ClientSession(url) as session:
        first = await session.get("/page/main.js")
        assert first.content_type == "text/javascript"
        again = await session.get("/page/main.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fstatus_page.py", "%2e%2e/status_page.py"])
async def test_only_the_files_of_the_page_are_served(name: str) -> None:
    async with worker_port() as (url, _), ClientSession(url) as session:
        assert (await session.get(f"/page/{name}")).status == 404


async def test_the_page_shows_the_main_figures_without_javascript() -> None:
    async with worker_port() as (url, _), ClientSession(url) as session:
        html = await (await session.get("/")).text()
        (shown,) = re.findall(r"<noscript>(.*?)</noscript>", html, re.DOTALL)
        assert "Standby." in shown
        assert '<th scope="row">Dead letters</th><td>0</td>' in shown


async def test_the_token_is_accepted_as_basic_password_and_as_bearer(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with worker_port(file) as (url, _), ClientSession(url) as session:
        for path in ("/", "/page/main.js", "/stream", "/metrics", "/info"):
            refused = await session.get(path)
            assert refused.status == 401
            challenges = refused.headers.getall("WWW-Authenticate")
            assert [scheme.split()[0] for scheme in challenges] == ["Bearer", "Basic"]
            wrong = BasicAuth("any", "wrong").encode()
            assert (await session.get(path, headers={"Authorization": wrong})).status == 401
            basic = BasicAuth("any", TOKEN, "utf-8").encode()
            assert (await session.get(path, headers={"Authorization": basic})).status == 200
        assert (await session.get("/live")).status == 200


def test_headers_without_the_token_are_refused() -> None:
    assert is_authorized("Bearer secret", "secret")
    assert is_authorized("bearer secret", "secret")
    nobody = base64.b64encode(b"secret:").decode()
    for header in ("", "secret", "Bearer", "Bearer ", "Basic", "Basic !", f"Basic {nobody}", "Digest secret"):
        assert not is_authorized(header, "secret"), header


async def test_a_viewer_does_not_delay_the_stop() -> None:
    async with worker_port() as (url, web), ClientSession(url) as session:
        viewer = await session.get("/stream")
        assert (await viewer.content.readuntil(b"\n\n")).startswith(b"data: {")
        async with asyncio.timeout(30):
            await web.stop()


def built_files() -> set[Path]:
    """The files that the build puts into a wheel; outside a checkout, the files of the installed wheel."""
    if not (PROJECT / "stream").is_dir():
        return {Path(str(file.locate())).resolve() for file in files("labelstream-kafka") or ()}
    distribution = Distribution()
    distribution.parse_config_files(["pyproject.toml"])
    distribution.include_package_data = False
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    return {Path(folder, name).resolve() for _, folder, _, names in build.data_files for name in names}


def test_a_wheel_contains_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert {file.resolve() for file in STATIC.iterdir()} <= built_files()
