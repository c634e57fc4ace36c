"""The read_quality section of params.yaml."""

from typing import Literal

from pydantic import Field

from anelab.workloads.config import DataConfig, Section, WorkloadConfig


class SimulationConfig(Section):
    reads: int = Field(ge=100)
    min_length: int = Field(ge=1)
    max_length: int = Field(ge=1, le=1000)


class ReadsDataConfig(DataConfig):
    label: Literal["mean_quality", "true_errors"]
    phred: Literal["auto", 33, 64]
    max_records: int | None = Field(ge=1)
    min_length: int = Field(50, ge=0)
    min_mean_quality: float = Field(20.0, ge=0, le=93)
    max_errors: int = Field(0, ge=0)
    simulation: SimulationConfig


class ModelConfig(Section):
    hidden: list[int] = Field(min_length=1)
    dropout: float = Field(ge=0, lt=1)


class Config(WorkloadConfig):
    data: ReadsDataConfig
    model: ModelConfig
