"""A model to time: mnist's, trained for two epochs."""

from functools import cache
from pathlib import Path

from anelab.bench.arms.contract import Subject
from anelab.bench.measuring.judge import WorkloadJudge
from anelab.cli.console import Common
from anelab.learning.config import BenchConfig
from anelab.stages.bench import judge_of, subject_of
from anelab.stages.job import Job
from anelab.workspace import Workspace
from tests.conftest import ROOT, TINY
from tests.shared import copy_mnist

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


def subject_in(home: Path) -> Subject:
    """mnist's exported files, in the empty folder `home`."""
    return subject_of(Job(Workspace(ROOT, copy_mnist(home)), Common(TINY).params(), "mnist"))


@cache
def judge(subject: Subject) -> WorkloadJudge:
    return judge_of(subject)
