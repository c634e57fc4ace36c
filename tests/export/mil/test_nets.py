"""The conversion matrix: every kind of layer, converted, saved, evaluated, compared with torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, fixed_size
from anelab.export.mlpackage import describe_package
from anelab.export.toolkit import toolkit
from tests.export.mil.converting import TRACE, converter_of, error_of, packaged
from tests.export.mil.nets import nets

NETS = nets()
UNROLLED = {"lstm", "lstm_both_ways", "gru", "rnn"}


def rows_of(shape: tuple[int, ...], rows: int = 6) -> Any:
    return np.random.default_rng(0).standard_normal((rows, *shape[1:])).astype(np.float32)


@pytest.mark.parametrize("name", NETS)
def test_a_net_computes_the_same_as_a_package(name: str, tmp_path: Path) -> None:
    module, shape = NETS[name]
    x = rows_of(shape)
    converter = converter_of(module, x[:1])
    rung = converter.climb({"input": x})
    if name in UNROLLED:
        assert rung[0] == "torch.export with default decompositions"
    converter.write(tmp_path / "model.mlpackage", rung, fixed_size(converter.graph), "fp16")
    assert describe_package(tmp_path / "model.mlpackage")["converted_by"] == rung[0]
    assert error_of(tmp_path / "model.mlpackage", module, x, "fp32") <= 1e-3
    assert error_of(tmp_path / "model.mlpackage", module, x, "fp16") <= 5e-3


@pytest.mark.parametrize(
    ("name", "operator"), [("lstm", "lstm"), ("lstm_both_ways", "lstm"), ("gru", "while_loop"), ("rnn", "rnn")]
)
def test_recurrence_that_is_not_unrolled(name: str, operator: str, tmp_path: Path) -> None:
    module, shape = NETS[name]
    x = rows_of(shape)
    package = packaged(module, x[:1], tmp_path / "model.mlpackage", TRACE)
    assert operator in describe_package(package)["operators"]
    assert error_of(package, module, x, "fp32") <= 1e-4


@pytest.mark.parametrize("name", ["attention", "transformer"])
def test_attention_is_one_operator_from_macos_15_on(name: str, tmp_path: Path) -> None:
    module, shape = NETS[name]
    x = rows_of(shape)
    converter = converter_of(module, x[:1], target="macOS15")
    converter.write(tmp_path / "model.mlpackage", LADDER[0], fixed_size(converter.graph), "fp16")
    assert "scaled_dot_product_attention" in describe_package(tmp_path / "model.mlpackage")["operators"]
    assert error_of(tmp_path / "model.mlpackage", module, x, "fp16") <= 5e-3


def test_what_nothing_converts_says_why_on_every_rung() -> None:
    class Fourier(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * 0.5)

    x = rows_of((1, 8))
    with pytest.raises(AnelabError) as caught:
        converter_of(Fourier(), x[:1]).climb({"input": x})
    text = str(caught.value)
    assert "no way to Core ML works" in text
    assert all(rung[0] in text for rung in LADDER)


def test_a_rung_that_converts_to_something_else_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion is kept for what it computes, not for having worked."""
    module, shape = NETS["mlp"]
    x = rows_of(shape)

    def other(_: Any, example: Any) -> Any:
        scaled = torch.nn.Sequential(module, torch.nn.Linear(3, 3))
        return LADDER[0][1](scaled.eval(), example)

    monkeypatch.setattr("anelab.export.coreml.LADDER", (("wrong", other), *LADDER[1:]))
    assert converter_of(module, x[:1]).climb({"input": x})[0] == LADDER[1][0]


def optimized(kind: str, source: Path, target: Path) -> None:
    """Compression beyond the exporter's own variants, as coremltools' users make it."""
    with toolkit() as ct:
        optimize = ct.optimize.coreml
        model = ct.models.MLModel(str(source), skip_model_load=True)
        settings: Any = {
            "int8": lambda: optimize.OpLinearQuantizerConfig("linear", weight_threshold=0),
            "int4 blocks": lambda: optimize.OpLinearQuantizerConfig(
                dtype="int4", granularity="per_block", block_size=4, weight_threshold=0
            ),
            "palette groups": lambda: optimize.OpPalettizerConfig(
                "kmeans", 4, granularity="per_grouped_channel", group_size=4, weight_threshold=0
            ),
            "palette vectors": lambda: optimize.OpPalettizerConfig("kmeans", 4, cluster_dim=2, weight_threshold=0),
            "pruned": lambda: optimize.OpMagnitudePrunerConfig(0.5, weight_threshold=0),
        }[kind.removesuffix(" and int8")]()
        config = optimize.OptimizationConfig(settings)
        run = (
            optimize.prune_weights
            if "pruned" in kind
            else optimize.palettize_weights
            if "palette" in kind
            else optimize.linear_quantize_weights
        )
        smaller = run(model, config)
        if kind.endswith(" and int8"):
            then = optimize.OptimizationConfig(optimize.OpLinearQuantizerConfig("linear_symmetric", weight_threshold=0))
            smaller = optimize.linear_quantize_weights(smaller, then, joint_compression=True)
        smaller.save(str(target))


COMPRESSED = [
    ("macOS14", "int8", "constexpr_affine_dequantize"),
    ("macOS14", "pruned", "constexpr_sparse_to_dense"),
    ("macOS15", "int8", "constexpr_blockwise_shift_scale"),
    ("macOS15", "int4 blocks", "constexpr_blockwise_shift_scale"),
    ("macOS15", "palette groups", "constexpr_lut_to_dense"),
    ("macOS15", "palette vectors", "constexpr_lut_to_dense"),
    ("macOS15", "pruned", "constexpr_sparse_to_dense"),
    ("macOS15", "pruned and int8", "constexpr_sparse_blockwise_shift_scale"),
]


@pytest.mark.parametrize(("target", "kind", "operator"), COMPRESSED)
def test_compressed_weights_are_what_coremltools_makes_of_them(
    target: str, kind: str, operator: str, tmp_path: Path
) -> None:
    """Against the same package after coremltools' own decompression."""
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 8))
    x = rows_of((1, 16))
    converter = converter_of(module, x[:1], target=target)
    plain, small, back = (tmp_path / f"{name}.mlpackage" for name in ("plain", "small", "back"))
    converter.write(plain, LADDER[0], fixed_size(converter.graph), "fp16")
    optimized(kind, plain, small)
    assert operator in describe_package(small)["operators"]
    with toolkit() as ct:
        model = ct.models.MLModel(str(small), skip_model_load=True)
        ct.optimize.coreml.decompress_weights(model).save(str(back))
    from anelab.export.mil.evaluator import Evaluator

    for mode in ("fp32", "fp16"):
        ours, theirs = (Evaluator(path, mode=mode) for path in (small, back))
        for row in range(len(x)):
            given = {"input": x[row : row + 1]}
            np.testing.assert_allclose(ours(given)["output"], theirs(given)["output"], rtol=1e-3, atol=1e-3)
