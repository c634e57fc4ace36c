"""bench: the exported files, timed on this machine against each other and the classical rule."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import AnelabError, warn
from anelab.files import replacing_folder, write_json
from anelab.stages.job import Job, Outcome, Stage
from anelab.texts import notify
from anelab.tracking.receipt import Dataset

if TYPE_CHECKING:
    from anelab.bench.arms.contract import Subject
    from anelab.bench.measuring.judge import WorkloadJudge
    from anelab.bench.results.samples import Slice
    from anelab.bench.results.schema import Report

SAMPLES = "samples.parquet"
HOST_PARITY = "parity.host.json"


def _inputs(job: Job) -> Mapping[str, Path]:
    return {
        "best.ckpt": job.output("train") / "best.ckpt",
        "export": job.output("export"),
        "host": job.workspace.host_report,
        "prepared": job.prepared,
    }


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.bench.measuring.run import chosen_arms, run_benchmark, write_result
    from anelab.bench.results.metrics import medians, subject_params
    from anelab.stages.export import host_parity

    config, subject = job.config.bench, subject_of(job)
    found, slices = run_benchmark(
        subject, chosen_arms(config, subject), config, job.config.seed, lambda: judge_of(subject), print_progress
    )
    try:
        with replacing_folder(job.output("bench")) as out:
            report = write_result(found, slices, out / SAMPLES)
        write_json(job.reports / "bench.json", report.as_json())
        write_json(job.reports / HOST_PARITY, host_parity(job))
    except OSError as error:
        raise _rescued(found, slices, error) from None
    for text in report.warnings:
        warn(f"{job.name}: {text}")
    datasets = [Dataset(job.name, report.subject.data_digest, "test")]
    params = subject_params(report)
    return Outcome(medians(report), datasets, reports=["bench.json"], params=params, identity=report.id)


def _rescued(found: "Report", slices: "list[Slice]", error: OSError) -> AnelabError:
    """What was measured, written where there may be room, and an error that says where. Raises OSError if there is
    none either."""
    from anelab.bench.measuring.run import write_result
    from anelab.bench.results.bundle import write_bundle

    folder = Path(tempfile.mkdtemp(prefix="anelab-kept-"))
    report = write_result(found, slices, folder / SAMPLES)
    bundle = folder / f"{report.subject.workload}-{report.id[:12]}.bench.zip"
    write_bundle(report, folder / SAMPLES, bundle)
    return AnelabError(
        f"{error.filename or 'a file'}: {error.strerror or error}; what was measured is kept in {bundle}: look at it "
        f"with `anelab bench show {bundle}`, and bring it in with `anelab bench import` when the model is registered"
    )


def subject_of(job: Job) -> "Subject":
    """What the project's own benchmark measures."""
    from anelab.bench.arms.contract import Subject

    return Subject.of(
        job.name,
        job.config,
        job.output("export"),
        checkpoint=job.output("train") / "best.ckpt",
        prepared=job.prepared,
        url=job.config.bench.url,
    )


def judge_of(subject: "Subject") -> "WorkloadJudge":
    from anelab import workloads
    from anelab.bench.measuring.judge import WorkloadJudge
    from anelab.export.examples import EXAMPLES, read_examples

    examples = read_examples(subject.folder / EXAMPLES)
    return WorkloadJudge(workloads.get(subject.workload), subject.config, examples)


def print_progress(text: str) -> None:
    notify(f"anelab: {text}")


STAGE = Stage(
    "bench",
    ("preset", "metric", "model", "training", "export", "bench"),
    ("bench", "export", "training", "host.py", "stages/export.py"),
    _inputs,
    _run,
)
