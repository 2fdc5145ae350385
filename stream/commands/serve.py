"""`labelstream serve`: classify texts over HTTP until stopped."""

import asyncio
import signal
from typing import Annotated

import typer

from stream.commands.options import with_settings
from stream.errors import LabelstreamError, UsageError, missing_module
from stream.settings import Settings, parse_bytes
from stream.termination import end_process_after
from stream.wording import BUNDLE_FORMS

# The time for threads to finish their last inference.
THREADS_GRACE_S = 5.0
HUNG_THREAD = "an inference or a download did not end, so the process was killed"


@with_settings(
    *("bundle_store", "require_signature", "device", "variant", "sessions"),
    *("max_batch_rows", "max_batch_tokens", "max_event_bytes", "max_text_chars", "cache_local_entries"),
    *("top_k", "web_host", "web_port", "web_token_file", "web_allowed_hosts"),
    *("log_level", "log_format", "drain_deadline_s", "stall_exit_s"),
)
def serve(
    bundle: Annotated[
        str,
        typer.Argument(help=f"Bundle: {BUNDLE_FORMS}.", metavar="BUNDLE"),
    ],
    *,
    settings: Settings,
    max_request_bytes: Annotated[
        str, typer.Option(help="Size of a request body at most; NDJSON is not limited.", metavar="BYTES")
    ] = "4 MiB",
    max_rows: Annotated[
        int, typer.Option(min=1, help="Rows of a request at most; NDJSON is not limited.", metavar="ROWS")
    ] = 1_024,
    max_queue_rows: Annotated[
        int,
        typer.Option(
            min=1, help="Rows of all requests in the queue at most; beyond them: 429.", metavar="ROWS"
        ),
    ] = 4_096,
    request_timeout_s: Annotated[
        float,
        typer.Option(min=0.001, help="Seconds until a request gets its answer or 504.", metavar="SECONDS"),
    ] = 30.0,
) -> None:
    """Classify texts over HTTP, with the results that the worker would publish.

    POST /v1/classify takes one text, many, or NDJSON. The paths under /v2 are those of the Open Inference
    Protocol (KServe, Triton). Further paths: /live, /ready, /metrics, /openapi.json. The extra is `serve`. On
    SIGTERM or Ctrl-C the server finishes the requests in flight. Exit codes: 2 settings, 3 bundle, 7 device.

        labelstream serve support

        curl 127.0.0.1:8080/v1/classify --json '{"text": "My card was charged twice"}'

        labelstream serve support@3 --web-host 0.0.0.0 --web-token-file token --request-timeout-s 5
    """
    # Importing uvicorn takes time, so `--help` and an error in the settings come first.
    from stream.observe.logs import configure_logs

    try:
        from stream.serve.limits import ServeLimits
        from stream.serve.server import run_server
    except ModuleNotFoundError as exc:
        raise missing_module("`labelstream serve` needs Starlette and uvicorn", exc, "serve") from None

    limits = ServeLimits(_as_bytes(max_request_bytes), max_rows, max_queue_rows, request_timeout_s)
    configure_logs(settings.log_level, settings.log_format)
    try:
        stopped_by = asyncio.run(run_server(bundle, settings, limits))
    except LabelstreamError as exc:
        end_process_after(THREADS_GRACE_S, exc.exit_code, HUNG_THREAD)
        raise
    end_process_after(THREADS_GRACE_S, 130 if stopped_by == signal.SIGINT else 0, HUNG_THREAD)
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _as_bytes(size: str) -> int:
    try:
        parsed = parse_bytes(size)
    except ValueError as exc:
        raise UsageError(
            "--max-request-bytes is invalid", cause=str(exc), fix="give a size such as 4 MiB"
        ) from None
    assert isinstance(parsed, int)
    return parsed
