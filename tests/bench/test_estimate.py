from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from anelab.bench.estimate import estimates, package_estimates, published_pairs
from anelab.bench.results.schema import Estimate
from anelab.export.coreml import LADDER, Size
from anelab.export.cost import package_costs
from tests.export.mil.converting import converter_of


@pytest.mark.parametrize("case", [case for case in published_pairs() if case.estimate], ids=lambda case: case.model)
def test_the_estimate_gets_the_published_winner_right(case: object) -> None:
    assert case.estimate.winner == case.winner  # type: ignore[attr-defined]


def test_published_cases_have_sources_and_both_sides() -> None:
    cases = published_pairs()
    assert len(cases) >= 8
    assert {case.winner for case in cases} == {"CPU", "NE"}
    for case in cases:
        assert case.source and case.chip and case.cpu_ms > 0 and case.neural_engine_ms > 0
        assert (case.macs is None) or case.size_source
    assert sum(case.estimate is not None for case in cases) >= 6


def package(tmp_path: Path, net: nn.Module, *shapes: tuple[int, ...]) -> Path:
    torch.manual_seed(0)
    rows = [np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in shapes]
    converter_of(net.eval(), *rows).write(tmp_path / "net.mlpackage", LADDER[0], Size(1), "fp16")
    return tmp_path / "net.mlpackage"


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.transpose(-1, -2), -1) @ x


@pytest.mark.parametrize(
    ("net", "shape", "macs"),
    [
        (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), (1, 6), 6 * 4 + 4 * 3),
        (nn.Conv1d(4, 8, 3, groups=2), (1, 4, 10), 8 * 8 * 2 * 3),
        (nn.Conv2d(3, 5, 3, stride=2), (1, 3, 9, 9), 5 * 16 * 3 * 9),
        (nn.ConvTranspose1d(4, 6, 3), (1, 4, 10), 40 * 6 * 3),
        (Attention(), (1, 7, 5), 7 * 7 * 5 * 2),
    ],
    ids=["linear", "grouped convolution", "strided convolution", "transposed convolution", "attention"],
)
def test_multiply_adds_are_those_of_the_textbook(
    net: nn.Module, shape: tuple[int, ...], macs: int, tmp_path: Path
) -> None:
    (found,) = package_costs(package(tmp_path, net, shape)).values()
    assert found["macs"] == macs
    assert sum(found["macs_by_operator"].values()) == macs
    assert found["static"]
    assert found["activation_bytes"] > 0


def test_every_batch_size_of_a_model_is_estimated_and_none_is_called_measured(exported: object) -> None:
    found = estimates(exported.manifest)  # type: ignore[attr-defined]
    assert [one.rows for one in found] == [1, 4]
    assert found[1].macs == 4 * found[0].macs
    for one in found:
        assert one.estimate is True
        assert one.model_dump(mode="json")["estimate"] is True
        assert one.winner == "CPU" and not one.worth_a_test
        assert "not worth it" in one.advice or "hardly worth it" in one.advice
        assert one.sources


def test_placement_is_predicted_with_every_estimate_of_a_model(exported: object) -> None:
    for one in estimates(exported.manifest):  # type: ignore[attr-defined]
        assert one.placement is not None and one.placement.on_engine == 0
        assert "predicted to keep all of it on the CPU (M4, macOS 27.0.1)" in one.advice
        assert Estimate.model_validate(one.model_dump(mode="json")) == one


def test_an_estimate_from_before_placement_was_predicted_is_written_as_it_was() -> None:
    """Or its result would not match its id any more."""
    before = {
        "estimate": True, "file": "model.mlpackage", "rows": 1, "macs": 1, "bytes_moved": 2, "operators": 3,
        "cpu_ms": {"low": 0.1, "high": 0.2}, "neural_engine_ms": {"low": 0.1, "high": 0.2}, "winner": "CPU",
        "worth_a_test": False, "advice": "none", "sources": ["somebody"],
    }  # fmt: skip
    assert Estimate.model_validate(before).model_dump(mode="json") == before


@pytest.mark.parametrize("wrong", [{"cpu_ms": -1}, {"cost_ms": float("inf")}, {"rows": -1}, {"unknown": 1}])
def test_a_placement_from_elsewhere_has_possible_numbers(wrong: dict[str, object], exported: object) -> None:
    content = estimates(exported.manifest)[0].model_dump(mode="json")  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        Estimate.model_validate({**content, "placement": {**content["placement"], **wrong}})


def test_a_float32_package_is_never_for_the_neural_engine(tmp_path: Path) -> None:
    rows = np.zeros((1, 64), np.float32)
    converter = converter_of(nn.Linear(64, 64), rows)
    converter.write(tmp_path / "wide.mlpackage", LADDER[0], Size(1), "fp32")
    (found,) = package_estimates(tmp_path / "wide.mlpackage")
    assert found.winner == "CPU"
    assert "float32" in found.advice
