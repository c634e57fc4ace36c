"""Smaller packages by coremltools.optimize, from weights alone: no calibration data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.export.mlpackage import write_package
from anelab.export.toolkit import toolkit
from anelab.learning.config import CoreMLConfig

PALETTES = {"palette4": 4, "palette6": 6}


def compress(source: Path, target: Path, variant: str, config: CoreMLConfig, metadata: Mapping[str, str]) -> None:
    """Write the package `source` with compressed weights.

    Raises AnelabError if nothing in it could be compressed, which coremltools would pass over in silence.
    """
    with toolkit() as ct:
        model = ct.models.MLModel(str(source), skip_model_load=True)
        smaller = _compressed(ct.optimize.coreml, model, variant, config)
        write_package(smaller, target, metadata)
    counts = compressed_weights(target)
    if not counts["compressed"]:
        raise AnelabError(
            f"{source.name}: no weight has more than {config.weight_threshold} elements, so {variant} changes "
            "nothing; lower export.coreml.weight_threshold or take the variant out of export.coreml.variants"
        )


def _compressed(optimize: Any, model: Any, variant: str, config: CoreMLConfig) -> Any:
    threshold = config.weight_threshold
    if variant == "int8":
        settings = optimize.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=threshold
        )
        return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=settings))
    if variant in PALETTES:
        settings = optimize.OpPalettizerConfig(mode="kmeans", nbits=PALETTES[variant], weight_threshold=threshold)
        return optimize.palettize_weights(model, optimize.OptimizationConfig(global_config=settings))
    settings = optimize.OpMagnitudePrunerConfig(target_sparsity=config.sparsity, weight_threshold=threshold)
    return optimize.prune_weights(model, optimize.OptimizationConfig(global_config=settings))


def compressed_weights(path: Path) -> dict[str, int]:
    """How many weights of rank two and more the package has, and how many of them are compressed."""
    from anelab.export.mil.program import load_package

    program = load_package(path).program
    compressed = plain = 0
    for function in program.functions.values():
        for operation in function.operations:
            weight = operation.inputs.get("weight")
            if weight is None or weight.op is None:
                continue
            compressed += weight.op.op_type.startswith("constexpr_")
            plain += weight.op.op_type == "const"
    return {"compressed": compressed, "weights": compressed + plain}
