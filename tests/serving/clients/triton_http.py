"""The calls of NVIDIA's simple HTTP clients. Run by Python of an environment with tritonclient: ADDRESS (host:port)."""

import asyncio
import sys

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)


def inputs(module, binary):
    found = [module.InferInput("INPUT0", [1, 16], "INT32"), module.InferInput("INPUT1", [1, 16], "INT32")]
    for item, array in zip(found, (FIRST, SECOND), strict=True):
        item.set_data_from_numpy(array, binary_data=binary)
    return found


def check(result):
    assert (result.as_numpy("OUTPUT0") == FIRST + SECOND).all()
    assert (result.as_numpy("OUTPUT1") == FIRST - SECOND).all()


def health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("simple")
    assert client.is_model_ready("simple", "1")
    assert "binary_tensor_data" in client.get_server_metadata(query_params={"test_1": 1, "test_2": 2})["extensions"]
    assert client.get_model_metadata("simple")["name"] == "simple"
    assert "simple" in {model["name"] for model in client.get_model_repository_index()}
    assert "Request for unknown model" in refusal(lambda: client.get_model_metadata("wrong_model_name"))


def refusal(call):
    """What the server answers to a call that is wrong."""
    try:
        call()
    except InferenceServerException as error:
        return str(error)
    return "nothing"


def inference(client):
    for binary in (True, False):
        for binary_output in (True, False):
            outputs = [http.InferRequestedOutput(name, binary_data=binary_output) for name in ("OUTPUT0", "OUTPUT1")]
            check(client.infer("simple", inputs(http, binary), outputs=outputs, headers={"test": "1"}, request_id="7"))
    check(client.infer("simple", inputs(http, True), query_params={"test_1": 1}))
    only = client.infer("simple", inputs(http, True), outputs=[http.InferRequestedOutput("OUTPUT0")])
    assert only.as_numpy("OUTPUT1") is None
    asked = [client.async_infer("simple", inputs(http, True)) for _ in range(8)]
    for one in asked:
        check(one.get_result())
    assert "400" in refusal(lambda: client.infer("simple", inputs(http, True)[:1]))


async def inference_aio(address):
    async with http_aio.InferenceServerClient(address) as client:
        for result in await asyncio.gather(*(client.infer("simple", inputs(http_aio, True)) for _ in range(8))):
            check(result)


if __name__ == "__main__":
    with http.InferenceServerClient(sys.argv[1], concurrency=4) as client:
        health_and_metadata(client)
        inference(client)
    asyncio.run(inference_aio(sys.argv[1]))
    print("PASS: triton over HTTP")
