"""The sections of params.yaml that every workload has. A workload's own Config extends these."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from anelab.errors import AnelabError
from anelab.sources import SIMULATE


class Section(BaseModel):
    """A frozen part of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Section):
    source: str | list[str]

    @field_validator("source", mode="plain")
    @classmethod
    def _simulate_or_list(cls, source: object) -> object:
        listed = isinstance(source, list) and source and all(isinstance(item, str) and item for item in source)
        if source != SIMULATE and not listed:
            raise ValueError(f"must be {SIMULATE} or a list of paths and globs, like [reads/*.fastq.gz]")
        return source

    @property
    def simulated(self) -> bool:
        return self.source == SIMULATE


class SplitConfig(Section):
    """Shares of the rows; what is left is training data."""

    validation: float = Field(0.15, gt=0, lt=0.5)
    test: float = Field(0.15, gt=0, lt=0.5)


class TrainingConfig(Section):
    max_epochs: int = Field(12, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(0.001, gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0, le=1)
    schedule: Literal["constant", "cosine", "linear", "onecycle"] = "constant"
    patience: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1)
    clip_norm: float | None = Field(None, gt=0)
    device: Literal["auto", "cpu", "mps", "cuda"] = "auto"
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    threads: int = Field(1, ge=1)
    tensorboard: bool = False
    debug: Literal["fast-dev-run", "overfit", "limit"] | None = None


class SearchConfig(Section):
    n_trials: int = Field(0, ge=0)
    max_epochs: int = Field(4, ge=1)


class Tolerance(Section):
    """How far an artifact may be from the trained module on the test set."""

    max_absolute: float = Field(gt=0)
    max_relative: float | None = Field(None, gt=0)
    min_agreement: float = Field(ge=0, le=1)
    max_metric_loss: float = Field(ge=0)


class OnnxTolerance(Tolerance):
    """Of an ONNX file in float32."""

    max_absolute: float = Field(1e-4, gt=0)
    min_agreement: float = Field(0.999, ge=0, le=1)
    max_metric_loss: float = Field(1e-4, ge=0)


class Int8Tolerance(Tolerance):
    """Of an ONNX file in INT8: one probability near 0.5 may go over to the other side."""

    max_absolute: float = Field(0.5, gt=0)
    min_agreement: float = Field(0.97, ge=0, le=1)
    max_metric_loss: float = Field(0.02, ge=0)


class FloatTolerance(Tolerance):
    """Of a float32 package, and of an fp16 one by the evaluator's float32 mode."""

    max_absolute: float = Field(1e-3, gt=0)
    min_agreement: float = Field(0.999, ge=0, le=1)
    max_metric_loss: float = Field(1e-4, ge=0)


class HalfTolerance(Tolerance):
    max_absolute: float = Field(5e-3, gt=0)
    min_agreement: float = Field(0.999, ge=0, le=1)
    max_metric_loss: float = Field(1e-3, ge=0)


class CompressedTolerance(Tolerance):
    """The absolute error of a probability is left open: one decision that turns over is an error of one."""

    max_absolute: float = Field(1.0, gt=0)
    min_agreement: float = Field(0.95, ge=0, le=1)
    max_metric_loss: float = Field(0.02, ge=0)


Compression = Literal["int8", "palette6", "palette4", "pruned"]


class CoreMLConfig(Section):
    target: Literal["macOS13", "macOS14", "macOS15", "macOS26"] = "macOS14"
    buckets: list[int] = [1, 8, 64, 512]
    variants: list[Compression] = ["int8", "palette6", "palette4", "pruned"]
    sparsity: float = Field(0.5, gt=0, lt=1)
    weight_threshold: int = Field(0, ge=0)
    fp32_operators: list[str] = []
    fp32_tolerance: FloatTolerance = FloatTolerance()
    fp16_tolerance: HalfTolerance = HalfTolerance()
    compressed_tolerance: CompressedTolerance = CompressedTolerance()

    @field_validator("buckets")
    @classmethod
    def _batch_sizes_in_order(cls, buckets: list[int]) -> list[int]:
        if any(size < 1 for size in buckets) or sorted(set(buckets)) != buckets:
            raise ValueError("must be batch sizes of 1 and more in rising order, like [1, 8, 64]; [] makes none")
        return buckets

    @field_validator("variants")
    @classmethod
    def _each_once(cls, variants: list[Compression]) -> list[Compression]:
        if len(set(variants)) != len(variants):
            raise ValueError("must name each variant once")
        return variants


class ExportConfig(Section):
    opset: int = Field(13, ge=13, le=20)
    int8: bool = True
    calibration_rows: int = Field(512, ge=8)
    ship_examples: bool = True
    float_tolerance: OnnxTolerance = OnnxTolerance(max_relative=0.01)
    int8_tolerance: Int8Tolerance = Int8Tolerance()
    coreml: CoreMLConfig | None = CoreMLConfig()
    coreai: bool = False

    def tolerance(self, format: str, variant: str, executor: str) -> Tolerance:
        """What is asked of an artifact, run by that executor."""
        if format != "coreml" or self.coreml is None:
            return self.int8_tolerance if variant == "int8" else self.float_tolerance
        floats = {"fp32": self.coreml.fp32_tolerance, "fp16": self.coreml.fp16_tolerance}
        if variant in floats and executor == "evaluator_fp32":
            return self.coreml.fp32_tolerance
        return floats.get(variant, self.coreml.compressed_tolerance)


ScenarioKind = Literal["single", "batch", "offline", "server", "idle"]


class BenchConfig(Section):
    arms: list[str] = ["ort-cpu", "ort-cpu:int8", "classical"]
    thorough: bool = False
    processes: int = Field(10, ge=1, le=1000)
    rounds: int = Field(8, ge=1, le=1000)
    slice_ms: float = Field(5, gt=0, le=60_000)
    min_calls: int = Field(3, ge=1, le=100_000)
    warm_up_ms: float = Field(300, gt=0, le=60_000)
    settle_ms: float = Field(2, ge=0, le=60_000)
    scenarios: list[ScenarioKind] = ["single", "batch"]
    batches: list[int] = [64]
    offline_rows: int = Field(4096, ge=1)
    server_load: float = Field(0.5, gt=0, lt=1)
    idle_gaps_ms: list[int] = [1, 10, 100, 1000]
    energy: bool = True
    url: str | None = None
    timeout_s: float = Field(120, gt=0, le=86400)
    resamples: int = Field(10000, ge=1000, le=100_000)

    @field_validator("arms", "scenarios")
    @classmethod
    def _some_each_once(cls, names: list[str]) -> list[str]:
        if not names or len(set(names)) != len(names):
            raise ValueError("must name at least one, and each once")
        return names

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        """It is written into results, which travel."""
        if url is not None and not re.fullmatch(r"http://[^@/?#\s]+(/[^?#\s]*)?", url):
            raise ValueError("must be http://host:port/path, without a password and without ? or #")
        return url

    @field_validator("batches", "idle_gaps_ms")
    @classmethod
    def _positive_each_once(cls, sizes: list[int]) -> list[int]:
        if any(not 1 <= size <= 100_000 for size in sizes) or len(set(sizes)) != len(sizes):
            raise ValueError("must be numbers from 1 to 100000, each once")
        return sizes


class EligibleConfig(Section):
    """The variant of each format that may be champion."""

    onnx: Literal["fp32", "int8"] = "fp32"
    coreml: Literal["fp16", "fp32", "int8", "palette6", "palette4", "pruned"] = "fp16"


class RegistryConfig(Section):
    threshold: float | None = None
    margin: float = Field(0.01, ge=0)
    max_size_bytes: int = Field(1_000_000, gt=0)
    variant: EligibleConfig = EligibleConfig()
    resamples: int = Field(1000, ge=100)
    limits: dict[str, float] = Field(default_factory=dict)
    never_below: str | None = None


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both trees as one: mappings are joined key by key, and of other values that of `above` is taken."""
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        found[key] = laid_over(under, value) if both else value  # type: ignore[arg-type]
    return found


class WorkloadConfig(Section):
    """One workload's section of params.yaml, with the top-level seed handed down."""

    figures: ClassVar[Mapping[str, int]]
    """What the workload's `metrics` gives, and which way each is better: 1 if high, -1 if low, 0 if neither."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Values of the section by the name of a preset; what the section itself says wins."""

    preset: str | None = None
    metric: str
    data: DataConfig
    split: SplitConfig = SplitConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    export: ExportConfig = ExportConfig()
    bench: BenchConfig = BenchConfig()
    registry: RegistryConfig = RegistryConfig()
    seed: int = Field(0, ge=0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _with_the_presets_values(cls, given: Any) -> Any:
        name = given.get("preset") if isinstance(given, dict) else None
        if name is None:
            return given
        if name not in cls.presets:
            there = f"must be one of {', '.join(cls.presets)}" if cls.presets else "must be null: there are none here"
            raise ValueError(f"preset {there}, but got {name}")
        return laid_over(cls.presets[name], given)

    @field_validator("metric")
    @classmethod
    def _a_figure_and_its_direction(cls, metric: str) -> str:
        direction, _, name = metric.partition(":")
        if direction not in ("max", "min") or name not in cls.figures:
            raise ValueError(f"must be max: or min: and one of {', '.join(cls.figures)}")
        return metric

    @field_validator("registry")
    @classmethod
    def _limits_of_figures_with_a_direction(cls, registry: RegistryConfig) -> RegistryConfig:
        allowed = [name for name, direction in cls.figures.items() if direction]
        if unknown := sorted(registry.limits.keys() - set(allowed)):
            raise ValueError(f"limits has {', '.join(unknown)}, but must have some of {', '.join(allowed)}")
        return registry

    @model_validator(mode="after")
    def _an_exported_variant_is_eligible(self) -> "WorkloadConfig":
        export, eligible = self.export, self.registry.variant
        if eligible.onnx == "int8" and not export.int8:
            raise ValueError("registry.variant.onnx is int8, but export.int8 is false")
        if export.coreml is not None and eligible.coreml not in ("fp16", "fp32", *export.coreml.variants):
            raise ValueError(
                f"registry.variant.coreml is {eligible.coreml}, which export.coreml.variants does not make"
            )
        return self

    @property
    def metric_name(self) -> str:
        return self.metric.partition(":")[2]

    def headline(self, figures: Mapping[str, float], where: str) -> float:
        """The headline metric among `figures`. Raises AnelabError if it is undefined there."""
        if self.metric_name in figures:
            return figures[self.metric_name]
        raise AnelabError(
            f"{where} leaves {self.metric_name} undefined (there is only one class, or too few rows); "
            "give more data, or choose another metric"
        )

    @property
    def sign(self) -> int:
        """+1 where more of the headline metric is better, -1 where less is."""
        return 1 if self.metric.startswith("max:") else -1
