"""The gRPC server knows keys, keeps the request log, and ends what takes too long. What its methods answer is asked by
tritonclient, in test_clients.py."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from anelab.serving.access import add_key
from anelab.serving.grpc import open_inference_pb2
from anelab.serving.limits import RequestLimits
from anelab.serving.repository import Repository
from anelab.serving.simple import NAME
from tests.serving.conftest import running
from tests.serving.test_server import free_port

messages: Any = open_inference_pb2


def infer(port: int, metadata: Mapping[str, str]) -> Any:
    """Raises grpc.RpcError."""
    tensor = {"datatype": "INT32", "shape": [1, 16], "contents": {"int_contents": range(16)}}
    inputs = [{"name": name, **tensor} for name in ("INPUT0", "INPUT1")]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=messages.ModelInferRequest.SerializeToString,
            response_deserializer=messages.ModelInferResponse.FromString,
        )
        request = messages.ModelInferRequest(model_name=NAME, id="mine", inputs=inputs)
        return call(request, metadata=tuple(metadata.items()), timeout=20, wait_for_ready=True)


def test_a_call_needs_a_key_whose_name_is_in_the_request_log(models: Repository, tmp_path: Path) -> None:
    port, keys, log = free_port(), tmp_path / "keys", tmp_path / "requests.jsonl"
    key = add_key(keys, "laptop")
    with running(models, keys=keys, request_log=log, grpc_port=port):
        for wrong in ({}, {"authorization": "Bearer x"}):
            with pytest.raises(grpc.RpcError) as raised:
                infer(port, wrong)
            assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        answer = infer(port, {"authorization": f"Bearer {key}"})
        assert np.frombuffer(answer.raw_output_contents[0], np.int32).tolist() == list(range(0, 32, 2))
    line = json.loads(log.read_text())
    assert (line["id"], line["key"], line["method"], line["status"]) == ("mine", "laptop", "gRPC", 200)


def test_a_call_that_takes_too_long_is_ended(
    models: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, batcher, released = free_port(), models.version(NAME).batcher, threading.Event()
    log = tmp_path / "requests.jsonl"
    monkeypatch.setattr(batcher, "_predict", lambda arrays: released.wait(20))
    monkeypatch.setattr(batcher, "inline_rows", 0)
    with running(models, requests=RequestLimits(request_s=0.2), request_log=log, grpc_port=port):
        with pytest.raises(grpc.RpcError) as raised:
            infer(port, {})
        released.set()
        while batcher.is_busy:
            time.sleep(0.01)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no answer was found in 0.2 s" in raised.value.details()
    assert json.loads(log.read_text())["status"] == 504
