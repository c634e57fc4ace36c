"""The rules of readiness, each on a program that breaks it and one that does not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, Size
from anelab.export.readiness import Finding, Readiness, _ranks, inspect_package
from anelab.export.toolkit import toolkit
from tests.export.mil.converting import TRACE, converter_of, packaged
from tests.export.mil.nets import nets


def rules(found: Readiness, severity: str = "") -> set[str]:
    return {finding.rule for finding in found.findings if severity in ("", finding.severity)}


def lint(module: nn.Module, shape: tuple[int, ...], path: Path, precision: str = "fp16", rung: Any = LADDER[0]) -> Any:
    packaged(module, np.zeros((1, *shape), np.float32), path / "m.mlpackage", rung, precision)
    return inspect_package(path / "m.mlpackage")


def test_a_network_made_for_it_has_no_findings(tmp_path: Path) -> None:
    """Channels first, a long last axis, small kernels, nothing linear."""
    module = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 1))
    found = lint(module, (32, 64, 64), tmp_path)
    assert found.findings == []
    assert found.verdict == "could run on the Neural Engine: all 4 operators; ranges not checked"
    assert (found.checked, found.off, found.counts) == (
        4,
        0,
        {"differs": 0, "off": 0, "disputed": 0, "unsafe": 0, "slow": 0},
    )


def test_float32_keeps_every_operator_off(tmp_path: Path) -> None:
    found = lint(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), (4, 34, 34), tmp_path, "fp32")
    assert rules(found, "off") == {"float32"}
    assert found.verdict.startswith("could not run on the Neural Engine;")


@pytest.mark.parametrize(
    ("module", "shape", "rule", "severity"),
    [
        (nn.Linear(64, 32), (64,), "layout", "slow"),
        (nn.Conv2d(4, 4, 3), (4, 10, 10), "alignment", "slow"),
        (nn.Conv1d(4, 4, 63, padding=31), (4, 64), "kernel", "off"),
        (nn.Conv1d(4, 4, 11, padding=5), (4, 64), "kernel", "slow"),
        (nn.Conv1d(4, 4, 3, padding=8, dilation=8), (4, 64), "dilation", "slow"),
        (nn.Conv1d(4, 4, 5, stride=5), (4, 160), "stride", "slow"),
        (nn.MaxPool2d(3), (4, 96, 96), "stride", "slow"),
        (nn.Conv2d(1, 8, 3, padding=1), (1, 512, 512), "working set", "slow"),
        (nn.Conv1d(1, 1, 3, padding=1), (1, 20000), "size", "disputed"),
        (nn.Conv2d(4, 4, 14, padding=7), (4, 32, 32), "kernel", "disputed"),
        (nn.Conv2d(4, 4, 17, padding=8), (4, 32, 32), "kernel", "off"),
        (nn.MaxPool2d(9, 2, padding=4), (4, 32, 32), "refused", "off"),
    ],
)
def test_each_rule_finds_its_operator(
    module: nn.Module, shape: tuple[int, ...], rule: str, severity: str, tmp_path: Path
) -> None:
    found = lint(module, shape, tmp_path)
    (finding,) = [one for one in found.findings if one.rule == rule]
    assert finding.severity == severity
    assert finding.kind in ("linear", "conv", "max_pool")
    assert all((finding.operator, finding.detail, finding.fix, finding.source))


class Argmax(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(-1).float()


def test_what_is_not_known_to_run_there(tmp_path: Path) -> None:
    every = nets()
    assert "recurrence" in rules(lint(every["lstm"][0], (9, 6), tmp_path, rung=TRACE), "off")
    assert "recurrence" in rules(lint(every["gru"][0], (9, 6), tmp_path, rung=TRACE), "off")
    shapes = lint(every["shapes"][0], (12,), tmp_path)
    assert {"sorting", "int32"} <= rules(shapes, "off")
    assert {"indexing"} <= rules(shapes, "off") | rules(shapes, "disputed")
    wide = lint(Argmax(), (4096,), tmp_path)
    assert "argmax" in rules(wide, "off")
    assert {"argmax", "int32"} & rules(lint(Argmax(), (2048,), tmp_path), "off") == {"int32"}
    assert "could run on the Neural Engine in part" in lint(every["shapes"][0], (12,), tmp_path).verdict


class Masking(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        mask = torch.zeros(32)
        mask[3] = value
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.mask).softmax(-1)


def test_masks_that_16_bits_make_infinite(tmp_path: Path) -> None:
    found = lint(Masking(-torch.inf), (32,), tmp_path)
    (mask,) = [one for one in found.findings if one.rule == "mask"]
    assert (mask.severity, mask.kind) == ("unsafe", "add")
    assert "-40000" in mask.fix
    assert "unsafe in 16 bits: 1 finding" in found.verdict
    assert "mask" not in rules(lint(Masking(-40000.0), (32,), tmp_path))


def test_a_shape_of_any_size_and_too_many_axes(tmp_path: Path) -> None:
    with toolkit() as ct:
        traced = torch.jit.trace(nn.ReLU(), torch.zeros(2, 3))
        inputs = [ct.TensorType("x", shape=(ct.RangeDim(1, 8, default=2), 3))]
        target = ct.target.macOS14
        model = ct.convert(traced, inputs=inputs, minimum_deployment_target=target, skip_model_load=True)
        model.save(str(tmp_path / "any.mlpackage"))
    found = inspect_package(tmp_path / "any.mlpackage")
    assert {one.kind for one in found.findings if one.rule == "dynamic shape"} == {"input", "relu"}
    assert "export a fixed shape" in found.findings[0].fix


def test_more_than_five_axes() -> None:
    """coremltools converts none; other tools write packages too."""
    output = SimpleNamespace(shape=(1, 2, 2, 2, 2, 2))
    operation = SimpleNamespace(name="view", op_type="reshape", outputs=[output])
    (finding,) = _ranks(operation)
    assert (finding.rule, finding.severity, finding.detail) == ("rank", "off", "has 6 axes")


class Large(nn.Module):
    """Reaches 40,000 in a sum, then comes down again."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.sum.weight, 100.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.sum(x))
        return torch.log(nn.functional.softplus(y / 1000 - (y == 0) * 40)[..., 1:] / 100)


def test_ranges_of_real_rows_decide_what_16_bits_hold(tmp_path: Path) -> None:
    packaged(Large(), np.ones((1, 1, 4, 32), np.float32), tmp_path / "m.mlpackage", LADDER[0], "fp16")
    unknown = inspect_package(tmp_path / "m.mlpackage")
    assert not unknown.ranges_checked
    assert unknown.verdict.endswith("ranges not checked")
    small = {"input": np.full((3, 1, 4, 32), 2, np.float32)}
    safe = inspect_package(tmp_path / "m.mlpackage", small)
    assert safe.ranges_checked
    assert "large sum" not in rules(safe)
    large = {"input": np.full((3, 1, 4, 32), 400, np.float32)}
    found = inspect_package(tmp_path / "m.mlpackage", large)
    assert rules(found, "unsafe") >= {"large sum", "softplus"}
    (finding,) = [one for one in found.findings if one.rule == "large sum"]
    assert finding.detail.startswith("128 of 128 sums reach 32768 ")
    assert "single-source" in finding.source
    beyond = {"input": np.full((1, 1, 4, 32), 1000, np.float32)}
    assert "overflow" in rules(inspect_package(tmp_path / "m.mlpackage", beyond), "unsafe")
    low = {"input": np.full((1, 1, 4, 32), -4000, np.float32)}
    assert "log of zero" in rules(inspect_package(tmp_path / "m.mlpackage", low), "unsafe")


def test_it_says_could_and_never_does() -> None:
    finding = Finding("rank", "off", "a", "add", "has 6 axes", "merge", "Apple")
    for checked, off in ((3, 0), (3, 1), (3, 3)):
        verdict = Readiness("main", checked, off, True, [finding] * off).verdict
        assert verdict.startswith("could")
        assert "runs" not in verdict


def test_every_row_is_looked_at_whatever_the_function_takes_at_once(tmp_path: Path) -> None:
    x = np.ones((1, 6), np.float32)
    converter = converter_of(nn.Linear(6, 3), x)
    converter.write_buckets(tmp_path / "several.mlpackage", LADDER[0], [Size(1), Size(4)])
    rows = np.ones((5, 6), np.float32)
    rows[4] = 1e30
    for given in (rows, rows[4:]):
        found = inspect_package(tmp_path / "several.mlpackage", {"input": given}, "rows_4")
        assert "overflow" in rules(found, "unsafe")
    with pytest.raises(AnelabError, match="one row at least"):
        inspect_package(tmp_path / "several.mlpackage", {"input": rows[:0]}, "rows_4")
