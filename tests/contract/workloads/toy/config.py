from pydantic import Field

from anelab.workloads.config import Section, WorkloadConfig


class ModelConfig(Section):
    width: int = Field(ge=2)


class Config(WorkloadConfig):
    model: ModelConfig
