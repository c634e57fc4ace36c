"""What the server counts, and Prometheus reads at /metrics.

Requests are counted in plain numbers, and become Prometheus's families when somebody asks. Counts of several worker
processes are summed."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Snapshot = dict[str, Any]


class Histogram:
    """Counts of values up to each bound, and beyond the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass
class ModelCounts:
    """Of one version of a model."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    batches: Histogram = field(default_factory=lambda: Histogram(ROWS))


@dataclass
class Metrics:
    """`models` by name and version. `others`: requests that no model answers, by path template and status."""

    models: dict[tuple[str, str], ModelCounts] = field(default_factory=dict)
    others: Counter[tuple[str, int]] = field(default_factory=Counter)

    def of(self, name: str, version: str) -> ModelCounts:
        found = self.models.get((name, version))
        if found is None:
            found = self.models[name, version] = ModelCounts()
        return found

    def snapshot(self) -> Snapshot:
        """As JSON has it."""
        models = [
            {
                "labels": list(key),
                "statuses": {str(status): count for status, count in one.statuses.items()},
                "seconds": [one.seconds.counts, one.seconds.total],
                "batches": [one.batches.counts, one.batches.total],
            }
            for key, one in list(self.models.items())
        ]
        return {"models": models, "others": [[*key, count] for key, count in self.others.items()]}


def summed(snapshots: Iterable[Snapshot]) -> Metrics:
    """Of all workers."""
    found = Metrics()
    for snapshot in snapshots:
        for item in snapshot["models"]:
            counts = found.of(*item["labels"])
            counts.statuses.update({int(status): count for status, count in item["statuses"].items()})
            _add(counts.seconds, *item["seconds"])
            _add(counts.batches, *item["batches"])
        for path, status, count in snapshot["others"]:
            found.others[path, status] += count
    return found


def _add(histogram: Histogram, counts: list[int], total: float) -> None:
    histogram.counts = [have + more for have, more in zip(histogram.counts, counts, strict=True)]
    histogram.total += total


@dataclass(frozen=True)
class Gauges:
    """What is so at this moment. By model and version: rows that wait, and 1 for each version in service; by model,
    input and statistic: the population stability index of the last minute."""

    queued_rows: Mapping[tuple[str, str], int]
    drift: Mapping[tuple[str, str, str], float]


def prometheus_text(metrics: Metrics, gauges: Gauges) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Families(lambda: _families(metrics, gauges)))
    found: bytes = generate_latest(registry)
    return found


@dataclass(frozen=True)
class _Families:
    collect: Callable[[], Iterator[Metric]]


def _families(metrics: Metrics, gauges: Gauges) -> Iterator[Metric]:
    labels = ["model", "version"]
    requests = CounterMetricFamily(
        "anelab_inference_requests", "Requests of inference, by status of HTTP.", labels=[*labels, "status"]
    )
    seconds = HistogramMetricFamily(
        "anelab_inference_seconds", "From a request that is complete to its answer.", labels=labels
    )
    batches = HistogramMetricFamily("anelab_batch_rows", "Rows that were predicted together.", labels=labels)
    for key, counts in metrics.models.items():
        for status, count in counts.statuses.items():
            requests.add_metric([*key, str(status)], count)
        seconds.add_metric(key, *_buckets(counts.seconds))
        batches.add_metric(key, *_buckets(counts.batches))
    others = CounterMetricFamily("anelab_http_requests", "All other requests.", labels=["path", "status"])
    for (path, status), count in metrics.others.items():
        others.add_metric([path, str(status)], count)
    yield from (requests, seconds, batches, others)
    queued = GaugeMetricFamily("anelab_queued_rows", "Rows that wait for a model.", labels=labels)
    loaded = GaugeMetricFamily("anelab_model_loaded", "1 for each version in service.", labels=labels)
    for key, rows in gauges.queued_rows.items():
        queued.add_metric(key, rows)
        loaded.add_metric(key, 1)
    drift = GaugeMetricFamily(
        "anelab_input_psi",
        "Population stability index of the last minute against training rows: mean and largest of the features, and "
        "the mean that chance alone gives (noise).",
        labels=["model", "input", "statistic"],
    )
    for place, value in gauges.drift.items():
        drift.add_metric(place, value)
    yield from (queued, loaded, drift)


def _buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Cumulative counts by upper bound, and the sum."""
    found, count = [], 0
    for bound, more in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        count += more
        found.append((bound, float(count)))
    return found, histogram.total
