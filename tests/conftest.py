"""Shared by all tests: small configurations, real data where there are any, no store but a temporary one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import anelab.testing  # noqa: F401  # before the modules whose assertions pytest is to explain
from anelab.config import Params, load_params

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "anelab"

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# Two files of tests run at once, and their benchmarks time nothing that counts: each has a lock of its own.
os.environ["ANELAB_BENCH_LOCK"] = f"/tmp/anelab-test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.lock"

TINY = (
    "read_quality.data.simulation.reads=600",
    "read_quality.model.hidden=[128, 64]",
    "read_quality.search.n_trials=2",
    "read_quality.search.max_epochs=1",
    "read_quality.training.max_epochs=2",
    "read_quality.registry.threshold=0.5",
    "read_quality.registry.resamples=100",
    "read_quality.export.int8_tolerance={max_absolute: 1.0, min_agreement: 0.5, max_metric_loss: 0.5}",
    "read_quality.export.coreml.variants=[int8]",
    "read_quality.export.coreml.buckets=[1, 4]",
    "read_quality.bench={arms: [ort-cpu], processes: 1, rounds: 1, slice_ms: 1.0, scenarios: [single]}",
    "mnist.bench={arms: [ort-cpu], processes: 1, rounds: 1, slice_ms: 1.0, scenarios: [single]}",
    "mnist.export.coreml.variants=[int8]",
    "mnist.export.coreml.buckets=[1, 4]",
    "edna.data.simulation={families: 10, genera: 2, species: 2, individuals: 5, length: 150}",
    "edna.model.width=16",
    "edna.model.hidden=[32]",
    "edna.model.dimension=16",
    "edna.model.max_length=200",
    "edna.training.max_epochs=4",
    "edna.training.batch_size=16",
    "edna.registry.threshold=0.1",
    "edna.registry.resamples=100",
    "edna.export.coreml.variants=[]",
    "edna.export.coreml.buckets=[1, 4]",
    "edna.bench={arms: [ort-cpu], processes: 1, rounds: 1, slice_ms: 1.0, scenarios: [single]}",
    "splice.data.window=101",
    "splice.data.simulation={genes: 24, exons: 4}",
    "splice.model.encoder={kernel_sizes: [3, 9], num_filters: 2, output_dim: 8, near: 41}",
    "splice.model.hidden=8",
    "splice.training.max_epochs=3",
    "splice.training.batch_size=32",
    "splice.registry.threshold=0.1",
    "splice.registry.never_below=null",
    "splice.registry.resamples=100",
    "splice.export.coreml.variants=[]",
    "splice.export.coreml.buckets=[1, 4]",
    "splice.bench={arms: [ort-cpu], processes: 1, rounds: 1, slice_ms: 1.0, scenarios: [single]}",
    "mnist.search.n_trials=0",
    "mnist.training.max_epochs=2",
    "mnist.registry.threshold=0.2",
    "mnist.registry.resamples=100",
    "mnist.export.int8_tolerance={max_absolute: 1.0, min_agreement: 0.5, max_metric_loss: 0.5}",
)
"""Overrides that make every stage quick; the models they give are poor on purpose."""

LONG = (
    "pipeline/test_dvc.py",
    "tracking/test_registry.py",
    "pipeline/test_real_data.py",
    "bench/test_agent.py",
    "dashboards/test_pages.py",
    "test_scaffold.py",
    "tracking/test_deletions.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, they would leave the other worker with nothing to do."""
    order = {str(ROOT / "tests" / name): place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(str(item.path), len(LONG)))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no test's store another's."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def _stores() -> Iterator[None]:
    """No test waits for MLflow to make an empty store; those of `tests/tracking/test_store.py` do, in processes."""
    from anelab.tracking import store
    from tests.stores import copy_empty

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "_create", copy_empty)
        yield


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml", TINY)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data files, described in the README."""
    named = os.environ.get("ANELAB_TEST_DATA", "")
    if not named or not Path(named).is_dir():
        pytest.skip("ANELAB_TEST_DATA names no folder of real data (see README, Tests)")
    return Path(named)


def tiny(*more: str) -> Any:
    """params.yaml with TINY and `more` laid over it."""
    return load_params(ROOT / "params.yaml", [*TINY, *more])
