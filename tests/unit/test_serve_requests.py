"""The answers of the server to requests, in the process of the test."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from stream.bundle import Bundle
from stream.errors import DeviceError
from stream.serve.app import openapi_document
from stream.serve.limits import ServeLimits
from stream.serve.ndjson import CHUNK_ROWS, CHUNKS_AT_ONCE, BulkResponse
from tests.real.kinds import BY_NAME, KINDS
from tests.real.wait import until_async
from tests.unit.predict_command import make_bundles
from tests.unit.serve_setup import BACKLOG_S, ROWS, InProcess, in_process
from tests.unit.test_api import predicted

DOCUMENT = openapi_document()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("kinds"))


def check_schema(name: str, content: Any) -> None:
    """Check a value against a schema of the OpenAPI document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(content)


def check_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that a response is a problem of this kind, and return it."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    check_schema("Problem", problem)
    assert (problem["type"], problem["status"]) == (f"urn:labelstream:problem:{kind}", status)
    assert problem["fix"]
    return problem


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_the_labels_of_every_kind_are_those_of_predict(
    bundles: dict[str, Bundle], name: str, tmp_path: Path
) -> None:
    kind = BY_NAME[name]
    expected = predicted(bundles[name], list(kind.rows), tmp_path)
    answer, bulk, tensors = asyncio.run(all_answers(bundles[name], name))
    check_schema("Results", answer.json())
    assert answer.json()["results"] == expected
    assert [orjson.loads(line) for line in bulk.content.splitlines()] == expected
    check_schema("InferResponse", tensors.json())
    outputs = {output["name"]: output for output in tensors.json()["outputs"]}
    check_outputs(outputs, expected, kind.labels)


async def all_answers(bundle: Bundle, name: str) -> list[httpx.Response]:
    """Send the rows of a kind as JSON, as NDJSON and as tensors."""
    rows = [
        {"text": row.text, "text_pair": row.text_pair, "metadata": row.metadata} for row in BY_NAME[name].rows
    ]
    lines, headers = b"\n".join(map(orjson.dumps, rows)), {"Content-Type": "application/x-ndjson"}
    async with in_process(bundle) as server:
        return [
            await server.client.post(ROWS, json={"rows": rows}),
            await server.client.post(ROWS, content=lines, headers=headers),
            await server.client.post(f"/v2/models/{name}/infer", json=as_tensors(name, rows)),
        ]


def as_tensors(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    kind = BY_NAME[name]
    columns = {"text": [row["text"] for row in rows]}
    if kind.pair:
        columns["text_pair"] = [row["text_pair"] for row in rows]
    if kind.metadata:
        columns["metadata"] = [orjson.dumps(row["metadata"] or {}).decode() for row in rows]
    inputs = [
        {"name": column, "shape": [len(rows)], "datatype": "BYTES", "data": data}
        for column, data in columns.items()
    ]
    check_schema("InferRequest", {"inputs": inputs})
    return {"inputs": inputs}


def check_outputs(outputs: dict[str, Any], expected: list[dict[str, Any]], labels: tuple[str, ...]) -> None:
    """Check that tensors hold the members of label events."""
    assert set(outputs["error"]["data"]) == {""}
    for name, missing in (("label", ""), ("score", 0.0), ("value", 0.0), ("abstained", False)):
        if name in outputs:
            members = [row.get(name) for row in expected]
            assert outputs[name]["data"] == [missing if m is None else m for m in members]
    for name in ("labels", "spans"):
        if name in outputs:
            assert [orjson.loads(value) for value in outputs[name]["data"]] == [row[name] for row in expected]
    if "scores" in outputs:
        data, width = outputs["scores"]["data"], len(labels)
        assert outputs["scores"]["shape"] == [len(expected), width]
        for at, row in enumerate(expected):
            assert dict(zip(labels, data[at * width : (at + 1) * width], strict=True)) == row["scores"]


async def test_a_row_that_fails_has_its_error_and_ids_are_returned(bundles: dict[str, Bundle]) -> None:
    rows = ["my card", {"id": 7, "text": " "}, {"id": "b", "text": "refund"}, 5, {"id": True, "text": "a"}]
    async with in_process(bundles["single"]) as server:
        response = await server.client.post(ROWS, json={"rows": rows})
        one = await server.client.post(ROWS, json=rows[2])
        outputs = await server.client.post(
            "/v2/models/single/infer",
            json={
                "id": "q",
                "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["refund", " "]}],
                "outputs": [{"name": "error"}, {"name": "label"}],
            },
        )
        metrics = (await server.client.get("/metrics")).text
    assert response.status_code == 200
    check_schema("Results", response.json())
    good, empty, named, number, bad_id = response.json()["results"]
    assert "id" not in good
    message = "rows[1]: text contains only white space"
    assert empty == {"id": "7", "error": {"reason": "empty", "message": message}}
    assert one.json()["results"] == [named]
    assert named["id"] == "b"
    assert number["error"]["reason"] == bad_id["error"]["reason"] == "schema"
    assert number["error"]["message"] == "rows[3]: the value is a number, not a JSON object"
    assert bad_id["error"]["message"] == "rows[4]: id must be a string or an integer"
    assert outputs.json()["id"] == "q"
    assert [(output["name"], output["data"]) for output in outputs.json()["outputs"]] == [
        ("label", [named["label"], ""]),
        ("error", ["", "empty: text contains only white space"]),
    ]
    assert 'labelstream_http_rows_total{outcome="labelled"} 4.0' in metrics
    assert 'labelstream_http_rows_total{outcome="failed"} 4.0' in metrics


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind"),
    [
        (b"{", "application/json", 400, "bad-request"),
        (b"[1]", "application/json", 400, "bad-request"),
        (b'{"rows": 3}', "application/json", 400, "bad-request"),
        (b'{"text": "a", "rows": ["b"]}', "application/json", 400, "bad-request"),
        (b'{"rows": ["b"], "parameters": {}}', "application/json", 400, "bad-request"),
        (b'{"inputs": ["b"]}', "application/json", 400, "bad-request"),
        (b"{}", "application/json", 400, "bad-request"),
        (b'{"rows": ' + b"[" * 5_000, "application/json", 400, "bad-request"),
        (b"\xff", "application/json", 400, "bad-request"),
        (b"text=a", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b"x" * 65, "application/json", 413, "body-too-large"),
        (b'{"rows": [1,2,3,4,5]}', "application/json; charset=utf-8", 413, "too-many-rows"),
    ],
)
async def test_a_request_that_is_wrong_is_a_problem(
    bundles: dict[str, Bundle], body: bytes, content_type: str, status: int, kind: str
) -> None:
    limits = ServeLimits(max_request_bytes=64 if kind == "body-too-large" else 10_000, max_rows=4)
    async with in_process(bundles["single"], limits) as server:
        headers = {"Content-Type": content_type}
        check_problem(await server.client.post(ROWS, content=body, headers=headers), status, kind)
        if status != 413:
            infer = await server.client.post("/v2/models/single/infer", content=body, headers=headers)
            assert check_problem(infer, status, kind)["error"]


async def test_other_wrong_requests_are_problems(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"]) as server:
        client = server.client
        check_problem(await client.get("/nothing"), 404, "not-found")
        check_problem(await client.get(ROWS), 405, "method-not-allowed")
        assert "error" in check_problem(await client.get("/v2/models/other"), 404, "not-found")
        check_problem(await client.get("/v2/models/single/versions/2/ready"), 404, "not-found")
        gzip = {"Content-Encoding": "gzip"}
        check_problem(await client.post(ROWS, json={}, headers=gzip), 415, "unsupported-media-type")
        binary = {"Inference-Header-Content-Length": "3"}
        path = "/v2/models/single/infer"
        check_problem(await client.post(path, json={}, headers=binary), 415, "unsupported-media-type")
        unknown = {**as_tensors("single", [{"text": "a"}]), "outputs": [{"name": "logits"}]}
        check_problem(await client.post(path, json=unknown), 400, "bad-request")


async def until_queued(server: InProcess, rows: int) -> None:
    """Wait until the queue holds this number of rows."""

    async def is_queued() -> bool:
        return f"queue_rows {rows}.0" in (await server.client.get("/metrics")).text

    await until_async(is_queued, 10, f"{rows} rows in the queue")


async def test_a_full_queue_is_429_with_the_time_of_the_backlog(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"], ServeLimits(max_rows=4, max_queue_rows=4)) as server:
        server.model.release.clear()
        waiting = asyncio.create_task(server.client.post(ROWS, json={"rows": ["a", "b", "c"]}))
        await until_queued(server, 3)
        refused = await server.client.post(ROWS, json={"rows": ["a", "b"]})
        check_problem(refused, 429, "queue-full")
        assert refused.headers["Retry-After"] == "13"
        assert BACKLOG_S == 12.3
        server.model.release.set()
        assert (await waiting).status_code == 200
        assert (await server.client.post(ROWS, json={"rows": ["a", "b"]})).status_code == 200


async def test_a_deadline_is_504_and_its_rows_count_until_they_are_finished(
    bundles: dict[str, Bundle],
) -> None:
    limits = ServeLimits(max_rows=2, max_queue_rows=2, request_timeout_s=0.02)
    async with in_process(bundles["single"], limits) as server:
        server.model.release.clear()
        check_problem(await server.client.post(ROWS, json={"rows": ["a", "b"]}), 504, "deadline")
        check_problem(await server.client.post(ROWS, json={"text": "c"}), 429, "queue-full")
        server.model.release.set()
        await until_queued(server, 0)


async def test_a_body_that_does_not_arrive_is_408(bundles: dict[str, Bundle]) -> None:
    async def slow() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    async with in_process(bundles["single"], ServeLimits(request_timeout_s=0.02)) as server:
        headers = {"Content-Type": "application/json"}
        check_problem(await server.client.post(ROWS, content=slow(), headers=headers), 408, "body-timeout")
        headers = {"Content-Type": "application/x-ndjson"}
        bulk = await server.client.post(ROWS, content=slow(), headers=headers)
        assert orjson.loads(bulk.content)["problem"]["type"].endswith("body-timeout")


async def test_a_server_that_loads_or_stops_is_503(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"]) as server:
        loaded, server.service._rows = server.service._rows, None
        check_problem(await server.client.post(ROWS, json={"text": "a"}), 503, "not-ready")
        assert (await server.client.get("/ready")).status_code == 503
        assert (await server.client.get("/v2/health/ready")).json() == {"ready": False}
        assert (await server.client.get("/live")).status_code == 200
        server.service._rows = loaded
        server.service.begin_stop()
        check_problem(await server.client.post(ROWS, json={"text": "a"}), 503, "stopping")
        assert (await server.client.get("/v2/models/single/ready")).status_code == 503


async def test_a_fault_of_the_device_is_503_and_ends_the_process(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"]) as server:
        server.model.error = DeviceError("the device is gone")
        check_problem(await server.client.post(ROWS, json={"text": "a"}), 503, "model-failed")
        assert server.fatal == [server.model.error]
        check_problem(await server.client.post(ROWS, json={"text": "a"}), 503, "stopping")


async def test_an_unexpected_error_is_500(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"]) as server:
        server.model.error = ZeroDivisionError("secret text")
        problem = check_problem(await server.client.post(ROWS, json={"text": "a"}), 500, "internal")
        assert "secret" not in str(problem)


async def test_a_client_that_does_not_read_its_results_is_not_read(bundles: dict[str, Bundle]) -> None:
    received = 0
    reading = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b'"my card"\n' * CHUNK_ROWS, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await reading.wait()

    async with in_process(bundles["single"]) as server:
        response = BulkResponse(server.service, max_line_bytes=100, idle_s=0.2)
        await response({"type": "http"}, receive, send)  # type: ignore[arg-type]
    # One chunk is being sent, and one waits for a place in the queue.
    assert received <= CHUNKS_AT_ONCE + 3


async def test_every_path_of_the_document_is_served_and_no_other(bundles: dict[str, Bundle]) -> None:
    async with in_process(bundles["single"]) as server:
        for path, operations in DOCUMENT["paths"].items():
            url = path.format(name="single", version="1")
            for method, operation in operations.items():
                if method == "parameters":
                    continue
                body = {"text": "a"} if "classify" in path else as_tensors("single", [{"text": "a"}])
                response = await server.client.request(method, url, json=body if method == "post" else None)
                assert response.status_code == 200, path
                check_content(operation["responses"]["200"], response)


def check_content(documented: dict[str, Any], response: httpx.Response) -> None:
    """Check the media type and the content of a response against its description."""
    if "$ref" in documented:
        documented = DOCUMENT["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    media = response.headers["content-type"].partition(";")[0]
    schema = documented["content"][media]["schema"]
    if media == "application/json":
        with_parts = {**schema, "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(with_parts).validate(response.json())
