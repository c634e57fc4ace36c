"""Predicted placement of packages."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.mil.converting import converter_of
from torch import nn

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, Size
from anelab.export.operations import Operation, package_operations
from anelab.export.placement.predicted import (
    function_operations,
    package_placements,
    plan_differences,
    predict,
    predicted_devices,
)
from anelab.export.placement.rates import work_of


def package(folder: Path, net: nn.Module, shape: tuple[int, ...], precision: str = "fp16") -> Path:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    converter_of(net.eval(), rows).write(folder / "net.mlpackage", LADDER[0], Size(1), precision)
    return folder / "net.mlpackage"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    return package(tmp_path_factory.mktemp("small"), net, (1, 784))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    layers = [layer for _ in range(6) for layer in (nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())]
    return package(tmp_path_factory.mktemp("large"), nn.Sequential(*layers), (1, 64, 32, 32))


def test_a_small_model_stays_on_the_cpu_however_fast_the_engine_is(small: Path) -> None:
    (found,) = package_placements(small).values()
    assert (found.devices, found.on_engine, found.chip) == ("CPU", 0, "M4")
    assert 0 < found.cpu_ms < 0.25
    text = "; ".join(found.sentences())
    assert "however fast the engine is" in text and "rows a call on" in text


def test_four_large_convolutions_move_and_one_does_not(large: Path, tmp_path: Path) -> None:
    """As the study says of 3 x 3 convolutions of 64 channels on 32 x 32."""
    (found,) = package_placements(large).values()
    assert found.on_engine > 0 and found.engine_from_rows == 1
    one = package(tmp_path, nn.Conv2d(64, 64, 3, padding=1), (1, 64, 32, 32))
    (alone,) = package_placements(one).values()
    assert alone.on_engine == 0


def test_the_batch_size_at_which_it_changes_is_the_first(small: Path) -> None:
    _, operations = function_operations(small, None)
    rows = predict(operations).engine_from_rows
    assert rows is not None
    sizes = {size: predict(_of_rows(operations, size), size) for size in (rows - 1, rows)}
    assert [one.on_engine > 0 for one in sizes.values()] == [False, True]
    assert {one.engine_from_rows for one in sizes.values()} == {rows}


def _of_rows(operations: list[Operation], rows: int) -> list[Operation]:
    from anelab.export.placement.predicted import _with_rows

    return [_with_rows(one, 1, rows) for one in operations]


def test_a_float32_package_is_refused_at_any_size(tmp_path: Path) -> None:
    path = package(tmp_path, nn.Linear(64, 64), (1, 64), "fp32")
    (found,) = package_placements(path).values()
    assert found.engine_from_rows is None and "it computes in float32" in found.refused
    assert "no batch size" in "; ".join(found.sentences())


def test_a_branch_is_said_to_be_outside_the_rule(tmp_path: Path) -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) + torch.sigmoid(x)

    (found,) = package_placements(package(tmp_path, Branch(), (1, 8))).values()
    assert any("it branches" in one for one in found.limits)


def test_a_plan_is_compared_operator_by_operator(large: Path) -> None:
    _, operations = function_operations(large, None)
    devices = predicted_devices(operations)
    plan = [(f"ios18.{one.kind}", device) for one, device in zip(operations, devices, strict=True)]
    assert plan_differences(operations, plan) == []
    moved = [*plan[:-1], (plan[-1][0], "GPU")]
    (line,) = plan_differences(operations, moved)
    assert line.endswith(f"predicted {devices[-1]}, planned GPU")
    assert plan_differences(operations, plan[1:])[0].startswith("not comparable")


class Parts(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(torch.split(x.transpose(1, 2) * 1.5, 8, dim=1), 1)


def test_what_is_worked_on_counts_whatever_the_order_of_arguments(tmp_path: Path) -> None:
    """A program lists its arguments in no order: a split's first may be its sizes."""
    (operations,) = package_operations(package(tmp_path, Parts(), (1, 4, 16))).values()
    work = {one.kind: work_of(one) for one in operations}
    assert work["split"].bytes_moved == 2 * (64 + 32)
    assert work["stack"].bytes_moved == 2 * (32 + 64)
    assert work["transpose"].operations == 2 * 64


def test_operators_have_the_sizes_and_numbers_of_the_program(large: Path) -> None:
    (operations,) = package_operations(large).values()
    conv = next(one for one in operations if one.kind == "conv")
    assert conv.inputs["weight"][0].shape == (64, 64, 3, 3) and conv.inputs["weight"][0].constant
    assert conv.outputs[0].shape == (1, 64, 32, 32) and conv.outputs[0].dtype == "fp16"
    assert conv.numbers["dilations"] == (1, 1) and conv.numbers["groups"] == (1,)
    with pytest.raises(AnelabError, match="has no function other; its functions are main"):
        function_operations(large, "other")
