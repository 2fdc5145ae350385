"""Gradient checkpointing and torch.compile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stream.errors import UsageError
from trainer.config import Compute, one_of
from trainer.model.layers import encoder_of

DEFAULT_BACKEND = "inductor"


@contextmanager
def recomputed_activations(model: Any, *, on: bool) -> Iterator[None]:
    """Compute the activations of the encoder's layers again in backward passes of this block.

    Raises:
        UsageError: the architecture does not support it.
    """
    if not on:
        yield
        return
    encoder = encoder_of(model)
    try:
        # The other implementation needs inputs with gradients, which frozen embeddings do not give.
        encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError as exc:
        raise UsageError(
            f"--gradient-checkpointing is not possible with a {encoder.config.model_type} model",
            cause=str(exc).strip().splitlines()[0],
            fix="leave it out, and use a smaller --batch-size with --gradient-accumulation",
        ) from None
    try:
        yield
    finally:
        encoder.gradient_checkpointing_disable()


def check_compiler(compute: Compute) -> None:
    """Check before training that torch.compile has its backend and a compiler.

    Raises:
        UsageError: the backend is unknown, or the machine has no compiler for it.
    """
    if compute.backend is None:
        return
    from torch import _dynamo as dynamo
    from torch import cuda

    one_of("--torch-compile-backend", compute.backend, dynamo.list_backends(exclude_tags=()))
    if compute.backend != DEFAULT_BACKEND:
        return
    missing = _missing_triton() if cuda.is_available() else _missing_compiler()
    if missing:
        raise UsageError(
            "--torch-compile needs a compiler",
            cause=missing,
            fix="install it (on Debian: g++), or leave --torch-compile out",
        )


def _missing_compiler() -> str:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        found = shutil.which(get_cpp_compiler())
    except (InvalidCxxCompiler, OSError):
        found = None
    return "" if found else "torch.compile generates C++ on the CPU, and no C++ compiler was found"


def _missing_triton() -> str:
    from torch.utils._triton import has_triton

    return "" if has_triton() else "torch.compile generates Triton kernels, and triton does not work here"
