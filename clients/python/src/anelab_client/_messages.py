"""What goes over the wire, and what it becomes: no network here."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
DATATYPES |= {f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}


class ServerError(Exception):
    """What the server refused, or could not do."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{reason} (status {status})")
        self.status, self.reason = status, reason


class ModelEntry(NamedTuple):
    """A version in service. `reason`: why a newer one is not, if there is one."""

    name: str
    version: str
    state: str
    reason: str


class Prediction(NamedTuple):
    label: int
    probability: float


class Read(NamedTuple):
    """`probability` is NaN where the model's answer was none; such a read is FAIL."""

    name: str
    probability: float
    verdict: str


def model_entries(index: list[dict[str, str]]) -> list[ModelEntry]:
    return [ModelEntry(one["name"], one.get("version", ""), one["state"], one["reason"]) for one in index]


def model_path(name: str, version: str | None, rest: str = "") -> str:
    return f"/v2/models/{name}{f'/versions/{version}' if version else ''}{rest}"


def encode_request(arrays: Mapping[str, Array], outputs: list[str] | None) -> tuple[bytes, dict[str, str]]:
    """The body, and its headers. Raises ValueError for an array of another dtype than the protocol has."""
    inputs, data = [], []
    for name, array in arrays.items():
        if str(array.dtype) not in NAMES:
            raise ValueError(f"input {name}: dtype {array.dtype} is none of {', '.join(NAMES)}")
        raw = array.tobytes()  # row by row; such a dtype is the machine's own, which is little-endian
        parameters = {"binary_data_size": len(raw)}
        datatype = NAMES[str(array.dtype)]
        inputs.append({"name": name, "shape": array.shape, "datatype": datatype, "parameters": parameters})
        data.append(raw)
    request: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if outputs is not None:
        request["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    text = json.dumps(request).encode()
    headers = {HEADER_LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}
    return b"".join([text, *data]), headers


def decode_answer(body: bytes, length: str | None) -> dict[str, Array]:
    """Outputs by name: bytes behind the JSON, whose length a header says, or JSON alone."""
    end = len(body) if length is None else int(length)
    found: dict[str, Array] = {}
    place = end
    for item in json.loads(body[:end])["outputs"]:
        dtype = np.dtype(DATATYPES[item["datatype"]])
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(item["data"], dtype)
        else:
            values = np.frombuffer(body, dtype.newbyteorder("<"), math.prod(item["shape"]), place).astype(dtype)
            place += size
        found[item["name"]] = values.reshape(item["shape"])
    return found


def error_of(status: int, body: bytes) -> ServerError:
    try:
        reason = str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        reason = body.decode("utf-8", "replace")[:200] or "no reason was given"
    return ServerError(status, reason)


def retry_after(value: str | None) -> float:
    """Seconds to wait, between 0 and 60."""
    try:
        return min(60.0, max(0.0, float(value or 1)))
    except ValueError:
        return 1.0


def read_of(line: str) -> Read:
    """Of a line of the table. Raises ServerError for the line that ends a table early."""
    if line.startswith("# error: "):
        raise ServerError(422, line.removeprefix("# error: "))
    name, value, verdict = line.split("\t")[:3]
    return Read(name, float(value), verdict)
