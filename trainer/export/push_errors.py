"""The errors of an upload to the Hub as errors of labelstream, with cause and fix."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stream.errors import LabelstreamError, UsageError, one_line

LOG_IN = "log in with a token that may write: hf auth login; or set HF_TOKEN"


@contextmanager
def push_errors(repository: str) -> Iterator[None]:
    """Turn an error of huggingface_hub in the block into a `UsageError` or a `LabelstreamError`.

    Args:
        repository: OWNER/NAME, or NAME.
    """
    try:
        yield
    except LabelstreamError:
        raise
    except Exception as exc:
        raise _typed(exc, repository) from exc


def check_token(api: Any, repository: str) -> str:
    """Return the name of the user whose token is in use.

    Raises:
        UsageError: the library is offline, there is no token, or the token is not valid.
    """
    from huggingface_hub import get_token
    from huggingface_hub.constants import is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    if is_offline_mode():
        raise UsageError(
            f"nothing can be pushed to {repository}",
            cause="HF_HUB_OFFLINE is set",
            fix="unset HF_HUB_OFFLINE",
        )
    if get_token() is None:
        raise UsageError(
            f"no token for {repository} was found",
            cause="HF_TOKEN is not set, and nobody is logged in",
            fix=LOG_IN,
        )
    try:
        return str(api.whoami()["name"])
    except HfHubHTTPError as exc:
        if exc.response.status_code == 401:
            raise UsageError(
                "the Hub does not accept the token",
                cause="it is not valid, or it has expired; HF_TOKEN takes precedence over a login",
                fix=LOG_IN,
            ) from None
        raise


def _typed(error: Exception, repository: str) -> LabelstreamError:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, HFValidationError):
        return UsageError(
            f"{repository[:200]!a} cannot be the name of a repository",
            cause=" ".join(str(error).split()),
            fix="write OWNER/NAME with letters, digits, dots, dashes and underscores",
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
        return UsageError(
            f"the token may not write to {repository}",
            cause=_server_message(error),
            fix=f"push to a repository of your own, or {LOG_IN}",
        )
    if isinstance(error, ValueError) and "metadata" in str(error):
        return UsageError(
            "the Hub refuses the metadata of the model card",
            cause=" ".join(str(error).split())[:300],
            fix="correct --license, --language, --dataset or --base-model",
        )
    return LabelstreamError(
        f"the push to {repository} failed",
        cause=_server_message(error) if status else one_line(error.__cause__ or error),
        fix="push again when the Hub answers; files that were sent are not sent again",
    )


def _server_message(error: Exception) -> str:
    message = getattr(error, "server_message", None) or str(error)
    return " ".join(message.split())[:300]
