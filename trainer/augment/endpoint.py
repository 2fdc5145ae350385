"""A client of an OpenAI-compatible chat endpoint, with retries and a limit; it never shows the key."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from stream.errors import LabelstreamError, UsageError
from trainer.augment.answers import InvalidAnswerError

PATH = "/chat/completions"
ATTEMPTS = 6
TIMEOUT_S = 120.0
MAX_WAIT_S = 60.0
MAX_CAUSE_CHARS = 200
RETRIED = frozenset({408, 409, 425, 429})
"""The status codes, besides 5xx, after which a request is sent again."""


class EndpointError(LabelstreamError):
    """The endpoint does not answer."""


class RequestLimitError(Exception):
    """The allowed number of requests has been sent."""


class _TransientError(Exception):
    def __init__(self, cause: str, wait_s: float | None = None) -> None:
        super().__init__(cause)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the model.

    Attributes:
        request_id: the id that the endpoint gave the request, or a random one.
        content: the text.
    """

    request_id: str
    content: str


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The endpoint and the form of its requests.

    Attributes:
        url: the base URL, such as https://api.openai.com/v1, or the URL of the chat completions.
        model: the name of the model.
        key: the API key; None for an endpoint without authentication.
        json_mode: whether requests ask for a JSON object with `response_format`.
        temperature: the sampling temperature; None for the default of the endpoint.
        max_requests: the number of requests, retries included, after which no more are sent.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    json_mode: bool = True
    temperature: float | None = None
    max_requests: int = 1_000


@dataclass(slots=True)
class Usage:
    """The requests that were sent, and the tokens that the endpoint reports for them."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add_tokens(self, reported: Any) -> None:
        """Add the tokens of an answer, if the endpoint reports them."""
        if isinstance(reported, dict):
            for name in ("prompt_tokens", "completion_tokens"):
                if isinstance(reported.get(name), int):
                    setattr(self, name, getattr(self, name) + reported[name])


class ChatEndpoint:
    """Sends prompts, and counts requests and tokens in `usage`."""

    def __init__(self, options: EndpointOptions) -> None:
        """
        Args:
            options: the endpoint.

        Raises:
            UsageError: the URL is not an HTTP URL.
        """
        self._options = options
        self._url = _completions_url(options.url)
        self.usage = Usage()
        self._has_answered = False
        headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S)

    async def __aenter__(self) -> "ChatEndpoint":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, prompt: str) -> Answer:
        """Return the answer to a prompt; a transient failure is retried with growing waits.

        Raises:
            EndpointError: the endpoint fails repeatedly.
            InvalidAnswerError: the answer has no text.
            RequestLimitError: no further request is allowed.
            UsageError: the endpoint refuses the request.
        """
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": [{"role": "user", "content": prompt}],
        }
        if self._options.json_mode:
            body["response_format"] = {"type": "json_object"}
        if self._options.temperature is not None:
            body["temperature"] = self._options.temperature
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_TransientError),
            wait=_wait_s,
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    self.usage.retries += attempt.retry_state.attempt_number > 1
                    response = await self._send(body)
        except _TransientError as exc:
            raise EndpointError(
                f"the endpoint {self._place} failed {ATTEMPTS} times",
                cause=str(exc),
                fix="run the same command again later: it continues with the rows that it wrote",
            ) from None
        return self._answer(response)

    @property
    def _place(self) -> str:
        """The URL without user, password and query, which may hold secrets."""
        return f"{self._url.scheme}://{self._url.netloc.decode()}{self._url.path}"

    async def _send(self, body: dict[str, Any]) -> httpx.Response:
        if self.usage.requests >= self._options.max_requests:
            raise RequestLimitError
        self.usage.requests += 1
        try:
            response = await self._client.post(self._url, json=body)
        except httpx.ConnectError as exc:
            if not self._has_answered:
                raise UsageError(
                    f"cannot connect to {self._place}",
                    cause=self._safe(str(exc)),
                    fix="check --endpoint, and that the server runs",
                ) from None
            raise _TransientError(self._safe(str(exc))) from None
        except httpx.HTTPError as exc:
            raise _TransientError(f"{type(exc).__name__} {self._safe(str(exc))}".strip()) from None
        if response.status_code in RETRIED or response.status_code >= 500:
            raise _TransientError(self._cause(response), _retry_after_s(response))
        if not response.is_success:
            raise self._refusal(response)
        self._has_answered = True
        return response

    def _answer(self, response: httpx.Response) -> Answer:
        try:
            found = response.json()
            self.usage.add_tokens(found.get("usage"))
            content = found["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise InvalidAnswerError("no chat completion") from None
        if not isinstance(content, str):
            raise InvalidAnswerError("a chat completion without a text")
        given = found.get("id") or response.headers.get("x-request-id")
        return Answer(given if isinstance(given, str) else str(uuid4()), content)

    def _refusal(self, response: httpx.Response) -> UsageError:
        fixes = {
            401: "set OPENAI_API_KEY, or name a file with the key in --api-key-file",
            403: "use a key that may use this model: OPENAI_API_KEY or --api-key-file",
            404: "check --endpoint, which often ends with /v1, and --model",
        }
        hint = "check --model"
        if response.status_code in (400, 422) and self._options.json_mode:
            hint = "check --model; if the endpoint has no JSON mode, add --no-json-mode"
        return UsageError(
            f"the endpoint {self._place} refuses the request",
            cause=self._cause(response),
            fix=fixes.get(response.status_code, hint),
        )

    def _cause(self, response: httpx.Response) -> str:
        text = " ".join(self._safe(response.text).split())[:MAX_CAUSE_CHARS]
        return f"HTTP status {response.status_code}{f': {text}' if text else ''}"

    def _safe(self, text: str) -> str:
        """Return a text without the key, which some servers repeat in their errors."""
        key = self._options.key
        return text.replace(key, "***") if key else text


def _completions_url(url: str) -> httpx.URL:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        parsed = httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise UsageError(
            "--endpoint is not an HTTP URL",
            cause="it names an OpenAI-compatible server, such as https://api.openai.com/v1",
            fix="use a URL such as http://localhost:8000/v1",
        )
    path = parsed.path.rstrip("/")
    return parsed if path.endswith(PATH) else parsed.copy_with(path=path + PATH)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Return the wait that the server asks for in seconds; None without one, or with a date."""
    try:
        wait_s = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(MAX_WAIT_S, wait_s) if wait_s >= 0 else None


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _TransientError) and error.wait_s is not None:
        return error.wait_s
    return float(wait_random_exponential(multiplier=1, max=MAX_WAIT_S)(state))
