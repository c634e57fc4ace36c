"""blame and eval on packages whose outputs are NaN or infinite."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anelab.export.coreml import LADDER, Size
from anelab.export.mil.blame import find_blame
from anelab.export.readiness import inspect_package
from tests.commands import anelab
from tests.export.mil.converting import converter_of, packaged


class MaskedSoftmax(nn.Module):
    """Scores where the input is 0 or more; the others are masked by `mask`."""

    def __init__(self, mask: float) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax((x < 0).float() * self.mask + x.abs(), -1)


class Twice(nn.Module):
    """A mask that 16 bits hold, and twice the mask, which they do not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = (x < 0).float() * -60000.0
        return torch.softmax(mask + mask, -1)


class Filled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(x < 0, -torch.inf).softmax(-1)


PARTLY, WHOLLY = np.float32([[1, -1, 2, -3]]), np.float32([[-1, -1, -2, -3]])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(Filled(), PARTLY, tmp_path_factory.mktemp("filled") / "m.mlpackage", LADDER[0], "fp16")


def test_a_row_that_is_masked_whole_is_nan_and_not_an_error_of_zero(filled: Path) -> None:
    blame = find_blame(filled, {"input": np.concatenate([PARTLY, WHOLLY, WHOLLY])}, 5e-3)
    assert (blame.first, blame.not_finite, blame.shared_not_finite) == (None, {}, {"output": 8})
    assert blame.source is not None
    assert blame.source.startswith("softmax ")
    assert "8 values of output are NaN or infinite in float32 as in 16 bits, beginning at softmax" in blame.advice()
    sound = find_blame(filled, {"input": PARTLY}, 5e-3)
    assert (sound.shared_not_finite, sound.source) == ({}, None), "a mask of -inf inside is no fault"
    assert sound.advice() == "no operator drifts beyond 0.005 in 16 bits"


def test_a_mask_that_overflows_in_16_bits_is_blamed(tmp_path: Path) -> None:
    path = packaged(Twice(), PARTLY, tmp_path / "m.mlpackage", LADDER[0], "fp16")
    blame = find_blame(path, {"input": WHOLLY}, 5e-3)
    assert (blame.output_error, blame.not_finite, blame.shared_not_finite) == (np.inf, {"output": 4}, {})
    assert blame.first is not None
    assert (blame.first.kind, blame.first.value, blame.first.exact) == (
        "add",
        -np.inf,
        pytest.approx(-120_000, rel=1e-3),
    )
    assert blame.keep
    assert "4 values of output are NaN or infinite in 16 bits, unlike in float32" in blame.advice()


def test_a_mask_that_is_stored_as_infinity_is_named(tmp_path: Path) -> None:
    """coremltools pull request 2669: float32's least number is stored as -inf, so that both modes give NaN."""
    module = MaskedSoftmax(torch.finfo(torch.float32).min)
    path = packaged(module, PARTLY, tmp_path / "m.mlpackage", LADDER[0], "fp16")
    blame = find_blame(path, {"input": WHOLLY}, 5e-3)
    assert (blame.output_error, blame.shared_not_finite) == (0, {"output": 4})
    assert blame.infinite_constants == ("mul",)
    stored = "mul has a constant that is stored as infinity; mask with -40000, which 16 bits hold"
    assert blame.advice().endswith(f"beginning at softmax softmax; {stored}")
    gentle = packaged(MaskedSoftmax(-40000.0), PARTLY, tmp_path / "gentle.mlpackage", LADDER[0], "fp16")
    assert find_blame(gentle, {"input": WHOLLY}, 5e-3).remarks() == []


def test_rows_that_only_fill_a_slab_up_are_not_counted(tmp_path: Path) -> None:
    converter = converter_of(Filled(), PARTLY)
    converter.write(tmp_path / "m.mlpackage", LADDER[0], Size(8), "fp16")
    blame = find_blame(tmp_path / "m.mlpackage", {"input": np.concatenate([PARTLY, WHOLLY])}, 5e-3)
    assert blame.shared_not_finite == {"output": 4}


def test_lint_says_where_nan_comes_from(filled: Path) -> None:
    findings = inspect_package(filled, {"input": WHOLLY}).findings
    assert [one.kind for one in findings if one.rule == "not a number"] == ["softmax", "cast"]
    assert "not a number" not in {one.rule for one in inspect_package(filled, {"input": PARTLY}).findings}


def test_the_commands_say_so(filled: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", input=WHOLLY)
    arguments = (str(filled), "--input", str(tmp_path / "rows.npz"))
    blame = anelab(tmp_path, "model", "blame", *arguments)
    assert "4 values of output are NaN or infinite in float32 as in 16 bits" in blame.stdout
    found = json.loads(anelab(tmp_path, "model", "blame", *arguments, "--json").stdout)
    assert (found["output_error"], found["shared_not_finite"]) == (0, {"output": 4})
    evaluated = anelab(tmp_path, "model", "eval", *arguments)
    assert evaluated.returncode == 0
    assert "anelab: 4 of 4 values of output are NaN or infinite" in evaluated.stderr
