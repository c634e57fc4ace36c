"""The mnist section of params.yaml."""

from typing import Literal

from pydantic import Field

from anelab.learning.config import Section, WorkloadConfig
from anelab.learning.figures import CLASS_FIGURES


class ModelConfig(Section):
    architecture: Literal["mlp", "cnn"]
    dropout: float = Field(ge=0, lt=1)
    shift_pixels: int = Field(ge=0, le=4)


class Config(WorkloadConfig):
    figures = CLASS_FIGURES

    model: ModelConfig
