"""The errors of a single request."""

from stream.errors import LabelstreamError, Reason


class RejectedError(LabelstreamError):
    """The worker cannot label the text; the request became a dead letter.

    Attributes:
        reason: the reason, from the closed list of dead letters.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, fix="change the text; a repetition is rejected too")
        self.reason = reason


class LabelTimeoutError(LabelstreamError, TimeoutError):
    """No reply arrived within the deadline. The text may still be labelled later."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"no label within {seconds:g} s",
            cause="the worker is not running, is behind, or writes to another topic",
            fix="check the worker's lag; input_topic, output_topic and dead_topic must be those of its route",
        )
