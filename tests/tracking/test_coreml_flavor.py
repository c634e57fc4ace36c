"""The MLflow flavor: saved and loaded on any host, predicting only on what was asked for."""

import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import Model, infer_signature
from torch import nn

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, Converter, Size
from anelab.files import path_digest
from anelab.learning.base import Graph, Tensor
from anelab.learning.config import CoreMLConfig
from anelab.tracking import coreml

ROWS = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
GRAPH = Graph("model", (Tensor("x", "float32", ("n", 6)),), (Tensor("y", "float32", ("n", 3)),))
EVALUATOR = {"runtime": "evaluator"}


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 3), nn.Softmax(-1)).eval()


@pytest.fixture(scope="module")
def package(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flavor") / "anything.mlpackage"
    Converter({"fp16": net}, GRAPH, CoreMLConfig(), {"licence": "Apache-2.0"}).write(path, LADDER[0], Size(1), "fp16")
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for choose in (mlflow.set_tracking_uri, mlflow.set_registry_uri):  # another test may have chosen before
        choose(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment("flavor", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("flavor")
    yield
    mlflow.set_tracking_uri(None)


def test_a_saved_model_says_what_it_is(package: Path, tmp_path: Path) -> None:
    coreml.save_model(package, tmp_path / "saved", compute_units="cpu_and_ne", metadata={"note": "n"})
    model = Model.load(str(tmp_path / "saved"))
    assert model.metadata == {"note": "n"}
    flavor = model.flavors["coreml"]
    assert flavor == {
        "compute_units": "cpu_and_ne",
        "coremltools_version": "9.0",
        "data": "model.mlpackage",
        "functions": ["main"],
        "minimum_deployment_target": "macOS14",
        "precision": "fp16",
        "sha256": path_digest(package),
        "specification_version": 8,
    }
    assert path_digest(tmp_path / "saved" / "model.mlpackage") == path_digest(package)
    requirements = (tmp_path / "saved" / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} == {"mlflow", "anelab", "coremltools", "numpy", "torch"}


def test_logged_registered_loaded_and_evaluated_by_name(store: None, net: nn.Module, package: Path) -> None:
    wanted = net(torch.from_numpy(ROWS)).detach().numpy()
    info = coreml.log_model(
        package, "net", registered_model_name="net-coreml", signature=infer_signature({"x": ROWS}, {"y": wanted})
    )
    assert info.flavors["coreml"]["precision"] == "fp16"
    loaded = mlflow.pyfunc.load_model("models:/net-coreml/1", model_config=EVALUATOR)
    for given in (ROWS, {"x": ROWS}):
        np.testing.assert_allclose(loaded.predict(given)["y"], wanted, atol=5e-3)
    exact = mlflow.pyfunc.load_model("models:/net-coreml/1", model_config={**EVALUATOR, "mode": "fp32"})
    rounded = loaded.predict(ROWS)["y"]
    assert np.abs(exact.predict(ROWS)["y"] - wanted).max() < np.abs(rounded - wanted).max()
    assert coreml.load_model("models:/net-coreml/1").get_spec().specificationVersion == 8


@pytest.mark.skipif(sys.platform == "darwin", reason="says what happens where there is no macOS")
def test_elsewhere_than_on_macos_nothing_is_evaluated_unasked(store: None, package: Path) -> None:
    info = coreml.log_model(package, "net")
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    with pytest.raises(AnelabError) as caught:
        loaded.predict(ROWS)
    assert "Core ML runs on macOS only" in str(caught.value)
    assert 'model_config={"runtime": "evaluator"}' in str(caught.value)


def test_on_macos_core_ml_predicts(
    store: None, net: nn.Module, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.export.fake_apple import FakeApple

    mac = FakeApple()
    monkeypatch.setattr(coreml, "native", lambda: mac)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    info = coreml.log_model(package, "net", compute_units="cpu_and_ne")
    found = mlflow.pyfunc.load_model(info.model_uri).predict(ROWS)["y"]
    np.testing.assert_allclose(found, net(torch.from_numpy(ROWS)).detach().numpy(), atol=5e-3)
    assert ("load", "cpu_and_ne", "") in mac.calls


def test_a_model_of_coremltools_can_be_saved_too(package: Path, tmp_path: Path) -> None:
    coreml.save_model(package, tmp_path / "first")
    model = coreml.load_model(str(tmp_path / "first"))
    coreml.save_model(model, tmp_path / "second")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "second"), model_config=EVALUATOR)
    assert loaded.predict(ROWS)["y"].shape == (5, 3)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"runtime": "magic"}, "runtime must be one of coreml, evaluator but got magic"),
        ({"compute_units": "ane"}, "compute_units must be one of cpu_only, .* but got ane"),
        ({"mode": "fp8"}, "mode must be one of fp32, fp16, ane but got fp8"),
    ],
)
def test_options_that_there_are_not_are_named(config: Any, text: str, package: Path, tmp_path: Path) -> None:
    coreml.save_model(package, tmp_path / "saved")
    with pytest.raises(AnelabError, match=text):
        mlflow.pyfunc.load_model(str(tmp_path / "saved"), model_config=config)


def test_another_flavors_model_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.add_flavor("onnx", data="model.onnx")
    (tmp_path / "other").mkdir()
    model.save(str(tmp_path / "other" / "MLmodel"))
    with pytest.raises(AnelabError, match="is not a Core ML model; its flavors are onnx"):
        coreml.load_model(str(tmp_path / "other"))


def test_a_place_that_is_taken_and_a_package_that_is_none_are_named(package: Path, tmp_path: Path) -> None:
    coreml.save_model(package, tmp_path / "saved")
    with pytest.raises(AnelabError, match="saved: is not empty"):
        coreml.save_model(package, tmp_path / "saved")
    with pytest.raises(AnelabError, match=r"absent\.mlpackage: is not a Core ML package"):
        coreml.save_model(tmp_path / "absent.mlpackage", tmp_path / "other")
