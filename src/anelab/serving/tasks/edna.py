"""Embeddings and taxa of sequences of marker genes, as `anelab edna` gives them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from anelab.errors import AnelabError
from anelab.inference.edna.assign import COLUMNS, assign
from anelab.inference.edna.embed import embedder_of
from anelab.inference.edna.index import Index, open_index
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.nucleotides import CODES, ODD, why_not_nucleotides
from anelab.sequences.taxonomy import RANKS
from anelab.serving.errors import NOT_FOUND, TOO_MANY, UNPROCESSABLE, RequestError
from anelab.serving.repository import Repository

PATH = "/api/v1/edna"
MOST_SEQUENCES, MOST_BASES = 1000, 20_000
AT_ONCE = 2
"""Requests that are computed at the same time."""
GENE = "ACGTTGCAACGATTGCAGCTAGCATCGATCAGCTACGATTTGCATCAGGCATTACGCATCGACTTAGCG"
Sequence = Annotated[str, Field(min_length=1, max_length=MOST_BASES)]
T = TypeVar("T")
KINDS = np.frombuffer(CODES, np.uint8)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class EmbedRequest(Body):
    model_config = ConfigDict(json_schema_extra={"example": {"sequences": [GENE]}})

    sequences: list[Sequence] = Field(min_length=1, max_length=MOST_SEQUENCES, description="Nucleotides, IUPAC's too.")
    model_name: str = Field("edna", description="The name by which the model is served.")


class EmbedAnswer(BaseModel):
    embeddings: list[list[float]] = Field(description="Of length 1, in the order of the sequences.")
    dimension: int
    inference_time_ms: float


class AssignRequest(Body):
    model_config = ConfigDict(json_schema_extra={"example": {"sequences": [GENE], "ids": ["asv_1"]}})

    sequences: list[Sequence] = Field(min_length=1, max_length=MOST_SEQUENCES)
    ids: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None, description="Of the sequences; else 1, 2, ..."
    )
    index: str | None = Field(None, description="The name by which the index is served. Default: the first.")
    min_confidence: float | None = Field(None, ge=0, le=1, description="Ranks that are less sure are left empty.")


class Assignment(BaseModel):
    query: str
    taxa: dict[str, str] = Field(description="By rank; empty where it is not sure enough.")
    confidence: float
    nearest: str
    similarity: float
    ties: list[str] = Field(description="All species that are equally near.")
    novelty: float
    verdict: str


class AssignAnswer(BaseModel):
    assignments: list[Assignment]
    inference_time_ms: float


REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such model or index is served."},
    422: {"description": "A sequence is none of nucleotides, or the model is none of edna."},
    429: {"description": "Other sequences are being computed; `Retry-After` says when to try again."},
}


def add_routes(api: FastAPI, models: Repository) -> None:
    """Raises AnelabError if an index cannot be opened."""
    opened = {name: models.kept.enter_context(open_index(models.workspace, at)) for name, at in models.indexes.items()}
    threads, free = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="edna"), asyncio.Semaphore(AT_ONCE)

    async def computed(work: Callable[[], T]) -> T:
        if free.locked():
            raise RequestError(TOO_MANY, f"{AT_ONCE} requests are being computed; try again", {"Retry-After": "1"})
        async with free:
            return await asyncio.get_running_loop().run_in_executor(threads, work)

    @api.post(f"{PATH}/embed", summary="The embedding of each sequence", responses=REFUSALS)
    async def embed(body: EmbedRequest) -> EmbedAnswer:
        started, sequences = perf_counter(), _checked(body.sequences)
        model = models.version(body.model_name).model
        try:
            embedder = embedder_of(model)
        except AnelabError:
            raise RequestError(UNPROCESSABLE, f"{body.model_name} is no model of edna") from None
        found = await computed(lambda: embedder(sequences).tolist())
        return EmbedAnswer(embeddings=found, dimension=embedder.dimension, inference_time_ms=_since(started))

    @api.post(f"{PATH}/assign", summary="The taxa of each sequence", responses=REFUSALS)
    async def assign_sequences(body: AssignRequest) -> AssignAnswer:
        started, sequences = perf_counter(), _checked(body.sequences)
        ids = body.ids or [str(number) for number in range(1, len(sequences) + 1)]
        if len(ids) != len(sequences):
            raise RequestError(UNPROCESSABLE, f"there are {len(sequences)} sequences but {len(ids)} ids")
        index = _index(opened, body.index)
        found = await computed(partial(assign, index, ids, sequences, body.min_confidence))
        assignments = [_assignment(dict(zip(COLUMNS, row, strict=True))) for row in found.rows()]
        return AssignAnswer(assignments=assignments, inference_time_ms=_since(started))


def _index(opened: dict[str, Index], name: str | None) -> Index:
    if not opened:
        raise RequestError(NOT_FOUND, "no index is served; start the server with --index NAME=FOLDER")
    if name is not None and name not in opened:
        raise RequestError(NOT_FOUND, f"index {name!r:.80} is not served; served are {', '.join(opened)}")
    return opened[name] if name is not None else next(iter(opened.values()))


def _assignment(row: dict[str, str]) -> Assignment:
    figures = {name: float(row[name]) for name in ("confidence", "similarity", "novelty")}
    ties = [name for name in row["ties"].split(";") if name]
    taxa = {rank: row[rank] for rank in RANKS}
    texts = {name: row[name] for name in ("query", "nearest", "verdict")}
    return Assignment(taxa=taxa, ties=ties, **texts, **figures)


def _checked(sequences: list[str]) -> SequenceArray:
    """Raises RequestError for a letter that is none of nucleotides."""
    for number, text in enumerate(sequences, 1):
        letters = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
        odd = np.flatnonzero(KINDS[letters] == ODD)
        if odd.size:
            why = why_not_nucleotides(int(odd[0]) + 1, int(letters[odd[0]]))
            raise RequestError(UNPROCESSABLE, f"sequence {number}: {why}")
    return SequenceArray.of(sequences)


def _since(started: float) -> float:
    return (perf_counter() - started) * 1e3
