"""A stand-in of an OpenAI-compatible chat endpoint: an HTTP server that answers as a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
"""The status, the headers and the body of an answer."""


@dataclass
class ChatServer:
    """A running stand-in.

    Attributes:
        url: its base URL.
        requests: the path, the headers and the parsed body of each request.
    """

    url: str
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        """The prompts of all requests."""
        return [body["messages"][0]["content"] for _, _, body in self.requests]


def completion(content: str, number: int = 0) -> Reply:
    """Return a chat completion with a text."""
    body = {
        "id": f"chatcmpl-{number}",
        "choices": [{"message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return 200, {}, json.dumps(body).encode()


def rows(*texts: str | dict[str, str]) -> str:
    """Return the content of a valid answer."""
    return json.dumps({"rows": [{"text": text} if isinstance(text, str) else text for text in texts]})


@contextmanager
def chat_server(answer: Callable[[int, dict[str, Any]], Reply]) -> Iterator[ChatServer]:
    """Run a stand-in that answers with the result of `answer`, given the request's number and body."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(running.requests)
                running.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, content = answer(number, body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = ChatServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
