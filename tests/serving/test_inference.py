"""Inference by the protocol: answers are the model's, and what is wrong with a request is said."""

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anelab.export.runtime import onnx_predictor
from anelab.serving.limits import RequestLimits
from anelab.serving.protocol import HEADER_LENGTH
from anelab.serving.repository import Repository
from tests.serving.conftest import Answer, Client, running

INFER = "/v2/models/mnist/infer"
ROWS = np.random.default_rng(1).random((3, 1, 28, 28), np.float32)


@pytest.fixture(scope="session")
def wanted(home: Path) -> Any:
    """What the file answers without a server."""
    return onnx_predictor(home / "models/mnist/export/model.onnx")({"input": ROWS})["output"]


def request(rows: Any = ROWS, **more: Any) -> dict[str, Any]:
    data = {"name": "input", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    return {"inputs": [data | more]}


def floats_of(answer: Answer, name: str = "output") -> Any:
    """The output of that name, which may be JSON or binary."""
    end = int(answer.headers.get(HEADER_LENGTH, len(answer.body)))
    start = end
    for item in json.loads(answer.body[:end])["outputs"]:
        size = item.get("parameters", {}).get("binary_data_size")
        values = item["data"] if size is None else np.frombuffer(answer.body[start : start + size], "<f4")
        start += size or 0
        if item["name"] == name:
            return np.array(values, np.float32).reshape(item["shape"])
    raise AssertionError(name)


def test_rows_as_json_are_answered_as_without_a_server(client: Client, wanted: Any) -> None:
    answer = client.post(INFER, request() | {"id": "42"})
    assert answer.status == 200, answer.body
    found = answer.json()
    assert (found["id"], found["model_name"], found["model_version"]) == ("42", "mnist", "1")
    np.testing.assert_allclose(floats_of(answer), wanted, atol=1e-6)
    nested = client.post(INFER, request(data=ROWS.tolist()))
    np.testing.assert_array_equal(floats_of(nested), floats_of(answer))


def test_rows_as_bytes_are_answered_as_json_or_as_bytes(client: Client, wanted: Any) -> None:
    item = {
        "name": "input",
        "shape": [3, 1, 28, 28],
        "datatype": "FP32",
        "parameters": {"binary_data_size": ROWS.nbytes},
    }
    for asked, is_binary in (
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "output", "parameters": {"binary_data": True}}]}, True),
    ):
        text = json.dumps({"inputs": [item], **asked}).encode()
        answer = client.post(INFER, text + ROWS.tobytes(), {HEADER_LENGTH: str(len(text))})
        assert answer.status == 200, answer.body
        assert (HEADER_LENGTH in answer.headers) == is_binary
        np.testing.assert_allclose(floats_of(answer), wanted, atol=1e-6)


def test_the_whole_body_may_be_the_tensor(client: Client, wanted: Any, home: Path) -> None:
    answer = client.post(INFER, ROWS.tobytes(), {HEADER_LENGTH: "0"})
    np.testing.assert_allclose(floats_of(answer), wanted, atol=1e-6)
    raw = np.full((2, 300), 5, np.uint8)
    reads = client.post("/v2/models/reads/infer", raw.tobytes(), {HEADER_LENGTH: "0"})
    alone = onnx_predictor(home / "models/read_quality/export/model.raw.onnx")({"input": raw})["output"]
    np.testing.assert_allclose(floats_of(reads), alone, atol=1e-6)


ITEM = request(ROWS[:1])["inputs"][0]
WRONG = {
    "no JSON": (b"{", "no request of inference"),
    "not a number": (json.dumps({"inputs": [ITEM | {"data": [float("nan")] * 784}]}).encode(), "malformed"),
    "no inputs": ({"inputs": []}, "takes input float32 [n, 1, 28, 28]"),
    "another name": ({"inputs": [ITEM | {"name": "x"}]}, "but got x"),
    "another shape": ({"inputs": [ITEM | {"shape": [1, 784]}]}, "but got input float32 [1, 784]"),
    "too few": ({"inputs": [ITEM | {"data": [0.5]}]}, "is 784 values, but there are 1"),
    "text": ({"inputs": [ITEM | {"data": ["a"] * 784}]}, "its values must be of FP32"),
    "ragged": ({"inputs": [ITEM | {"data": [[1.0], [1.0, 2.0]]}]}, "differ in length"),
    "deep": (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no request of inference"),
    "too large": ({"inputs": [ITEM | {"data": [1e300] * 784}]}, "NaN or infinite, or beyond the range"),
    "twice": ({"inputs": [ITEM, ITEM]}, "is given twice"),
    "no row": ({"inputs": [ITEM | {"shape": [0, 1, 28, 28], "data": []}]}, "there is no row"),
    "below 0": ({"inputs": [ITEM | {"shape": [-1, 1, 28, 28]}]}, "sizes of 0 and more"),
    "many axes": ({"inputs": [ITEM | {"shape": [1] * 99}]}, "sizes of 0 and more"),
    "a datatype": ({"inputs": [ITEM | {"datatype": "BYTES"}]}, "is none of BOOL"),
    "another datatype": ({"inputs": [ITEM | {"datatype": "FP64"}]}, "but got input float64"),
    "an output": ({"inputs": [ITEM], "outputs": [{"name": "x"}]}, "has no output x; it has output"),
    "no bytes": ({"inputs": [ITEM | {"data": None, "parameters": {"binary_data_size": 9}}]}, "0 bytes are left"),
    "a size": ({"inputs": [ITEM | {"data": None, "parameters": {"binary_data_size": -1}}]}, "number of bytes"),
    "both": ({"inputs": [ITEM | {"parameters": {"binary_data_size": 0}}]}, "give one"),
    "a long text": ({"inputs": [ITEM | {"data": ["a" * 20_000, *[0] * 783]}]}, "its values must be of FP32"),
    "a huge shape": ({"inputs": [ITEM | {"shape": [0, 10**30], "data": []}]}, ""),
    "a shape beyond memory": ({"inputs": [ITEM | {"shape": [0, 2**31 - 1, 2**31 - 1, 9], "data": []}]}, ""),
    "null": ({"inputs": [ITEM | {"data": [None] * 784}]}, "its values must be of FP32"),
    "neither": ({"inputs": [ITEM | {"data": None}]}, "neither"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str, client: Client) -> None:
    body, says = WRONG[name]
    answer = client.post(INFER, body)
    assert (answer.status, says in answer.json()["error"]) == (400, True), answer.body


def test_whole_numbers_have_no_fraction_and_a_range(client: Client) -> None:
    for data, says in (
        ([1.5] * 300, "without a fraction"),
        ([256] * 300, "is outside 0 to 255"),
        ([2**70] * 300, "UINT8"),
    ):
        item = {"name": "input", "shape": [1, 300], "datatype": "UINT8", "data": data}
        answer = client.post("/v2/models/reads/infer", {"inputs": [item]})
        assert (answer.status, says in answer.json()["error"]) == (400, True), answer.body


@pytest.mark.parametrize("length", ["9", "x", "-1", "99999999999999999999"])
def test_a_wrong_length_of_the_json_is_said(length: str, client: Client) -> None:
    answer = client.post(INFER, b"{}", {HEADER_LENGTH: length})
    assert (answer.status, "Inference-Header-Content-Length" in answer.json()["error"]) == (400, True)


def test_bytes_that_belong_to_no_input_are_refused(client: Client) -> None:
    text = json.dumps(request(ROWS[:1])).encode()
    answer = client.post(INFER, text + b"more", {HEADER_LENGTH: str(len(text))})
    assert (answer.status, "4 bytes of the body belong to no input" in answer.json()["error"]) == (400, True)
    odd = client.post(INFER, ROWS.tobytes()[:-1], {HEADER_LENGTH: "0"})
    assert (odd.status, "a row of input float32 [n, 1, 28, 28] has 3136" in odd.json()["error"]) == (400, True)


def test_what_is_not_served_is_not_found(client: Client) -> None:
    for path in ("/v2/models/nobody/infer", "/v2/models/..%2f..%2fetc/infer", "/v2/models/mnist/versions/9/infer"):
        answer = client.post(path, request())
        assert answer.status == 404, path
        assert "is not served" in answer.json()["error"] or "is served in version 1" in answer.json()["error"]
    assert client.get(INFER).status == 405
    for path in ("/v2/models/mnist/%69nfer", f"http://localhost{INFER}"):
        assert client.post(path, request()).status == 404, path


def test_a_body_that_is_too_long_is_refused_before_it_is_read(models: Repository) -> None:
    with running(models, requests=RequestLimits(body_bytes=1000)) as small:
        answer = small.post(INFER, request())
        assert (answer.status, "longer than 1,000 bytes" in answer.json()["error"]) == (413, True)
        with socket.create_connection(("127.0.0.1", small.port)) as raw:
            raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n".encode())
            assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")
        chunked = small.ask("POST", INFER, iter([b"x" * 600] * 9))
        assert chunked.status == 413
