"""The output of a push, and the push at the end of a training."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from stream.bundle import Bundle
from stream.errors import LabelstreamError
from trainer.export.push import PlannedFile, PushRequest, plan_push, prepare_push, push_bundle, shared_rows


def push_to_hub(console: Console, bundle: Bundle, request: PushRequest) -> None:
    """Create the repository if needed, upload the bundle, and print its address and reference.

    Raises:
        UsageError: the token may not write to the repository.
        LabelstreamError: the Hub does not answer.
    """
    name = prepare_push(request)
    announce(console, bundle, plan_push(bundle, request), f"go to {name}, branch {request.branch}")
    pushed = push_bundle(bundle, name, request)
    _print(console, pushed.url)
    _print(console, f"pushed: {pushed.reference}")


def push_trained(console: Console, bundle: Bundle, store: Path, request: PushRequest) -> None:
    """Push the bundle of a training, which is published already.

    Raises:
        LabelstreamError: the push failed; the fix is the command that pushes the bundle.
    """
    try:
        push_to_hub(console, bundle, request)
    except LabelstreamError as exc:
        private = " --private" if request.private else ""
        raise LabelstreamError(
            f"{bundle.reference} is complete, but it was not pushed",
            cause=f"{exc.message}: {exc.cause}" if exc.cause else exc.message,
            fix=f"labelstream push {bundle.reference} {shlex.quote(request.repository)}{private} "
            f"--bundle-store {shlex.quote(str(store))}",
        ) from exc


def announce(console: Console, bundle: Bundle, files: Sequence[PlannedFile], where: str) -> None:
    """Print the number and size of the files, and a note on the texts among them."""
    total = readable_size(sum(file.size for file in files))
    _print(console, f"{bundle.reference}: {len(files)} files, {total}, {where}")
    if rows := shared_rows(bundle):
        _print(
            console,
            f"note: reference.jsonl holds {rows} texts, some of them from the training data; everyone who "
            "can read the repository can read them",
        )


def readable_size(count: int) -> str:
    """Return a number of bytes in MiB or KiB."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
