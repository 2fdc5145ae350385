"""The errors of huggingface_hub as errors of labelstream, with cause and fix."""

import importlib
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from stream.errors import BundleError, LabelstreamError, UsageError, missing_module

MAX_NAMES = 5
LOG_IN = "log in: hf auth login, or set HF_TOKEN to a token that may read it"


def import_hub() -> Any:
    """Return the module huggingface_hub, without progress bars if standard error is not a terminal.

    Raises:
        UsageError: the library is not installed.
    """
    try:
        hub = importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as exc:
        raise missing_module(
            "repositories of the Hub need a package that is not installed", exc, "cpu", "hub"
        ) from None
    if not sys.stderr.isatty():
        importlib.import_module("huggingface_hub.utils").disable_progress_bars()
    return hub


@contextmanager
def hub_errors(repository: str, revision: str) -> Iterator[None]:
    """Turn an error of huggingface_hub in the block into a `BundleError`.

    Args:
        repository: OWNER/NAME.
        revision: a branch, a tag or a commit.
    """
    try:
        yield
    except LabelstreamError:
        raise
    except Exception as exc:
        raise _typed(exc, repository, revision) from exc


def no_bundle(repository: str, revision: str, names: Collection[str]) -> BundleError:
    """Return the error for a repository without a bundle, which may be a plain model."""
    if "config.json" in names:
        return BundleError(
            f"hf://{repository}@{revision} has no bundle",
            cause="it is a plain model, without labelstream.json",
            fix=f"make a bundle of it: labelstream export {repository}; to fine-tune it: "
            f"labelstream train DATA --base-model {repository}",
        )
    return BundleError(
        f"hf://{repository}@{revision} has no bundle",
        cause="it has no file labelstream.json"
        + (f"; its files: {_some(names)}" if names else "; it is empty"),
        fix=f"push a bundle: labelstream push BUNDLE {repository}",
    )


def not_cached(reference: str, error: BaseException | None, found: str = "") -> BundleError:
    """Return the error for a bundle that is not in the cache while the Hub cannot be asked."""
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        return BundleError(
            f"the bundle {reference} is not in the cache",
            cause=f"HF_HUB_OFFLINE is set{f', and {found}' if found else ''}",
            fix="unset HF_HUB_OFFLINE, and start once with a connection to the Hub",
        )
    return BundleError(
        f"the bundle {reference} cannot be downloaded",
        cause=f"the Hub does not answer{f' ({_line(error)})' if error else ''}, "
        f"and {found or 'the cache does not have it'}",
        fix="check the network, HTTPS_PROXY and HF_ENDPOINT, then start again; the download continues",
    )


def _typed(error: Exception, repository: str, revision: str) -> LabelstreamError:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"hf://{repository}@{revision}"
    match error:
        case GatedRepoError():
            return BundleError(
                f"the access to {repository} is restricted",
                cause="its owner grants access on request",
                fix=f"ask for access on the repository's page; then {LOG_IN}",
            )
        case RepositoryNotFoundError():
            return _not_found(repository)
        case RevisionNotFoundError():
            return BundleError(
                f"{repository} has no revision {revision}",
                cause="no branch, tag or commit has this name" + _revisions(repository),
                fix=f"name one that exists: hf://{repository}@REVISION",
            )
        case HFValidationError():
            return UsageError(
                f"{name} is not a repository of the Hub", cause=_line(error), fix="write hf://OWNER/NAME"
            )
        case LocalEntryNotFoundError():
            return not_cached(name, error.__cause__)
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return BundleError(
                f"the Hub refuses the access to {repository}", cause=_line(error), fix=_other_token()
            )
        case HfHubHTTPError() if error.response.status_code == 429:
            return BundleError(
                f"the Hub refuses the download of {name}",
                cause="too many requests",
                fix="wait some minutes; requests with a token have a higher limit: hf auth login",
            )
    if isinstance(error, OSError) and error.filename:
        return UsageError(
            f"cannot write {error.filename}",
            cause=error.strerror or str(error),
            fix="free some space, or set HF_HOME to a folder that you may write to",
        )
    return not_cached(name, error)


def _not_found(repository: str) -> BundleError:
    from huggingface_hub import get_token

    if get_token():
        cause = "it does not exist, or it is private and the token in use may not read it"
        return BundleError(
            f"the Hub has no repository {repository}",
            cause=cause,
            fix=f"check the name; {_other_token()}",
        )
    return BundleError(
        f"the Hub has no repository {repository}",
        cause="it does not exist, or it is private: no token was found",
        fix=f"check the name; if it is private, {LOG_IN}",
    )


def _other_token() -> str:
    return "use a token that may read it: hf auth login, or HF_TOKEN, which takes precedence"


def _revisions(repository: str) -> str:
    """Return the names of the branches and tags, or nothing if the Hub does not list them."""
    try:
        refs = import_hub().HfApi().list_repo_refs(repository)
    except Exception:  # noqa: BLE001 - the error about the revision is what the user needs
        return ""
    names = [ref.name for ref in [*refs.branches, *refs.tags]]
    return f"; there are: {_some(names)}" if names else ""


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:MAX_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _line(error: BaseException | None) -> str:
    return " ".join(str(error or "").split())[:300] or type(error).__name__
