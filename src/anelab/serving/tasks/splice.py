"""Chances of donor, acceptor and neither for windows around positions, as `anelab splice score` gives them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from anelab.errors import AnelabError
from anelab.inference.splice.score import predict_windows
from anelab.inference.splice.scorer import scorer_of
from anelab.serving.errors import TOO_MANY, UNPROCESSABLE, RequestError
from anelab.serving.repository import Repository

PATH = "/api/v1/splice/predict"
MOST_WINDOWS, MOST_BASES = 1000, 20_001
AT_ONCE = 2
"""Requests that are computed at the same time."""
NAMES = [f"{track}_{place}" for track in ("donor", "acceptor", "neither") for place in ("m2", "m1", "p0", "p1", "p2")]
EXAMPLE: Any = {"sequence": "TTACCGATTCAAGCAGGTAAGTCCATTGCA", "scores": dict.fromkeys(NAMES, 0.25)}
Sequence = Annotated[str, Field(min_length=5, max_length=MOST_BASES)]
Chance = Annotated[float, Field(ge=0, le=1)]


class Window(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sequence: Sequence = Field(description="The position is letter `length // 2`, from 0.")
    scores: dict[str, Chance] | None = Field(None, description="The base model's, donor_m2 to neither_p2.")


class PredictRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid", protected_namespaces=(), json_schema_extra={"example": {"windows": [EXAMPLE]}}
    )

    windows: list[Window] = Field(min_length=1, max_length=MOST_WINDOWS)
    model_name: str = Field("splice", description="The name by which the model is served.")


class Prediction(BaseModel):
    donor: float
    acceptor: float
    neither: float
    verdict: str
    base: dict[str, float] = Field(description="The base model's own chances.")


class PredictAnswer(BaseModel):
    predictions: list[Prediction] = Field(description="In the order of the windows.")
    inference_time_ms: float


REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such model is served."},
    422: {"description": "A letter is no nucleotide, scores are missing, or the model is none of splice."},
    429: {"description": "Other windows are being computed; `Retry-After` says when to try again."},
}


def add_routes(api: FastAPI, models: Repository) -> None:
    threads, free = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="splice"), asyncio.Semaphore(AT_ONCE)

    @api.post(PATH, summary="The chances of a splice site at each window's position", responses=REFUSALS)
    async def predict(body: PredictRequest) -> PredictAnswer:
        started = perf_counter()
        model = models.version(body.model_name).model
        if free.locked():
            raise RequestError(TOO_MANY, f"{AT_ONCE} requests are being computed; try again", {"Retry-After": "1"})
        sequences, scores = zip(*((window.sequence, window.scores) for window in body.windows), strict=True)
        try:
            work = partial(predict_windows, scorer_of(model), sequences, scores)
            async with free:
                found = await asyncio.get_running_loop().run_in_executor(threads, work)
        except AnelabError as error:
            raise RequestError(UNPROCESSABLE, str(error)) from None
        predictions = [Prediction(**one.chances, base=one.base, verdict=one.verdict) for one in found]
        return PredictAnswer(predictions=predictions, inference_time_ms=(perf_counter() - started) * 1e3)
