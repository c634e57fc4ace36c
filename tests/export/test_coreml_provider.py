"""What ONNX Runtime's Core ML provider takes: each rule with a node that it takes and one that it does not, and how
nodes are put together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anelab.errors import AnelabError
from anelab.export.coreml_provider import rules
from anelab.export.coreml_provider.nodes import Node, Value
from anelab.export.coreml_provider.partitions import inspect_onnx
from anelab.export.coreml_provider.rules import refusal
from tests.commands import anelab

X = Value("x", "float32", (1, 4, 8, 8))
FREE = Value("x", "float32", (None, 4, 8, 8))
FILTER = Value("w", "float32", (6, 4, 3, 3), np.zeros(0))
OUT = Value("y", "float32", (1, 6, 6, 6))


def constant(*numbers: float, dtype: str = "int64") -> Value:
    return Value("c", dtype, (len(numbers),), np.array(numbers, dtype))


def computed(*shape: int) -> Value:
    return Value("computed", "float32", shape)


def node(kind: str, *inputs: Value | None, since: int = 13, outputs: int = 1, **attributes: Any) -> Node:
    given = {name: value.encode() if isinstance(value, str) else value for name, value in attributes.items()}
    return Node(kind, kind, "", since, inputs, (OUT,) * outputs, given)


SCALES, SIZES = constant(1, 1, 2, 2, dtype="float32"), constant(1, 4, 16, 16)
NEAREST = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
HALF_PIXEL = {"mode": "linear"}
REFLECT = {"mode": "reflect"}
PAIRS = [
    (node("Relu", X), node("Neg", X), "no such operator"),
    (node("Relu", X, since=6), node("Relu", X, since=1), "operator set 1"),
    (node("Relu", X), node("Relu", Value("x", "float64", (1,))), "float64 is not taken"),
    (node("Relu", X), node("Relu", Value("x", "float32", (1,) * 6)), "6 axes"),
    (node("Relu", X), node("Relu", Value("x", "float32")), "shape of x is not known"),
    (node("Relu", X), node("Relu", Value("x", "float32", (0, 2))), "x is empty"),
    (node("Conv", X, FILTER), node("Conv", X, FILTER, computed(6)), "computed, not a constant"),
    (node("Conv", X, FILTER), node("Conv", X, Value("w", "float32", (6, 4, 3, 3, 3))), "one or two axes"),
    (node("Conv", X, FILTER), node("Conv", Value("x", "float32", (1, 4, 20000, 8)), FILTER), "more than 16384"),
    (node("ConvTranspose", X, FILTER), node("ConvTranspose", X, FILTER, pads=[0, 1, 0, 1]), "different pads"),
    (node("ConvTranspose", X, FILTER), node("ConvTranspose", X, FILTER, auto_pad="SAME_UPPER"), "SAME_UPPER"),
    (
        node("MaxPool", X, kernel_shape=[2, 2]),
        node("MaxPool", Value("x", "float32", (1, 4, 8)), kernel_shape=[2]),
        "two",
    ),
    (node("MaxPool", X, kernel_shape=[2, 2]), node("MaxPool", X, kernel_shape=[2, 2], outputs=2), "one output"),
    (node("GlobalAveragePool", X), node("GlobalAveragePool", Value("x", "float32", (1, 4, 8))), "3 axes, not 4"),
    (node("Gemm", computed(2, 4), FILTER), node("Gemm", computed(2, 4), FILTER, transA=1), "transA 1"),
    (node("Gemm", computed(2, 4), FILTER), node("Gemm", computed(2, 4), computed(4, 4)), "computed"),
    (node("MatMul", computed(2, 4), computed(4, 4)), node("MatMul", computed(4), computed(4, 4)), "a vector"),
    (
        node("BatchNormalization", X, *[constant(1)] * 4),
        node("BatchNormalization", computed(2, 4), *[constant(1)] * 4),
        "2 axes",
    ),
    (node("Reshape", X, constant(1, -1)), node("Reshape", X, computed(2)), "computed"),
    (node("Reshape", X, constant(1, -1)), node("Reshape", FREE, constant(1, -1)), "no fixed size"),
    (node("Slice", X, *[constant(1)] * 2), node("Slice", FREE, *[constant(1)] * 2), "no fixed size"),
    (node("Softmax", FREE), node("Softmax", FREE, since=11), "no fixed size"),
    (node("Split", X, axis=1, outputs=2), node("Split", X, axis=1, outputs=3), "different sizes"),
    (node("Split", X, constant(4, 4), axis=2, outputs=2), node("Split", FREE, axis=0, outputs=2), "no fixed size"),
    (node("Gather", X, computed(2)), node("Gather", X, computed(1, 2, 3)), "more than 5 axes"),
    (node("Gather", X, computed()), node("Gather", FREE, computed()), "no fixed size"),
    (node("Unsqueeze", X, constant(0)), node("Unsqueeze", X, constant(0, 1)), "more than 5 axes"),
    (node("Cast", Value("x", "int32", (1,))), node("Cast", Value("x", "uint8", (1,))), "uint8 is not taken"),
    (node("Clip", X, constant(0)), node("Clip", X, computed()), "computed"),
    (node("Pad", X, constant(0, 0, 1, 1, 0, 0, 1, 1)), node("Pad", X, constant(*[0] * 8), mode="edge"), "mode edge"),
    (
        node("Pad", X, constant(0, 0, 1, 1, 0, 0, 1, 1), **REFLECT),
        node("Pad", X, constant(0, 1, 0, 0, 0, 0, 0, 0), **REFLECT),
        "last two axes",
    ),
    (node("Resize", X, None, SCALES, **NEAREST), node("Resize", X, None, SCALES, mode="nearest"), "round_prefer_floor"),
    (node("Resize", X, None, None, SIZES, **HALF_PIXEL), node("Resize", X, None, None, computed(4)), "constant sizes"),
    (node("Resize", X, None, SCALES, **HALF_PIXEL), node("Resize", X, None, SCALES, mode="cubic"), "mode cubic"),
    (
        node("Resize", X, None, constant(1, 1, 0.5, 0.25, dtype="float32"), **HALF_PIXEL),
        node("Resize", X, None, constant(1, 1, 1.5, 2, dtype="float32"), **HALF_PIXEL),
        "whole numbers",
    ),
    (
        node("Resize", X, None, None, SIZES, **HALF_PIXEL),
        node("Resize", X, None, None, constant(1, 8, 16, 16), **HALF_PIXEL),
        "last two axes",
    ),
    (
        node("LayerNormalization", X, constant(1, dtype="float32")),
        node("LayerNormalization", X, computed(4)),
        "computed",
    ),
    (
        node("PRelu", X, Value("s", "float32", (4, 1, 1), np.zeros(4))),
        node("PRelu", X, computed(4, 1, 1)),
        "constant slope",
    ),
    (
        node("Where", Value("c", "bool", (1,)), X, X),
        node("Where", Value("c", "bool", (1,)), X, constant(1)),
        "chosen from",
    ),
    (node("Pow", X, X), node("Pow", X, constant(2)), "different types"),
    (node("GridSample", X, X), node("GridSample", X, X, mode="nearest"), "mode nearest"),
    (node("DepthToSpace", FREE), node("DepthToSpace", FREE, mode="CRD"), "no fixed size"),
    (node("ReduceMean", X, constant(1)), node("ReduceMean", X, computed(1)), "computed"),
    (node("FusedConv", X, FILTER, activation="Relu"), node("FusedConv", X, FILTER, activation="Elu"), "only Relu"),
    (node("GatherND", X, constant(1)), node("GatherND", FREE, constant(1)), "no fixed size"),
    (node("ArgMax", X), node("ArgMax", X, select_last_index=1), "select_last_index"),
    (node("Concat", X, X), node("Concat", X), "single input"),
]


@pytest.mark.parametrize(("taken", "left", "reason"), PAIRS)
def test_what_is_taken_and_what_is_not(taken: Node, left: Node, reason: str) -> None:
    assert refusal(taken, static=False) == ""
    assert reason in refusal(left, static=False)


def test_every_operator_of_the_table_is_tried_or_has_no_rule_of_its_own() -> None:
    tried = {taken.kind for taken, _, _ in PAIRS}
    plain = {kind for kind, rule in rules.RULES.items() if rule.condition is rules.Rule().condition}
    alike = {"AveragePool", "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "Squeeze"}
    reductions = {kind for kind in rules.RULES if kind.startswith("Reduce")}
    assert set(rules.RULES) == tried | plain | alike | reductions


def test_a_free_batch_counts_only_where_static_shapes_are_asked_for() -> None:
    assert refusal(node("Relu", FREE), static=False) == ""
    assert refusal(node("Relu", FREE), static=True) == "x has an axis of no fixed size"


def saved(path: Path, nodes: list[Any], weights: dict[str, Any] | None = None, size: int | str = "rows") -> Path:
    """x [size, 4] float32 to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def chain(*kinds: str) -> list[Any]:
    names = ["x", *(f"v{number}" for number in range(1, len(kinds))), "y"]
    return [helper.make_node(kind, [names[i]], [names[i + 1]]) for i, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kinds", "taken", "partitions"),
    [
        (("Relu", "Tanh"), 2, 1),
        (("Relu", "Neg", "Tanh"), 2, 2),
        (("Neg", "Relu", "Neg"), 1, 1),
        (("Neg", "Abs"), 0, 0),
        (("Relu", "Neg", "Ceil"), 1, 1),  # Ceil alone is not worth a partition
        (("Relu", "Neg", "Abs", "Tanh", "Log", "Relu"), 3, 3),
    ],
)
def test_partitions_are_counted(tmp_path: Path, kinds: tuple[str, ...], taken: int, partitions: int) -> None:
    found = inspect_onnx(saved(tmp_path / "m.onnx", chain(*kinds)))
    assert (found.nodes, found.taken, found.partitions) == (len(kinds), taken, partitions)
    assert len(found.left) == found.nodes - found.taken


def test_branches_that_do_not_wait_for_the_cpu_join_one_partition(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("Tanh", ["x"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    found = inspect_onnx(saved(tmp_path / "m.onnx", nodes))
    assert (found.taken, found.partitions) == (3, 2)


def test_what_depends_on_constants_only_is_computed_before(tmp_path: Path) -> None:
    nodes = [helper.make_node("Neg", ["w"], ["a"]), helper.make_node("Mul", ["x", "a"], ["y"])]
    found = inspect_onnx(saved(tmp_path / "m.onnx", nodes, {"w": np.ones(4, np.float32)}))
    assert (found.nodes, found.taken) == (1, 1)


def test_the_command(tmp_path: Path) -> None:
    nodes = [helper.make_node("Slice", ["x", "c", "d"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    weights = {"c": np.array([0]), "d": np.array([1])}
    path = saved(tmp_path / "my model.onnx", nodes, weights)
    done = anelab(tmp_path, "model", "lint", str(path))
    assert done.returncode == 0, done.stderr
    assert "would take 2 of 2 nodes, in 1 partition [rules of ONNX Runtime 1.32.0" in done.stdout
    assert "1 Slice on the CPU: its input has an axis of no fixed size" in done.stdout
    found = json.loads(anelab(tmp_path, "model", "lint", str(path), "--json").stdout)
    assert found["as the file is"]["partitions"] == 1 and found["as the file is"]["kind"] == "predicted"
    refused = anelab(tmp_path, "model", "lint", str(path), "--function", "main")
    assert refused.returncode == 2 and "--function: for a .mlpackage only" in refused.stderr


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = saved(tmp_path / "m.onnx", chain("Relu"))
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    with pytest.raises(AnelabError, match=r"m\.onnx: cannot be read as an ONNX model"):
        inspect_onnx(path)
