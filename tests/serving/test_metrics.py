"""What Prometheus reads."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from anelab.learning.base import Arrays
from anelab.serving.batching import Batcher, Limits
from anelab.serving.limits import RequestLimits
from anelab.serving.metrics import Metrics, summed
from anelab.serving.repository import Repository
from tests.serving.conftest import Client, repository, running
from tests.serving.test_inference import INFER, request


def samples(client: Client) -> dict[tuple[str, ...], float]:
    """By name and the values of its labels, in order of their names."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (one.name, *(one.labels[label] for label in sorted(one.labels))): one.value
        for family in families
        for one in family.samples
    }


def test_requests_are_counted_by_model_version_and_status(models: Repository) -> None:
    with running(models) as client:
        for _ in range(3):
            client.post(INFER, request())
        client.post(INFER, {"inputs": []})
        client.post("/v2/models/nobody/infer", request())
        client.get("/v2/models/mnist")
        client.get("/a/path/of/a/stranger")
        client.get("/v2", {"Host": "evil.example.org"})
        found = samples(client)
    assert found["anelab_inference_requests_total", "mnist", "200", "1"] == 3
    assert found["anelab_inference_requests_total", "mnist", "400", "1"] == 1
    assert found["anelab_inference_requests_total", "", "404", ""] == 1
    assert found["anelab_inference_seconds_count", "mnist", "1"] == 4
    assert 0 < found["anelab_inference_seconds_sum", "mnist", "1"] < 60
    assert found["anelab_batch_rows_sum", "mnist", "1"] == 9
    assert found["anelab_batch_rows_bucket", "4", "mnist", "1"] == 3
    assert found["anelab_queued_rows", "mnist", "1"] == 0
    assert found["anelab_model_loaded", "reads", "1"] == 1
    assert found["anelab_http_requests_total", "/v2/models/{name}", "200"] == 1
    assert found["anelab_http_requests_total", "other", "404"] == 1
    assert found["anelab_http_requests_total", "refused", "403"] == 1


def test_counts_of_processes_are_summed() -> None:
    parts = [Metrics(), Metrics()]
    for seconds, part in zip((0.001, 0.2), parts, strict=True):
        part.of("m", "1").statuses[200] += 2
        part.of("m", "1").seconds.add(seconds)
        part.others["/v2", 200] += 1
    found = summed(part.snapshot() for part in parts)
    assert found.of("m", "1").statuses == {200: 4}
    assert (sum(found.of("m", "1").seconds.counts), found.of("m", "1").seconds.total) == (2, pytest.approx(0.201))
    assert found.others == {("/v2", 200): 2}


@dataclass
class Slow:
    """A model that computes until `go_on`, beside one that does not."""

    models: Repository
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def slow(home: Path) -> Iterator[Slow]:
    found = Slow(repository(home, "mnist=models:/mnist-onnx@champion", "slow=models:/mnist-onnx@champion"))
    version = found.models.version("slow")

    def predict(arrays: Arrays) -> Arrays:
        found.begun.set()
        found.go_on.wait(20)
        return version.model.predict(arrays)

    version.batcher = Batcher("slow", predict, Limits(queue_rows=4))
    yield found
    found.go_on.set()
    found.models.close()


def test_a_slow_model_holds_up_no_other_and_its_queue_has_a_bound(slow: Slow) -> None:
    with running(slow.models) as client, ThreadPoolExecutor(4) as threads:

        def ask() -> int:
            return client.post("/v2/models/slow/infer", request()).status

        first = threads.submit(ask)
        assert slow.begun.wait(20)
        others = [threads.submit(ask) for _ in range(3)]
        refused = [done.result() for done in islice(as_completed(others, 20), 2)]
        assert refused == [429, 429]
        assert samples(client)["anelab_queued_rows", "slow", "1"] == 3
        started = time.perf_counter()
        assert {client.post(INFER, request()).status for _ in range(10)} == {200}
        assert time.perf_counter() - started < 10
        slow.go_on.set()
        assert [first.result(20), *sorted(one.result(20) for one in others)] == [200, 200, 429, 429]


def test_a_model_that_takes_too_long_is_given_up(slow: Slow) -> None:
    with running(slow.models, requests=RequestLimits(request_s=0.3)) as client:
        answer = client.post("/v2/models/slow/infer", request())
        assert (answer.status, "no answer was found in 0.3 s" in answer.json()["error"]) == (504, True)
        assert client.post(INFER, request()).status == 200
        slow.go_on.set()
