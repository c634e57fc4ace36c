"""Where Core ML was measured to differ from its documentation: the evaluator, lint and the conversion."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anelab.errors import AnelabError
from anelab.export.conversions import Windows
from anelab.export.coreml import LADDER
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import ane_range
from anelab.export.mil.predictor import mil_predictor
from anelab.export.mil.program import load_package
from anelab.export.readiness import Finding, inspect_package
from anelab.export.toolkit import toolkit
from tests.export.foreign import built, converted, trial_packages
from tests.export.mil.converting import converter_of, error_of, packaged

POOLS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def operators(package: Path) -> list[str]:
    program = load_package(package).program.functions["main"]
    return [one.op_type for one in program.operations if one.op_type not in ("const", "cast")]


def differences(package: Path) -> list[Finding]:
    return [one for one in inspect_package(package).findings if one.severity == "differs"]


def plain(module: nn.Module, x: np.ndarray[Any, Any], path: Path) -> Path:
    """As coremltools' own converter writes it."""
    with toolkit():
        from coremltools.converters.mil.frontend.torch import ops
        from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as REGISTRY

        for name in ("avg_pool1d", "avg_pool2d", "avg_pool3d"):
            REGISTRY.set_func_by_name(getattr(ops, name), name)
    return converted(module, torch.from_numpy(x), path, lambda ct: [ct.TensorType("input", shape=x.shape)])


def test_the_evaluator_divides_what_hangs_over_by_the_whole_kernel(tmp_path: Path) -> None:
    """The numbers that coremltools pull request 2844 has of Core ML, and torch's beside them."""
    x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    path = plain(nn.AvgPool2d(2, 3, ceil_mode=True), x, tmp_path / "m.mlpackage")
    (found,) = mil_predictor(path, "fp32")({"input": x}).values()
    assert found[0, 0].tolist() == [[4, 7, 4.75], [25, 28, 15.25], [21.25, 22.75, 12]]
    torchs = nn.AvgPool2d(2, 3, ceil_mode=True)(torch.from_numpy(x))[0, 0].tolist()
    assert torchs == [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]
    (finding,) = differences(path)
    assert (finding.rule, finding.kind) == ("average over the edge", "avg_pool")
    assert "coremltools#2772" in finding.source
    assert "Core ML was measured to differ: 1 finding" in inspect_package(path).verdict


def test_what_padding_excludes_is_not_counted_either_way(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 9)).astype(np.float32)
    module = nn.AvgPool1d(4, 3, 1, ceil_mode=True, count_include_pad=False)
    path = plain(module, x, tmp_path / "m.mlpackage")
    (found,) = mil_predictor(path, "fp32")({"input": x}).values()
    np.testing.assert_allclose(found, module(torch.from_numpy(x)).numpy(), atol=1e-6)
    assert differences(path) == []


@pytest.mark.parametrize("name", ["avgceil1d", "avgceil2d"])
def test_packages_of_the_report_are_no_longer_proven_wrongly(name: str, real_data: Path, tmp_path: Path) -> None:
    folder = trial_packages(real_data, tmp_path)
    package, torchs = folder / f"{name}.mlpackage", np.load(folder / f"{name}.want.npz")["o0"]
    (found,) = mil_predictor(package, "fp32")(dict(np.load(folder / f"{name}.npz"))).values()
    inside = (slice(None), slice(None), *(slice(-1),) * (torchs.ndim - 2))
    np.testing.assert_allclose(found[inside], torchs[inside], rtol=1e-6)
    assert np.abs(found - torchs).max() > 1
    assert [one.rule for one in differences(package)] == ["average over the edge"]


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung[0])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(
    ("dimensions", "arguments"),
    [(1, (2, 2)), (1, (4, 3, 2)), (2, (3, 2)), (2, (2, 2, 1)), (3, (3, 2, 1)), (1, (3, 3, 1))],
)
def test_what_anelab_converts_computes_what_torch_does(
    dimensions: int, arguments: tuple[int, ...], counted: bool, rung: Any, tmp_path: Path
) -> None:
    module = POOLS[dimensions](*arguments, ceil_mode=True, count_include_pad=counted)
    x = np.random.default_rng(0).standard_normal((1, 2, *(11, 8, 7)[:dimensions])).astype(np.float32)
    path = packaged(module, x, tmp_path / "m.mlpackage", rung, "fp32")
    assert error_of(path, module, x, "fp32") < 1e-6
    assert differences(path) == []
    halves = packaged(module, x, tmp_path / "half.mlpackage", rung, "fp16")
    assert error_of(halves, module, x, "fp16") < 2e-3


def test_a_network_with_such_a_pooling_goes_through_the_ladder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(48, 2)
    )
    x = np.random.default_rng(0).standard_normal((1, 1, 9, 9)).astype(np.float32)
    rung = converter_of(module, x).climb({"input": x})
    path = packaged(module, x, tmp_path / "m.mlpackage", rung, "fp16")
    assert {"pad", "avg_pool", "mul"} <= set(operators(path))
    assert error_of(path, module, x, "fp16") < 5e-3


def test_without_ceil_mode_or_an_overhang_the_operator_stays_one(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 8)).astype(np.float32)
    for number, module in enumerate((nn.AvgPool1d(2, ceil_mode=True), nn.AvgPool1d(3, 2), nn.AvgPool1d(1, 3, 0, True))):
        path = packaged(module, x, tmp_path / f"{number}.mlpackage", LADDER[0])
        assert operators(path) == ["avg_pool"]
        assert error_of(path, module, x, "fp32") < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 20),
    width=st.integers(1, 6),
    stride=st.integers(1, 6),
    padding=st.integers(0, 3),
    counted=st.booleans(),
)
def test_windows_are_counted_as_torch_counts(length: int, width: int, stride: int, padding: int, counted: bool) -> None:
    padding = min(padding, width // 2)
    if length + 2 * padding < width:
        return
    axis = Windows(length, width, stride, padding)
    ones = nn.AvgPool1d(width, stride, padding, True, counted)(torch.ones(1, 1, length))[0, 0]
    assert axis.count == len(ones)
    inside, divisors = axis.divisors(with_padding=False), axis.divisors(with_padding=counted)
    np.testing.assert_allclose(ones.numpy(), inside / divisors, rtol=1e-6)


def test_the_neural_engines_log_of_a_sum_ends_where_16_bits_do(tmp_path: Path) -> None:
    """coremltools#2690: of 32 channels alike, 11.10 at 7.63, and 0 one step later."""
    values = torch.tensor([11.08, 11.10])
    assert ane_range("reduce_log_sum_exp", {}, values).tolist() == [pytest.approx(11.08), 0]

    class LogSum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.logsumexp(x, 1, keepdim=True)

    path = packaged(LogSum(), np.zeros((1, 32), np.float32), tmp_path / "m.mlpackage", LADDER[0], "fp16")
    high, low = {"input": np.full((1, 32), 8.0, np.float32)}, {"input": np.full((1, 32), 7.0, np.float32)}
    assert Evaluator(path, mode="ane")(high)["output"].item() == 0
    assert Evaluator(path, mode="ane")(low)["output"].item() == pytest.approx(7 + np.log(32), abs=0.02)
    assert "log of a sum" in {one.rule for one in inspect_package(path, high).findings}
    assert "log of a sum" not in {one.rule for one in inspect_package(path, low).findings}


class Remainder(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x % 1


class Floor(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.floor_divide(x, 1.0) + 1


@pytest.mark.parametrize("module", [Remainder(), Floor()], ids=["coremltools#2836", "coremltools#2761"])
def test_what_coremltools_converts_wrongly_is_refused(module: nn.Module) -> None:
    x = np.float32([[0.25, 1.25, 2.5, 7.3]])
    with pytest.raises(AnelabError, match=r"no way to Core ML works:\n.*converts, but is off by"):
        converter_of(module, x).climb({"input": x})


def padded_average(kernel: int, tmp_path: Path, precision: str) -> list[Finding]:
    x = np.zeros((1, 1, 16, 12), np.float32)
    return differences(packaged(nn.AvgPool2d(kernel, 2, 1), x, tmp_path / "m.mlpackage", LADDER[0], precision))


def test_a_large_padded_average_in_16_bits_is_a_warning(tmp_path: Path) -> None:
    (finding,) = padded_average(7, tmp_path, "fp16")
    assert "coremltools#1901" in finding.source
    assert padded_average(3, tmp_path, "fp16") == padded_average(7, tmp_path, "fp32") == []


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.transpose(1, 2) + 0.5, -1) @ x


def test_attention_over_ten_is_a_warning_about_the_gpu(tmp_path: Path) -> None:
    for batch, count in ((9, 0), (10, 1)):
        example = torch.zeros(batch, 4, 3)
        inputs = lambda ct, shape=(batch, 4, 3): [ct.TensorType("x", shape=shape)]  # noqa: E731
        found = differences(converted(Attention(), example, tmp_path / f"{batch}.mlpackage", inputs))
        assert len(found) == count
    assert "coremltools#2650" in found[0].source


def test_what_core_ml_does_not_load_or_does_otherwise_by_unit_is_a_warning(tmp_path: Path) -> None:
    with toolkit():
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        @Builder.program([Builder.TensorSpec((1, 2, 4, 4)), Builder.TensorSpec((3, 3), types.int32)])
        def program(x: Any, whole: Any) -> Any:
            weight = np.ones((2, 2, 3, 3), np.float32)
            larger = Builder.conv_transpose(x=x, weight=weight, output_shape=[1, 2, 4, 4], pad_type="valid")
            inner = Builder.pad(x=larger, pad=[0, 0, 0, 0, 1, 1, 1, 1], mode="reflect")
            outer = Builder.pad(x=inner, pad=[0, 0, 1, 1, 0, 0, 0, 0], mode="reflect")
            return outer, Builder.matmul(x=whole, y=whole)

    path = built(tmp_path / "m.mlpackage", program)
    found = {one.rule: one for one in differences(path)}
    assert found.keys() == {"output shape", "padding", "integer product"}
    assert "coremltools#2281" in found["output shape"].source
    assert "pads more than the last two axes by reflect" in found["padding"].detail
