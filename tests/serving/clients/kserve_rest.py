"""kserve's InferenceRESTClient. Run by Python of an environment with kserve: URL."""

import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)


async def main(url):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "simple")
    for binary in (True, False):
        inputs = [InferInput("INPUT0", [1, 16], "INT32"), InferInput("INPUT1", [1, 16], "INT32")]
        for item, array in zip(inputs, (FIRST, SECOND), strict=True):
            item.set_data_from_numpy(array, binary_data=binary)
        answer = await client.infer(url, InferRequest(model_name="simple", infer_inputs=inputs), model_name="simple")
        found = {output.name: output.as_numpy() for output in answer.outputs}
        assert (found["OUTPUT0"] == FIRST + SECOND).all()
        assert (found["OUTPUT1"] == FIRST - SECOND).all()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    print("PASS: kserve")
