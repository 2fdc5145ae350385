"""How fast PyTorch multiplies square matrices on a device: the bound of the arithmetic there.

python -m benchmarks.speed.torch_matrix DEVICE. Prints one line of JSON: flops, operations per second, the
median of 20 runs; float16 8192 x 8192 on CUDA, float32 2048 x 2048 on the CPU.
"""

import statistics
import sys
import time

import orjson
import torch

RUNS = 20
SIZES = {"cuda": (8_192, torch.float16), "cpu": (2_048, torch.float32)}


def main(device: str) -> dict[str, float]:
    """Multiply and time."""
    size, kind = SIZES[device]
    torch.manual_seed(7)
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    seconds = []
    for _ in range(RUNS + 3):
        _wait(device)
        began = time.perf_counter()
        torch.matmul(a, b)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    # The first ones choose a kernel.
    return {"flops": 2 * size**3 / statistics.median(seconds[3:])}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(orjson.dumps(main(sys.argv[1])).decode(), flush=True)
