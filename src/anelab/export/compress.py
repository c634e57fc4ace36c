"""Smaller packages by coremltools.optimize, from weights alone: no calibration data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError, warn
from anelab.export.mlpackage import large_weights, write_package
from anelab.export.toolkit import forget_names, toolkit
from anelab.learning.config import CoreMLConfig

PALETTES = {"palette4": 4, "palette6": 6}


def compress(source: Path, target: Path, variant: str, config: CoreMLConfig, metadata: Mapping[str, str]) -> None:
    """Write the package `source` with compressed weights.

    Raises AnelabError if nothing in it could be compressed, and warns of weights that were passed over:
    coremltools does both in silence.
    """
    with toolkit() as ct:
        model = ct.models.MLModel(str(source), skip_model_load=True)
        forget_names()
        smaller = _compressed(ct.optimize.coreml, model, variant, config)
        write_package(smaller, target, metadata)
    weights = large_weights(target, config.weight_threshold)
    if weights["compressed"] < weights["all"]:
        warn(f"{target.name}: {weights['compressed']} of {weights['all']} weights are compressed, not all can be")
    if not weights["compressed"]:
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
