"""What the numbers of an ONNX model's outputs are, read from its graph: for files that come without a manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

QUANTITY_OF = {"Softmax": "probability", "Sigmoid": "probability", "Gemm": "logit", "MatMul": "logit", "Conv": "logit"}
PASSING_ON = ("Identity", "Cast", "Reshape", "Squeeze", "Flatten", "QuantizeLinear", "DequantizeLinear", "Add")
"""Whose output is their first input in another form; Add is a bias."""


def graph_quantities(path: Path) -> dict[str, str]:
    """One of QUANTITIES by output; "" where the last operator does not tell."""
    graph = onnx.load(path, load_external_data=False).graph
    makers = {name: node for node in graph.node for name in node.output}
    return {output.name: QUANTITY_OF.get(_maker(output.name, makers), "") for output in graph.output}


def _maker(name: str, makers: Mapping[str, Any]) -> str:
    """The operator that an output comes from."""
    for _ in range(len(makers)):
        node = makers.get(name)
        if node is None or node.op_type not in PASSING_ON:
            return "" if node is None else str(node.op_type)
        name = node.input[0]
    return ""
