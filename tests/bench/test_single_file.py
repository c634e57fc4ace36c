"""One file, of no project: its calls, its arms, its result, and what is said where nothing can be timed."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from anelab.bench.results.bundle import opened_bundle
from anelab.bench.results.schema import Report
from anelab.bench.single_file.calls import Calls, Port, calls_of, parse_options, random_calls
from anelab.bench.single_file.formats import opened_file
from anelab.bench.single_file.measure import SAMPLES, arms_for, measure_file, prepared
from anelab.errors import AnelabError, UsageError
from anelab.export.coreml import LADDER
from tests.bench.models import QUICK
from tests.export.mil.converting import packaged

ONE = QUICK.model_copy(update={"processes": 1})
X, IDS = Port("x", "float32", (None, 4)), Port("ids", "int64", (None,))


def in_folder(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """As a user types it there."""
    return subprocess.run([sys.executable, "-m", "anelab", *words], cwd=folder, capture_output=True, text=True)


def options(*shapes: str, ranges: Sequence[str] = ()) -> Any:
    return parse_options(shapes, ranges)


def test_random_calls_differ_and_say_that_they_are_random() -> None:
    found = random_calls([X, IDS], options("x=8,4", ranges=["ids=3:5"]))
    assert {name: array.shape for name, array in found.arrays.items()} == {"x": (64, 8, 4), "ids": (64, 1)}
    assert found.arrays["ids"].dtype == np.int64 and set(np.unique(found.arrays["ids"])) == {3, 4, 5}
    assert found.origin == "random: x float32 8x4 (normal); ids int64 1 (from 3 to 5, free sizes are 1)"
    assert len({call.tobytes() for call in found.arrays["x"]}) == 64
    plain = random_calls([Port("flag", "bool", ()), IDS], options())
    assert set(np.unique(plain.arrays["ids"])) == {0, 1} and plain.arrays["flag"].shape == (64,)
    again = random_calls([X, IDS], options("x=8,4", ranges=["ids=3:5"]))
    assert np.array_equal(found.arrays["x"], again.arrays["x"])


@pytest.mark.parametrize(
    ("shapes", "ranges", "problem"),
    [
        (["x"], [], "--shape must be NAME=1,128"),
        (["x=1,a"], [], "--shape must be NAME=1,128"),
        (["x=0,4"], [], "--shape must be NAME=1,128"),
        (["y=1"], [], r"--shape y=...: the model has no such input; it has x float32 \?x4"),
        (["x=2,5"], [], "--shape x=2,5: does not fit the input x"),
        (["x=1"], [], "--shape x=1: does not fit the input x"),
        ([], ["x=1"], "--range must be NAME=LOW:HIGH"),
        ([], ["x=2:1"], "--range must be NAME=LOW:HIGH"),
        ([], ["x=nan:1"], "--range must be NAME=LOW:HIGH"),
        (["x=100000000,4"], [], "64 calls of these shapes are"),
    ],
)
def test_options_that_fit_no_input_are_refused(shapes: list[str], ranges: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        random_calls([X], parse_options(shapes, ranges))


def test_rows_of_a_file_are_cut_into_calls_and_calls_are_taken_as_they_are() -> None:
    rows = np.arange(40, dtype=np.float64).reshape(10, 4)
    assert calls_of([X], {"x": rows}, options(), "f").arrays["x"].shape == (10, 1, 4)
    cut = calls_of([X], {"x": rows}, options("x=3,4"), "f").arrays["x"]
    assert cut.shape == (3, 3, 4) and cut.dtype == np.float32 and np.array_equal(cut[1], rows[3:6])
    assert calls_of([X], {"x": rows.reshape(5, 2, 4)}, options(), "f").arrays["x"].shape == (5, 2, 4)
    assert len(calls_of([X], {"x": np.zeros((999, 4))}, options(), "f").arrays["x"]) == 256


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": np.zeros((10, 5))}, r"x has shape \(10, 1, 5\), but the input is x float32 \?x4"),
        ({"x": np.zeros((2, 4)), "ids": np.zeros(2)}, "ids has float64 values"),
        ({"x": np.zeros((2, 4)), "ids": np.zeros(3, int)}, r"different numbers of calls \(x 2, ids 3\)"),
        ({"x": np.zeros((0, 4)), "ids": np.zeros(0, int)}, "x has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays: dict[str, Any], problem: str) -> None:
    ports = [X, IDS] if "ids" in arrays else [X]
    with pytest.raises(UsageError, match=problem):
        calls_of(ports, arrays, options(), "--input rows.npz")


def saved(path: Path, external: bool = False) -> Path:
    """x [rows, 4] float32 and a scalar to y."""
    weight = np.arange(1200, dtype=np.float32).reshape(4, 300) / 1000
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Mul", ["h", "scale"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4]),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 300])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save_model(model, path, save_as_external_data=external, location="weights of it.bin", size_threshold=0)
    return path


def measured(path: Path, calls: Calls, scratch: Path, arms: Sequence[str], **subject: Any) -> Report:
    file = opened_file(path)
    with prepared(file, "a_file", calls) as found:
        found = replace(found, subject=replace(found.subject, **subject))
        chosen = arms_for(found.subject, arms)
        return measure_file(found, chosen, ONE, file.reference, file.remarks, scratch / SAMPLES, lambda text: None)


@pytest.mark.parametrize("external", [False, True])
def test_an_onnx_file_is_timed_by_every_arm_of_onnx_runtime(tmp_path: Path, external: bool) -> None:
    path = saved(tmp_path / "a model.onnx", external)
    calls = random_calls(opened_file(path).ports, options("x=5,4"))
    report = measured(path, calls, tmp_path, [])
    timed = [name for name, arm in report.arms.items() if arm.timed]
    assert timed[0] == report.settings.reference == "ort-cpu:fp32"
    assert {arm.kind for arm in report.arms.values()} == {"ort-cpu", "ort-coreml", "ort-cuda"}
    assert all(gate.passed for name in timed for gate in report.arms[name].gates if gate.name == "parity")
    assert [str(cell) for cell in report.settings.cells] == ["single"]
    assert "would take 2 of 2 nodes, in 1 partition" in report.warnings[0]
    assert list(report.subject.files) == ["a model.onnx"]


class Twofold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.layer(x) + ids[:, None]
        return {"logits": found, "p": found.softmax(-1)}


def test_an_exported_program_is_timed_by_torch_and_what_it_converts_to(tmp_path: Path) -> None:
    rows = torch.export.Dim("rows", min=2, max=64)
    given = (torch.randn(3, 4), torch.zeros(3, dtype=torch.int64))
    program = torch.export.export(Twofold().eval(), given, dynamic_shapes=({0: rows}, {0: rows}))
    path = tmp_path / "twofold.pt2"
    torch.export.save(program, path)
    file = opened_file(path)
    assert [str(port) for port in file.ports] == ["x float32 ?x4", "ids int64 ?"]
    calls = random_calls(file.ports, options("x=5,4", "ids=5", ranges=["ids=0:9"]))
    report = measured(path, calls, tmp_path, ["torch-export", "ort-cpu", "coreml-evaluator"])
    assert {name for name, arm in report.arms.items() if arm.timed} == {"torch-export:fp32", "ort-cpu:fp32"}
    parity = {name: gate for name, arm in report.arms.items() for gate in arm.gates if gate.name == "parity"}
    assert len(parity) == 3 and all(gate.passed for gate in parity.values())
    assert "beside the exported program by torch" in parity["ort-cpu:fp32"].detail
    assert report.estimates[0].placement is not None


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "small net.mlpackage"
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return packaged(module, np.zeros((1, 4), np.float32), path, LADDER[0], "fp16")


def test_a_package_without_core_ml_is_told_of_and_nothing_is_claimed(package: Path, tmp_path: Path) -> None:
    done = in_folder(tmp_path, "bench", "run", str(package))
    assert done.returncode == 0, done.stderr
    assert "inputs are random: input float32 1x4 (normal)" in done.stderr
    assert "output: 64 calls answered by the evaluator, from " in done.stdout
    assert "PREDICTED, not observed" in done.stdout and "lint: could run on the Neural Engine" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("nothing was timed: Core ML runs on macOS only")
    assert not list(tmp_path.iterdir())


def test_a_package_is_timed_on_every_compute_unit_where_there_is_core_ml(package: Path, tmp_path: Path) -> None:
    """By the adapter's fake, whose times mean nothing."""
    calls = random_calls(opened_file(package).ports, options())
    arms = ["coreml/cpu_only", "coreml/cpu_and_ne", "coreml/cpu_and_gpu", "coreml/all"]
    report = measured(package, calls, tmp_path, arms, apple="tests.export.fake_apple:on_cpu")
    assert [name for name, arm in report.arms.items() if arm.timed] == [f"{arm}:fp16" for arm in arms]


def test_arms_that_answer_otherwise_are_not_timed(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx")
    file = opened_file(path)
    calls = random_calls(file.ports, options())
    with prepared(file, "m", calls) as found:
        wrong = replace(found, expected={"y": found.expected["y"] + 1})
        chosen = arms_for(found.subject, ["ort-cpu"])
        with pytest.raises(AnelabError, match=r"largest error \S+ of the largest value, beside ONNX Runtime"):
            measure_file(wrong, chosen, ONE, file.reference, [], tmp_path / SAMPLES, lambda text: None)


def test_from_an_empty_folder_to_a_table_and_a_bundle(tmp_path: Path) -> None:
    saved(tmp_path / "m.onnx")
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 9, 4), np.float32), scale=np.float32([1, 2, 3]))
    done = in_folder(tmp_path, "bench", "run", "m.onnx", "--arm", "ort-cpu", "--input", "rows.npz")
    assert done.returncode == 0, done.stderr
    (bundle,) = tmp_path.glob("m-*.bench.zip")
    with opened_bundle(bundle) as opened:
        assert opened.report.warnings[0].startswith("inputs are 3 calls of --input rows.npz; a row of this result is")
    assert "ort-cpu:fp32" in done.stdout
    assert "ort-cpu:fp32" in in_folder(tmp_path, "bench", "show", bundle.name).stdout


@pytest.mark.parametrize("name", ["m.onnx", "m.pt2", "m.mlpackage"])
def test_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"damaged") if not name.endswith("e") else (tmp_path / name).mkdir()
    done = in_folder(tmp_path, "bench", "run", name)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2 and f"anelab: {name}: " in done.stderr
