"""Measures the rate of PyTorch's products of square matrices on a device.

python -m benchmarks.speed.torch_matrix DEVICE. Prints one line of JSON: flops, the operations per second, as
the median of 20 runs; float16 8192 x 8192 on CUDA, float32 2048 x 2048 on the CPU.
"""

import statistics
import sys
import time

import orjson
import torch

RUNS = 20
SIZES = {"cuda": (8_192, torch.float16), "cpu": (2_048, torch.float32)}


def main(device: str) -> dict[str, float]:
    """Measure the rate."""
    size, dtype = SIZES[device]
    torch.manual_seed(7)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(RUNS + 3):
        _synchronise(device)
        began = time.perf_counter()
        torch.matmul(a, b)
        _synchronise(device)
        seconds.append(time.perf_counter() - began)
    # The first runs select a kernel.
    return {"flops": 2 * size**3 / statistics.median(seconds[3:])}


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(orjson.dumps(main(sys.argv[1])).decode(), flush=True)
