"""What surrounds Core ML on macOS, with the adapter's fake; and what is said where there is no macOS."""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab import workloads
from anelab.errors import AnelabError
from anelab.export import apple, isolated
from anelab.export.apple import CoreMLRuntime, CoreMLTools, PlannedOperator, native, placement_of
from anelab.export.coreml import LADDER, Size
from anelab.export.executors import Executors, executors
from anelab.export.manifest import Artifact
from anelab.export.proof import measure_all
from anelab.learning.base import Graph, Split, Tensor
from tests.commands import anelab
from tests.conftest import tiny
from tests.export.fake_apple import FakeApple
from tests.export.mil.converting import converter_of

ROWS = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
GRAPH = Graph("model", (Tensor("input", "float32", ("n", 6)),), (Tensor("output", "float32", ("n", 3)),))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("apple")
    converter = converter_of(nn.Sequential(nn.Linear(6, 3), nn.Softmax(-1)), ROWS[:1])
    converter.write(folder / "model.mlpackage", LADDER[0], Size(1), "fp16")
    converter.write(folder / "other.mlpackage", LADDER[0], Size(1), "fp32")
    converter.write_buckets(folder / "several.mlpackage", LADDER[0], [Size(1), Size(4)])
    return folder / "model.mlpackage"


def test_a_package_is_compiled_once_for_a_content_and_a_system(package: Path, tmp_path: Path) -> None:
    mac = FakeApple()
    runtime = CoreMLRuntime(mac, tmp_path)
    first = runtime.load(package, "cpu_and_ne")
    again = runtime.load(package, "cpu_only")
    assert first.compile_ns is not None
    assert first.compile_ns > 0
    assert again.compile_ns is None
    assert first.compiled == again.compiled
    assert [call[0] for call in mac.calls] == ["compile", "load", "load"]
    assert min(first.load_ns, again.load_ns) > 0
    other = runtime.load(package.with_name("other.mlpackage"), "all")
    assert other.compiled != first.compiled
    updated = CoreMLRuntime(FakeApple(build="25B1"), tmp_path).load(package, "all")
    assert updated.compiled not in (first.compiled, other.compiled)
    assert len(list(tmp_path.glob("*/model.mlmodelc"))) == 3


def test_a_compilation_that_fails_leaves_nothing_that_passes_for_one(package: Path, tmp_path: Path) -> None:
    mac = FakeApple()
    mac.fails = "compile"
    with pytest.raises(AnelabError, match=r"model\.mlpackage: Core ML cannot compile it: no room"):
        CoreMLRuntime(mac, tmp_path).load(package, "all")
    assert list(tmp_path.rglob("*.mlmodelc")) == []
    mac.fails = ""
    assert CoreMLRuntime(mac, tmp_path).load(package, "all").compile_ns


def test_a_load_that_fails_names_package_and_unit(package: Path, tmp_path: Path) -> None:
    mac = FakeApple()
    mac.fails = "load"
    with pytest.raises(AnelabError, match=r"model\.mlpackage: Core ML cannot load it for cpu_and_ne: ANECCompile"):
        CoreMLRuntime(mac, tmp_path).load(package, "cpu_and_ne")
    with pytest.raises(AnelabError, match=r"compute unit must be one of cpu_only, .*, all but got ane"):
        CoreMLRuntime(mac, tmp_path).load(package, "ane")


def test_the_callers_arrays_are_left_as_they_are(package: Path, tmp_path: Path) -> None:
    loaded = CoreMLRuntime(FakeApple(), tmp_path).load(package, "all")
    given = {"input": ROWS[:1].astype(np.float16)}
    found = loaded.predict(given)
    assert given["input"].dtype == np.float16
    assert found["output"].shape == (1, 3)


def test_any_number_of_rows_goes_through_the_functions_there_are(package: Path, tmp_path: Path) -> None:
    mac = FakeApple()
    runtime = CoreMLRuntime(mac, tmp_path)
    one = runtime.predictor(package, "cpu_and_ne")({"input": ROWS})["output"]
    several = runtime.predictor(package.with_name("several.mlpackage"), "cpu_only")({"input": ROWS})["output"]
    np.testing.assert_array_equal(one, several)
    assert ("load", "cpu_and_ne", "") in mac.calls
    assert {call for call in mac.calls if call[:2] == ("load", "cpu_only")} == {
        ("load", "cpu_only", "rows_1"),
        ("load", "cpu_only", "rows_4"),
    }


def planned(kind: str, preferred: str | None, cost: float | None, *supported: str) -> PlannedOperator:
    return PlannedOperator(kind, preferred, supported, cost)


PLAN = [
    planned("const", None, None),
    planned("cast", "CPU", 0.05, "CPU"),
    planned("conv", "NE", 0.6, "NE", "CPU", "GPU"),
    planned("relu", "NE", 0.1, "NE", "CPU"),
    planned("gather", "CPU", 0.05, "CPU"),
    planned("softmax", "CPU", 0.2, "NE", "CPU"),
]


def test_placement_counts_operators_cost_and_switches(package: Path, tmp_path: Path) -> None:
    placement = CoreMLRuntime(FakeApple(PLAN), tmp_path).placement(package, "cpu_and_ne")
    assert placement.operators == {"NE": 2, "GPU": 0, "CPU": 3}
    assert placement.operator_share["NE"] == 0.4
    assert placement.cost["NE"] == pytest.approx(0.7)
    assert (placement.switches, placement.supported_not_preferred) == (2, 1)
    assert placement.source == "compute_plan"


def test_without_estimates_there_is_no_share_of_cost() -> None:
    placement = placement_of([planned("conv", "NE", None, "NE")])
    assert placement.cost == {}
    assert placement.operator_share == {"NE": 1, "GPU": 0, "CPU": 0}
    nothing = placement_of([planned("const", None, None)])
    assert (nothing.operator_share, nothing.cost, nothing.switches) == ({}, {}, 0)


class _Usage(SimpleNamespace):
    pass


def _device(name: str) -> Any:
    return type(name, (), {})()


def test_the_plan_is_walked_as_coremltools_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """coremltools' own classes, filled by hand: functions are at `program.functions`, blocks are nested."""
    from coremltools.models import compute_plan as theirs

    def operation(name: str, *blocks: Any) -> Any:
        return theirs.MLModelStructureProgramOperation({}, name, [], list(blocks), None)

    inner = theirs.MLModelStructureProgramBlock([], [operation("add")], [])
    outer = theirs.MLModelStructureProgramBlock([], [operation("const"), operation("cond", inner)], [])
    program = theirs.MLModelStructureProgram({"main": theirs.MLModelStructureProgramFunction([], outer)})
    engine, processor = _device("MLNeuralEngineComputeDevice"), _device("MLCPUComputeDevice")

    class Plan:
        model_structure = theirs.MLModelStructure(None, program, None)

        def get_compute_device_usage_for_mlprogram_operation(self, one: Any) -> Any:
            if one.operator_name == "const":
                return None
            return _Usage(preferred_compute_device=engine, supported_compute_devices=[engine, processor])

        def get_estimated_cost_for_mlprogram_operation(self, one: Any) -> Any:
            return SimpleNamespace(weight=0.5) if one.operator_name == "add" else None

    asked: list[Any] = []

    def load(path: str, units: Any) -> Any:
        asked.append((path, units.name))
        return Plan()

    monkeypatch.setattr(theirs.MLComputePlan, "load_from_path", load)
    found = CoreMLTools().plan(Path("m.mlmodelc"), "cpu_and_ne", None)
    assert asked == [("m.mlmodelc", "CPU_AND_NE")]
    assert found == [
        PlannedOperator("const", None, (), None),
        PlannedOperator("cond", "NE", ("NE", "CPU"), None),
        PlannedOperator("add", "NE", ("NE", "CPU"), 0.5),
    ]


@pytest.mark.skipif(sys.platform == "darwin", reason="says what happens where there is no macOS")
def test_elsewhere_it_says_that_it_needs_macos() -> None:
    with pytest.raises(AnelabError, match="Core ML runs on macOS only, and this is Linux; `anelab model eval`"):
        native()


def test_on_macos_a_broken_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "coremltools.libcoremlpython", None)
    with pytest.raises(AnelabError, match="the compiled part of coremltools is missing on this Mac"):
        native()


FAKE, DYING = "tests.export.fake_apple:FakeApple", "tests.export.fake_apple:DyingApple"


def test_on_macos_parity_asks_core_ml_on_every_unit_each_in_a_process_of_its_own(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = partial(isolated.isolated_predictor, adapter=FAKE, cache=tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(isolated, "isolated_predictor", alone)
    found = executors(package, GRAPH, "fp16")
    units = ["coreml_cpu_only", "coreml_cpu_and_ne", "coreml_cpu_and_gpu", "coreml_all"]
    assert list(found) == ["evaluator_fp32", "evaluator_fp16", *units]
    assert found["coreml_cpu_and_ne"]()({"input": ROWS})["output"].shape == (5, 3)
    assert list(tmp_path.glob("*/model.mlmodelc"))


def test_core_ml_that_ends_its_process_costs_a_figure_and_no_more(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AnelabError, match=r"model\.mlpackage: Core ML ended its process on all"):
        isolated.isolated_predictor(package, "all", DYING, tmp_path)({"input": ROWS})
    workload, config = workloads.get("read_quality"), tiny().section("read_quality")

    def dying(path: Path, graph: Graph, variant: str) -> Executors:
        return {"coreml_all": lambda: isolated.isolated_predictor(path, "all", DYING, tmp_path)}

    split = Split({"model": {"input": ROWS}}, {"label": np.zeros(5)}, np.arange(5))
    artifact = Artifact("model.mlpackage", GRAPH, "fp16")
    assert list(measure_all(workload, config, [artifact], package.parent, lambda _: {}, split, dying)) == []
    assert "model.mlpackage was not measured on coreml_all: " in capsys.readouterr().err


def test_placement_is_printed_with_its_limits(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if sys.platform != "darwin":
        predicted = anelab(tmp_path, "model", "placement", str(package))
        assert predicted.returncode == 0 and predicted.stdout.startswith("PREDICTED, not observed")
        assert "no plan by Core ML itself: Core ML runs on macOS only" in predicted.stdout
        refused = anelab(tmp_path, "model", "placement", str(package), "--unit", "all")
        assert (refused.returncode, "Core ML runs on macOS only" in refused.stderr) == (1, True)
    monkeypatch.setattr(apple, "native", lambda: FakeApple(PLAN))
    done = anelab(tmp_path, "model", "placement", str(package))
    assert done.returncode == 0, done.stderr
    assert "NE: 2 operators (40.0%), 70.0% of the estimated cost" in done.stdout
    assert "not a trace of what ran" in done.stdout
    assert "PREDICTED, not observed" in done.stdout and "not comparable: the plan has" in done.stdout
    wrong = anelab(tmp_path, "model", "placement", str(package), "--unit", "ane")
    assert "compute unit must be one of" in wrong.stderr
