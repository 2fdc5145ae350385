"""The endpoints of the Open Inference Protocol, version 2 (the REST interface of KServe and Triton)."""

from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from stream import __version__
from stream.deadline import Deadline
from stream.serve.body import JSON, check_media_type, parse, read_body
from stream.serve.limits import ServeLimits
from stream.serve.problems import Kind, RequestError
from stream.serve.service import ClassifyService
from stream.serve.tensors import (
    InferRequest,
    TensorForm,
    input_forms,
    output_forms,
    output_tensors,
    read_events,
)
from stream.web.health import passed
from stream.worker.route_model import OpenModel

EXPECTED = '{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["…"]}]}'


class OpenInference:
    """The handlers of the paths under /v2."""

    def __init__(self, service: ClassifyService, limits: ServeLimits) -> None:
        """
        Args:
            service: classifies the rows.
            limits: the limits of requests.
        """
        self._service = service
        self._limits = limits
        self._decode = msgspec.json.Decoder(InferRequest).decode

    async def server(self, _: Request) -> Response:
        """Answer GET /v2."""
        return _json({"name": "labelstream", "version": __version__, "extensions": []})

    async def live(self, _: Request) -> Response:
        """Answer GET /v2/health/live."""
        return _health({"live": passed(self._service.live())})

    async def ready(self, _: Request) -> Response:
        """Answer GET /v2/health/ready."""
        return _health({"ready": self._service.is_ready})

    async def model_ready(self, request: Request) -> Response:
        """Answer GET /v2/models/{name}/ready."""
        name = self._model(request).bundle.manifest.name
        return _health({"name": name, "ready": self._service.is_ready})

    async def model(self, request: Request) -> Response:
        """Answer GET /v2/models/{name}."""
        opened = self._model(request)
        manifest = opened.bundle.manifest
        # The order of `scores` is that of the labels. The protocol permits parameters in a description.
        outputs = [
            form.metadata() | ({"parameters": {"labels": manifest.labels}} if form.name == "scores" else {})
            for form in output_forms(manifest)
        ]
        return _json(
            {
                "name": manifest.name,
                "versions": [manifest.version],
                "platform": f"labelstream_{opened.choice.device}",
                "inputs": [form.metadata() for form in input_forms(manifest)],
                "outputs": outputs,
            }
        )

    async def infer(self, request: Request) -> Response:
        """Answer POST /v2/models/{name}/infer."""
        deadline = Deadline(self._limits.request_timeout_s)
        self._service.check_accepting()
        manifest = self._model(request).bundle.manifest
        check_media_type(request, JSON)
        if "inference-header-content-length" in request.headers:
            raise RequestError(
                Kind.MEDIA_TYPE,
                "the extension for binary tensors is not supported",
                fix="send the tensors as JSON",
            )
        body = await read_body(request, self._limits.max_request_bytes, deadline)
        given = parse(self._decode, body, EXPECTED)
        wanted = _wanted(given, output_forms(manifest))
        rows = await self._service.classify(read_events(given.inputs, manifest), deadline)
        answer = {
            "model_name": manifest.name,
            "model_version": manifest.version,
            **({"id": given.id} if given.id is not None else {}),
            "outputs": output_tensors(wanted, rows),
        }
        return _json(answer)

    def _model(self, request: Request) -> OpenModel:
        """Return the model that the path names.

        Raises:
            RequestError: the model is still being loaded, or the path names another one.
        """
        opened = self._service.model
        manifest = opened.bundle.manifest
        name = request.path_params["name"]
        version = request.path_params.get("version", manifest.version)
        if (name, version) != (manifest.name, manifest.version):
            raise RequestError(
                Kind.NOT_FOUND,
                "there is no such model",
                cause=f"this server has {opened.bundle.reference}",
                fix=f"use /v2/models/{manifest.name}/versions/{manifest.version}",
            )
        return opened


def _wanted(given: InferRequest, forms: list[TensorForm]) -> list[TensorForm]:
    """Return the outputs that a request names, all of them if it names none."""
    if given.outputs is None:
        return forms
    names = [output.name for output in given.outputs]
    known = [form.name for form in forms]
    if unknown := [name for name in names if name not in known]:
        raise RequestError(
            Kind.BAD_REQUEST,
            f"the output {unknown[0][:80]!r} is unknown",
            fix=f"name only outputs of {', '.join(known)}, or leave outputs out for all of them",
        )
    return [form for form in forms if form.name in names]


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)


def _health(content: dict[str, Any]) -> Response:
    good = content.get("live", content.get("ready"))
    return Response(orjson.dumps(content), status_code=200 if good else 503, media_type=JSON)
