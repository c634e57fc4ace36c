"""What the pages read, from any store: typed, and cached for a short time and in bounds."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from anelab.bench.estimate import PublishedPair, published_pairs
from anelab.bench.published import collection
from anelab.bench.published.records import Published
from anelab.bench.results import compare
from anelab.bench.results.bundle import SAMPLES
from anelab.bench.results.samples import read_samples
from anelab.bench.results.schema import Comparison, Report
from anelab.bench.scenario import Scenario
from anelab.dashboard import WORKSPACE
from anelab.errors import AnelabError
from anelab.tracking import models, present_champion, reading, replicates, timed_versions
from anelab.tracking.reading import RunRow, VersionRow
from anelab.tracking.replicates import Replicates
from anelab.tracking.store import Store, store_uri
from anelab.tracking.timed_versions import TimedVersion
from anelab.views import engine
from anelab.views.clusters import read_clusters
from anelab.views.compare import Judged
from anelab.views.drift import read_drift
from anelab.workspace import Workspace

FRESH = 30
"""Seconds for which a list is taken as it was read. For some more (.streamlit/config.toml) it is shown all the same,
while it is read again."""


def workspace() -> Workspace:
    named = os.environ.get(WORKSPACE)
    return Workspace.anywhere(Path(named) if named else None)


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=2)
def _store(uri: str) -> Store | None:
    return reading.open_existing(workspace())


def store() -> Store:
    """Raises AnelabError if there is none; the pages ask `workloads` first, which is then empty."""
    found = _store(store_uri(workspace()))
    if found is None:
        raise AnelabError("there is no MLflow store yet; run `make repro`")
    return found


@st.cache_data(show_spinner=False, ttl=FRESH, max_entries=4)
def _workloads(uri: str) -> list[str]:
    found = _store(uri)
    return [] if found is None else reading.workloads_in(found)


@st.cache_data(show_spinner=False, ttl=FRESH, max_entries=8)
def drift(workload: str) -> dict[str, pd.DataFrame]:
    """By the name of the served model."""
    return read_drift(workspace().state / "serving", workload)


@st.cache_data(show_spinner=False, ttl=FRESH, max_entries=2)
def clusters() -> dict[str, pd.DataFrame]:
    """By the name of the map."""
    return read_clusters(workspace().state / "clusters")


def workloads() -> list[str]:
    return _workloads(store_uri(workspace()))


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=64, refresh_mode="background")
def runs(workload: str, stage: str, most: int = reading.MOST_RUNS) -> list[RunRow]:
    return reading.runs(store(), workload, stage, most)


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=16, refresh_mode="background")
def latest_benchmarks(workload: str) -> list[RunRow]:
    """The newest of every host."""
    return list(reading.latest_benchmarks(store(), workload).values())


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=16, refresh_mode="background")
def versions(workload: str) -> list[VersionRow]:
    return reading.versions(store(), workload)


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=256, refresh_mode="background")
def run(run_id: str) -> RunRow:
    return reading.run(store(), run_id)


def versions_by_run(workload: str, benchmarks: Sequence[RunRow]) -> dict[str, list[TimedVersion]]:
    """What each of these benchmarks timed, and what came of every training of a version."""
    found = versions(workload)
    return timed_versions.versions_by_run(found, training_runs(found).values(), benchmarks)


def training_runs(found: Sequence[VersionRow]) -> dict[str, RunRow]:
    """The training runs of versions by id, as far as they were not erased."""
    there = {}
    for one in found:
        with suppress(AnelabError):
            if one.run_id:
                there[one.run_id] = run(one.run_id)
    return there


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=256, refresh_mode="background")
def _replicates(model: str, version: int, test_digest: str) -> Replicates | None:
    return replicates.of_version(store(), model, version, test_digest)


def judged(found: Sequence[VersionRow]) -> list[Judged]:
    """Versions with their training runs, and how sure their figures are."""
    there = training_runs(found)
    return [
        Judged(one, there.get(one.run_id or ""), _replicates(one.model, one.version, one.test_digest)) for one in found
    ]


@st.cache_data(show_spinner=False, ttl=FRESH, max_entries=64)
def held_back_now(model: str, version: int) -> list[str]:
    """Why a version may not be champion now, a sentence a gate; empty if it may."""
    found = store()
    with found.reading():
        return present_champion.held_back_now(found, models.resolve(found, model, str(version)))


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=64, refresh_mode="background")
def run_of(workload: str, key: str) -> RunRow | None:
    return reading.run_of(store(), workload, key)


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=16, refresh_mode="background")
def trials(search_id: str) -> list[RunRow]:
    return reading.trials(store(), run(search_id))


@st.cache_resource(show_spinner=False, ttl="1h", max_entries=128)
def report(run_id: str) -> Report:
    """A benchmark result, which never changes."""
    return reading.benchmark(store(), run_id)


def latest_reports(workload: str) -> list[Report]:
    """The newest result of every machine, as far as they can be read."""
    found = []
    for one in latest_benchmarks(workload):
        with suppress(AnelabError):
            found.append(report(one.id))
    return found


@st.cache_resource(show_spinner=False, ttl="1h", max_entries=64)
def files_of(model_id: str, _version: VersionRow) -> dict[str, int]:
    return reading.files_of(store(), _version)


@st.cache_data(show_spinner=False, ttl=FRESH, max_entries=64)
def artifact(run_id: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = reading.artifact(store(), run_id, name)
    return found


@st.cache_resource(show_spinner=False, ttl="1h", max_entries=32)
def distributions(run_id: str) -> dict[Scenario, pd.DataFrame]:
    """Quantiles of all arms of a result in every scenario, from its raw samples."""
    with reading.downloaded(store(), run_id, SAMPLES) as path:
        slices = read_samples(path)
    found = report(run_id)
    return {cell: engine.distribution(found, slices, cell) for cell in engine.cells_of([found])}


@st.cache_resource(show_spinner=False, ttl="1h", max_entries=64)
def pairs(run_id: str, against: str) -> list[Comparison]:
    """Every timed arm of a result against one of them."""
    with reading.downloaded(store(), run_id, SAMPLES) as path:
        slices = read_samples(path)
    found = report(run_id)
    return [one for arm in engine.chosen(found) if arm != against for one in compare.pair(found, slices, arm, against)]


@st.cache_resource(show_spinner=False, max_entries=1)
def pairs_of_others() -> list[PublishedPair]:
    return published_pairs()


@st.cache_resource(show_spinner=False, ttl=FRESH, max_entries=1)
def published() -> list[Published]:
    """What others measured, with what this workspace adds."""
    return collection.published(workspace().reports("published"))


def model_sizes() -> dict[str, int]:
    """Multiply-adds of a row, by workload with its size in words; of those whose newest result tells it."""
    found = {}
    for workload in workloads():
        for report in latest_reports(workload):
            if report.estimates:
                macs = report.estimates[0].macs // max(1, report.estimates[0].rows)
                found[f"{workload} ({macs / 1e6:.2f} M multiply-adds)"] = macs
    return found
