"""One benchmark from start to finish: what is measured, by which arms, into a report and its samples."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anelab.bench.arms.catalog import every_arm, parse_arm
from anelab.bench.arms.contract import Arm, Subject, UnavailableError
from anelab.bench.estimate import estimates
from anelab.bench.machine.energy import Meters, find_meters
from anelab.bench.machine.host import Watch, host_record
from anelab.bench.machine.mutex import device_mutex
from anelab.bench.machine.system import this_system
from anelab.bench.measuring.gates import Judge
from anelab.bench.measuring.method import Run
from anelab.bench.results import schema
from anelab.bench.results import subject as subjects
from anelab.bench.results.report import summarised
from anelab.bench.results.samples import Slice, write_samples
from anelab.bench.scenario import SINGLE, Scenario
from anelab.errors import AnelabError
from anelab.files import file_digest
from anelab.learning.config import BenchConfig

THOROUGH = {
    "scenarios": ["single", "batch", "offline", "server", "idle"],
    "batches": [8, 64, 512],
    "slice_ms": 100.0,
    "rounds": 5,
    "warm_up_ms": 2000.0,
}


def effective(config: BenchConfig) -> BenchConfig:
    """The configuration, with every scenario and for longer if it is to be thorough."""
    return config.model_copy(update=THOROUGH) if config.thorough else config


def scenarios_of(config: BenchConfig) -> list[Scenario]:
    """Every scenario that is asked for; `single` always, for others are measured by it."""
    by_kind = {
        "batch": [Scenario("batch", size) for size in config.batches if size > 1],
        "offline": [Scenario("offline", config.offline_rows)],
        "server": [Scenario("server")],
        "idle": [Scenario("idle", gap_ms=gap) for gap in config.idle_gaps_ms],
    }
    return [SINGLE, *(one for kind, found in by_kind.items() if kind in config.scenarios for one in found)]


def chosen_arms(config: BenchConfig, subject: Subject) -> list[Arm]:
    """The arms of the configuration, then, if it is to be thorough, all others. Raises UsageError."""
    named = {arm.name: arm for arm in (parse_arm(text).resolved(subject) for text in config.arms)}
    if config.thorough:
        named |= {arm.name: arm for arm in arms_of(subject) if arm.name not in named}
    return list(named.values())


def arms_of(subject: Subject) -> list[Arm]:
    """All arms of a subject, with one thread and with all cores."""
    return every_arm(subject, os.cpu_count() or 1)


def run_benchmark(
    subject: Subject,
    arms: Sequence[Arm],
    config: BenchConfig,
    seed: int,
    judge: Callable[[], Judge],
    on_progress: Callable[[str], None],
) -> tuple[schema.Report, list[Slice]]:
    """Measure; the report is whole but for the digest of its samples. Raises AnelabError if no arm could be timed."""
    system, settings = this_system(), _settings(effective(config), arms, seed)
    reasons = {arm.name: arm.unavailable(subject) for arm in arms}
    if all(reasons.values()):
        raise _no_arm(subject, {name: reason or "" for name, reason in reasons.items()})
    with device_mutex(on_progress) as scratch:
        started = time.monotonic()
        measured_at = datetime.now(UTC).isoformat(timespec="seconds")
        host = host_record(system)
        run = Run(
            subject=replace(subject, cache=scratch / "cache"),
            logs=scratch / "logs",
            arms=arms,
            settings=settings,
            judge=judge,
            watch=Watch(system),
            timeout_s=config.timeout_s,
            on_progress=on_progress,
            meters=find_meters() if config.energy else Meters([], "it was not asked for (bench.energy)"),
        )
        run.measure()
    if not run.slices:
        raise _no_arm(subject, _why_not(run))
    report = schema.Report(
        measured_at=measured_at,
        seconds=round(time.monotonic() - started, 3),
        subject=_subject(subject),
        metric=subject.config.metric,
        host=host,
        settings=run.settings,
        arms={name: entry.result(_files(entry.arm, subject)) for name, entry in run.entries.items()},
        comparisons=[],
        noise={},
        conditions=run.conditions,
        failures=run.failures,
        warnings=_warnings(run),
        estimates=estimates(subject.manifest),
    )
    return report, run.slices


def write_result(report: schema.Report, slices: Sequence[Slice], samples: Path) -> schema.Report:
    """Write the samples and return the report that belongs to them."""
    count = write_samples(samples, slices)
    return summarised(report.model_copy(update={"samples": count, "samples_sha256": file_digest(samples)}), slices)


def _settings(config: BenchConfig, arms: Sequence[Arm], seed: int) -> schema.Settings:
    return schema.Settings(
        arms=[arm.name for arm in arms],
        reference=arms[0].name,
        processes=config.processes,
        rounds=config.rounds,
        slice_ms=config.slice_ms,
        min_calls=config.min_calls,
        warm_up_ms=config.warm_up_ms,
        settle_ms=config.settle_ms,
        cells=scenarios_of(config),
        server_load=config.server_load,
        energy=config.energy,
        url=config.url,
        timeout_s=config.timeout_s,
        seed=seed,
        resamples=config.resamples,
    )


def _subject(subject: Subject) -> subjects.Subject:
    manifest = subject.manifest
    return subjects.Subject(
        workload=subject.workload,
        input_key=manifest["metadata"].get("input_key", ""),
        data_digest=manifest["metadata"].get("data_digest", ""),
        files={name: entry["sha256"] for name, entry in manifest["files"].items()},
        networks={name: _network(entry) for name, entry in manifest["files"].items()},
    )


def _network(entry: Mapping[str, Any]) -> subjects.Network:
    """Of a file's entry in the manifest; a package's first function is of one row."""
    first: Mapping[str, Any] = next(iter(entry.get("cost", {}).values()), {})
    return subjects.Network(
        operators=entry.get("operators", {}), parameters=entry.get("parameters"), macs=first.get("macs")
    )


def _files(arm: Arm, subject: Subject) -> dict[str, str]:
    entries = subject.manifest["files"]
    try:
        return {file: entries[file]["sha256"] for file in arm.files(subject)}
    except UnavailableError:
        return {}


def _no_arm(subject: Subject, reasons: Mapping[str, str]) -> AnelabError:
    lines = "\n".join(f"  {name}: {reason}" for name, reason in reasons.items())
    return AnelabError(
        f"{subject.workload}: no arm could be timed here; another machine can be asked by `anelab bench request`, or "
        f"measure and export a bundle\n{lines}"
    )


def _why_not(run: Run) -> dict[str, str]:
    lost = {failure.arm: failure.ending.text() for failure in run.failures}
    return {name: entry.reason or lost.get(name, "") for name, entry in run.entries.items()}


def _warnings(run: Run) -> list[str]:
    """What a reader of the figures should know."""
    found = []
    if run.settings.reference != run.settings.arms[0]:
        found.append(f"everything is compared with {run.settings.reference}, for {run.settings.arms[0]} cannot be it")
    busy = [one for one in run.conditions if one.busy]
    if busy:
        worst = max(one.other_cpu_cores for one in busy)
        found.append(
            f"the machine was busy in {len(busy)} of {len(run.conditions)} blocks: others used up to {worst:.1f} cores"
        )
    left = [one for one in run.conditions if one.left_out]
    if left:
        reasons = ", ".join(sorted({reason for one in left for reason in one.left_out}))
        found.append(f"{len(left)} of {len(run.conditions)} blocks are left out of verdicts: {reasons}")
    if run.settings.processes < 10:
        found.append(f"{run.settings.processes} process(es) an arm; a result to rely on has 10 or more")
    return found
