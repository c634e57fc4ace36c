"""What the server tells of a model."""

from typing import Any

from anelab.inference.model import Model, Port
from anelab.serving.protocol import port_shape
from anelab.serving.repository import Repository, Version
from anelab.serving.tensors import NAMES

EXTENSIONS = ["binary_tensor_data", "model_repository"]
PLATFORMS = {"onnx": "onnxruntime_onnx", "coreml": "coreml_mlpackage"}


def metadata(version: Version, models: Repository) -> dict[str, Any]:
    """As the Open Inference Protocol has it."""
    return {
        "name": version.name,
        "versions": [one.number for one in models.versions(version.name)],
        "platform": PLATFORMS.get(version.model.format, version.model.format),
        "inputs": [port_entry(port) for port in version.model.inputs],
        "outputs": [port_entry(port) for port in version.model.outputs],
    }


def index_entries(models: Repository) -> list[dict[str, str]]:
    """Of the protocol's index: every version in service, and why a newer one is not."""
    return [
        {"name": one.name, "version": one.number, "state": "READY", "reason": models.problem(one)} for one in models
    ]


def port_entry(port: Port) -> dict[str, Any]:
    return {"name": port.name, "datatype": NAMES.get(port.dtype, port.dtype), "shape": port_shape(port)}


def describe(model: Model) -> str:
    """In a few words: what its output is, and of which workload."""
    found = " of ".join(filter(None, (model.metadata.get("output"), model.metadata.get("workload"))))
    return found or "a model without a description"
