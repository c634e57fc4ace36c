"""What a benchmark measured: files, and the networks that they are."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from anelab.bench.results.fields import Count, DataDigest, FileName, ModelName, Sha256, VersionNumber, WorkloadName

MAIN_FILES = ("model.onnx", "model.mlpackage")
"""Of an export: the trained module in two formats."""
CLOSED = ConfigDict(extra="forbid", frozen=True)


class Network(BaseModel):
    """What a file computes, but for the values of its weights: two trainings of one architecture have the same.
    `macs`: multiply-adds of a call of one row. Either figure is null where the format does not tell it."""

    model_config = CLOSED

    operators: dict[str, Count]
    parameters: Count | None = None
    macs: Count | None = None

    def differs(self, other: "Network") -> bool:
        """By what both of them know."""
        figures = ((self.parameters, other.parameters), (self.macs, other.macs))
        return self.operators != other.operators or any(None not in pair and pair[0] != pair[1] for pair in figures)

    def text(self) -> str:
        """Such as 11 operators, 9,234 parameters."""
        parts = [f"{sum(self.operators.values())} operators"]
        parts += [] if self.parameters is None else [f"{self.parameters:,} parameters"]
        parts += [] if self.macs is None else [f"{self.macs:,} multiply-adds"]
        return ", ".join(parts)


class Subject(BaseModel):
    """What was measured: files by name and sha256, and the model they are of. `networks` by the same names; of results
    of older anelabs there are none."""

    model_config = CLOSED

    workload: WorkloadName
    input_key: Sha256 | Literal[""]
    data_digest: DataDigest
    files: dict[FileName, Sha256]
    networks: dict[FileName, Network] = {}
    model: ModelName | None = None
    version: VersionNumber | None = None

    @model_serializer(mode="wrap")
    def _without_empty_networks(self, default: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `networks` where there are none, so that the id of an older result stays what it is."""
        content: dict[str, Any] = default(self)
        return content if self.networks else {name: value for name, value in content.items() if name != "networks"}
