"""What the numbers are that a model takes and gives: by its manifest, or, of a bare ONNX file, by its graph."""

from collections.abc import Mapping
from typing import Any

from anelab.inference.model import Model


def output_quantities(model: Model) -> Mapping[str, str]:
    """ "probability", "logit" or "" by output. "" is not known."""
    described = {item.get("name"): str(item.get("quantity", "")) for item in _side(model, "outputs")}
    if any(described.values()):
        return {port.name: described.get(port.name, "") for port in model.outputs}
    if model.format != "onnx" or not model.path.is_file():
        return {port.name: "" for port in model.outputs}
    from anelab.export.quantities import graph_quantities

    return graph_quantities(model.path)


def input_bounds(model: Model) -> Mapping[str, tuple[float, float]]:
    """Lowest and highest value that makes sense, of each input whose manifest says so."""
    return {item["name"]: (item["bounds"][0], item["bounds"][1]) for item in _side(model, "inputs") if "bounds" in item}


def _side(model: Model, side: str) -> list[Mapping[str, Any]]:
    described = model.manifest.get("files", {}).get(model.path.name, {}).get("signature", {})
    found: list[Mapping[str, Any]] = described.get(side, [])
    return found
