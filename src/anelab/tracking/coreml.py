"""An MLflow flavor for Core ML packages: `save_model`, `log_model`, `load_model`, and a pyfunc.

Saving and loading work on any host. Predicting needs macOS; elsewhere only the evaluator can, and only if
asked by name, because it proves numbers and says nothing of speed:

    mlflow.pyfunc.load_model(uri, model_config={"runtime": "evaluator"})
"""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.models.utils import _save_example
from mlflow.tracking.artifact_utils import _download_artifact_from_uri

import anelab
from anelab.errors import AnelabError
from anelab.export.apple import COMPUTE_UNITS, CoreMLRuntime, native
from anelab.export.mlpackage import check_package, describe_package, input_names, write_package
from anelab.export.toolkit import toolkit
from anelab.files import copy_path, path_digest
from anelab.learning.base import Array, Arrays, Predictor

FLAVOR_NAME = "coreml"
PACKAGE = "model.mlpackage"
DEFAULTS = {"runtime": "coreml", "compute_units": "all", "mode": "fp16"}
RUNTIMES = ("coreml", "evaluator")


def get_default_pip_requirements() -> list[str]:
    packages = ("coremltools", "numpy", "torch")
    pinned = [f"{name}=={version(name).partition('+')[0]}" for name in packages]
    return [f"anelab=={anelab.__version__}", *pinned]


def save_model(
    coreml_model: Any,
    path: Path | str,
    mlflow_model: Model | None = None,
    signature: ModelSignature | None = None,
    input_example: Any = None,
    pip_requirements: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
    compute_units: str = "all",
    described: Mapping[str, Any] | None = None,
) -> None:
    """Write a folder that MLflow can log and load.

    `coreml_model` is a path to a .mlpackage, or coremltools' MLModel. `compute_units`, one of COMPUTE_UNITS,
    is what the pyfunc asks Core ML for. `described` is what `describe_package` says of the package, such as its entry
    in a manifest.json; without it coremltools is asked. Raises AnelabError if the model is no ML program.
    """
    _check("compute_units", compute_units, COMPUTE_UNITS)
    folder, model = Path(path), mlflow_model or Model()
    if folder.exists() and any(folder.iterdir()):
        raise AnelabError(f"{folder}: is not empty; name a folder that is, or that does not exist")
    if described is None and isinstance(coreml_model, str | Path):
        described = describe_package(Path(coreml_model))
    _write(coreml_model, folder / PACKAGE)
    if signature is not None:
        model.signature = signature
    if input_example is not None:
        _save_example(model, input_example, str(folder))
    if metadata is not None:
        model.metadata = metadata
    config = {**DEFAULTS, "compute_units": compute_units}
    pyfunc.add_to_model(
        model,
        loader_module=__name__,
        data=PACKAGE,
        model_config=config,
        python_env="python_env.yaml",
    )
    model.add_flavor(FLAVOR_NAME, **_flavor(folder / PACKAGE, compute_units, described))
    _write_environment(folder, get_default_pip_requirements() if pip_requirements is None else pip_requirements)
    model.save(str(folder / "MLmodel"))


def _write(coreml_model: Any, target: Path) -> None:
    if isinstance(coreml_model, str | Path):
        source = Path(coreml_model)
        check_package(source)
        if target.resolve().is_relative_to(source.resolve()):
            raise AnelabError(f"{target.parent}: lies inside the package {source}; save to another place")
        copy_path(source, target)
    else:
        write_package(coreml_model, target, {})


def _flavor(package: Path, compute_units: str, described: Mapping[str, Any] | None) -> dict[str, Any]:
    described = describe_package(package) if described is None else described
    return {
        "compute_units": compute_units,
        "coremltools_version": described["coremltools_version"],
        "data": PACKAGE,
        "functions": sorted(described["functions"]),
        "minimum_deployment_target": described["minimum_deployment_target"],
        "precision": described["precision"],
        "sha256": path_digest(package),
        "specification_version": described["specification_version"],
    }


def _write_environment(folder: Path, requirements: list[str]) -> None:
    from mlflow.utils.environment import _PythonEnv

    (folder / "requirements.txt").write_text(
        "\n".join([f"mlflow=={version('mlflow')}", *requirements]) + "\n", encoding="utf-8"
    )
    environment = _PythonEnv.current()  # type: ignore[no-untyped-call]
    environment.to_yaml(str(folder / "python_env.yaml"))


def log_model(coreml_model: Any, name: str, **options: Any) -> Any:
    """`save_model` into the active run, or a run of its own. `options` are those of `save_model` and of MLflow's
    Model.log, such as `registered_model_name`. Returns MLflow's ModelInfo."""
    flavor = sys.modules[__name__]
    return Model.log(artifact_path=None, name=name, flavor=flavor, coreml_model=coreml_model, **options)


def load_model(model_uri: str, dst_path: str | None = None) -> Any:
    """coremltools' MLModel of a logged or registered model; elsewhere than on macOS it cannot predict."""
    local = Path(_download_artifact_from_uri(model_uri, output_path=dst_path))
    flavor = Model.load(str(local)).flavors.get(FLAVOR_NAME)
    if flavor is None:
        flavors = ", ".join(Model.load(str(local)).flavors)
        raise AnelabError(f"{model_uri}: is not a Core ML model; its flavors are {flavors}")
    elsewhere = sys.platform != "darwin"
    with toolkit() as ct:
        unit = getattr(ct.ComputeUnit, flavor["compute_units"].upper())
        return ct.models.MLModel(str(local / flavor["data"]), compute_units=unit, skip_model_load=elsewhere)


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> "_CoreMLModel":
    """Called by mlflow.pyfunc.load_model; `path` is the package."""
    return _CoreMLModel(Path(path), {**DEFAULTS, **(model_config or {})})


class _CoreMLModel:
    """What mlflow.pyfunc calls. The model is loaded at the first prediction, so that loading works anywhere."""

    def __init__(self, package: Path, config: Mapping[str, Any]) -> None:
        from anelab.export.mil.modes import MODES

        _check("runtime", config["runtime"], RUNTIMES)
        _check("compute_units", config["compute_units"], COMPUTE_UNITS)
        _check("mode", config["mode"], MODES)
        self.package, self.config = package, config
        self._predictor: Predictor | None = None

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Arrays:
        """Arrays by input name, or one array where there is one input; any number of rows."""
        if self._predictor is None:
            self._predictor = self._opened()
        return self._predictor(self._named(data))

    def _opened(self) -> Predictor:
        if self.config["runtime"] == "evaluator":
            from anelab.export.mil.predictor import mil_predictor

            return mil_predictor(self.package, self.config["mode"])
        try:
            return CoreMLRuntime(native()).predictor(self.package, self.config["compute_units"])
        except AnelabError as error:
            hint = 'model_config={"runtime": "evaluator"} at load_model asks the evaluator by name'
            raise AnelabError(f"{error}; {hint}") from None

    def _named(self, data: Any) -> dict[str, Array]:
        if isinstance(data, Mapping):
            return {name: np.asarray(array) for name, array in data.items()}
        names = input_names(self.package)
        if len(names) != 1:
            raise AnelabError(f"{self.package.name} has the inputs {', '.join(names)}; give a dictionary of arrays")
        return {names[0]: np.asarray(data)}


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise AnelabError(f"{name} must be one of {', '.join(allowed)} but got {value}")
