"""What the server answers besides inference: that it lives, and what it serves. FastAPI, which describes it too."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from anelab import __version__
from anelab.serving.errors import BAD_REQUEST, NOT_FOUND, UNPROCESSABLE, RequestError
from anelab.serving.inference import problem_of
from anelab.serving.metadata import EXTENSIONS, index_entries, metadata
from anelab.serving.metrics import CONTENT_TYPE
from anelab.serving.pages import add_page
from anelab.serving.repository import Repository
from anelab.serving.tasks import TASKS
from anelab.serving.tensors import DATATYPES
from anelab.texts import printable

TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string", "enum": list(DATATYPES)},
        "parameters": {
            "type": "object",
            "description": "`binary_data_size`: bytes behind the JSON, in place of `data`.",
        },
        "data": {"type": "array", "description": "The values row by row, flat or nested."},
    },
}
WANTED = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
}
INFER_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": {"type": "object"},
                    "inputs": {"type": "array", "items": TENSOR},
                    "outputs": {"type": "array", "items": WANTED, "description": "Left out: all outputs."},
                },
            },
            "example": {
                "inputs": [
                    {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "data": list(range(16))},
                    {"name": "INPUT1", "shape": [1, 16], "datatype": "INT32", "data": [1] * 16},
                ]
            },
        },
        "application/octet-stream": {
            "schema": {"type": "string", "format": "binary"},
        },
    },
}
INFER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The outputs.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "model_name": {"type": "string"},
                        "model_version": {"type": "string"},
                        "id": {"type": "string"},
                        "outputs": {"type": "array", "items": TENSOR},
                    },
                }
            }
        },
    },
    400: {"description": "The request is wrong; `error` says how."},
    404: {"description": "No such model or version is served."},
    413: {"description": "The body is too long."},
    429: {"description": "Too many rows wait for the model; `Retry-After` says when to try again."},
    503: {"description": "The model could not answer."},
}
INFER: dict[str, Any] = {
    "summary": "Predict rows",
    "responses": INFER_RESPONSES,
    "openapi_extra": {"requestBody": INFER_BODY},
}
"""How both addresses of inference are described."""


def make_api(models: Repository, metrics_text: Callable[[], bytes], web: Path | None = None) -> FastAPI:
    """`metrics_text`: of all processes, as Prometheus reads it. `web`: the folder of `make web`, with which the page
    runs models in the browser."""
    api = FastAPI(
        title="anelab",
        version=__version__,
        description="Models of anelab by the Open Inference Protocol v2.",
        openapi_url="/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    _add_errors(api)
    _add_server(api, models)
    _add_models(api, models)
    for add_routes in TASKS:
        add_routes(api, models)
    _add_metrics(api, metrics_text)
    add_page(api, models, web)
    return api


def _add_metrics(api: FastAPI, metrics_text: Callable[[], bytes]) -> None:
    @api.get("/metrics", summary="Counts and times, for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(metrics_text(), media_type=CONTENT_TYPE)


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @api.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        status = BAD_REQUEST if first["type"] == "json_invalid" else UNPROCESSABLE
        return JSONResponse({"error": f"{_field(first['loc'])}: {first['msg']}"}, status)

    @api.exception_handler(ClientDisconnect)
    async def left(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=BAD_REQUEST)

    @api.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        return JSONResponse({"error": str(problem)}, problem.status)


def _field(parts: Sequence[object]) -> str:
    """As a client knows it: `top_k`, not `body.top_k`."""
    return printable(".".join(map(str, parts[1:])) or "the body", 80)


def _add_server(api: FastAPI, models: Repository) -> None:
    @api.get("/v2", summary="Name, version and extensions of the server")
    async def server() -> dict[str, Any]:
        return {"name": "anelab", "version": __version__, "extensions": EXTENSIONS}

    @api.get("/v2/health/live", summary="Whether the server lives")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @api.get("/v2/health/ready", summary="Whether every model is ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @api.post("/v2/repository/models/{name}/load", include_in_schema=False)
    @api.post("/v2/repository/models/{name}/unload", include_in_schema=False)
    async def load(name: str) -> None:
        raise RequestError(BAD_REQUEST, "models are loaded as the server was started; it follows their aliases itself")

    @api.post("/v2/repository/index", summary="The models that are served")
    async def index() -> list[dict[str, str]]:
        return index_entries(models)


def _add_models(api: FastAPI, models: Repository) -> None:
    @api.get("/v2/models/{name}", summary="Inputs and outputs of a model")
    @api.get("/v2/models/{name}/versions/{number}", summary="Inputs and outputs of a version")
    async def model(name: str, number: str | None = None) -> dict[str, Any]:
        return metadata(models.version(name, number), models)

    @api.get("/v2/models/{name}/ready", summary="Whether a model is ready")
    @api.get("/v2/models/{name}/versions/{number}/ready", summary="Whether a version is ready")
    async def model_ready(name: str, number: str | None = None) -> dict[str, Any]:
        return {"name": models.version(name, number).name, "ready": True}

    @api.post("/v2/models/{name}/infer", **INFER)
    @api.post("/v2/models/{name}/versions/{number}/infer", **INFER)
    async def infer(name: str, number: str | None = None) -> None:
        """Is here to be described: `InferenceProtocol` answers it, if the address is written as it is here."""
        raise RequestError(NOT_FOUND, "no model has this address; write /v2/models/NAME/infer, without escapes")
