"""Rows of requests that are there at the same moment, predicted together. Nobody waits for a batch to fill.

Requests of one turn of the event loop go to the model at once. A model that is quick computes in the loop itself; any
other in threads of its own, so that it holds up nobody, and those that come meanwhile are its next batch.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from anelab.learning.base import Arrays, Predictor
from anelab.serving.errors import TOO_MANY, RequestError

log = logging.getLogger("anelab.serving")
RETRY_AFTER_S = 1
INLINE_S = 0.002
"""For which a batch may hold up the event loop."""
BATCH_GAIN = 0.9
"""Batches pay if a row of a batch takes less than this share of a row alone."""
TRIED_ROWS = 64
Done = Callable[[Arrays | Exception], None]


@dataclass(frozen=True)
class Limits:
    """`batch_rows`: predicted together at most; a request of more rows goes alone. `queue_rows`: that may wait.
    `threads`: batches of one model that are predicted at the same time."""

    batch_rows: int = 256
    queue_rows: int = 8192
    threads: int = 1


@dataclass(frozen=True)
class Speed:
    """Seconds that a model took for one row, and for each row of a batch. Measured when it was loaded."""

    row_s: float
    batch_row_s: float

    def batch_rows(self, most: int) -> int:
        """1 where batches do not pay."""
        return most if self.batch_row_s < BATCH_GAIN * self.row_s else 1

    @property
    def inline_rows(self) -> int:
        """As many as the event loop may wait for."""
        return int(INLINE_S / self.batch_row_s)


def measure_speed(predict: Predictor, row: Arrays) -> Speed:
    """Of one row and of a batch of them, each the best of three after one that does not count."""
    batch = {name: np.repeat(array, TRIED_ROWS, axis=0) for name, array in row.items()}
    return Speed(_best(predict, row), _best(predict, batch) / TRIED_ROWS)


def _best(predict: Predictor, rows: Arrays) -> float:
    taken = []
    for _ in range(4):
        started = perf_counter()
        predict(rows)
        taken.append(perf_counter() - started)
    return min(taken[1:])


class Waiting:
    """A request's rows. Set `is_cancelled` when nobody waits for the answer any more."""

    __slots__ = ("arrays", "done", "is_cancelled", "rows")

    def __init__(self, arrays: Arrays, rows: int, done: Done) -> None:
        self.arrays, self.rows, self.done, self.is_cancelled = arrays, rows, done, False


class Batcher:
    """Of one version of a model, in one event loop. `speed` is None if it cannot be known: then it computes in
    threads, in batches. `on_batch` is called with the rows of each batch."""

    def __init__(
        self,
        name: str,
        predict: Predictor,
        limits: Limits,
        speed: Speed | None = None,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._name, self._predict, self._limits, self._on_batch = name, predict, limits, on_batch
        self.batch_rows = speed.batch_rows(limits.batch_rows) if speed else limits.batch_rows
        self.inline_rows = min(speed.inline_rows, self.batch_rows) if speed else 0
        self._waiting: deque[Waiting] = deque()
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix=f"predict {name}")
        self._free = limits.threads
        self._is_scheduled = False
        self.queued_rows = 0

    def submit(self, arrays: Arrays, rows: int, done: Done) -> Waiting:
        """Predict rows; `done` is called in the event loop with the answer, or with what the model raised. Raises
        RequestError if too many wait."""
        if self.queued_rows and self.queued_rows + rows > self._limits.queue_rows:
            raise RequestError(
                TOO_MANY,
                f"{self.queued_rows} rows wait for {self._name}, and at most {self._limits.queue_rows} may; try again",
                {"Retry-After": str(RETRY_AFTER_S)},
            )
        item = Waiting(arrays, rows, done)
        self._waiting.append(item)
        self.queued_rows += rows
        if not self._is_scheduled and self._free:
            self._is_scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._flush, loop)
        return item

    def __str__(self) -> str:
        if self.batch_rows == 1:
            return "a row at a time"
        where = f", up to {self.inline_rows} of them in the event loop" if self.inline_rows else ""
        return f"up to {self.batch_rows} rows together{where}"

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting) or self._free < self._limits.threads

    async def predict(self, arrays: Arrays, rows: int) -> Arrays:
        """The answer for `rows` rows. Raises as `submit`, and what the model raises."""
        answer: asyncio.Future[Arrays | Exception] = asyncio.get_running_loop().create_future()

        def done(found: Arrays | Exception) -> None:
            if not answer.done():
                answer.set_result(found)

        item = self.submit(arrays, rows, done)
        try:
            found = await answer
        finally:
            item.is_cancelled = True
        if isinstance(found, Exception):
            raise found
        return found

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Requests that wait go to the model: one small batch here, or as many as threads are free."""
        self._is_scheduled = False
        while self._free and self._waiting:
            if self._waiting[0].is_cancelled:
                self.queued_rows -= self._waiting.popleft().rows
                continue
            inline = self._waiting[0].rows <= self.inline_rows
            batch, rows = self._taken(self.inline_rows if inline else self.batch_rows)
            if batch and inline:
                self._finish(batch, rows, self._answers(batch))
                if self._waiting:  # whatever else the loop has to do comes first
                    self._is_scheduled = True
                    loop.call_soon(self._flush, loop)
                return
            if batch:
                self._free -= 1
                computed = partial(self._computed, loop, batch, rows)
                self._threads.submit(self._answers, batch).add_done_callback(
                    partial(loop.call_soon_threadsafe, computed)
                )

    def _taken(self, most: int) -> tuple[list[Waiting], int]:
        """The requests that come first, as many as fit into a batch; those whose client is gone are left out."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].rows <= most):
            item = self._waiting.popleft()
            self.queued_rows -= item.rows
            if not item.is_cancelled:
                batch.append(item)
                rows += item.rows
        return batch, rows

    def _computed(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[Waiting],
        rows: int,
        found: "Future[list[Arrays | Exception]]",
    ) -> None:
        self._free += 1
        self._flush(loop)  # the model goes on first
        self._finish(batch, rows, found.result())

    def _finish(self, batch: list[Waiting], rows: int, answers: "list[Arrays | Exception]") -> None:
        for item, answer in zip(batch, answers, strict=True):
            if not item.is_cancelled:
                try:
                    item.done(answer)
                except Exception:  # which is no reason to leave the others without an answer
                    log.exception("an answer of %s could not be delivered", self._name)
        self._on_batch(rows)

    def _answers(self, batch: list[Waiting]) -> "list[Arrays | Exception]":
        """After a batch that failed each alone: no request is to fail for the rows of another."""
        try:
            return list(self._predicted(batch))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [error if item.is_cancelled else self._answers([item])[0] for item in batch]

    def _predicted(self, batch: list[Waiting]) -> list[Arrays]:
        if len(batch) == 1:
            return [self._predict(batch[0].arrays)]
        names = batch[0].arrays
        outputs = self._predict({name: np.concatenate([item.arrays[name] for item in batch]) for name in names})
        found: list[Arrays] = []
        start = 0
        for item in batch:
            end = start + item.rows
            found.append({name: array[start:end] for name, array in outputs.items()})
            start = end
        return found

    def close(self) -> None:
        self._threads.shutdown(wait=True)
