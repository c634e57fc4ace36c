"""Which nodes ONNX Runtime's Core ML provider takes, in its format MLProgram: the rules of version 1.32.0, macOS 14 and
later, read from its source and checked against its release. They were not compared with a session on a Mac.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from anelab.export.coreml_provider import conditions
from anelab.export.coreml_provider.conditions import FLOATS, INDEXED, LARGEST_RANK, LOGICAL, NUMBERS, Condition
from anelab.export.coreml_provider.nodes import Node, Value

VERSION = "1.32.0"
HIGHEST = 28
"""Of the operator sets that it knows."""


@dataclass(frozen=True)
class Rule:
    """`least`: the first version of the operator that is taken. `types` are those of the first input."""

    least: int = 1
    types: tuple[str, ...] = NUMBERS
    condition: Condition = lambda node: ""


def refusal(node: Node, static: bool) -> str:
    """Why the provider leaves the node to the CPU; empty if it takes it. `static`: whether it is asked to take static
    shapes only."""
    rule = RULES.get(node.kind)
    if rule is None:
        return "the provider has no such operator"
    if not rule.least <= node.since <= HIGHEST:
        return f"the form of operator set {node.since} is not taken, only {rule.least} to {HIGHEST}"
    for value in node.inputs:
        if value is not None and (reason := _shape_refusal(node, value, static)):
            return reason
    if node.first.dtype not in rule.types:
        return f"{node.first.dtype or 'an unknown type'} is not taken, only {', '.join(rule.types)}"
    return rule.condition(node)


def _shape_refusal(node: Node, value: Value, static: bool) -> str:
    if value.shape is None:
        return f"the shape of {value.name} is not known"
    if static and not value.static:
        return f"{value.name} has an axis of no fixed size"
    if 0 in value.shape and node.kind != "Resize":
        return f"{value.name} is empty"
    if value.rank > LARGEST_RANK:
        return f"{value.name} has {value.rank} axes, at most {LARGEST_RANK} are taken"
    return ""


PLAIN = Rule()
ARITHMETIC = Rule(least=7)
POOL = Rule(condition=conditions.pool)
GLOBAL_POOL = Rule(condition=conditions.rank(4))
REDUCTION = Rule(condition=conditions.constant(1))
NORMALISED = Rule(types=FLOATS, condition=conditions.normalised)
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("Softplus", "Erf", "Reciprocal", "Round", "Sqrt", "Exp", "Sin", "Cos", "Ceil"), PLAIN),
    **dict.fromkeys(("Identity", "Transpose", "QuickGelu"), PLAIN),
    **dict.fromkeys(("Sigmoid", "Tanh", "Relu", "LeakyRelu", "Elu", "Gelu"), Rule(least=6)),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max"), ARITHMETIC),
    **dict.fromkeys(("MaxPool", "AveragePool"), POOL),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), GLOBAL_POOL),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), REDUCTION),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "InstanceNormalization"), NORMALISED),
    "And": Rule(types=("bool",)),
    "ArgMax": Rule(condition=conditions.attribute("select_last_index", 0, 0)),
    "BatchNormalization": Rule(
        7, condition=conditions.every(conditions.rank(4), conditions.constant(1, 2, 3, 4), conditions.one_output)
    ),
    "Cast": Rule(types=LOGICAL, condition=conditions.cast),
    "Clip": Rule(condition=conditions.every(conditions.clip, conditions.constant(1, 2))),
    "Concat": Rule(condition=lambda node: "" if len(node.inputs) > 1 else "it has a single input"),
    "Conv": Rule(condition=conditions.conv),
    "ConvTranspose": Rule(condition=conditions.transposed_conv),
    "DepthToSpace": Rule(
        condition=lambda node: conditions.static_input(node) if node.attributes.get("mode") == b"CRD" else ""
    ),
    "FusedConv": Rule(types=FLOATS, condition=conditions.fused_conv),
    "Gather": Rule(condition=conditions.gather),
    "GatherND": Rule(
        types=LOGICAL,
        condition=conditions.every(
            conditions.attribute("batch_dims", 0, 0), conditions.constant(1), conditions.gather_nd
        ),
    ),
    "Gemm": Rule(
        condition=conditions.every(
            conditions.attribute("transA", 0, 0),
            conditions.attribute("alpha", 1.0, 1),
            conditions.attribute("beta", 1.0, 1),
            conditions.constant(1, 2),
            conditions.gemm,
        )
    ),
    "GridSample": Rule(
        condition=conditions.every(conditions.rank(4), conditions.attribute("mode", "linear", "linear", "bilinear"))
    ),
    "HardSigmoid": Rule(6, FLOATS),
    "MatMul": Rule(condition=conditions.matmul),
    "PRelu": Rule(condition=conditions.every(conditions.rank(3, 4), conditions.prelu)),
    "Pad": Rule(11, FLOATS, conditions.every(conditions.constant(1, 2, 3), conditions.pad)),
    "Pow": Rule(7, condition=conditions.same_types),
    "Reshape": Rule(5, condition=conditions.every(conditions.static_input, conditions.constant(1), conditions.reshape)),
    "Resize": Rule(
        11,
        condition=conditions.every(
            conditions.rank(3, 4, 5), conditions.attribute("antialias", 0, 0), conditions.resize
        ),
    ),
    "Shape": Rule(types=INDEXED),
    "Slice": Rule(10, condition=conditions.every(conditions.static_input, conditions.constant(1, 2, 3, 4))),
    "Softmax": Rule(condition=lambda node: conditions.static_input(node) if node.since < 13 else ""),
    "Split": Rule(condition=conditions.every(conditions.constant(1), conditions.split)),
    "Squeeze": Rule(condition=conditions.constant(1)),
    "Tile": Rule(types=LOGICAL),
    "Unsqueeze": Rule(condition=conditions.every(conditions.constant(1), conditions.unsqueeze)),
    "Where": Rule(types=("bool",), condition=conditions.where_choice),
}
