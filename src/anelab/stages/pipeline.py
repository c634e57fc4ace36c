"""All stages of workloads in order, without DVC: what only computes, for several workloads at once if that is asked
for; then the benchmarks, one after the other, on a machine that does nothing else."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing.connection import Connection

from anelab.errors import AnelabError
from anelab.inputs import write_host, write_manifest
from anelab.stages import simulate
from anelab.stages.job import Job, Stage, execute, publish_quietly
from anelab.texts import notify, printable
from anelab.tracking.receipt import Receipt

COMPUTED = ("prepare", "search", "train", "export")
MEASURED = ("bench", "register")

MakeJob = Callable[[], Job]
"""A job cannot go to another process; what makes it can."""


def stage_of(name: str) -> Stage:
    found: Stage = import_module(f"anelab.stages.{name}").STAGE
    return found


def run_pipeline(jobs: Mapping[str, MakeJob], at_once: int = 1) -> None:
    """Every stage of every workload, `at_once` workloads at a time until their models are exported. One that fails does
    not stop the others; what was done is published. Raises AnelabError with all that failed."""
    done: list[Receipt] = []
    failed: dict[str, AnelabError] = {}
    try:
        failed |= _compute_all(jobs, at_once, done)
        for name in [name for name in jobs if name not in failed]:
            try:
                _run(jobs[name](), MEASURED, done)
            except AnelabError as error:
                failed[name] = error
    finally:
        if done:
            publish_quietly(jobs[done[0].workload]().workspace, *done)
    if len(jobs) == 1 and failed:
        raise failed.popitem()[1]
    if failed:
        raise AnelabError("\n".join(f"{name}: {error}" for name, error in failed.items()))


def _compute_all(jobs: Mapping[str, MakeJob], at_once: int, done: list[Receipt]) -> dict[str, AnelabError]:
    """What failed, by workload."""
    failed: dict[str, AnelabError] = {}
    if min(at_once, len(jobs)) > 1:
        with ThreadPoolExecutor(at_once) as pool:
            for name, (receipts, error) in zip(jobs, pool.map(_compute_alone, jobs, jobs.values()), strict=True):
                done += receipts
                failed |= {name: error} if error else {}
        return failed
    for name, make in jobs.items():
        try:
            _compute(make(), done)
        except AnelabError as error:
            failed[name] = error
    return failed


def _compute_alone(name: str, make: MakeJob) -> tuple[list[Receipt], AnelabError | None]:
    """In a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, make), name=name)
    process.start()
    theirs.close()
    try:
        receipts, reason = ours.recv()
    except EOFError:
        receipts, reason = [], ""
    process.join()
    if process.exitcode:
        return receipts, AnelabError(reason or f"its process ended with exit code {process.exitcode}")
    return receipts, None


def _answer(connection: Connection, make: MakeJob) -> None:
    done: list[Receipt] = []
    reason = ""
    try:
        _compute(make(), done)
    except AnelabError as error:
        reason = str(error)
    except OSError as error:  # a file or folder that the system refuses: full, read-only, no folder
        reason = f"{printable(error.filename or 'a file')}: {error.strerror or error}"
    except KeyboardInterrupt:  # the first process says so
        os._exit(130)
    connection.send((done, reason))
    if reason:
        os._exit(1)


def _compute(job: Job, done: list[Receipt]) -> None:
    """From the user's files to exported models."""
    notify(f"{job.name}: inputs")
    write_manifest(job.name, job.config.data.source, job.workspace)
    write_host(job.workspace)
    notify(f"{job.name}: simulate")
    simulate.run(job)
    _run(job, COMPUTED, done)


def _run(job: Job, stages: Sequence[str], done: list[Receipt]) -> None:
    for name in stages:
        notify(f"{job.name}: {name}")
        done.append(execute(stage_of(name), job))
