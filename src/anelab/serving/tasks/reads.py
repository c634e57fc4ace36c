"""PASS or FAIL of each read of a FASTQ body, as `anelab score` gives it, while the body still comes."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from anelab.errors import AnelabError
from anelab.inference.reads.scorer import THRESHOLD, Scorer, scorer_of
from anelab.inference.reads.stream import PhredName, score_pipe
from anelab.serving.errors import NOT_FOUND, TOO_MANY, UNPROCESSABLE, RequestError
from anelab.serving.inference import problem_of
from anelab.serving.repository import Repository, Version

SCORE = "/api/v1/reads/score"
MOST_STREAMS = 4
"""At the same time."""
QUEUED_PARTS = 8
"""Of the table, that wait for a slow client."""
TABLE = "text/tab-separated-values"
DESCRIPTION = """The body is FASTQ, plain or compressed (gzip, bzip2, xz, zstd), of any length. The answer is the table
that `anelab score` writes: read_id, probability, verdict. It begins before the body ends. If a record is found broken
after that, the last line starts with `# error:`, and the connection is closed before the end of the answer."""
BODY = {
    "required": True,
    "content": {
        "application/octet-stream": {
            "schema": {"type": "string", "format": "binary"},
            "example": "@read_1\nACGTACGT\n+\nIIIIIIII\n",
        }
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {TABLE: {"example": "read_id\tprobability\tverdict\nread_1\t0.998000\tPASS\n"}}},
    422: {"description": "The body is no FASTQ, or the model is none of reads."},
    429: {"description": "Other bodies are being scored; `Retry-After` says when to try again."},
}


class _Table:
    """Written in a thread, read in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._queue = loop, asyncio.Queue[bytes | Exception | None](QUEUED_PARTS)
        self.is_left = False

    def write(self, part: bytes) -> None:
        if self.is_left:
            raise BrokenPipeError
        self.put(part)

    def put(self, item: bytes | Exception | None) -> None:
        """The next part, what went wrong, or None at the end. Waits for a slow client."""
        asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop).result()

    async def parts(self) -> AsyncIterator[bytes]:
        """Raises what went wrong."""
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def leave(self) -> None:
        """Nobody reads any more; who writes learns it."""
        self.is_left = True
        while not self._queue.empty():
            self._queue.get_nowait()


class _Streamed(Response):
    """An answer that is sent while the request still comes. Starlette's own would read the request's body, in search
    of a client that left."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], held: AsyncExitStack) -> None:
        super().__init__(media_type=TABLE)
        del self.headers["content-length"]
        self._first, self._rest, self._held = first, rest, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            try:
                async for part in self._rest:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            except ClientDisconnect:
                return
            except Exception as error:
                await send(
                    {"type": "http.response.body", "body": f"# error: {_reason(error)}\n".encode(), "more_body": True}
                )
                return  # without an end, so that nobody takes it for whole
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, AnelabError) else str(problem_of(error))


def add_routes(api: FastAPI, models: Repository) -> None:
    free = asyncio.Semaphore(MOST_STREAMS)
    threads = ThreadPoolExecutor(2 * MOST_STREAMS, thread_name_prefix="reads")

    @api.post(
        SCORE,
        summary="PASS or FAIL of each read",
        description=DESCRIPTION,
        openapi_extra={"requestBody": BODY},
        responses=ANSWERS,
        response_class=StreamingResponse,
    )
    async def score(
        request: Request,
        model: Annotated[str | None, Query(description="The name by which a model of reads is served.")] = None,
        threshold: Annotated[
            float, Query(gt=0, lt=1, description="PASS is a probability of at least this.")
        ] = THRESHOLD,
        phred: Annotated[PhredName, Query(description="Offset of the quality characters.")] = "auto",
        first_150: Annotated[bool, Query(description="Judge by the first 150 bases, not by the whole read.")] = False,
    ) -> Response:
        scorer = _scorer(_version(models, model), threshold, not first_150)
        if free.locked():
            raise RequestError(TOO_MANY, f"{MOST_STREAMS} bodies are being scored; try again", {"Retry-After": "1"})
        async with AsyncExitStack() as held:
            await held.enter_async_context(free)
            table = _Table(asyncio.get_running_loop())
            held.callback(table.leave)
            await held.enter_async_context(_scoring(request, scorer, table, phred, threads))
            parts = table.parts()
            try:
                first = await anext(parts)
            except AnelabError as error:
                raise RequestError(UNPROCESSABLE, str(error)) from None
            return _Streamed(first, parts, held.pop_all())


def _version(models: Repository, name: str | None) -> Version:
    """Of that name, or the first that judges reads. Raises RequestError."""
    if name is not None:
        return models.version(name)
    for version in models:
        if version.model.metadata.get("workload") == "read_quality":
            return version
    raise RequestError(NOT_FOUND, "no model of reads is served; start the server with one of read_quality")


def _scorer(version: Version, threshold: float, whole: bool) -> Scorer:
    try:
        return scorer_of(version.model, threshold=threshold, whole=whole)
    except AnelabError:
        raise RequestError(UNPROCESSABLE, f"{version.name} is no model of reads") from None


@asynccontextmanager
async def _scoring(
    request: Request, scorer: Scorer, table: _Table, phred: PhredName, threads: ThreadPoolExecutor
) -> AsyncIterator[None]:
    """While the block lasts, one thread reads what another writes into a pipe: the body, as it comes."""
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    scoring = loop.run_in_executor(threads, _score, reader, scorer, table, phred)
    feeding = loop.create_task(_feed(request, writer, threads, table))
    try:
        yield
    finally:
        table.leave()
        feeding.cancel()
        with suppress(asyncio.CancelledError, ClientDisconnect):
            await feeding
        await scoring


async def _feed(request: Request, writer: int, threads: ThreadPoolExecutor, table: _Table) -> None:
    """The body into the pipe, which is closed in the end."""
    loop = asyncio.get_running_loop()
    with open(writer, "wb", buffering=0) as pipe, suppress(BrokenPipeError):  # the reader had enough
        async for chunk in request.stream():
            rest = memoryview(chunk)
            while rest:
                rest = rest[await loop.run_in_executor(threads, pipe.write, rest) :]


def _score(reader: int, scorer: Scorer, table: _Table, phred: PhredName) -> None:
    """In a thread. Whatever goes wrong is handed to the table's reader."""
    try:
        score_pipe(reader, scorer, phred, table.write)
        table.put(None)
    except BrokenPipeError:
        pass
    except Exception as error:
        table.put(error)
    finally:
        os.close(reader)
