"""The page of a real worker in a real browser."""

import re
from collections import Counter
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Error

from tests.page.browser import Chromium
from tests.page.open_page import open_page
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

pytestmark = pytest.mark.slow

BACK_S = 60.0
HOSTILE = '<img src=x onerror="alert(1)">&amp;'
SECRET = "4929-1234"
WIDTHS = (360, 480, 639, 640, 1099, 1100, 1440)
BROKEN = {
    "decode": b'{"id": "d", "text": "4929-1234',
    "schema": b'{"id": "s", "text": 49291234}',
    "empty": b'{"id": "e", "text": " "}',
}


def send_traffic(broker: EmbeddedBroker, worker: WorkerProcess) -> None:
    """Send 60 valid events, repeat 20 of them, then send three invalid ones and one with HTML in its text."""
    good = [event(number)[1] for number in range(60)]
    for number, value in enumerate(good):
        broker.produce(worker.route, value, partition=number % 4)
    until(lambda: sum(broker.end_offsets(worker.labels).values()) == 60, BACK_S, "60 labels")
    for number, value in enumerate(good[:20]):
        broker.produce(worker.route, value, partition=number % 4)
    for value in BROKEN.values():
        broker.produce(worker.route, value, partition=2)
    hostile = orjson.dumps({"id": HOSTILE, "text": f"my card {SECRET} {HOSTILE} " + "again " * 100})
    until(lambda: worker.metric("labelstream_events_total") == 83, BACK_S, "83 outcomes")
    broker.produce(worker.route, hostile, partition=1)
    until(lambda: worker.metric("labelstream_events_total") == 84, BACK_S, "84 outcomes")


def figure(text: str) -> float:
    """Return the first number in a text."""
    return float(re.findall(r"[\d.]+", text.replace(",", ""))[0])


def test_the_page_matches_the_metrics_and_requests_nothing_from_elsewhere(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    route = make_route(embedded_broker, "page")
    worker = start_worker(embedded_broker, route)
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port)
    opened.await_text("#totals", "81 labelled, 3 dead letters, 0 tombstones")
    opened.await_text("#state-name", "Idle")
    metric = worker.metric
    assert figure(opened.text("#dead-total")) == metric("labelstream_events_total", outcome="dead") == 3
    assert dict(row[::2] for row in opened.rows("#dead-reasons")) == dict.fromkeys(BROKEN, "1")
    assert {(r, t, p) for r, t, p, _, _ in opened.rows("#dead")} == {(r, route, "2") for r in BROKEN}
    offsets = {int(row[3]) for row in opened.rows("#dead")}
    last = embedded_broker.end_offsets(route)[2]
    assert offsets == {last - 3, last - 2, last - 1}
    assert [row[::2] for row in opened.rows("#lag")] == [[str(at), "0"] for at in range(4)]
    hits = metric("labelstream_cache_requests_total", tier="local", result="hit")
    lookups = metric("labelstream_cache_requests_total", tier="local")
    ((tier, _, _, since),) = opened.rows("#cache")
    assert (tier, since) == (
        "local",
        f"{100 * hits / lookups:.1f}%".replace(".0%", "%") + f"of {lookups:.0f}",
    )
    assert hits >= 20
    labelled = Counter(
        orjson.loads(record.value or b"")["label"] for record in embedded_broker.records(worker.labels)
    )
    shares = {label: figure(share) for label, _, share in opened.rows("#labels")}
    assert shares.keys() <= labelled.keys()
    assert sum(shares.values()) == pytest.approx(100, abs=0.5)
    stages = {row[0]: row[1:4] for row in opened.rows("#latency")}
    assert len(stages) == 9
    assert all("ms" in p50 or "s" in p50 for p50, _, _ in stages.values())
    model = opened.text("#routes")
    assert all(name in model for name in ("tiny@1", "fp32 on CPU", route, worker.labels, worker.dead))
    assert "Partitions assigned\n4" in opened.text("#work")
    assert opened.foreign_requests == []
    assert opened.errors == []


def test_event_content_is_escaped_and_texts_stay_hidden(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "hidden"))
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port)
    opened.await_text("#events", HOSTILE)
    newest = opened.rows("#events")[0]
    assert newest[0].startswith(HOSTILE)
    assert newest[1] == "1"
    assert re.fullmatch(r"hidden, \d+ characters", newest[-1])
    assert opened.page.query_selector("#grid img") is None
    assert SECRET not in opened.page.content()
    assert opened.errors == []


def test_texts_are_shown_when_the_setting_allows_it(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "shown"), web_show_texts="true")
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port)
    opened.await_text("#events", SECRET)
    shown = opened.rows("#events")[0][-1]
    assert shown.startswith(f"my card {SECRET} {HOSTILE}")
    assert shown.endswith("…")
    assert opened.page.query_selector("#grid img") is None
    assert opened.errors == []


def test_no_element_is_wider_than_the_window(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "width"), web_show_texts="true")
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port)
    opened.await_text("#events", HOSTILE)
    wider = {}
    for width in WIDTHS:
        opened.page.set_viewport_size({"width": width, "height": 800})
        wider[width] = opened.overflow_px
    assert wider == dict.fromkeys(WIDTHS, 0)


def test_the_page_shows_a_disconnection_and_reconnects(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "away"))
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port)
    opened.await_text("#totals", "81 labelled")
    assert worker.stop() == 0
    opened.await_text("#link-text", "disconnected since")
    assert re.search(r"since \d\d:\d\d:\d\d", opened.text("#link-text"))
    assert opened.text("#state-name") == "Disconnected"
    assert "81 labelled" in opened.text("#totals"), "the last figures stay readable"
    worker.start()
    opened.await_text("#totals", "0 labelled")
    opened.await_text("#link-text", "live")
    opened.await_text("#state-name", "Idle")
    embedded_broker.produce(worker.route, event(1)[1])
    opened.await_text("#totals", "1 labelled")


def test_a_worker_that_hangs_counts_as_disconnected(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "hangs"))
    opened = open_page(chromium, worker.port)
    worker.pause()
    try:
        opened.await_text("#link-text", "disconnected since")
    finally:
        worker.resume()
    opened.await_text("#link-text", "live")


def test_the_browser_asks_for_the_token_as_a_password(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame\n")
    worker = start_worker(embedded_broker, make_route(embedded_broker, "token"), web_token_file=file)
    opened = open_page(chromium, worker.port, password="open sesame")
    opened.await_text("#state-name", "Idle")
    stranger = chromium.browser.new_page()
    with pytest.raises(Error, match="INVALID_AUTH_CREDENTIALS"):
        stranger.goto(opened.origin)


def test_the_main_figures_are_shown_without_javascript(
    chromium: Chromium, embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    worker = start_worker(embedded_broker, make_route(embedded_broker, "plain"))
    send_traffic(embedded_broker, worker)
    opened = open_page(chromium, worker.port, javascript=False)
    page = opened.page
    assert "tiny@1" in page.inner_text("main")

    def all_labelled() -> bool:
        """Return whether a reload shows all labels; scrapes are up to a second old."""
        page.reload()
        return bool(re.search(r"Labelled\s+81\s", page.inner_text("main")))

    until(all_labelled, BACK_S, "81 labelled")
    assert page.locator("#grid").is_hidden()
