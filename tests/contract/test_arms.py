"""Every arm that can run here meets the contract: ONNX Runtime, torch, the rule, a real server, Core ML's fake."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from anelab.bench.arms.catalog import kinds, parse_arm
from anelab.bench.arms.contract import Arm, Subject
from anelab.errors import AnelabError, UsageError
from anelab.export.runtime import SessionPlan, open_session
from anelab.testing.arms import ArmContract
from tests.bench.conftest import exported  # noqa: F401
from tests.serving.conftest import repository, running


class TestOrtCpu(ArmContract):
    name = "ort-cpu"


class TestOrtCpuThreads(ArmContract):
    name = "ort-cpu/2"


class TestOrtCpuInt8(ArmContract):
    name = "ort-cpu:int8"
    tolerance = 1.0


class TestOrtCpuRaw(ArmContract):
    name = "ort-cpu:raw"


class TestTorchEager(ArmContract):
    name = "torch-eager"


class TestTorchCompile(ArmContract):
    name = "torch-compile"


class TestClassical(ArmContract):
    name = "classical"


class FakeCoreML(ArmContract):
    """The arm around the adapter's fake, which runs the package by the evaluator and claims no speed."""

    tolerance = 5e-3
    batches = (1, 4)

    @pytest.fixture(scope="class")
    def subject(self, exported: Subject, tmp_path_factory: pytest.TempPathFactory) -> Subject:  # noqa: F811
        cache = tmp_path_factory.mktemp("cache")
        return replace(exported, cache=cache, apple="tests.export.fake_apple:on_ne")


class TestCoreMLOnNE(FakeCoreML):
    name = "coreml/cpu_and_ne"


class TestCoreMLCpuInt8(FakeCoreML):
    name = "coreml/cpu_only:int8"
    tolerance = 1.0
    batches = (1,)


class TestCoreMLEvaluator(ArmContract):
    name = "coreml-evaluator"
    tolerance = 5e-3


class TestHttp(ArmContract):
    name = "http"

    @pytest.fixture(scope="class")
    def subject(self, exported: Subject) -> Iterator[Subject]:  # noqa: F811
        """Served by `anelab serve`."""
        models = repository(exported.folder, f"mnist={exported.folder / 'model.onnx'}")
        with running(models) as client:
            yield replace(exported, url=f"http://127.0.0.1:{client.port}/v2/models/mnist")
        models.close()


def test_every_kind_is_tested_here_or_says_why_it_cannot_run(exported: Subject) -> None:  # noqa: F811
    tested = {parse_arm(one.name).kind for one in ArmContract.__subclasses__() if hasattr(one, "name")} | {"coreml"}
    for kind in kinds().keys() - tested:
        assert parse_arm(kind).unavailable(exported), kind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ort-cpo", "did you mean ort-cpu?"),
        ("ort-cpu/0", "a number of threads from 1 to 1024"),
        ("ort-cpu/²", "a number of threads"),
        ("ort-cpu/99999999999999999999", "a number of threads"),
        ("coreml/gpu", "coreml/cpu_only"),
        ("classical/2", "classical alone"),
        ("", "kind[/option][:variant]"),
    ],
)
def test_a_wrong_name_is_told_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arm(text)
    assert says in str(caught.value)


def test_a_variant_that_was_not_exported_is_named_with_those_that_were(exported: Subject) -> None:  # noqa: F811
    assert parse_arm("ort-cpu:int4").unavailable(exported) == "there is no onnx file in int4; there is fp32, int8"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has the provider")
def test_a_provider_that_would_fall_back_silently_is_an_error(exported: Subject) -> None:  # noqa: F811
    with pytest.raises(AnelabError, match="fell back from CoreMLExecutionProvider to CPUExecutionProvider"):
        open_session(exported.folder / "model.onnx", SessionPlan("CoreMLExecutionProvider"))


def test_ort_coreml_fixes_shapes_and_keeps_a_cache_for_each_model(exported: Subject) -> None:  # noqa: F811
    """By documentation: no Mac is here to run it."""
    arm: Any = parse_arm("ort-coreml")
    entry = exported.manifest["files"]["model.onnx"]
    options = arm.provider_options(replace(exported, cache=exported.folder.parent / "cache"), "model.onnx")
    assert options["MLComputeUnits"] == "CPUAndNeuralEngine"
    assert (options["ModelFormat"], options["RequireStaticInputShapes"]) == ("MLProgram", "1")
    assert options["ModelCacheDirectory"].endswith(entry["sha256"])
    assert arm.fixed_rows
    older: Any = parse_arm("ort-coreml/all_nn")
    assert (
        older.provider_options(replace(exported, cache=exported.folder.parent / "cache"), "model.onnx")["ModelFormat"]
        == "NeuralNetwork"
    )
    session = open_session(exported.folder / "model.onnx", SessionPlan(rows=8))
    assert session.get_inputs()[0].shape[0] == 8


def test_placement_of_onnx_runtime_is_what_it_assigned(exported: Subject) -> None:  # noqa: F811
    arm: Arm = parse_arm("ort-cpu")
    found = arm.open(exported, observe=True).placement(1)
    assert found.source == "ort_assignment"
    assert found.operators["CPUExecutionProvider"] >= 10
    assert (found.ne_share, found.partitions) == (0.0, 0)
    assert arm.open(exported).placement(1).source == "none"
