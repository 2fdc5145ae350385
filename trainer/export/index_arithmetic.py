"""Where a graph computes places out of fractions, as relative positions in buckets are."""

from typing import Any

ELEMENTWISE = {"Abs", "Add", "Cast", "Ceil", "Div", "Floor", "Log", "Min", "Mul", "Neg", "Sign", "Sub"}
INTEGERS = (6, 7)
"""INT32 and INT64 of onnx.TensorProto."""


def index_arithmetic(model: Any) -> set[str]:
    """Names of the nodes whose fractions become whole numbers by a cast, back to where the chain begins.

    Args:
        model: an onnx.ModelProto.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    waiting = [
        node
        for node in model.graph.node
        if node.op_type == "Cast" and any(a.name == "to" and a.i in INTEGERS for a in node.attribute)
    ]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name in found or node.op_type not in ELEMENTWISE:
            continue
        found.add(node.name)
        waiting += [makers[name] for name in node.input if name in makers]
    return found
