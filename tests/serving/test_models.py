"""What is served, and what becomes of it when it changes where it comes from."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anelab.errors import AnelabError, UsageError
from anelab.serving.repository import parse_source
from tests.commands import SETTINGS, anelab
from tests.serving.conftest import Client, repository, running
from tests.serving.test_inference import INFER, request


def test_the_server_and_its_models_describe_themselves(client: Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data", "model_repository"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    found = client.get("/v2/models/mnist").json()
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
    assert found["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 10]}]
    assert (found["versions"], found["platform"]) == (["1"], "onnxruntime_onnx")
    assert client.get("/v2/models/mnist/versions/1/ready").json() == {"name": "mnist", "ready": True}
    assert client.get("/v2/models/mnist/versions/2").status == 404
    index = client.post("/v2/repository/index").json()
    names = ("mnist", "reads", "simple")
    assert [(one["name"], one["state"]) for one in index] == [(name, "READY") for name in names]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v2", "/v2/models/{name}", "/v2/models/{name}/infer", "/v2/repository/index"} <= set(paths)
    assert client.get("/nowhere").json() == {"error": "Not Found"}


@pytest.mark.parametrize(
    ("text", "name", "reference"),
    [
        ("mnist=models:/mnist-onnx@champion", "mnist", "models:/mnist-onnx@champion"),
        ("models:/mnist-onnx/3", "mnist-onnx", "models:/mnist-onnx/3"),
        ("some/where/digits.onnx", "digits", "some/where/digits.onnx"),
        ("some/where/digits/model.onnx", "digits", "some/where/digits/model.onnx"),
    ],
)
def test_a_model_is_served_by_its_name(text: str, name: str, reference: str) -> None:
    found = parse_source(text)
    assert (found.name, found.reference) == (name, reference)


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(UsageError, match="is no name; write NAME=REFERENCE"):
        parse_source("some/where/two words.onnx")
    with pytest.raises(UsageError, match="'two words', which is no name"):
        parse_source("two words=some/where/digits.onnx")


def test_versions_of_a_name_are_served_beside_each_other(home: Path) -> None:
    both = repository(home, "mnist=models:/mnist-onnx/1", "mnist=models:/mnist-onnx/2")
    with running(both) as client:
        assert client.get("/v2/models/mnist").json()["versions"] == ["1", "2"]
        assert client.post("/v2/models/mnist/versions/2/infer", request()).json()["model_version"] == "2"
        assert client.post(INFER, request()).json()["model_version"] == "1"
    both.close()
    with pytest.raises(UsageError, match="mnist version 1 is given twice"):
        repository(home, "mnist=models:/mnist-onnx/1", "mnist=models:/mnist-onnx@champion")


def test_a_model_that_cannot_be_loaded_is_said_at_the_start(home: Path, tmp_path: Path) -> None:
    with pytest.raises(AnelabError, match="has no version or alias 77"):
        repository(home, "models:/mnist-onnx/77")
    (tmp_path / "odd.onnx").write_bytes(b"no model")
    with pytest.raises(AnelabError, match="ONNX Runtime cannot load it"):
        repository(home, str(tmp_path / "odd.onnx"))


def test_a_moved_alias_is_served_without_a_failed_request(home: Path, tmp_path: Path) -> None:
    own = shutil.copytree(home, tmp_path / "home")
    models = repository(own, "mnist=models:/mnist-onnx@champion")
    assert anelab(own, "train", "mnist", *SETTINGS, "-S", "mnist.training.max_epochs=3").returncode == 0
    onnx = ("-S", "mnist.export.coreml=null", "-S", "mnist.training.max_epochs=3", "-S", "mnist.registry.margin=1.0")
    assert anelab(own, "export", "mnist", *SETTINGS, *onnx).returncode == 0
    found: list[tuple[int, str]] = []
    with running(models, poll_s=0.05) as client, ThreadPoolExecutor(1) as others:
        registering = others.submit(anelab, own, "register", "mnist", *SETTINGS, *onnx)
        while len({version for _, version in found}) < 2 and len(found) < 20_000:
            answer = client.post(INFER, request())
            found.append((answer.status, answer.json().get("model_version", "")))
        assert registering.result().returncode == 0
    assert {status for status, _ in found} == {200}
    assert (found[0][1], found[-1][1]) == ("1", "3")
    models.close()


def test_a_file_that_is_damaged_leaves_the_old_one_in_service(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "digits.onnx"
    shutil.copy(home / "models/mnist/export/model.onnx", file)
    models = repository(home, str(file))
    whole = file.read_bytes()
    with running(models, poll_s=0.02) as client:

        def until(reason: str) -> None:
            for _ in range(500):
                (one,) = client.post("/v2/repository/index").json()
                if (reason in one["reason"]) if reason else not one["reason"]:
                    break
                time.sleep(0.02)
            else:
                raise AssertionError(one)
            assert client.post("/v2/models/digits/infer", request()).status == 200

        file.write_bytes(whole[:100])
        until("ONNX Runtime cannot load it")
        file.unlink()
        until("is not there")
        file.write_bytes(whole)
        until("")
    models.close()
