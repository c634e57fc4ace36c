"""The edna section of params.yaml."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from anelab.learning.config import DataConfig, Section, SplitConfig, WorkloadConfig
from anelab.sequences.kmers import MOST_K

FIGURES: Mapping[str, int] = {
    **{f"recall{k}_{rank}": 1 for rank in ("species", "genus", "family") for k in (1, 5)},
    "novelty_auroc": 1,
    "silhouette": 1,
}
"""recallK_RANK: share of test sequences of known taxa of which one of the K nearest references has the same taxon.
novelty_auroc: how well the similarity to the nearest reference tells sequences of genera without any from the others.
silhouette: of the families of test sequences, by cosine."""


class SimulationConfig(Section):
    families: int = Field(24, ge=2)
    genera: int = Field(3, ge=1)
    """A family, on average; so are species of a genus."""
    species: int = Field(3, ge=1)
    individuals: int = Field(6, ge=1)
    """Of a species."""
    length: int = Field(300, ge=60)
    """Bases between the flanks, at the root of the tree."""


class EdnaData(DataConfig):
    min_length: int = Field(50, ge=1)
    max_ambiguous: float = Field(0.1, ge=0, le=1)
    simulation: SimulationConfig = SimulationConfig()


class EdnaSplit(SplitConfig):
    by: Literal["random", "species", "genus", "cluster"] = "random"
    novel: float = Field(0.1, ge=0, lt=0.5)
    references: int = Field(4000, ge=100)


class TokenizerConfig(Section):
    encoding: Literal["kmer", "char", "both"] = "kmer"
    kmer_size: int = Field(6, ge=1, le=MOST_K)
    stride: int = Field(1, ge=1)
    canonical: bool = True


class AugmentConfig(Section):
    reverse_complement: float = Field(0.0, ge=0, le=1)
    crop: float = Field(0.5, ge=0, le=1)
    min_bases: int = Field(100, ge=10)
    primer_jitter: int = Field(15, ge=0)
    substitution: float = Field(0.01, ge=0, le=0.2)
    transition_bias: float = Field(4.0, gt=0)
    indel: float = Field(0.002, ge=0, le=0.05)
    mask: float = Field(0.0, ge=0, le=0.5)


class ContrastiveConfig(Section):
    loss: Literal["supervised", "ntxent"] = "supervised"
    temperature: float = Field(0.1, gt=0)
    projection: int = Field(64, ge=2)
    rank: Literal["species", "genus", "family"] = "species"
    chunk: int | None = Field(None, ge=2)
    classify: Literal["species", "genus", "family"] | None = None
    classify_weight: float = Field(0.5, gt=0)


class ModelConfig(Section):
    backbone: Literal["kmer", "cnn", "transformer", "autoencoder"] = "kmer"
    tokenizer: TokenizerConfig = TokenizerConfig()
    max_length: int = Field(512, ge=16)
    width: int = Field(64, ge=4)
    hidden: list[int] = Field([512])
    dimension: int = Field(128, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    pooling: Literal["mean", "max", "cls"] = "mean"
    strands: Literal["tied", "single"] = "tied"
    dropout: float = Field(0.0, ge=0, lt=1)
    masked: float = Field(0.15, gt=0, lt=1)
    contrastive: ContrastiveConfig = ContrastiveConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> "ModelConfig":
        tokens = self.tokenizer
        if self.backbone == "transformer" and self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.pooling == "cls" and self.backbone != "transformer":
            raise ValueError(f"pooling cls is of the transformer; {self.backbone} takes mean or max")
        if tokens.encoding == "both" and tokens.kmer_size == 1:
            raise ValueError("tokenizer both needs a kmer_size of 2 or more")
        if self.strands == "tied" and tokens.encoding == "kmer" and tokens.stride > 1:
            raise ValueError("strands: tied needs stride 1, as the other strand's k-mers are others; or take single")
        if self.strands == "tied" and tokens.encoding == "both":
            raise ValueError("strands: tied takes the encodings kmer and char; for both take single")
        if self.contrastive.chunk is not None and self.backbone == "kmer":
            raise ValueError("contrastive.chunk is for cnn and transformer; kmer normalises over the batch")
        return self


class Config(WorkloadConfig):
    figures: ClassVar[Mapping[str, int]] = FIGURES

    data: EdnaData
    split: EdnaSplit = EdnaSplit()
    model: ModelConfig
