"""What the files of a model say of themselves, where no registry knows it."""

from pathlib import Path
from typing import Any

from anelab.files import path_digest
from anelab.inference.location import Location, located
from anelab.inference.model import open_model, package_ports
from anelab.workspace import Workspace


def describe_path(reference: str) -> dict[str, Any]:
    """Of the folder of an export: its files and metadata; of a single file: inputs, outputs and metadata too."""
    with located(Workspace.locate, reference) as place:
        if place.single is None:
            files = {
                name: f"{item['variant']}, {item['size_bytes']} bytes, sha256 {item['sha256']}{_state(place, name)}"
                for name, item in place.manifest["files"].items()
            }
            return {"folder": str(place.folder), "files": files, "metadata": dict(place.manifest["metadata"])}
        if place.single.suffix == ".mlpackage":
            return _of_package(place.single)
    with open_model(Workspace.locate, reference) as model:
        return {
            "file": str(Path(reference)),
            "inputs": [str(port) for port in model.inputs],
            "outputs": [str(port) for port in model.outputs],
            "metadata": dict(model.metadata),
            "runs on": model.provider,
        }


def _state(place: Location, name: str) -> str:
    """What is wrong with a file of the manifest, for a line of text."""
    path = place.folder / name
    if not path.exists():
        return "; MISSING"
    return "" if path_digest(path) == place.manifest["files"][name]["sha256"] else "; CHANGED: has another sha256"


def _of_package(path: Path) -> dict[str, Any]:
    """Read from the package alone: also of one that nothing here can run."""
    from anelab.export.mlpackage import package_metadata

    inputs, outputs = package_ports(path)
    ports = {"inputs": [str(port) for port in inputs], "outputs": [str(port) for port in outputs]}
    return {"file": str(path), **ports, "metadata": dict(package_metadata(path))}
