"""Core AI, the second opinion: with the extra it is asked, without it says how to get it."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab.errors import AnelabError
from anelab.export import coreai
from anelab.export.coreml import Size
from anelab.export.mil.evaluator import Evaluator
from anelab.files import path_digest
from anelab.learning.base import Graph, Tensor
from tests.export.mil.converting import converter_of
from tests.export.mil.nets import nets

with_extra = pytest.mark.skipif(
    importlib.util.find_spec("coreai_torch") is None,
    reason="the extra anelab[coreai] is not installed; `make coreai` installs it, and CI does",
)


def graph_of(module: torch.nn.Module, shape: tuple[int, ...]) -> Graph:
    with torch.no_grad():
        y = module.eval()(torch.zeros(shape))
    return Graph(
        "model",
        (Tensor("input", "float32", ("n", *shape[1:])),),
        (Tensor("output", "float32", ("n", *y.shape[1:])),),
    )


@with_extra
@pytest.mark.parametrize("name", ["mlp", "conv1d", "conv2d", "layer_norm", "rms_norm", "attention", "lstm", "gru"])
def test_two_independent_ways_compute_the_same(name: str, tmp_path: Path) -> None:
    """torch -> Core AI -> its interpreter, and torch -> coremltools -> our evaluator: no code in common."""
    module, shape = nets()[name]
    graph = graph_of(module, shape)
    x = np.random.default_rng(0).standard_normal((3, *shape[1:])).astype(np.float32)
    coreai.write_aimodel(module, graph, tmp_path / "model.aimodel", {"workload": "test"})
    theirs = coreai.coreai_predictor(tmp_path / "model.aimodel", graph)({"input": x})["output"]
    converter = converter_of(module, x[:1])
    converter.write(tmp_path / "m.mlpackage", converter.climb({"input": x}), Size(1), "fp32")
    evaluator = Evaluator(tmp_path / "m.mlpackage", mode="fp32")
    for row in range(len(x)):
        ours = evaluator({"input": x[row : row + 1]})["output"]
        np.testing.assert_allclose(theirs[row : row + 1], ours, rtol=1e-4, atol=1e-4)


@with_extra
def test_equal_models_are_equal_bytes_and_tell_nothing_of_this_machine(tmp_path: Path, capfd: Any) -> None:
    module, shape = nets()["conv2d"]
    for name in ("one", "two"):
        coreai.write_aimodel(module, graph_of(module, shape), tmp_path / f"{name}.aimodel", {"licence": "Apache-2.0"})
    assert path_digest(tmp_path / "one.aimodel") == path_digest(tmp_path / "two.aimodel")
    content = b"".join(path.read_bytes() for path in (tmp_path / "one.aimodel").rglob("*") if path.is_file())
    for trace in (b"site-packages", b".py", str(tmp_path).encode(), b"creationDate"):
        assert trace not in content
    coreai.coreai_predictor(tmp_path / "one.aimodel", graph_of(module, shape))({"input": np.zeros(shape, np.float32)})
    assert capfd.readouterr() == ("", "")


@with_extra
def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    """Core AI itself ends the process on such files."""
    module, shape = nets()["mlp"]
    graph, path = graph_of(module, shape), tmp_path / "bad.aimodel"
    path.mkdir()
    with pytest.raises(
        AnelabError, match=r"bad\.aimodel: is not an \.aimodel \(No such file or directory: main\.mlirb\)"
    ):
        coreai.coreai_predictor(path, graph)
    path.rmdir()
    coreai.write_aimodel(module, graph, path, {})
    (path / "main.mlirb").write_bytes((path / "main.mlirb").read_bytes()[:500])
    with pytest.raises(AnelabError, match=r"bad\.aimodel: is damaged"):
        coreai.coreai_predictor(path, graph)


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, shape = nets()["mlp"]
    monkeypatch.setattr(coreai, "is_installed", lambda: False)
    for attempt in (
        lambda: coreai.write_aimodel(module, graph_of(module, shape), tmp_path / "m.aimodel", {}),
        lambda: coreai.coreai_predictor(tmp_path / "m.aimodel", graph_of(module, shape)),
    ):
        with pytest.raises(AnelabError, match=r"Core AI is not installed; pip install 'anelab\[coreai\]' adds it"):
            attempt()
