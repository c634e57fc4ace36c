"""Requests and answers of the Open Inference Protocol v2 over HTTP, with its extension for binary tensors.

A request is JSON. With the header Inference-Header-Content-Length only so many bytes of the body are: the tensors
whose parameter `binary_data_size` says so follow them, little-endian, row by row. A length of 0 is the short form for
models of one input: the whole body is its tensor.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from anelab.errors import UsageError
from anelab.inference.model import Model, Port
from anelab.learning.base import Arrays
from anelab.serving.errors import UNPROCESSABLE, RequestError
from anelab.serving.tensors import (
    FLOATS,
    MOST_QUOTED,
    FloatTensor,
    InputTensor,
    array_bytes,
    check_finite,
    datatype,
    from_bytes,
    read_tensors,
    refusal,
)
from anelab.texts import printable

HEADER_LENGTH = "inference-header-content-length"


class OutputTensor(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class RequestBody(msgspec.Struct):
    inputs: Sequence[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[OutputTensor] | None = None


class FloatBody(RequestBody):
    inputs: list[FloatTensor]


class InferRequest(NamedTuple):
    """`arrays` by the names of the model's inputs; `outputs`: the names that are asked for, and whether each is to be
    binary."""

    arrays: Arrays
    rows: int
    outputs: Mapping[str, bool]
    id: str | None = None


_decoder = msgspec.json.Decoder(RequestBody)
_float_decoder = msgspec.json.Decoder(FloatBody)
_encoder = msgspec.json.Encoder()
PREFIXES_KEPT = 256


@dataclass(frozen=True)
class RawInput:
    """The body as the tensor of a model's only input. `row` is the shape of a row."""

    name: str
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    row_bytes: int


class Codec:
    """Reads requests for one version of a model, and writes their answers."""

    def __init__(self, name: str, version: str, model: Model) -> None:
        self._name, self._version, self._model = name, version, model
        self._raw, self._why_not_raw = _raw_input(model)
        self._all_binary = {port.name: True for port in model.outputs}
        self._takes_floats = all(port.dtype in FLOATS for port in model.inputs)
        self._has_fixed_outputs = all(size is not None for port in model.outputs for size in port.shape[1:])
        self._prefixes: dict[int, bytes] = {}

    def read(self, body: bytes | bytearray, header_length: int | None) -> InferRequest:
        """The request of a body. Raises RequestError that says what is wrong with it."""
        if header_length == 0:
            return self._read_raw(body)
        end = len(body) if header_length is None else header_length
        if end > len(body):
            raise refusal(f"the header Inference-Header-Content-Length is {end}, but the body has {len(body)} bytes")
        found = self._decoded(memoryview(body)[:end])
        arrays = read_tensors(found.inputs, body, end)
        wanted = _wanted(found)
        return self.checked(arrays, wanted, found.id, found.parameters.get("binary_data_output") is True)

    def checked(
        self, arrays: Arrays, wanted: Mapping[str, bool] | None, id: str | None, binary: bool = False
    ) -> InferRequest:
        """The request of these arrays. `wanted`: outputs, and whether each is to be binary; None: all, as `binary`
        says. Raises RequestError."""
        _check_arrays(arrays, self._model)
        names = [port.name for port in self._model.outputs]
        for name in wanted or ():
            if name not in names:
                raise refusal(f"{self._name} has no output {printable(name, MOST_QUOTED)}; it has {', '.join(names)}")
        outputs = dict.fromkeys(names, binary) if wanted is None else wanted
        return InferRequest(arrays, len(next(iter(arrays.values()))), outputs, id)

    def _decoded(self, text: memoryview) -> RequestBody:
        if self._takes_floats:
            with suppress(msgspec.ValidationError, msgspec.DecodeError, RecursionError):
                return _float_decoder.decode(text)
        try:
            return _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is one
            raise refusal(f"the body is no request of inference: {printable(error, MOST_QUOTED * 2)}") from None

    def _read_raw(self, body: bytes | bytearray) -> InferRequest:
        """So many rows as the body has bytes for."""
        raw = self._raw
        if raw is None:
            raise refusal(self._why_not_raw)
        rows, rest = divmod(len(body), raw.row_bytes)
        if rest or not rows:
            raise refusal(
                f"the body has {len(body)} bytes, but a row of {self._model.inputs[0]} has {raw.row_bytes}; "
                "send one row or more"
            )
        array = from_bytes(body, raw.dtype).reshape((rows, *raw.row))
        check_finite(raw.name, array)
        return InferRequest({raw.name: array}, rows, self._all_binary)

    def write(self, request: InferRequest, outputs: Arrays) -> tuple[bytes, int | None]:
        """The body of the answer, and how many bytes of it are JSON if binary tensors follow. Raises RequestError for
        values that JSON has not."""
        if request.outputs is not self._all_binary or not self._has_fixed_outputs:
            return _write(self._name, self._version, request, outputs)
        prefix = self._prefixes.get(request.rows)
        if prefix is None:  # the same for all requests of so many rows
            body, length = _write(self._name, self._version, request, outputs)
            if len(self._prefixes) < PREFIXES_KEPT:
                self._prefixes[request.rows] = body[:length]
            return body, length
        return b"".join([prefix, *[array_bytes(outputs[name]) for name in self._all_binary]]), len(prefix)


def _raw_input(model: Model) -> tuple[RawInput | None, str]:
    """Or why the body can be no tensor."""
    if len(model.inputs) != 1:
        return None, f"the body can be a tensor only for a model of one input, and {model.name} has {len(model.inputs)}"
    port = model.inputs[0]
    row = tuple(size for size in port.shape[1:] if size is not None)
    if len(row) < len(port.shape) - 1:
        return None, f"the body can be a tensor only of a shape that is fixed, and the input is {port}"
    dtype = np.dtype(port.dtype)
    return RawInput(port.name, dtype, row, math.prod(row) * dtype.itemsize), ""


def _check_arrays(arrays: Arrays, model: Model) -> None:
    try:
        model.check_rows(arrays)
    except UsageError as error:
        raise refusal(printable(error)) from None
    if not len(next(iter(arrays.values()))):
        raise refusal("there is no row; send one or more")


def port_shape(port: Port) -> list[int]:
    """As the protocol writes it: -1 takes any size."""
    return [-1, *(-1 if size is None else size for size in port.shape[1:])]


def _wanted(body: RequestBody) -> dict[str, bool] | None:
    """Outputs that are asked for, and whether each is to be binary; None for all."""
    if body.outputs is None:
        return None
    binary = body.parameters.get("binary_data_output") is True
    return {item.name: item.parameters.get("binary_data", binary) is True for item in body.outputs}


def _write(name: str, version: str, request: InferRequest, outputs: Arrays) -> tuple[bytes, int | None]:
    described, binary = [], []
    for output, as_bytes in request.outputs.items():
        array = outputs[output]
        item: dict[str, Any] = {"name": output, "datatype": datatype(array), "shape": list(array.shape)}
        if as_bytes:
            data = array_bytes(array)
            item["parameters"] = {"binary_data_size": len(data)}
            binary.append(data)
        else:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise RequestError(
                    UNPROCESSABLE, f"output {output}: the model answers with NaN or infinity, which JSON has not"
                )
            item["data"] = array.ravel().tolist()
        described.append(item)
    answer: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    text = _encoder.encode(answer)
    return (b"".join([text, *binary]), len(text)) if binary else (text, None)
