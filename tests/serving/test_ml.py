"""The task API: classes and probabilities, as the offline evaluation has them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anelab.export.runtime import onnx_predictor
from tests.serving.conftest import Client, repository, running

CLASSIFY, INFERENCE = "/api/v1/ml/classify", "/api/v1/ml/inference"
IMAGES = np.random.default_rng(3).random((4, 784)).astype(np.float32)


@pytest.fixture(scope="module")
def wanted(home: Path) -> Any:
    """What the file answers without a server."""
    predict = onnx_predictor(home / "models/mnist/export/model.onnx")
    return predict({"input": IMAGES.reshape(4, 1, 28, 28)})["output"]


def write_model(path: Path, last: str, columns: int) -> None:
    """A model of `columns` numbers, without a manifest: twice its input, and then perhaps an operator."""
    shape = ["n", columns]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [columns, columns], (np.eye(columns) * 2).ravel())
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h" if last else "y"])]
    nodes += [helper.make_node(last, ["h"], ["y"])] if last else []
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_an_image_is_classified(client: Client, wanted: Any) -> None:
    found = client.post(CLASSIFY, {"image_data": IMAGES[0].tolist(), "model_name": "mnist", "top_k": 3}).json()
    order = np.argsort(-wanted[0], kind="stable")[:3]
    assert [item["class"] for item in found["predictions"]] == order.tolist()
    np.testing.assert_allclose([item["probability"] for item in found["predictions"]], wanted[0][order], atol=1e-6)
    assert found["inference_time_ms"] > 0


def test_defaults_are_mnist_and_five_and_0_is_all(client: Client) -> None:
    data = {"image_data": IMAGES[0].tolist()}
    assert len(client.post(CLASSIFY, data).json()["predictions"]) == 5
    assert len(client.post(CLASSIFY, data | {"top_k": 0}).json()["predictions"]) == 10


def test_images_are_classified_row_by_row(client: Client, wanted: Any) -> None:
    found = client.post(CLASSIFY, {"image_data": IMAGES.tolist(), "top_k": 1}).json()["predictions"]
    assert [row[0]["class"] for row in found] == wanted.argmax(axis=1).tolist()


@pytest.mark.parametrize("softmax", [True, False])
def test_probabilities_are_never_softmaxed_again(client: Client, wanted: Any, softmax: bool) -> None:
    body = {"input_data": IMAGES.ravel().tolist(), "input_shape": [4, 1, 28, 28], "apply_softmax": softmax}
    found = client.post(INFERENCE, body).json()
    np.testing.assert_allclose(found["probabilities"], wanted, atol=1e-6)
    np.testing.assert_allclose(found["output"], wanted, atol=1e-6)
    assert found["top_classes"][0] == np.argsort(-wanted[0], kind="stable")[:5].tolist()
    assert found["model_info"] | {"provider": ""} == {
        "name": "mnist",
        "version": "1",
        "type": "onnx",
        "provider": "",
        "output": "probability",
    }


def test_one_row_is_a_list_and_rows_are_lists(client: Client) -> None:
    data = {"input_data": IMAGES[0].tolist()}
    for shape in ([784], [1, 28, 28], [1, 1, 28, 28], None):
        assert len(client.post(INFERENCE, data | {"input_shape": shape}).json()["output"]) == 10
    two = client.post(INFERENCE, {"input_data": IMAGES[:2].ravel().tolist()}).json()
    assert [len(row) for row in two["output"]] == [10, 10]


def test_one_probability_is_two_classes(client: Client, home: Path) -> None:
    read = [5] * 300
    found = client.post(INFERENCE, {"model_name": "reads", "input_data": read}).json()
    predict = onnx_predictor(home / "models/read_quality/export/model.raw.onnx")
    chance = float(predict({"input": np.array([read], np.uint8)})["output"][0, 0])
    np.testing.assert_allclose(found["probabilities"], [1 - chance, chance], atol=1e-6)
    assert found["output"] == [pytest.approx(chance, abs=1e-6)]


def test_what_is_softmaxed_follows_from_the_graph_where_there_is_no_manifest(tmp_path: Path, home: Path) -> None:
    for name, last, columns in (("logits", "", 3), ("chances", "Softmax", 3), ("odds", "", 1), ("odd", "Tanh", 3)):
        write_model(tmp_path / f"{name}.onnx", last, columns)
    models = repository(home, *(str(path) for path in tmp_path.glob("*.onnx")))
    powers = np.exp([2.0, 4.0, 6.0])
    chances = powers / powers.sum()
    with running(models) as client:

        def ask(name: str, data: list[float], **more: Any) -> Any:
            return client.post(INFERENCE, {"model_name": name, "input_data": data, **more}).json()

        np.testing.assert_allclose(ask("logits", [1, 2, 3])["probabilities"], chances, atol=1e-6)
        np.testing.assert_allclose(ask("chances", [1, 2, 3])["probabilities"], chances, atol=1e-6)
        np.testing.assert_allclose(ask("odds", [1])["probabilities"][1], 1 / (1 + np.exp(-2)), atol=1e-6)
        assert ask("odd", [1, 2, 3])["model_info"]["output"] == "unknown"
        plain = ask("logits", [1, 2, 3], apply_softmax=False)
        assert (plain["output"], plain["probabilities"], plain["top_classes"]) == ([2, 4, 6], None, None)
        assert np.isfinite(ask("logits", [1e4, -1e4, 0])["probabilities"]).all()
    models.close()


def test_the_models_are_listed(client: Client) -> None:
    found = {item["name"]: item for item in client.get("/api/v1/ml/models").json()["available_models"]}
    assert found["mnist"] == {
        "name": "mnist",
        "description": "probability of each digit of mnist",
        "input_shape": [-1, 1, 28, 28],
        "output_classes": 10,
        "type": "onnx",
        "version": "1",
    }
    assert found["reads"]["output_classes"] == 2
    assert client.get("/api/v1/ml/health").json()["status"] == "healthy"


ONE = IMAGES[0].tolist()
WRONG: dict[str, tuple[str, Any, int, str]] = {
    "bytes instead of 0 to 1": (CLASSIFY, {"image_data": [255.0] * 784}, 422, "takes values from 0 to 1, but got 255"),
    "a wrong length": (CLASSIFY, {"image_data": [0.5] * 783}, 422, "takes 784 values a row, [1, 28, 28], but got 783"),
    "no values": (CLASSIFY, {"image_data": []}, 422, "but got 0"),
    "ragged": (CLASSIFY, {"image_data": [ONE, ONE[:5]]}, 422, "same number of values"),
    "an unknown model": (CLASSIFY, {"image_data": ONE, "model_name": "../mnist"}, 404, "is not served"),
    "a negative number": (CLASSIFY, {"image_data": ONE, "top_k": -1}, 422, "top_k"),
    "another key": (CLASSIFY, {"image_data": ONE, "topk": 1}, 422, "topk"),
    "text": (CLASSIFY, {"image_data": ["a"] * 784}, 422, "image_data"),
    "no JSON": (CLASSIFY, b"{", 400, ""),
    "a shape of others": (INFERENCE, {"input_data": ONE, "input_shape": [2, 784]}, 422, "is 1568 values"),
    "no shape": (INFERENCE, {"input_data": [1.0], "input_shape": []}, 422, "input_shape"),
    "a shape beyond numbers": (INFERENCE, {"input_data": [1.0], "input_shape": [10**30]}, 422, "input_shape"),
    "fractions": (INFERENCE, {"model_name": "reads", "input_data": [0.5] * 300}, 422, "whole numbers from 0 to 255"),
    "two inputs": (INFERENCE, {"model_name": "simple", "input_data": [1] * 16}, 422, "/v2/models/simple/infer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str, client: Client) -> None:
    path, body, status, says = WRONG[name]
    answer = client.post(path, body)
    assert (answer.status, says in answer.json()["error"]) == (status, True), answer.body


def test_types_of_bodies(client: Client) -> None:
    body = {"image_data": ONE}
    assert (
        client.post(CLASSIFY, body, {"Content-Type": "application/x-www-form-urlencoded"}).status == 200
    )  # as curl -d
    for headers in ({"Content-Type": "text/html"}, {"Content-Encoding": "gzip"}):
        answer = client.post(CLASSIFY, body, headers)
        assert (answer.status, "error" in answer.json()) == (415, True)
