"""Packages of others: first axes that are no rows, images, classifiers, flexible shapes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.errors import AnelabError
from anelab.export.apple import CoreMLRuntime
from anelab.export.mil.blame import find_blame
from anelab.export.mil.predictor import mil_predictor
from anelab.export.mlpackage import describe_package, package_functions
from anelab.export.readiness import inspect_package
from anelab.export.toolkit import toolkit
from tests.commands import anelab
from tests.export.fake_apple import FakeApple
from tests.export.foreign import converted, trial_packages


class Flat(nn.Module):
    """The first two axes become one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0] * x.shape[1], 4) * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("foreign")
    free = lambda ct: [ct.TensorType("x", shape=(ct.RangeDim(1, 8), ct.RangeDim(1, 8), 4))]  # noqa: E731
    converted(Flat(), torch.zeros(2, 3, 4), made / "flat.mlpackage", free)
    some = lambda ct: [ct.TensorType("x", shape=ct.EnumeratedShapes([(2, 4), (5, 4)]))]  # noqa: E731
    converted(nn.ReLU(), torch.zeros(2, 4), made / "enumerated.mlpackage", some)
    for layout, channels in (("RGB", 3), ("BGR", 3), ("GRAYSCALE", 1)):
        converted(
            nn.Conv2d(channels, 2, 3),
            torch.zeros(1, channels, 8, 8),
            made / f"{layout}.mlpackage",
            lambda ct, layout=layout, channels=channels: [
                ct.ImageType("x", (1, channels, 8, 8), scale=1 / 255, color_layout=getattr(ct.colorlayout, layout))
            ],
        )
    classifier = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
    converted(
        classifier,
        torch.zeros(1, 4),
        made / "classifier.mlpackage",
        lambda ct: [ct.TensorType("x", shape=(1, 4))],
        classifier_config=lambda ct: ct.ClassifierConfig(["cat", "dog", "hen"]),
    )
    return made


def test_outputs_that_are_not_by_rows_are_given_as_they_are(folder: Path) -> None:
    path, x = folder / "flat.mlpackage", np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    (found,) = mil_predictor(path, "fp32")({"x": x}).values()
    np.testing.assert_array_equal(found, x.reshape(6, 4) * 2)
    assert find_blame(path, {"x": x}, 5e-3).first is None
    assert "dynamic shape" in {one.rule for one in inspect_package(path, {"x": x}).findings}
    (port,) = package_functions(path)["main"]["inputs"]
    assert port["shape"] == [None, None, 4]


def test_shapes_that_core_ml_refuses_are_refused(folder: Path) -> None:
    with pytest.raises(AnelabError, match="input x has 9 along axis 0; it may be 1 to 8"):
        mil_predictor(folder / "flat.mlpackage")({"x": np.zeros((9, 3, 4), np.float32)})
    enumerated = folder / "enumerated.mlpackage"
    assert mil_predictor(enumerated)({"x": np.ones((5, 4), np.float32)}).popitem()[1].shape == (5, 4)
    with pytest.raises(AnelabError, match=r"has shape \(3, 4\); it may be \(2, 4\) or \(5, 4\)"):
        mil_predictor(enumerated)({"x": np.zeros((3, 4), np.float32)})
    assert package_functions(enumerated)["main"]["inputs"][0]["shape"] == [None, 4]


@pytest.mark.parametrize(("layout", "channels"), [("RGB", 3), ("BGR", 3), ("GRAYSCALE", 1)])
def test_images_are_pixels_in_the_packages_own_order(layout: str, channels: int, folder: Path) -> None:
    path = folder / f"{layout}.mlpackage"
    pixels = np.random.default_rng(0).integers(0, 256, (3, channels, 8, 8)).astype(np.uint8)
    (found,) = mil_predictor(path, "fp32")({"x": pixels}).values()
    assert found.shape == (3, 2, 6, 6), "any number of rows, one call each"
    for row in range(3):
        (alone,) = mil_predictor(path, "fp32")({"x": pixels[row : row + 1].astype(np.float32)}).values()
        np.testing.assert_allclose(alone[0], found[row], rtol=1e-4, atol=1e-6)
    (port,) = describe_package(path)["functions"]["main"]["inputs"]
    assert port == {"colours": layout, "dtype": "image", "name": "x", "shape": [1, channels, 8, 8]}
    assert find_blame(path, {"x": pixels}, 5e-3).first is None
    assert inspect_package(path, {"x": pixels}).ranges_checked


def test_an_image_is_what_the_converted_module_gets(tmp_path: Path) -> None:
    """coremltools' scale and bias belong to the package: the array is what Core ML makes of the pixels."""
    torch.manual_seed(1)
    module = nn.Conv2d(3, 2, 3)
    image = lambda ct: [ct.ImageType("x", (1, 3, 8, 8), scale=1 / 128, bias=[-1, -0.5, 0])]  # noqa: E731
    path = converted(module, torch.zeros(1, 3, 8, 8), tmp_path / "m.mlpackage", image)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8))
    with torch.no_grad():
        scaled = torch.from_numpy(pixels).float() / 128 + torch.tensor([-1, -0.5, 0]).reshape(3, 1, 1)
        wanted = module(scaled).numpy()
    (found,) = mil_predictor(path, "fp32")({"x": pixels}).values()
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.full((1, 3, 8, 8), 0.5), "has values from 0.5 to 0.5, but pixels are whole numbers 0 to 255"),
        (np.full((1, 3, 8, 8), 256), "has values from 256 to 256, but pixels are"),
        (np.full((1, 3, 8, 8), np.nan), "has values from nan to nan, but pixels are"),
        (np.zeros((8, 8, 3)), r"x is an image, as \[rows, channels \(red, green, blue\), height, width\] of whole"),
    ],
)
def test_what_is_no_image_is_refused_with_the_convention(array: Any, text: str, folder: Path) -> None:
    with pytest.raises(AnelabError, match=text):
        mil_predictor(folder / "RGB.mlpackage")({"x": array})


def test_a_classifier_gives_labels_and_named_probabilities(folder: Path, tmp_path: Path) -> None:
    path, x = folder / "classifier.mlpackage", np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    predict = mil_predictor(path, "fp32")
    outputs = predict({"x": x})
    (probabilities,) = predict.classes
    label = next(name for name in outputs if name != probabilities)
    assert outputs[probabilities].shape == (5, 3)
    np.testing.assert_allclose(outputs[probabilities].sum(1), 1, atol=1e-5)
    names = predict.classes[probabilities]
    assert names == ("cat", "dog", "hen")
    assert outputs[label].tolist() == [names[place] for place in outputs[probabilities].argmax(1)]
    assert find_blame(path, {"x": x}, 5e-3).output_error < 5e-3
    assert inspect_package(path, {"x": x}).checked >= 3
    np.savez(tmp_path / "rows.npz", x=x)
    arguments = ("model", "eval", str(path), "--input", str(tmp_path / "rows.npz"))
    printed = anelab(tmp_path, *arguments)
    assert f"{probabilities} float32 (5, 3): cat, dog, hen\n" in printed.stdout
    found = json.loads(anelab(tmp_path, *arguments, "--json").stdout)
    assert found[probabilities][0].keys() == {"cat", "dog", "hen"}
    assert found[label][0] in names
    assert anelab(tmp_path, *arguments, "--out", str(tmp_path / "y.npz")).returncode == 0
    with np.load(tmp_path / "y.npz") as written:
        assert written[f"{probabilities}.classes"].tolist() == list(names)
        assert written[label].tolist() == outputs[label].tolist()


def test_core_ml_itself_is_not_given_what_is_no_array(folder: Path, tmp_path: Path) -> None:
    for name, kind in (("RGB", "image"), ("classifier", "label")):
        with pytest.raises(AnelabError, match=f"is of the type {kind}, and Core ML itself is run with arrays only"):
            CoreMLRuntime(FakeApple(), tmp_path).predictor(folder / f"{name}.mlpackage", "cpu_only")


def test_inputs_whose_first_axes_differ_are_taken_whole(tmp_path: Path) -> None:
    class Product(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x @ y

    with toolkit() as ct:
        traced = torch.jit.trace(Product(), (torch.zeros(2, 3), torch.zeros(3, 4)))
        inputs = [ct.TensorType("x", shape=(2, 3)), ct.TensorType("y", shape=(3, 4))]
        ct.convert(traced, inputs=inputs, minimum_deployment_target=ct.target.macOS14, skip_model_load=True).save(
            str(tmp_path / "m.mlpackage")
        )
    x, y = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    (found,) = mil_predictor(tmp_path / "m.mlpackage")({"x": x, "y": y}).values()
    np.testing.assert_array_equal(found, np.full((2, 4), 3.0))
    done = anelab(tmp_path, "model", "eval", str(tmp_path / "m.mlpackage"), "--input", str(tmp_path / "rows.npz"))
    assert (done.returncode, "float32 (2, 4)" in done.stdout) == (0, True)
    with pytest.raises(AnelabError, match="as many rows of every input"):
        mil_predictor(tmp_path / "m.mlpackage")({"x": np.ones((5, 3), np.float32), "y": y})


@pytest.mark.parametrize("name", ["dynreshape", "image", "classifier"])
def test_packages_of_the_trial(name: str, real_data: Path, tmp_path: Path) -> None:
    unpacked = trial_packages(real_data, tmp_path)
    package, rows = unpacked / f"{name}.mlpackage", dict(np.load(unpacked / f"{name}.npz"))
    outputs = mil_predictor(package)(rows)
    if name == "dynreshape":
        np.testing.assert_array_equal(next(iter(outputs.values())), np.load(unpacked / "dynreshape.want.npz")["o0"])
    assert find_blame(package, rows, 5e-3).first is None
    assert inspect_package(package, rows).ranges_checked
    for command in ("eval", "lint", "blame"):
        done = anelab(tmp_path, "model", command, str(package), "--input", str(unpacked / f"{name}.npz"))
        assert (done.returncode, done.stderr) == (0, "")
