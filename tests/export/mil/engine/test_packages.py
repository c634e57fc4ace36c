"""Mode ane on whole packages: operators with their options, many calls at once, commands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.export.coreml import LADDER
from anelab.export.mil.blame import find_blame
from anelab.export.mil.engine import tables
from anelab.export.mil.engine.coverage import coverage, coverage_text
from anelab.export.mil.engine.half import decoded, to_half
from anelab.export.mil.engine.sums import _start, ordered_sums
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.predictor import mil_predictor
from anelab.export.mil.program import load_package
from anelab.export.readiness import inspect_package
from anelab.export.toolkit import toolkit
from tests.commands import anelab
from tests.export.mil.converting import packaged


def convolved(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Every output by itself, its terms by channel, then by place."""
    weight, bias = layer.weight.detach().half().float(), layer.bias.detach().half().float()
    rank, groups = weight.dim() - 2, layer.groups
    padded = nn.functional.pad(x, [amount for amount in reversed(layer.padding) for _ in range(2)])
    sizes = layer(x).shape[2:]
    found = torch.zeros(len(x), len(weight), *sizes)
    for place in np.ndindex(*sizes):
        window = tuple(
            slice(at * step, at * step + (width - 1) * gap + 1, gap)
            for at, step, width, gap in zip(place, layer.stride, weight.shape[2:], layer.dilation, strict=True)
        )
        terms = padded[(slice(None), slice(None), *window)].reshape(len(x), groups, -1)
        for output in range(len(weight)):
            group = output // (len(weight) // groups)
            w, start = weight[output].reshape(1, -1), _start(weight[:1], bias[output : output + 1])
            found[(slice(None), output, *place)] = ordered_sums(decoded(w), decoded(terms[:, group].T), start)[0]
    assert rank == len(sizes)
    return found


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), (4, 21)),
        (nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(1, 0)), (2, 6, 7)),
        (nn.Conv2d(4, 4, 3, groups=4), (4, 5, 5)),
        (nn.Conv3d(1, 2, 2), (1, 3, 3, 4)),
    ],
)
def test_convolutions_add_as_the_rule_says_one_call_or_many(
    layer: nn.Module, shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    x = torch.randn(12, *shape).half().float()
    path = packaged(layer, x[:1].numpy(), tmp_path / "model.mlpackage", LADDER[0], "fp16")
    wanted = convolved(layer, x).numpy()
    evaluator = Evaluator(path, mode="ane")
    alone = np.concatenate([evaluator({"input": row[None].numpy()})["output"] for row in x])
    assert np.array_equal(alone, wanted)
    together = evaluator.stacked({"input": x[:, None].numpy()})
    assert together is not None and np.array_equal(together["output"][:, 0], wanted)
    assert not np.array_equal(
        Evaluator(path, mode="fp16").stacked({"input": x[:, None].numpy()})["output"][:, 0], wanted
    )  # type: ignore[index]


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ x.transpose(-1, -2) - 2 * x.mean()) @ x


def test_products_of_two_inputs_are_added_likewise_one_call_or_many(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(10, 3, 5, 5).half().float().numpy()
    path = packaged(Attention(), x[:1], tmp_path / "model.mlpackage", LADDER[0], "fp16")
    evaluator = Evaluator(path, mode="ane")
    seen: list[tuple[dict[str, Any], torch.Tensor]] = []

    def observe(operation: Any, arguments: Any, outputs: Any) -> None:
        if operation.op_type == "matmul":
            seen.append((dict(arguments), outputs[0]))

    alone = np.concatenate([evaluator({"input": row[None]}, observe)["output"] for row in x])
    together = evaluator.stacked({"input": x[:, None]})
    assert together is not None and np.array_equal(together["output"][:, 0], alone)
    assert len(seen) == 20
    for arguments, output in seen:
        left = arguments["x"]
        right = arguments["y"].transpose(-1, -2) if arguments.get("transpose_y") else arguments["y"]
        for place in np.ndindex(*output.shape[:-2]):
            w, columns = right[place].T, left[place].T
            wanted = ordered_sums(decoded(w), decoded(columns), _start(w, None)).T
            assert torch.equal(output[place], wanted)


def test_a_sum_that_overflows_on_the_way_is_lost_and_lint_and_blame_say_so(tmp_path: Path) -> None:
    layer = nn.Linear(3, 1, bias=False)
    nn.init.ones_(layer.weight)
    x = np.float32([[30_000, 5_000, -30_000]])
    path = packaged(layer, x, tmp_path / "model.mlpackage", LADDER[0], "fp16")
    assert Evaluator(path, mode="fp16")({"input": x})["output"].item() == 5000
    assert Evaluator(path, mode="ane")({"input": x})["output"].item() == np.inf
    (finding,) = [one for one in inspect_package(path, {"input": x}).findings if one.rule == "large sum"]
    assert finding.detail == "1 of 1 sums reach 32768 at the end or on the way, and become infinity"
    assert "large sum" not in {one.rule for one in inspect_package(path, {"input": x / 2}).findings}
    assert find_blame(path, {"input": x}, 5e-3).first is None
    blamed = find_blame(path, {"input": x}, 5e-3, mode="ane").first
    assert blamed is not None and (blamed.kind, blamed.value) == ("linear", np.inf)
    np.savez(tmp_path / "rows.npz", input=x)
    rows = ("--input", str(tmp_path / "rows.npz"))
    done = anelab(tmp_path, "model", "eval", str(path), *rows, "--mode", "ane", "--json")
    assert json.loads(done.stdout)["output"] == [["inf"]]
    assert "linear: bit for bit (seen on an M6" in done.stderr
    assert "linear" in anelab(tmp_path, "model", "blame", str(path), *rows, "--mode", "ane").stdout
    wrong = anelab(tmp_path, "model", "blame", str(path), *rows, "--mode", "engine")
    assert wrong.returncode == 2 and "--mode must be one of fp32, fp16, ane but got engine" in wrong.stderr


def test_what_is_declared_float32_is_not_the_engines(tmp_path: Path) -> None:
    layer = nn.Linear(3, 1, bias=False)
    nn.init.ones_(layer.weight)
    x = np.float32([[30_000, 5_000, -30_000]])
    path = packaged(layer, x, tmp_path / "model.mlpackage", LADDER[0], "fp32")
    assert Evaluator(path, mode="ane")({"input": x})["output"].item() == 5000
    assert coverage(load_package(path).program.functions.values()) == {"not 16 bits": ["linear"]}


PUBLISHED_ERRORS = {
    "sigmoid": (torch.sigmoid, 3.4e-3, (-8, 8)),
    "tanh": (torch.tanh, 1.65e-3, (-6, 6)),
    "erf": (torch.erf, 8.65e-4, (-2, 2)),
    "sin": (torch.sin, 6.4e-4, (-3, 3)),
    "log": (torch.log, 6.6e-3, (1e-3, 60_000)),
    "sqrt": (torch.sqrt, 1.8e-2, (1e-3, 400)),
    "rsqrt": (torch.rsqrt, 8.1e-3, (1e-2, 60_000)),
    "inverse": (torch.reciprocal, 0.44, (1e-3, 60_000)),
    "exp": (torch.exp, 100.0, (-10, 11)),
}


@pytest.mark.parametrize("name", PUBLISHED_ERRORS)
def test_functions_from_tables_are_as_far_off_as_published_at_most(name: str) -> None:
    """Table 8-7 of the source: the engine's own largest errors."""
    function, largest, (low, high) = PUBLISHED_ERRORS[name]
    x = torch.linspace(low, high, 100_001, dtype=torch.float64).half().double()
    found, wanted = to_half(getattr(tables, name)(x)).double(), function(x)
    errors = (found - wanted).abs()
    assert float(errors.max()) <= largest
    if name in ("sigmoid", "tanh", "erf", "sin"):
        assert float(errors.max()) > 0.85 * largest, "as far off as straight lines are"


def test_tables_at_their_ends() -> None:
    ends = torch.tensor([-torch.inf, -9.0, 9.0, torch.inf], dtype=torch.float64)
    assert tables.sigmoid(ends).tolist() == [0, 0, 1, 1]
    assert tables.tanh(ends).tolist() == tables.erf(ends).tolist() == [-1, -1, 1, 1]
    zero = torch.zeros(1, dtype=torch.float64)
    found = [getattr(tables, name)(zero).item() for name in ("log", "sqrt", "rsqrt", "inverse", "exp", "sin")]
    assert found == [-torch.inf, 0, torch.inf, torch.inf, 1, 0]
    assert tables.log(-zero - 1).isnan().all() and tables.sqrt(-zero - 1).isnan().all()


def quantised(path: Path, weight: np.ndarray[Any, Any], scale: float, bias: np.ndarray[Any, Any]) -> Path:
    """A linear layer as coremltools writes one with 8-bit weights and activations."""
    with toolkit() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        @Builder.program(
            input_specs=[Builder.TensorSpec((4, weight.shape[1]), types.fp16)], opset_version=ct.target.iOS18
        )
        def program(x: Any) -> Any:
            small = Builder.quantize(input=x, scale=np.float16(scale), output_dtype="int8")
            wide = Builder.dequantize(input=small, scale=np.float16(scale))
            stored = Builder.constexpr_blockwise_shift_scale(
                data=weight, scale=np.full((len(weight), 1), 0.5, np.float16)
            )
            return Builder.linear(x=wide, weight=stored, bias=bias, name="output")

        model = ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
        model.save(str(path))
    return path


def test_products_of_integers_have_a_limit_of_their_own(tmp_path: Path) -> None:
    """The sum, here up to 120,000, is scaled afterwards: no infinity from 32768 on."""
    weight = np.tile(np.int8([[100], [-100], [3]]), (1, 12))
    path = quantised(tmp_path / "model.mlpackage", weight, 1.0, np.float16([0, 0, 2]))
    x = np.float32(np.tile([[100], [-128], [1], [0.4]], (1, 12)))
    (input_name,) = (port.name for port in Evaluator(path).inputs)
    found = Evaluator(path, mode="ane")({input_name: x})
    (output,) = found.values()
    assert output.tolist() == [[60000, -60000, 1802], [-np.inf, np.inf, -2302], [600, -600, 20], [0, 0, 2]]


def test_a_predictor_counts_what_is_known_of_each_operator(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 3), nn.Softmax(-1))
    path = packaged(module, np.zeros((1, 4), np.float32), tmp_path / "model.mlpackage", LADDER[0], "fp16")
    programs = mil_predictor(path, "ane").programs
    assert coverage(programs) == {"exact": ["linear"], "approximate": ["sigmoid"], "unknown": ["softmax"]}
    assert "sigmoid: by tables of an M6, nearly; softmax: rounded to 16 bits" in coverage_text(programs)
