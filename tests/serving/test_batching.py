"""Rows that come together are predicted together, each request gets its own, and nobody waits for a slow model."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from anelab.errors import AnelabError
from anelab.learning.base import Arrays
from anelab.serving.batching import INLINE_S, TRIED_ROWS, Batcher, Limits, Speed, measure_speed
from anelab.serving.errors import RequestError

QUICK = Speed(row_s=1e-4, batch_row_s=1e-5)


def doubled(arrays: Arrays) -> Arrays:
    if (arrays["x"] < 0).any():
        raise AnelabError("a row is below 0")
    return {"y": arrays["x"] * 2}


def rows(*values: float) -> Arrays:
    return {"x": np.array(values)}


def ask(batcher: Batcher, *requests: Arrays) -> Any:
    async def all_of_them() -> list[Any]:
        waiting = [batcher.predict(one, len(one["x"])) for one in requests]
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("speed", [QUICK, None], ids=["in the loop", "in threads"])
def test_requests_of_one_moment_are_one_batch_and_each_gets_its_own(speed: Speed | None) -> None:
    batches: list[int] = []
    batcher = Batcher("m", doubled, Limits(), speed, batches.append)
    answers = ask(batcher, rows(1), rows(2, 3), rows(4))
    assert [answer["y"].tolist() for answer in answers] == [[2], [4, 6], [8]]
    assert batches == [4]
    assert not batcher.is_busy


@pytest.mark.parametrize("speed", [QUICK, None], ids=["in the loop", "in threads"])
def test_no_request_fails_for_the_rows_of_another(speed: Speed | None) -> None:
    first, broken, last = ask(Batcher("m", doubled, Limits(), speed), rows(1), rows(-1), rows(3))
    assert (first["y"].tolist(), last["y"].tolist()) == ([2], [6])
    assert isinstance(broken, AnelabError)


def test_a_batch_has_a_bound_and_a_large_request_goes_alone() -> None:
    batches: list[int] = []
    ask(Batcher("m", doubled, Limits(batch_rows=2), None, batches.append), rows(1), rows(2), rows(3, 4, 5), rows(6))
    assert batches == [2, 3, 1]


def test_batches_are_off_where_they_do_not_pay() -> None:
    assert Batcher("m", doubled, Limits(), Speed(row_s=1e-3, batch_row_s=1e-3)).batch_rows == 1
    assert Batcher("m", doubled, Limits(), QUICK).batch_rows == 256


def test_what_would_hold_up_the_loop_is_computed_in_a_thread() -> None:
    where: list[str] = []

    def predict(arrays: Arrays) -> Arrays:
        where.append(threading.current_thread().name)
        return doubled(arrays)

    batcher = Batcher("m", predict, Limits(), Speed(row_s=1e-3, batch_row_s=INLINE_S / 2))
    ask(batcher, rows(1))
    ask(batcher, rows(1, 2, 3))
    assert where == [threading.current_thread().name, "predict m_0"]


def test_too_many_that_wait_are_told_to_come_again() -> None:
    batcher = Batcher("m", doubled, Limits(batch_rows=1, queue_rows=3))
    answers = ask(batcher, *[rows(1)] * 8)
    refused = [answer for answer in answers if isinstance(answer, RequestError)]
    assert len(refused) == 5
    assert {(error.status, error.headers["Retry-After"]) for error in refused} == {(429, "1")}
    assert batcher.queued_rows == 0


def test_who_left_is_not_computed_for() -> None:
    batches: list[int] = []
    batcher = Batcher("m", doubled, Limits(), QUICK, batches.append)

    async def leave() -> None:
        gone = batcher.submit(rows(1), 1, lambda found: pytest.fail("nobody waits for it"))
        stays = asyncio.create_task(batcher.predict(rows(2), 1))
        gone.is_cancelled = True
        assert (await stays)["y"].tolist() == [4]

    asyncio.run(leave())
    assert batches == [1]


def test_speed_is_measured_of_a_row_and_of_a_batch() -> None:
    sizes: list[int] = []

    def predict(arrays: Arrays) -> Arrays:
        sizes.append(len(arrays["x"]))
        return doubled(arrays)

    assert measure_speed(predict, rows(0)).row_s > 0
    assert sizes == [1] * 4 + [TRIED_ROWS] * 4
