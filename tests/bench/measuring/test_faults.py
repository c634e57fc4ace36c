"""What breaks is a recorded result, and the run goes on: nothing that an arm does takes the others with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Arm, Subject
from anelab.bench.machine.mutex import device_mutex
from anelab.bench.measuring.run import run_benchmark, write_result
from anelab.bench.results.samples import Slice, read_samples
from anelab.bench.results.schema import Report
from anelab.bench.scenario import SINGLE
from anelab.errors import AnelabError
from anelab.learning.config import BenchConfig
from tests.bench import broken_arms as broken
from tests.bench.models import QUICK, judge
from tests.conftest import ROOT


def run(
    subject: Subject, arms: Sequence[Arm], tmp_path: Path, config: BenchConfig = QUICK
) -> tuple[Report, list[Slice]]:
    found, slices = run_benchmark(subject, arms, config, 1, partial(judge, subject), lambda text: None)
    return write_result(found, slices, tmp_path / "samples.parquet"), slices


@pytest.mark.parametrize(
    ("arm", "kind", "signal_name", "text"),
    [
        (broken.Killed, "signal", "SIGKILL", "memory runs out"),
        (broken.Segfault, "signal", "SIGSEGV", "invalid memory access"),
        (broken.Leave, "exit", None, "exit code 3"),
        (broken.Raise, "error", None, "ANECCompile() FAILED"),
        (broken.Memory, "memory", None, "Unable to allocate"),
    ],
)
def test_an_arm_that_breaks_at_its_gates_is_recorded_and_the_others_are_timed(
    arm: type[broken.Broken], kind: str, signal_name: str | None, text: str, exported: Subject, tmp_path: Path
) -> None:
    bad = arm("1", "fp32")
    report, _ = run(exported, [parse_arm("ort-cpu"), bad], tmp_path, QUICK.model_copy(update={"processes": 1}))
    assert report.arms["ort-cpu:fp32"].timed
    assert not report.arms[bad.name].timed
    (failure,) = report.failures
    assert (failure.arm, failure.block, failure.ending.kind) == (bad.name, None, kind)
    assert failure.ending.signal == signal_name
    assert text in failure.ending.text()
    assert report.arms[bad.name].reason == failure.ending.text()


def test_what_the_libraries_said_last_is_kept(exported: Subject, tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"processes": 1})
    report, _ = run(exported, [parse_arm("ort-cpu"), broken.Leave("1", "fp32")], tmp_path, config)
    assert "\\x1b[31mnative code says goodbye\\x1b[m" in report.failures[0].ending.log, "colours are written out"
    report, _ = run(exported, [parse_arm("ort-cpu"), broken.Segfault("1", "fp32")], tmp_path, config)
    assert "Segmentation fault" in report.failures[0].ending.log


def test_a_hang_is_ended_after_the_time_allowed(exported: Subject, tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"processes": 1, "timeout_s": 3.0})
    report, _ = run(exported, [parse_arm("ort-cpu"), broken.Hang("1", "fp32")], tmp_path, config)
    (failure,) = report.failures
    assert (failure.ending.kind, failure.ending.detail) == ("hang", "no answer in 3 s")
    assert report.arms["ort-cpu:fp32"].timed


def test_an_arm_that_breaks_later_keeps_what_it_had_and_is_given_up(exported: Subject, tmp_path: Path) -> None:
    """It passes its gates and two blocks; then it crashes in every block until it is not started again."""
    switch = tmp_path / "break"
    bad = broken.Segfault("1", "fp32", when=switch)
    seen: list[int] = []

    def on_progress(text: str) -> None:
        """The third block begins: the first two were well."""
        if text.startswith("block "):
            seen.append(int(text.split()[1]))
            if len(seen) == 3:
                switch.touch()

    config = QUICK.model_copy(update={"processes": 8})
    found, slices = run_benchmark(
        exported, [parse_arm("ort-cpu"), bad], config, 1, partial(judge, exported), on_progress
    )
    report = write_result(found, slices, tmp_path / "samples.parquet")
    assert seen == list(range(1, 9))
    assert [failure.block for failure in report.failures] == [2, 3, 4]
    assert {failure.ending.signal for failure in report.failures} == {"SIGSEGV"}
    assert report.arms[bad.name].cells[SINGLE].processes == 2
    assert report.arms["ort-cpu:fp32"].cells[SINGLE].processes == 8
    (comparison,) = report.comparisons
    assert (comparison.verdict, comparison.blocks) == ("not comparable", 2)


def test_wrong_answers_are_never_timed(exported: Subject, tmp_path: Path) -> None:
    report, _ = run(
        exported,
        [parse_arm("ort-cpu"), broken.Wrong("1", "fp32")],
        tmp_path,
        QUICK.model_copy(update={"processes": 1}),
    )
    wrong = report.arms["wrong"]
    assert not wrong.timed
    assert "largest error" in wrong.reason
    assert [gate.passed for gate in wrong.gates if gate.name == "parity"] == [False]


def test_if_no_arm_can_be_timed_that_is_an_error_with_every_reason(exported: Subject) -> None:
    arms = [parse_arm("coreml"), broken.Raise("1", "fp32")]
    with pytest.raises(AnelabError) as caught:
        run_benchmark(exported, arms, QUICK, 1, partial(judge, exported), lambda text: None)
    assert "Core ML runs on macOS only" in str(caught.value)
    assert "ANECCompile() FAILED" in str(caught.value)


def test_twice_the_work_is_slower_and_a_real_slowdown_is_never_called_faster(exported: Subject, tmp_path: Path) -> None:
    report, slices = run(exported, [parse_arm("ort-cpu"), broken.Slowed("1", "fp32")], tmp_path)
    (comparison,) = report.comparisons
    assert comparison.speedup is not None
    assert comparison.speedup < 0.8
    assert comparison.verdict in ("slower", "within noise")
    assert report.noise[SINGLE].arm == "ort-cpu:fp32 again"
    assert sum(len(one.ns) for one in slices) == report.samples
    assert sum(len(one.ns) for one in read_samples(tmp_path / "samples.parquet")) == report.samples


def test_a_full_disk_is_an_error_and_keeps_the_old_samples(exported: Subject, tmp_path: Path) -> None:
    """A tmpfs of 64 kB, where the system lets us mount one; else a limit on file sizes does the same."""
    samples = tmp_path / "samples.parquet"
    code = f"""
import resource, signal
from pathlib import Path
import numpy as np
from anelab.bench.results.samples import Slice, write_samples
from anelab.bench.scenario import SINGLE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
target = Path({str(samples)!r})
small = Slice("a", SINGLE, 0, 0, 0, "measured", 1, np.arange(1, 11))
write_samples(target, [small])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
big = Slice("a", SINGLE, 0, 0, 0, "measured", 1, np.random.default_rng(0).integers(0, 1 << 40, 100_000))
try:
    write_samples(target, [big])
except OSError as error:
    print("refused", error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused")
    (kept,) = read_samples(samples)
    assert len(kept.ns) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["samples.parquet"]


HOLD = """
import sys, time
from pathlib import Path
from anelab.bench.machine.mutex import device_mutex
with device_mutex(print, Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
print("let go", flush=True)
"""


def test_two_benchmarks_never_time_at_once_and_the_second_says_whom_it_waits_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), "60"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    second = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert second.stdout is not None
        waits = second.stdout.readline()
        assert f"process {first.pid}" in waits
        time.sleep(0.3)
        assert second.poll() is None
        first.send_signal(signal.SIGKILL)
        assert second.communicate(timeout=30)[0] == "the other benchmark has ended; this one begins\nheld\nlet go\n"
    finally:
        first.kill()
        second.kill()


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    messages: list[str] = []
    for _ in range(2):
        with device_mutex(messages.append, tmp_path / "lock") as folder:
            assert not list(folder.iterdir())
            (folder / "log").write_text("what a killed one would leave")
    assert messages == []
    assert not folder.exists()


def test_no_worker_outlives_a_parent_that_is_killed(exported: Subject, tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from anelab.bench.arms.catalog import parse_arm
from anelab.bench.measuring.process import WorkerProcess
import pickle
subject = pickle.loads({__import__("pickle").dumps(exported)!r})
if __name__ == "__main__":
    worker = WorkerProcess(parse_arm("ort-cpu"), subject, Path({str(tmp_path / "log")!r}), 60)
    worker.wait_ready()
    print(worker.pid, flush=True)
    import time; time.sleep(60)
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    worker.wait(timeout=20)
