"""Core ML packages over HTTP: on macOS by the adapter, here tested with its fake; elsewhere only if it is asked for."""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from anelab.errors import AnelabError, UsageError
from anelab.export import apple, isolated
from anelab.export.isolated import KeptProcess
from anelab.export.mil.predictor import mil_predictor
from anelab.inference.model import Plan
from tests.commands import anelab
from tests.export.fake_apple import FakeApple
from tests.serving.conftest import repository, running
from tests.serving.test_inference import ROWS, floats_of, request

FAKE, DYING = "tests.export.fake_apple:FakeApple", "tests.export.fake_apple:DyingApple"


def package_of(home: Path) -> Path:
    return home / "models/mnist/export/model.mlpackage"


@pytest.mark.skipif(sys.platform == "darwin", reason="here Core ML itself would run")
def test_elsewhere_a_package_is_refused_unless_the_evaluator_is_asked_for(home: Path) -> None:
    source = f"m={package_of(home)}"
    with pytest.raises(UsageError, match="Core ML runs on macOS only; --provider evaluator computes here"):
        repository(home, source)
    done = anelab(home, "serve", "--model", source)
    assert (done.returncode, "Core ML runs on macOS only" in done.stderr) == (2, True)
    models = repository(home, source, plan=Plan("evaluator", keeps_process=True))
    wanted = mil_predictor(package_of(home))({"input": ROWS})["output"]
    with running(models) as client:
        assert client.get("/v2/models/m").json()["platform"] == "coreml_mlpackage"
        np.testing.assert_allclose(floats_of(client.post("/v2/models/m/infer", request())), wanted, atol=1e-6)
    models.close()


def test_on_macos_the_adapter_runs_it_in_a_process_that_stays(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(multiprocessing.active_children())
    monkeypatch.setattr(apple, "native", FakeApple)
    monkeypatch.setattr(isolated, "KeptProcess", partial(KeptProcess, adapter=FAKE, cache=tmp_path))
    models = repository(home, f"m={package_of(home)}", plan=Plan("cpu_and_ne", keeps_process=True))
    wanted = mil_predictor(package_of(home))({"input": ROWS})["output"]
    with running(models) as client:
        for _ in range(3):
            np.testing.assert_allclose(floats_of(client.post("/v2/models/m/infer", request())), wanted, atol=1e-6)
        info = client.post("/api/v1/ml/inference", {"model_name": "m", "input_data": ROWS[0].ravel().tolist()}).json()
        assert info["model_info"]["provider"] == "cpu_and_ne"
    (started,) = set(multiprocessing.active_children()) - before
    models.close()
    assert not started.is_alive()
    assert len(list(tmp_path.glob("*/model.mlmodelc"))) == 1, "it was compiled once"


def test_a_process_that_dies_costs_one_call(home: Path, tmp_path: Path) -> None:
    dying = KeptProcess(package_of(home), "all", DYING, tmp_path)
    with pytest.raises(AnelabError, match="Core ML ended its process on all"):
        dying.predict({"input": ROWS})
    kept = KeptProcess(package_of(home), "all", FAKE, tmp_path)
    assert kept.predict({"input": ROWS})["output"].shape == (3, 10)
    assert kept._process is not None
    kept._process.kill()
    kept._process.join()
    with pytest.raises(AnelabError, match="ended its process"):
        kept.predict({"input": ROWS})
    assert kept.predict({"input": ROWS})["output"].shape == (3, 10)
    kept.close()
