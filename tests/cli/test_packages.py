"""The commands on Core ML packages: what they print, and what they say to wrong input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.export.coreml import LADDER
from tests.commands import anelab
from tests.export.mil.converting import packaged


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(-1))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(4))
        net[0].bias.zero_()
    folder = tmp_path_factory.mktemp("package")
    np.savez(folder / "rows.npz", input=np.float32([[0, 0, 0, 50], [1, 2, 3, 4]]))
    np.savez(folder / "one.npz", input=np.float32([[0, 0, 0, 50]]))
    np.save(folder / "rows.npy", np.float32([[1, 2, 3, 4]]))
    return packaged(net, np.zeros((1, 4), np.float32), folder / "m.mlpackage", LADDER[0], "fp16")


def run(package: Path, *arguments: str) -> Any:
    return anelab(package.parent, "model", *arguments)


def test_eval_prints_saves_and_knows_the_modes(package: Path, tmp_path: Path) -> None:
    rows = str(package.with_name("rows.npz"))
    plain = run(package, "eval", str(package), "--input", rows)
    assert plain.returncode == 0
    assert plain.stdout.startswith("output float32 (2, 4)\n")
    exact = json.loads(run(package, "eval", str(package), "--input", rows, "--mode", "fp32", "--json").stdout)
    halves = json.loads(run(package, "eval", str(package), "--input", rows, "--json").stdout)
    assert (exact["output"][0][0], halves["output"][0][0]) == (-50, -103.25)
    assert run(package, "eval", str(package), "--input", rows, "--out", str(tmp_path / "y.npz")).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["output"], np.float32(halves["output"]))
    array = run(package, "eval", str(package), "--input", str(package.with_name("rows.npy")))
    assert array.stdout.startswith("output float32 (1, 4)\n")


def test_lint_tells_operator_rule_source_fix_and_verdict(package: Path) -> None:
    done = run(package, "lint", str(package), "--input", str(package.with_name("rows.npz")))
    assert done.returncode == 0
    assert "unsafe   log of zero: keep the operator in float32" in done.stdout
    assert "[coremltools#2728]\n         log log_softmax" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("could run on the Neural Engine: all ")
    found = json.loads(run(package, "lint", str(package), "--json").stdout)
    assert (found["function"], found["ranges_checked"]) == ("main", False)


def test_blame_names_the_operator_and_the_way_out(package: Path) -> None:
    done = run(package, "blame", str(package), "--input", str(package.with_name("one.npz")))
    assert done.returncode == 0
    assert "is the first to drift in 16 bits: -103.25 instead of -50" in done.stdout
    assert "export.coreml.fp32_operators: [log_softmax, log_softmax_softmax] mends it" in done.stdout
    several = run(package, "blame", str(package), "--input", str(package.with_name("rows.npz")))
    assert "-103.25 instead of -50" in several.stdout, "of any number of rows the worst is looked at"
    tolerant = run(package, "blame", str(package), "--input", str(package.with_name("one.npz")), "--tolerance", "100")
    assert "no operator drifts beyond 100 in 16 bits" in tolerant.stdout


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.write_bytes(b"no numbers"), "is not an .npz or .npy of numbers"),
        (lambda path: path.write_bytes(b"PK\x03\x04cut"), "is not an .npz or .npy of numbers"),
        (lambda path: np.savez(path, wrong=np.zeros(3)), "has the arrays wrong, but the model takes input"),
        (lambda path: np.savez(path, input=np.array(["a"])), "every array must be of numbers"),
        (lambda path: np.savez(path, input=np.zeros((2, 5))), "no function takes input (2, 5); it has input 1x4"),
    ],
)
def test_rows_that_do_not_fit_are_named(make: Any, text: str, package: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    make(path)
    done = run(package, "eval", str(package), "--input", str(path))
    assert done.returncode in (1, 2)
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_other_mistakes_are_named_with_what_is_allowed(package: Path, tmp_path: Path) -> None:
    rows = ("--input", str(package.with_name("rows.npz")))
    absent = run(package, "eval", "nothing.mlpackage", "--input", "rows.npz")
    assert absent.returncode == 2
    assert "nothing.mlpackage: is not there; a model is NAME, NAME@alias or NAME/3" in absent.stderr
    empty = run(package, "eval", str(tmp_path), *rows)
    assert empty.returncode == 1
    assert "holds no manifest.json" in empty.stderr
    (tmp_path / "m.onnx").touch()
    other = run(package, "eval", str(tmp_path / "m.onnx"), *rows)
    assert other.returncode == 2
    assert "is not a .mlpackage file; give one, or a registered version that has one" in other.stderr
    unknown = run(package, "eval", "mnist-onxx@champion", *rows)
    assert unknown.returncode == 1
    assert "there is no MLflow store at" in unknown.stderr
    assert (
        "--mode must be one of fp32, fp16, ane but got fp8"
        in run(package, "eval", str(package), *rows, "--mode", "fp8").stderr
    )
    assert "has no example rows beside it (examples.npz)" in run(package, "eval", str(package)).stderr
    assert "--out must end in .npz" in run(package, "eval", str(package), *rows, "--out", "y.csv").stderr
    assert (
        "has no function other; its functions are main"
        in run(package, "lint", str(package), "--function", "other").stderr
    )
