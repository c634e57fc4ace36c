"""The read_quality section of params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from anelab.learning.config import DataConfig, Section, SplitConfig, WorkloadConfig
from anelab.learning.figures import BINARY_FIGURES

FIGURES = {**BINARY_FIGURES, "kept_50": 1, "kept_80": 1, "kept_90": 1, "rare_discarded": -1}
"""The last four only where errors are known: see `filters.py`."""

AUTO = "auto"
METRICS = {
    "mean_quality": "max:balanced_accuracy",
    "expected_errors": "max:balanced_accuracy",
    "true_errors": "max:roc_auc",
    "overlap": "max:roc_auc",
}
"""The headline metric by label, where params.yaml leaves the choice to it. What the rule of the label says is PASS or
FAIL, so decisions count. Where errors are known, reads are to be sorted by their errors, and the user chooses how many
to keep."""

Effect = Literal["ggc", "homopolymer", "overstated"]


class SimulationConfig(Section):
    reads: int = Field(ge=100)
    min_length: int = Field(ge=1)
    max_length: int = Field(ge=1, le=150)
    profile: Literal["unbinned", "binned", "declining"] = "unbinned"
    pairs: bool = False
    amplicons: int = Field(0, ge=0)
    adapters: float = Field(0.0, ge=0, le=1)
    n_runs: float = Field(0.0, ge=0, le=1)
    effects: list[Effect] = Field(default_factory=list)

    @model_validator(mode="after")
    def _ordered(self) -> "SimulationConfig":
        if self.min_length > self.max_length:
            raise ValueError(f"min_length must not exceed max_length={self.max_length} but is {self.min_length}")
        if self.amplicons and not self.pairs:
            raise ValueError("amplicons are simulated as fragments whose both ends are read; set pairs: true")
        return self


class ReadsSplitConfig(SplitConfig):
    by_library: bool = False


class ReadsDataConfig(DataConfig):
    label: Literal["mean_quality", "expected_errors", "true_errors", "overlap"]
    phred: Literal["auto", 33, 64]
    max_records: int | None = Field(ge=1)
    min_length: int = Field(50, ge=0)
    min_mean_quality: float = Field(20.0, ge=0, le=93)
    max_expected_errors: float = Field(1.0, gt=0)
    max_errors: int = Field(0, ge=0)
    min_trusted: float = Field(0.5, ge=0, le=1)
    simulation: SimulationConfig


class ModelConfig(Section):
    architecture: Literal["mlp", "errors"] = "mlp"
    context: bool = False
    channels: int = Field(16, ge=1, le=256)
    hidden: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    dropout: float = Field(ge=0, lt=1)
    augment: float = Field(0.5, ge=0, le=1)


class Config(WorkloadConfig):
    figures = FIGURES

    data: ReadsDataConfig
    split: ReadsSplitConfig
    model: ModelConfig

    @model_validator(mode="before")
    @classmethod
    def _metric_of_the_label(cls, section: Any) -> Any:
        if not isinstance(section, dict) or section.get("metric") != AUTO:
            return section
        data = section.get("data")
        label = data.get("label") if isinstance(data, dict) else None
        return {**section, "metric": METRICS.get(label if isinstance(label, str) else "", METRICS["mean_quality"])}

    @model_validator(mode="after")
    def _labels_of_errors_where_they_are_learned(self) -> "Config":
        if self.model.architecture == "errors" and self.data.label not in ("true_errors", "overlap"):
            raise ValueError(
                "model.architecture=errors learns each base's error, and needs data.label=true_errors or overlap"
            )
        return self

    @model_validator(mode="after")
    def _context_is_of_the_error_network(self) -> "Config":
        if self.model.context and self.model.architecture == "mlp":
            raise ValueError("model.context is of model.architecture=errors; the mlp always sees bases")
        return self

    @model_validator(mode="after")
    def _who_sees_bases_may_not_delete_the_rare(self) -> "Config":
        sees_bases = self.model.architecture == "mlp" or self.model.context
        if sees_bases and self.data.label == "overlap" and "rare_discarded" not in self.registry.limits:
            raise ValueError(
                "a network that sees bases (model.architecture=mlp, or model.context=true) learns abundant amplicons "
                "by heart and may discard rare ones; with label=overlap say how often at most, in times of expected "
                "errors: registry.limits.rare_discarded=1.2"
            )
        return self
