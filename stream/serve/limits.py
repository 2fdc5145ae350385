"""The limits of the server."""

from dataclasses import dataclass

from stream.errors import UsageError

# Bounds the memory for bodies: each connection holds one body at most.
MAX_CONNECTIONS = 256
KEEP_ALIVE_S = 75


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """The limits of requests.

    Attributes:
        max_request_bytes: the maximum size of a body; a body of NDJSON has no limit, but each line has.
        max_rows: the maximum rows of a request; NDJSON has no limit.
        max_queue_rows: the maximum rows of all requests that wait for the model or are being inferred.
        request_timeout_s: the seconds from the headers of a request to its results.
    """

    max_request_bytes: int = 4 * 2**20
    max_rows: int = 1_024
    max_queue_rows: int = 4_096
    request_timeout_s: float = 30.0

    def check(self) -> None:
        """Check that a request of the maximum size fits into the queue.

        Raises:
            UsageError: it does not.
        """
        if self.max_rows > self.max_queue_rows:
            raise UsageError(
                f"--max-rows {self.max_rows} exceeds --max-queue-rows {self.max_queue_rows}",
                cause="a request with more rows than the queue holds could never be accepted",
                fix="lower --max-rows or raise --max-queue-rows",
            )
