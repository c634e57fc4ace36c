"""The section `splice` of params.yaml."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from anelab.learning.config import DataConfig, Section, SplitConfig, TrainingConfig, WorkloadConfig
from anelab.workloads.splice.features import LABELS

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sequence": ("sequence",),
    "label": ("label", "splice_type"),
    "weight": ("weight",),
    "gene": ("gene_id",),
    "chromosome": ("chrom", "chromosome"),
    "position": ("position",),
    "strand": ("strand",),
    "group": ("group",),
    "ref": ("ref",),
    "alt": ("alt",),
    "classification": ("classification",),
}
"""What a column may be called; data.columns says otherwise."""
FIGURES: Mapping[str, int] = {
    "pr_auc_splice": 1,
    **{f"ap_{label}": 1 for label in LABELS},
    **{f"top{k}_acc_{label}": 1 for k in ("k", "10", "50", "100", "500") for label in LABELS[:2]},
    "accuracy": 1,
    "macro_f1": 1,
    "nll": -1,
    "brier": -1,
    "ece": -1,
    "ece_equal_width": -1,
    "ece_candidates": -1,
}


class SimulationConfig(Section):
    """`signal`: how much of the simulated base model's score follows the truth; the rest is noise."""

    genes: int = Field(160, ge=20)
    exons: int = Field(5, ge=3)
    signal: float = Field(0.7, ge=0, le=1)


class DecoyConfig(Section):
    """Positions that are no site, for each that is one: with GT or AG where a site has it, and any others."""

    motif: float = Field(2.0, ge=0)
    random: float = Field(1.0, ge=0)


Label = Literal["donor", "acceptor", "neither"]
CHANNELS: Mapping[str, tuple[Label, ...]] = {
    "openspliceai": ("neither", "acceptor", "donor"),
    "spliceai": ("neither", "acceptor", "donor"),
}
"""Of base models that are known, in which order they give the classes."""


class BaseConfig(Section):
    """Where the scores of the base model come from: `auto` takes those of tables, and else matrices (`pwm`), which are
    fitted on the training split. `model` is its name; `channels` the order in which its file gives the classes, and
    `context` how many bases it sees around a position, both sides together."""

    source: Literal["auto", "table", "pwm", "none"] = "auto"
    model: str = "openspliceai"
    channels: list[Label] | None = None
    context: int = Field(10_000, ge=0, le=100_000)

    @model_validator(mode="after")
    def _each_class_once(self) -> "BaseConfig":
        if self.channels is not None and sorted(self.channels) != sorted(LABELS):
            raise ValueError(f"channels must be {', '.join(LABELS)}, in the order in which the model gives them")
        if self.context % 2:
            raise ValueError("context must be even: as many bases before the position as after it")
        return self

    def channels_or_none(self) -> list[str] | None:
        return list(self.channels or CHANNELS.get(self.model, ())) or None


class VariantsConfig(Section):
    """Columns of SpliceVarDB's table. `build`: the one that has a variant like 1-12345-A-G in the genome build of the
    rows; without it, those of chromosome, position and alleles."""

    build: str = "hg38"
    classification: str = "classification"
    chromosome: str = "chrom"
    position: str = "position"
    ref: str = "ref"
    alt: str = "alt"


class SpliceData(DataConfig):
    window: int = Field(501, ge=41, le=20_001)
    columns: dict[str, str] = Field(default_factory=dict)
    base: BaseConfig = BaseConfig()
    decoys: DecoyConfig = DecoyConfig()
    variants: VariantsConfig = VariantsConfig()
    max_samples: int | None = Field(None, ge=100)
    simulation: SimulationConfig = SimulationConfig()

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("must be odd, so that the position is in the middle")
        return window

    @field_validator("columns")
    @classmethod
    def _columns_that_exist(cls, columns: dict[str, str]) -> dict[str, str]:
        from anelab.workloads.splice.features import FORBIDDEN, SCORES

        allowed = (*COLUMNS, *SCORES, *(f"{label}_score" for label in LABELS))
        if unknown := sorted(columns.keys() - set(allowed)):
            raise ValueError(f"names {', '.join(unknown)}, but may name {', '.join(allowed)}")
        leaks = [f"{key}: {name}" for key, name in columns.items() if name in FORBIDDEN and key != "label"]
        if leaks:
            raise ValueError(f"takes {', '.join(leaks)}, but that column follows from the label")
        return columns


class SpliceSplit(SplitConfig):
    """What stays together: windows that share 60 bases on either strand (`homology`), also whole genes, or chromosomes,
    which are named."""

    by: Literal["homology", "gene", "chromosome"] = "homology"
    chromosomes: dict[Literal["validation", "test"], list[str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _chromosomes_are_named(self) -> "SpliceSplit":
        named = self.chromosomes
        if self.by == "chromosome" and not (named.get("validation") and named.get("test")):
            raise ValueError("by: chromosome needs chromosomes: {validation: [...], test: [...]}")
        if self.by != "chromosome" and named:
            raise ValueError(f"by: {self.by} takes no chromosomes; say by: chromosome, or leave them out")
        parts = ({text.removeprefix("chr") for text in named.get(name, [])} for name in ("validation", "test"))
        if both := sorted(set.intersection(*parts)):
            raise ValueError(f"chromosomes {', '.join(both)} cannot be for validation and test")
        return self


class EncoderConfig(Section):
    """`cnn`: kernels of several sizes, pooled farther from the position. `dilated`: residual blocks. `hyenadna`: its
    backbone, with the weights of a local file if `pretrained` names one. `none`: scores only."""

    kind: Literal["cnn", "dilated", "hyenadna", "none"] = "cnn"
    kernel_sizes: list[int] = Field([3, 5, 7, 11, 15], min_length=1)
    num_filters: int = Field(16, ge=1)
    output_dim: int = Field(128, ge=4)
    near: int = Field(81, ge=11)
    layers: int = Field(8, ge=1)
    model_size: Literal["tiny", "small", "medium", "large"] = "tiny"
    pretrained: str | None = None
    freeze: bool = False
    dropout: float = Field(0.3, ge=0, lt=1)

    @field_validator("kernel_sizes")
    @classmethod
    def _odd_kernels(cls, sizes: list[int]) -> list[int]:
        if any(size < 1 or size % 2 == 0 for size in sizes):
            raise ValueError("must be odd numbers, like [3, 5, 7]")
        return sizes


class AugmentConfig(Section):
    """Share of bases that a training row has another one of, farther than `keep` bases from the position."""

    substitution: float = Field(0.1, ge=0, le=0.5)
    keep: int = Field(20, ge=0)


class ModelConfig(Section):
    """`distillation`: weight of the loss by which encoders learn to give the base model's scores too, which say more of
    a sequence than its label."""

    encoder: EncoderConfig = EncoderConfig()
    hidden: int = Field(64, ge=4)
    dropout: float = Field(0.1, ge=0, lt=1)
    fusion: Literal["stacked", "concat", "add", "gated", "cross_attention"] = "stacked"
    folds: int = Field(3, ge=2, le=10)
    residual: bool = True
    modality_dropout: float = Field(0.1, ge=0, lt=1)
    distillation: float = Field(0.3, ge=0)
    augment: AugmentConfig = AugmentConfig()


class SpliceTraining(TrainingConfig):
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = Field(2.0, ge=0)
    class_weights: Literal["balanced"] | dict[Literal["donor", "acceptor", "neither"], float] | None = None


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "example": {
        "model": {"encoder": {"num_filters": 8, "output_dim": 64}, "folds": 2},
        "training": {
            "max_epochs": 10,
            "batch_size": 128,
            "learning_rate": 0.002,
            "weight_decay": 0.01,
            "schedule": "onecycle",
        },
    },
    "lightweight": {
        "data": {"max_samples": 50_000},
        "model": {
            "encoder": {"num_filters": 16, "output_dim": 128, "dropout": 0.4},
            "augment": {"substitution": 0.2},
            "modality_dropout": 0.0,
        },
        "training": {
            "max_epochs": 6,
            "batch_size": 128,
            "learning_rate": 0.002,
            "weight_decay": 0.01,
            "schedule": "onecycle",
        },
    },
    "full": {
        "model": {
            "encoder": {"num_filters": 32, "output_dim": 256, "dropout": 0.4},
            "folds": 5,
            "hidden": 256,
            "augment": {"substitution": 0.2},
            "modality_dropout": 0.0,
        },
        "training": {
            "max_epochs": 15,
            "batch_size": 256,
            "learning_rate": 0.002,
            "weight_decay": 0.01,
            "schedule": "onecycle",
            "patience": 4,
            "precision": "bf16-mixed",
        },
    },
}
"""`example`: for the default data, in a minute. `lightweight`: a laptop's CPU, minutes. `full`: a GPU, all rows."""


class Config(WorkloadConfig):
    figures: ClassVar[Mapping[str, int]] = FIGURES
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    data: SpliceData
    split: SpliceSplit = SpliceSplit()
    model: ModelConfig = ModelConfig()
    training: SpliceTraining = SpliceTraining()
