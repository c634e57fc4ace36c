"""How well the rule of Core ML's segmenter predicts its plans: on plans of an M4 that others published.

    python benchmarks/placement_rule.py PLACEMENT_OPS_JSON

Estimates are the published ones, and those that anelab computes from shapes alone. Models without estimates, or with a
plan that names no device, are left out and counted.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.bench.estimate import estimate as estimated_times
from anelab.export.cost import MACS
from anelab.export.operations import Operation, Tensor
from anelab.export.placement.rates import estimate
from anelab.export.placement.segments import CLOSE_MS, Estimate, cheapest_way, cost_of

RECURRENT = ("lstm", "gru", "rnn")
"""Their weights are not listed; they are never on the Neural Engine."""
ARGUMENTS = {
    "matmul": ("x", "y"),
    "gather": ("x", "indices"),
    "scaled_dot_product_attention": ("query", "key", "value"),
}


@dataclass(frozen=True)
class Planned:
    """A model with what Core ML planned for it, by operator."""

    name: str
    operations: list[Operation]
    published: list[Estimate]
    on_engine: list[bool]


def read_models(path: Path) -> tuple[list[Planned], int]:
    """Models under CPU_AND_NE, and how many are left out."""
    rows_of: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in json.loads(path.read_text(encoding="utf-8"))["ops"]:
        if row["units"] == "CPU_AND_NE":
            rows_of.setdefault((row["set"], row["model"]), []).append(row)
    whole = {
        name: rows
        for name, rows in rows_of.items()
        if all(row["est_us"]["CPU_bnns"] is not None and row["chosen"] for row in rows)
    }
    return [_planned("/".join(name), rows) for name, rows in whole.items()], len(rows_of) - len(whole)


def _planned(name: str, rows: Sequence[dict[str, Any]]) -> Planned:
    ordered = sorted(rows, key=lambda row: row["index"])
    return Planned(
        name,
        [_operation(row) for row in ordered],
        [_published(row["est_us"]) for row in ordered],
        [row["chosen"] == "ANE" for row in ordered],
    )


def _published(est_us: dict[str, float | None]) -> Estimate:
    engine, cpu = est_us["ANE"], est_us["CPU_bnns"]
    assert cpu is not None
    return Estimate(None if engine is None else engine / 1e3, cpu / 1e3)


def _operation(row: dict[str, Any]) -> Operation:
    kind = row["op"].rpartition(".")[2]
    names = ARGUMENTS.get(kind, ())
    inputs: dict[str, tuple[Tensor, ...]] = {}
    for index, given in enumerate(row["inputs"]):
        name = names[index] if index < len(names) else "x" if index == 0 else f"input{index}"
        inputs[name] = (_tensor(given),)
    if row.get("weight_shape") and kind in ("conv", "conv_transpose", "linear"):
        inputs["weight"] = (Tensor(tuple(row["weight_shape"]), "fp16", constant=True),)
    elif kind == "conv":
        inputs["weight"] = inputs.pop("input1")
    numbers = {"perm": _permutation(row)} if kind == "transpose" else {}
    if "pool" in kind:
        numbers["kernel_sizes"] = tuple(row.get("kernel") or ())
    if row.get("dilation"):
        numbers["dilations"] = (row["dilation"],) * 2
    return Operation(kind, row["name"], inputs, (_tensor(row["output"]),), numbers)


def _tensor(given: dict[str, Any] | None) -> Tensor:
    """A constant index is written as a sentence with its length; null is a shape that is not known."""
    if given is None:
        return Tensor((0,), "int32")
    if isinstance(given["shape"], str):
        return Tensor((int(given["shape"].rpartition(" ")[2]),), given["dtype"], constant=True)
    return Tensor(tuple(given["shape"]), given["dtype"])


def _permutation(row: dict[str, Any]) -> tuple[int, ...]:
    """As far as it matters: whether the first axis moves."""
    return (0,) if row["inputs"][0]["shape"][0] == row["output"]["shape"][0] else (1, 0)


Predictor = Callable[[Planned], Sequence[bool]]


def by_published(model: Planned) -> Sequence[bool]:
    return cheapest_way(model.published).on_engine


def by_shapes(model: Planned) -> Sequence[bool]:
    return cheapest_way([estimate(one) for one in model.operations]).on_engine


def always_cpu(model: Planned) -> Sequence[bool]:
    return [False] * len(model.operations)


def always_engine(model: Planned) -> Sequence[bool]:
    """Wherever it is supported."""
    return [one.engine is not None for one in model.published]


def by_multiply_adds(model: Planned) -> Sequence[bool]:
    """The whole model, by the estimated times of `anelab bench estimate`."""
    counted = [one for one in model.operations if one.kind in MACS and one.kind not in RECURRENT]
    tensors = [tensor for one in model.operations for tensor in (*one.tensors, *one.outputs)]
    cost = {
        "macs": sum(MACS[one.kind](one) for one in counted),
        "weight_bytes": sum(one.size_bytes for one in tensors if one.constant),
        "activation_bytes": sum(one.size_bytes for one in tensors if not one.constant),
        "operators": len(model.operations),
        "static": True,
    }
    winner = estimated_times(model.name, 1, cost).winner
    return always_engine(model) if winner == "NE" else always_cpu(model)


PREDICTORS: dict[str, Predictor] = {
    "rule, published estimates": by_published,
    "rule, estimates from shapes": by_shapes,
    "always the CPU": always_cpu,
    "always the Neural Engine": always_engine,
    "estimated times (multiply-adds)": by_multiply_adds,
}


def figures(models: Sequence[Planned], predict: Predictor) -> dict[str, float]:
    """Shares: models that are right whole, and right or a tie by the published estimates; operators; and of a model's
    estimated cost, on average over the models."""
    right = exact = ties = operators = 0
    cost = 0.0
    for model in models:
        found = predict(model)
        same = [ours == theirs for ours, theirs in zip(found, model.on_engine, strict=True)]
        planned, ours = cost_of(model.published, model.on_engine), cost_of(model.published, found)
        exact += all(same)
        ties += not all(same) and abs(planned - ours) <= CLOSE_MS
        right += sum(same)
        operators += len(same)
        costs = [one.on(side) for one, side in zip(model.published, model.on_engine, strict=True)]
        cost += sum(value for value, agrees in zip(costs, same, strict=True) if agrees) / sum(costs)
    return {
        "models": exact / len(models),
        "models or ties": (exact + ties) / len(models),
        "operators": right / operators,
        "cost": cost / len(models),
    }


def main() -> None:
    models, left_out = read_models(Path(sys.argv[1]))
    print(f"{len(models)} models, {sum(len(one.operations) for one in models)} operators; {left_out} models left out")
    print(f"{'':32} {'models':>8} {'or ties':>8} {'operators':>10} {'cost':>8}")
    for name, predict in PREDICTORS.items():
        found = figures(models, predict)
        print(
            f"{name:32} {found['models']:8.3f} {found['models or ties']:8.3f} {found['operators']:10.4f} "
            f"{found['cost']:8.4f}"
        )


if __name__ == "__main__":
    main()
