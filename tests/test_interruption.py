"""Models that compute without end are ended: by Ctrl-C, by a limit, in processes of their own too."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from anelab.errors import AnelabError
from anelab.inference.model import Plan, open_model
from anelab.inference.reads.scorer import model_scorer
from anelab.interruption import check_not_ended, watched
from anelab.workloads.read_quality.encode import read_reads
from anelab.workspace import Workspace

READS = "".join(f"@r{row}\nACGT\n+\nIIII\n" for row in range(3))
STUCK = """
import hashlib
from anelab import interruption
interruption.GRACE_S = 0.5
interruption.exit_if_stuck()
print("ready", flush=True)
with interruption.watched("x", {}):
    hashlib.pbkdf2_hmac("sha512", b"", b"", 10**9)  # many minutes, which Python cannot interrupt
"""


@pytest.fixture(scope="module")
def endless_model(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop in ONNX, which says that it is of reads."""
    path = tmp_path_factory.mktemp("loop") / "loop.onnx"
    model = onnx.load(real_data / "hostile/loop.onnx")
    helper.set_model_props(model, {"workload": "read_quality", "preprocessing": "reads/3", "label": "mean_quality"})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def endless_package(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    with tarfile.open(real_data / "hostile/endless.mlpackage.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "endless.mlpackage"


def test_a_model_that_does_not_end_is_ended_by_the_limit(endless_model: Path, tmp_path: Path) -> None:
    (tmp_path / "r.fq").write_text(READS)
    reads = next(read_reads(tmp_path / "r.fq", 33, "--phred "))
    refused = pytest.raises(AnelabError, match=r"loop\.onnx: the model has not answered after 0\.3 s; --timeout")
    with model_scorer(Workspace.anywhere, str(endless_model), timeout_s=0.3) as scorer, refused:
        scorer.score(reads)


def test_a_package_that_does_not_end_is_ended_by_the_limit(endless_package: Path) -> None:
    refused = pytest.raises(AnelabError, match=r"endless\.mlpackage has not answered after 0\.3 s")
    with open_model(Workspace.anywhere, str(endless_package), Plan(timeout_s=0.3)) as model, refused:
        model.predict({"x": np.zeros((2, 4), np.float32)})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_ends_it_and_nothing_is_left(
    number: signal.Signals, jobs: str, endless_model: Path, tmp_path: Path
) -> None:
    for name in ("a.fq", "b.fq"):
        (tmp_path / name).write_text(READS)
    words = ["score", "a.fq", "b.fq", "--phred", "33", "--model", str(endless_model), "-o", "out.tsv", "--jobs", jobs]
    with _python(["-m", "anelab", *words], tmp_path) as process:
        while not any(name.startswith((".out.tsv", ".anelab-score")) for name in os.listdir(tmp_path)):
            time.sleep(0.05)
        time.sleep(0.7)
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
    assert sorted(os.listdir(tmp_path)) == ["a.fq", "b.fq"]


@pytest.mark.parametrize(
    ("timeout", "status", "says"), [("0.3", 1, "x has not answered"), ("None", 130, "interrupted")]
)
def test_a_process_that_cannot_end_its_call_ends_itself(timeout: str, status: int, says: str, tmp_path: Path) -> None:
    """After a while of grace."""
    with _python(["-c", STUCK.format(timeout)], tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        if status == 130:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == status
        assert says in process.stderr.read()


def _python(words: list[str], folder: Path) -> "subprocess.Popen[str]":
    """A process that takes SIGINT as in a terminal, which one in the background does not."""

    def take_signals() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    pipe = subprocess.PIPE
    command = [sys.executable, *words]
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, preexec_fn=take_signals)


def test_a_loop_of_ours_is_ended_in_any_thread() -> None:
    found: list[BaseException] = []

    def work() -> None:
        try:
            with watched("the loop", 0.2), watched("an inner one", None):
                while True:
                    check_not_ended()
                    time.sleep(0.01)
        except AnelabError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=20)
    assert str(found[0]) == "the loop has not answered after 0.2 s; --timeout gives it more time"
    check_not_ended()


def test_what_ends_in_time_keeps_its_own_errors() -> None:
    with pytest.raises(ValueError, match="mine"), watched("x", 60):
        raise ValueError("mine")
    before = signal.set_wakeup_fd(-1)
    assert before == -1, "nothing is left behind"
