"""Measures the rate of ONNX Runtime's products of float32 matrices of 2048 x 2048 on all cores.

python -m benchmarks.speed.matrix. Prints one line of JSON: flops, the operations per second, as the median of
20 runs.
"""

import statistics
import time

import numpy as np
import onnxruntime
import orjson
from onnx import TensorProto, helper

from tests.real.machine import usable_cores

SIZE = 2_048
RUNS = 20


def main() -> dict[str, float]:
    """Measure the rate."""
    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE, SIZE]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "m", names[:2], names[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(7)
    inputs = {name: random.random((SIZE, SIZE), dtype=np.float32) for name in "ab"}
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        session.run(None, inputs)
        seconds.append(time.perf_counter() - began)
    return {"flops": 2 * SIZE**3 / statistics.median(seconds)}


if __name__ == "__main__":
    print(orjson.dumps(main()).decode(), flush=True)
