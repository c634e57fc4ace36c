"""A model to time, made once for a file of tests: mnist's, trained for two epochs."""

from functools import cache
from pathlib import Path

from anelab.bench.arms.contract import Subject
from anelab.bench.measuring.judge import WorkloadJudge
from anelab.cli.console import Common
from anelab.learning.config import BenchConfig
from anelab.stages import export, prepare, search, simulate, train
from anelab.stages.bench import judge_of, subject_of
from anelab.stages.job import Job
from anelab.workspace import Workspace
from tests.conftest import ROOT, TINY

QUICK = BenchConfig(
    processes=6,
    rounds=2,
    slice_ms=1.0,
    warm_up_ms=20.0,
    scenarios=["single"],
    energy=False,
    timeout_s=30.0,
    resamples=1000,
)
"""As few blocks as allow a verdict, and short ones."""


def trained(home: Path) -> Job:
    """mnist up to its exported files, in the folder `home`."""
    params = Common(TINY).params()
    job = Job(Workspace(ROOT, home), params, "mnist")
    simulate.run(job)
    for stage in (prepare, search, train, export):
        work = home / ".anelab" / stage.__name__
        work.mkdir(parents=True, exist_ok=True)
        stage.STAGE.run(job, work, "key")
    return job


def subject_in(home: Path) -> Subject:
    return subject_of(trained(home))


@cache
def judge(subject: Subject) -> WorkloadJudge:
    return judge_of(subject)
