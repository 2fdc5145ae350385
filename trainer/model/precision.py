"""In which precision a training computes; the weights are float32 in any case."""

from typing import Literal

import torch

from stream.errors import DeviceError
from trainer.recipe import Precision

Chosen = Literal["fp32", "bf16", "fp16"]


def device_name() -> str:
    """Where a training computes: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(wanted: Precision) -> Chosen:
    """The precision that this machine computes fast and safely in, or the one that was asked for.

    `auto` is bf16 where the device multiplies in it (NVIDIA from Ampere on; CPUs with AVX512-BF16 or AMX,
    where it made a step of MiniLM 2.5 times as fast), fp16 on older NVIDIA GPUs, else fp32.

    Raises:
        DeviceError: fp16 was asked for on something else than an NVIDIA GPU, or bf16 where there is none.
    """
    device = device_name()
    if wanted == "fp32":
        return "fp32"
    if wanted == "fp16" and device != "cuda":
        raise DeviceError(
            "--precision fp16 is not possible here",
            cause=f"its gradients are scaled on NVIDIA GPUs only; this machine trains on {device}",
            fix="use --precision auto",
        )
    if wanted == "bf16" and device == "mps":
        raise DeviceError(
            "--precision bf16 is not possible here", cause="not on mps", fix="use --precision auto"
        )
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device == "cpu" and _cpu_multiplies_bf16() else "fp32"


def autocast(chosen: Chosen) -> torch.autocast:
    """The context in which a step computes."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(chosen, torch.bfloat16)
    return torch.autocast(device_name(), dtype=dtype, enabled=chosen != "fp32")


def _cpu_multiplies_bf16() -> bool:
    # Older versions of torch do not say; then nothing is risked.
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
