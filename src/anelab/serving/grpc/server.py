"""The same protocol over gRPC, for clients that prefer it. Needs the extra `grpc`."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Any

import grpc
import numpy as np
from grpc import StatusCode

from anelab import __version__
from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays
from anelab.serving.access import NOBODY
from anelab.serving.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    GATEWAY_TIMEOUT,
    NOT_FOUND,
    TOO_LARGE,
    TOO_MANY,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNPROCESSABLE,
    RequestError,
)
from anelab.serving.grpc import open_inference_pb2
from anelab.serving.inference import problem_of
from anelab.serving.metadata import EXTENSIONS, index_entries, metadata
from anelab.serving.protocol import InferRequest
from anelab.serving.repository import Version
from anelab.serving.service import Service
from anelab.serving.tensors import DATATYPES, array_bytes, array_of, datatype

SERVICE = "inference.GRPCInferenceService"
CODES = {
    BAD_REQUEST: StatusCode.INVALID_ARGUMENT,
    UNPROCESSABLE: StatusCode.INVALID_ARGUMENT,
    UNAUTHORIZED: StatusCode.UNAUTHENTICATED,
    FORBIDDEN: StatusCode.PERMISSION_DENIED,
    NOT_FOUND: StatusCode.NOT_FOUND,
    TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    TOO_MANY: StatusCode.RESOURCE_EXHAUSTED,
    UNAVAILABLE: StatusCode.UNAVAILABLE,
    GATEWAY_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
}
messages: Any = open_inference_pb2
CONTENTS = {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
}
"""Where values are that do not come as bytes. FP16 always does."""
CANCELLED = 499
"""In place of a status of HTTP: the client left."""
OPEN = ("ServerLive", "ServerReady")
"""That need no key."""
KEY = ContextVar("KEY", default=NOBODY)
"""The name of the caller's key."""
Method = Callable[[Any], Awaitable[Any]]


class GrpcService:
    """Answers each method; errors become gRPC's status codes."""

    def __init__(self, service: Service) -> None:
        self._service, self._models = service, service.inference.models

    async def ServerLive(self, _: Any) -> Any:  # noqa: N802  # the protocol's names
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, _: Any) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any) -> Any:  # noqa: N802
        self._version(request.name, request.version)
        return messages.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _: Any) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(name="anelab", version=__version__, extensions=EXTENSIONS)

    async def ModelMetadata(self, request: Any) -> Any:  # noqa: N802
        return messages.ModelMetadataResponse(**metadata(self._version(request.name, request.version), self._models))

    async def RepositoryIndex(self, _: Any) -> Any:  # noqa: N802
        return messages.RepositoryIndexResponse(models=index_entries(self._models))

    async def ModelInfer(self, request: Any) -> Any:  # noqa: N802
        started, status, rows = perf_counter(), 200, 0
        name = number = ""
        try:
            version = self._version(request.model_name, request.model_version)
            name, number = version.name, version.number
            wanted = {item.name: True for item in request.outputs} or None
            found = version.codec.checked(_arrays(request), wanted, request.id or None)
            rows = found.rows
            return _answer(version, request.id, found.outputs, await self._predicted(version, found))
        except asyncio.CancelledError:
            status = CANCELLED
            raise
        except Exception as error:
            problem = problem_of(error)
            status = problem.status
            raise problem from None
        finally:
            seconds = perf_counter() - started
            counts = self._service.inference.metrics.of(name, number)
            counts.statuses[status] += 1
            counts.seconds.add(seconds)
            if (log := self._service.inference.log) is not None:
                request_id = self._service.request_id({b"x-request-id": request.id.encode()})
                log.add(request_id, KEY.get(), "gRPC", f"ModelInfer {name}", status, seconds, rows)

    async def _predicted(self, version: Version, found: InferRequest) -> Arrays:
        """Raises RequestError if it takes longer than a request may."""
        most = self._service.limits.request_s
        try:
            async with asyncio.timeout(most):
                return await version.predict(found.arrays, found.rows)
        except TimeoutError:
            raise RequestError(GATEWAY_TIMEOUT, f"no answer was found in {most:g} s") from None

    def _version(self, name: str, version: str) -> Version:
        return self._models.version(name, version or None)

    def handler(self) -> grpc.GenericRpcHandler:
        methods = {}
        for described in messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
            kind = getattr(messages, described.input_type.name)
            methods[described.name] = grpc.unary_unary_rpc_method_handler(
                self._answering(described.name, getattr(self, described.name)),
                request_deserializer=kind.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _answering(self, name: str, method: Method) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: Any) -> Any:
            try:
                if name not in OPEN:
                    KEY.set(self._service.access.check_key(_headers(context)))
                return await method(request)
            except Exception as error:
                problem = problem_of(error)
                await context.abort(CODES.get(problem.status, StatusCode.INTERNAL), str(problem))

        return answer


def _headers(context: Any) -> Mapping[bytes, bytes]:
    pairs = ((key, value) for key, value in context.invocation_metadata() if isinstance(value, str))
    return {key.encode(): value.encode() for key, value in pairs}


def _arrays(request: Any) -> Arrays:
    raw: Sequence[bytes] = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestError(BAD_REQUEST, f"raw_input_contents has {len(raw)} tensors for {len(request.inputs)} inputs")
    names = [item.name for item in request.inputs]
    if len(set(names)) < len(names):
        raise RequestError(BAD_REQUEST, "an input is given twice")
    return {item.name: _array(item, raw[number] if raw else None) for number, item in enumerate(request.inputs)}


def _array(item: Any, raw: bytes | None) -> Array:
    if item.datatype not in DATATYPES:
        raise RequestError(BAD_REQUEST, f"input {item.name[:80]}: datatype is none of {', '.join(DATATYPES)}")
    dtype = np.dtype(DATATYPES[item.datatype])
    if raw is not None:
        return array_of(item.name, raw, item.datatype, list(item.shape))
    if item.datatype not in CONTENTS:
        raise RequestError(BAD_REQUEST, f"input {item.name[:80]}: {item.datatype} comes in raw_input_contents")
    values = np.array(getattr(item.contents, CONTENTS[item.datatype]))
    if values.size != math.prod(item.shape):
        raise RequestError(BAD_REQUEST, f"input {item.name[:80]}: {values.size} values are no {list(item.shape)}")
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if dtype.kind in "iu" and (cast != values).any():
        raise RequestError(BAD_REQUEST, f"input {item.name[:80]}: a value is outside the range of {item.datatype}")
    return array_of(item.name, cast.tobytes(), item.datatype, list(item.shape))


def _answer(version: Version, request_id: str, wanted: Mapping[str, bool], outputs: Arrays) -> Any:
    arrays = {name: outputs[name] for name in wanted}
    return messages.ModelInferResponse(
        model_name=version.name,
        model_version=version.number,
        id=request_id,
        outputs=[{"name": name, "datatype": datatype(array), "shape": array.shape} for name, array in arrays.items()],
        raw_output_contents=[array_bytes(array) for array in arrays.values()],
    )


async def start_grpc(service: Service, address: str, shares_port: bool) -> Any:
    """A server that has started. Raises AnelabError if the address cannot be used."""
    most = service.limits.body_bytes
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", most),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(shares_port)),
        ]
    )
    server.add_generic_rpc_handlers((GrpcService(service).handler(),))
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise AnelabError(f"--grpc-port: {address} cannot be used; choose another") from None
    await server.start()
    return server
