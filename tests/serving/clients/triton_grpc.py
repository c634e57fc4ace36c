"""The calls of NVIDIA's simple gRPC clients. Run by Python of an environment with tritonclient: ADDRESS (host:port)."""

import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)


def inputs():
    found = [grpc.InferInput("INPUT0", [1, 16], "INT32"), grpc.InferInput("INPUT1", [1, 16], "INT32")]
    for item, array in zip(found, (FIRST, SECOND), strict=True):
        item.set_data_from_numpy(array)
    return found


def check(result):
    assert (result.as_numpy("OUTPUT0") == FIRST + SECOND).all()
    assert (result.as_numpy("OUTPUT1") == FIRST - SECOND).all()


def explicit_contents(address):
    """As simple_grpc clients without the library do: numbers in the message, not bytes."""
    import grpc as plain
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    request = service_pb2.ModelInferRequest(model_name="simple", id="my request")
    for name, array in (("INPUT0", FIRST), ("INPUT1", SECOND)):
        item = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        item.contents.int_contents[:] = array.ravel().tolist()
    with plain.insecure_channel(address) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert answer.id == "my request"
    assert (np.frombuffer(answer.raw_output_contents[0], np.int32) == (FIRST + SECOND).ravel()).all()


def refusal(call):
    """The status of a call that is wrong."""
    try:
        call()
    except InferenceServerException as error:
        return str(error.status())
    return "nothing"


def refusals(client):
    assert "NOT_FOUND" in refusal(lambda: client.get_model_metadata("wrong_model_name"))
    assert "INVALID_ARGUMENT" in refusal(lambda: client.infer("simple", inputs()[:1]))
    assert "NOT_FOUND" in refusal(lambda: client.infer("simple", inputs(), model_version="9"))


if __name__ == "__main__":
    with grpc.InferenceServerClient(sys.argv[1]) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("simple")
        assert client.get_server_metadata().name == "anelab"
        assert [port.name for port in client.get_model_metadata("simple").inputs] == ["INPUT0", "INPUT1"]
        assert "simple" in {model.name for model in client.get_model_repository_index().models}
        check(
            client.infer(
                "simple", inputs(), outputs=[grpc.InferRequestedOutput("OUTPUT0"), grpc.InferRequestedOutput("OUTPUT1")]
            )
        )
        done = queue.Queue()
        for _ in range(8):
            client.async_infer("simple", inputs(), lambda result, error: done.put((result, error)))
        for _ in range(8):
            result, error = done.get(timeout=30)
            assert error is None, error
            check(result)
        refusals(client)
    explicit_contents(sys.argv[1])
    print("PASS: triton over gRPC")
