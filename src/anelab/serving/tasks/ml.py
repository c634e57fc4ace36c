"""Classes and probabilities of one input, by any model that is served."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from anelab.learning.base import Array
from anelab.serving.errors import UNPROCESSABLE, RequestError
from anelab.serving.metadata import describe
from anelab.serving.protocol import port_shape
from anelab.serving.repository import Repository, Version

PATH = "/api/v1/ml"
PROBABILITY, LOGIT = "probability", "logit"
Number = Annotated[float, Field(allow_inf_nan=False)]
TOP_K = "So many classes, the likeliest first. 0: all."
MODEL_NAME = "The name by which the model is served."
ONE_IMAGE: Any = [0.0] * 784


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ClassifyRequest(Body):
    model_config = ConfigDict(
        json_schema_extra={"example": {"image_data": ONE_IMAGE, "model_name": "mnist", "top_k": 3}}
    )

    image_data: list[Number] | list[list[Number]] = Field(
        description="The values of an image, row by row, or a list of images. mnist: 784 values, 0 black to 1 white."
    )
    model_name: str = Field("mnist", description=MODEL_NAME)
    top_k: int = Field(5, ge=0, description=TOP_K)


class Prediction(BaseModel):
    class_: int = Field(alias="class")
    probability: float


class ClassifyAnswer(BaseModel):
    predictions: list[Prediction] | list[list[Prediction]] = Field(
        description="Of the image; of a list of images a list for each."
    )
    inference_time_ms: float


class InferenceRequest(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"model_name": "mnist", "input_data": ONE_IMAGE, "input_shape": [1, 1, 28, 28], "top_k": 3}
        }
    )

    model_name: str = Field("mnist", description=MODEL_NAME)
    input_data: list[Number] = Field(description="All values, row by row.")
    input_shape: list[Annotated[int, Field(ge=0, lt=1 << 31)]] | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="Of a row, or of rows with their number first. Left out: as many rows as there are values for.",
    )
    apply_softmax: bool = Field(
        True, description="Make probabilities of logits. A model that gives probabilities is left as it is."
    )
    top_k: int = Field(5, ge=0, description=TOP_K)


Row = list[float]


class ModelInfo(BaseModel):
    name: str
    version: str
    type: str
    provider: str
    output: str = Field(description="What the model's numbers are: probability, logit, or unknown.")


class InferenceAnswer(BaseModel):
    """Of several rows, a list for each row in place of each list."""

    model_config = ConfigDict(protected_namespaces=())

    output: Row | list[Row]
    probabilities: Row | list[Row] | None = Field(description="null for logits without apply_softmax.")
    top_classes: list[int] | list[list[int]] | None
    top_probabilities: Row | list[Row] | None
    inference_time_ms: float
    model_info: ModelInfo


class ModelEntry(BaseModel):
    name: str
    description: str
    input_shape: list[int] = Field(description="-1: any number of rows.")
    output_classes: int | None
    type: str
    version: str


class ModelList(BaseModel):
    available_models: list[ModelEntry]


@dataclass(frozen=True)
class Found:
    """Of rows of one request: float64 [n, classes]."""

    output: Array
    probabilities: Array | None
    seconds: float


def add_routes(api: FastAPI, models: Repository) -> None:
    @api.post(f"{PATH}/classify", summary="The likeliest classes of an image", response_model_by_alias=True)
    async def classify(body: ClassifyRequest) -> ClassifyAnswer:
        several = bool(body.image_data) and isinstance(body.image_data[0], list)
        rows: Sequence[Any] = body.image_data if several else [body.image_data]
        if len({len(row) for row in rows}) > 1:
            raise RequestError(UNPROCESSABLE, "image_data: all images must have the same number of values")
        version = models.version(body.model_name)
        found = await _predict(version, np.asarray(rows, np.float64), True)
        assert found.probabilities is not None
        lists = [
            [Prediction.model_validate({"class": place, "probability": row[place]}) for place in _top(row, body.top_k)]
            for row in found.probabilities
        ]
        return ClassifyAnswer(predictions=lists if several else lists[0], inference_time_ms=found.seconds * 1e3)

    @api.post(f"{PATH}/inference", summary="Outputs and probabilities of rows")
    async def inference(body: InferenceRequest) -> InferenceAnswer:
        version = models.version(body.model_name)
        rows, several = _rows(body, version)
        return _answer(version, await _predict(version, rows, body.apply_softmax), several, body.top_k)

    @api.get(f"{PATH}/models", summary="The models that are served")
    async def available() -> ModelList:
        return ModelList(available_models=[_entry(version) for version in models])

    @api.get(f"{PATH}/health", summary="Whether the models answer")
    async def health() -> dict[str, Any]:
        return {"status": "healthy", "models": models.names()}


def _entry(version: Version) -> ModelEntry:
    return ModelEntry(
        name=version.name,
        description=describe(version.model),
        input_shape=port_shape(version.model.inputs[0]),
        output_classes=_classes(version),
        type=version.model.format,
        version=version.number,
    )


def _classes(version: Version) -> int | None:
    shape = version.model.outputs[0].shape
    return max(shape[1], 2) if len(shape) == 2 and shape[1] is not None else None


def _rows(body: InferenceRequest, version: Version) -> tuple[Array, bool]:
    """float64 [n, values of a row], and whether the shape says how many rows."""
    row, size = _row_shape(version), len(body.input_data)
    values = np.asarray(body.input_data, np.float64)
    shape = body.input_shape
    if shape is not None and math.prod(shape) != size:
        raise RequestError(
            UNPROCESSABLE, f"input_shape {shape} is {math.prod(shape)} values, but input_data has {size}"
        )
    if shape is None or math.prod(shape) == math.prod(row):
        return values.reshape(-1, math.prod(row)) if size % math.prod(row) == 0 else values.reshape(
            1, -1
        ), size > math.prod(row)
    return values.reshape(shape[0] or 1, -1), True


def _row_shape(version: Version) -> tuple[int, ...]:
    """Of the only input. Raises RequestError for models that this API cannot ask."""
    ports = version.model.inputs
    shape = tuple(size for size in ports[0].shape[1:] if size is not None)
    if len(ports) != 1 or len(version.model.outputs) != 1 or len(shape) < len(ports[0].shape) - 1:
        raise RequestError(
            UNPROCESSABLE,
            f"{version.name} has not one input and one output of fixed shapes; ask /v2/models/{version.name}/infer",
        )
    return shape


async def _predict(version: Version, rows: Array, softmax: bool) -> Found:
    """Raises RequestError for rows that are none of the model's."""
    shape, port = _row_shape(version), version.model.inputs[0]
    if not len(rows) or rows.shape[1] != math.prod(shape):
        raise RequestError(
            UNPROCESSABLE,
            f"{version.name} takes {math.prod(shape)} values a row, {list(shape)}, but got {rows.shape[1]}",
        )
    array = _as_input(version, rows, np.dtype(port.dtype)).reshape(-1, *shape)
    started = perf_counter()
    answer = await version.predict({port.name: array}, len(array))
    output = np.asarray(answer[version.model.outputs[0].name], np.float64).reshape(len(array), -1)
    seconds = perf_counter() - started
    if not np.isfinite(output).all():
        raise RequestError(UNPROCESSABLE, f"{version.name} answers with NaN or infinity")
    return Found(output, _probabilities(output, version.quantity, softmax), seconds)


def _as_input(version: Version, rows: Array, dtype: "np.dtype[Any]") -> Array:
    low, high = version.bounds
    if rows.min() < low or rows.max() > high:
        raise RequestError(
            UNPROCESSABLE,
            f"{version.name} takes values from {low:g} to {high:g}, but got {rows.min():g} to {rows.max():g}",
        )
    if dtype.kind in "iu" and (rows != np.rint(rows)).any():
        raise RequestError(UNPROCESSABLE, f"{version.name} takes whole numbers from {low:g} to {high:g}")
    return rows.astype(dtype)


def _probabilities(output: Array, quantity: str, softmax: bool) -> Array | None:
    """Of classes: of one probability that of no and yes."""
    if quantity == PROBABILITY:
        return output if output.shape[1] > 1 else np.hstack([1 - output, output])
    if quantity == "" and _is_distribution(output):
        return output
    if not softmax:
        return None
    if output.shape[1] == 1:
        output = np.hstack([np.zeros_like(output), output])  # the softmax of which is the sigmoid
    powers = np.exp(output - output.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found


def _is_distribution(output: Array) -> bool:
    """Whether the rows of a model that does not say what it gives are probabilities already."""
    return output.shape[1] > 1 and bool((output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=1e-3))


def _top(row: Array, count: int) -> list[int]:
    """The likeliest classes; of equal ones the first."""
    order: list[int] = np.argsort(-row, kind="stable").tolist()
    return order[: count or None]


def _answer(version: Version, found: Found, several: bool, count: int) -> InferenceAnswer:
    def of_rows(rows: Any) -> Any:
        return rows if rows is None or several else rows[0]

    probabilities = found.probabilities
    top = None if probabilities is None else [_top(row, count) for row in probabilities]
    best = (
        None
        if top is None or probabilities is None
        else [[float(row[place]) for place in places] for row, places in zip(probabilities, top, strict=True)]
    )
    return InferenceAnswer(
        output=of_rows(found.output.tolist()),
        probabilities=of_rows(None if probabilities is None else probabilities.tolist()),
        top_classes=of_rows(top),
        top_probabilities=of_rows(best),
        inference_time_ms=found.seconds * 1e3,
        model_info=ModelInfo(
            name=version.name,
            version=version.number,
            type=version.model.format,
            provider=version.model.provider,
            output=version.quantity or "unknown",
        ),
    )
