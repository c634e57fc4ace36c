"""The mnist section of params.yaml."""

from typing import Literal

from pydantic import Field

from anelab.workloads.config import Section, WorkloadConfig


class ModelConfig(Section):
    architecture: Literal["mlp", "cnn"]
    dropout: float = Field(ge=0, lt=1)
    shift_pixels: int = Field(ge=0, le=4)


class Config(WorkloadConfig):
    model: ModelConfig
