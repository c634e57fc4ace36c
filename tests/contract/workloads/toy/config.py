from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from anelab.learning.config import Section, WorkloadConfig


class ModelConfig(Section):
    width: int = Field(ge=2)


class Config(WorkloadConfig):
    figures: ClassVar[Mapping[str, int]] = {"recall_at_1": 1}

    model: ModelConfig
