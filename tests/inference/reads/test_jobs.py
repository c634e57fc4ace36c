"""`anelab score --jobs`: the same bytes as one process gives, and nothing left behind where one fails."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest

from anelab.inference.reads import jobs
from tests.commands import anelab
from tests.conftest import ROOT
from tests.inference.reads.test_score import made
from tests.sequences.made_fastq import text_of, write


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three pairs, all of one length, and longer than one block."""
    found = []
    for number in range(3):
        for mate in ("1", "2"):
            path = tmp_path / f"lane{number}_{mate}.fq.gz"
            records = made(2000 + 10 * number, 10 * number + int(mate))
            path.write_bytes(gzip.compress((text_of(records) + "\n").encode()))
            found.append(str(path))
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found[path.name] = gzip.decompress(data) if path.suffix == ".gz" else data
    return found


@pytest.mark.parametrize("layout", [[], ["--paired"], ["--interleaved"]])
def test_outputs_are_those_of_one_process(layout: list[str], home: Path, files: list[str], tmp_path: Path) -> None:
    if layout == ["--interleaved"]:
        both = [zip(made(500, n), made(500, n + 9), strict=True) for n in range(3)]
        files = [str(write(tmp_path / f"{n}.fq", list(chain(*pairs)))) for n, pairs in enumerate(both)]
    mates = "{}" if layout == ["--paired"] else ""
    found = []
    for count in ("1", "2", "5"):
        out = tmp_path / f"by{count}"
        out.mkdir()
        words = ["-o", str(out / "t.tsv.gz"), "--pass-fastq", str(out / f"good{mates}.fq"), "--json"]
        words += ["--fail-fastq", str(out / f"bad{mates}.fq.gz"), "--jobs", count]
        report = ["--report", str(out / "r.json")]
        done = anelab(home, "score", *files, *layout, *words, *report)
        assert done.returncode == 0, done.stderr
        samples = json.loads((out / "r.json").read_text())["samples"]
        (out / "r.json").write_text(json.dumps(samples))  # without the time that it took
        found.append(outputs(out))
    assert found[0] == found[1] == found[2]
    assert len(found[0]["t.tsv.gz"].splitlines()) == 1 + (3000 if layout == ["--interleaved"] else 2 * 6030)


def test_mates_may_have_folders_of_their_own(home: Path, files: list[str], tmp_path: Path) -> None:
    for mate in ("1", "2"):
        (tmp_path / f"mate{mate}").mkdir()
    words = ["--paired", "-o", str(tmp_path / "t.tsv"), "--pass-fastq", str(tmp_path / "mate{}" / "good.fq")]
    assert anelab(home, "score", *files, *words, "--jobs", "2").returncode == 0
    assert (tmp_path / "mate1" / "good.fq").stat().st_size and (tmp_path / "mate2" / "good.fq").stat().st_size
    wrong = anelab(home, "score", *files, "--paired", "-o", str(tmp_path / "t_{}.tsv"), "--jobs", "2")
    assert (wrong.returncode, "the table is one file, also of pairs" in wrong.stderr) == (2, True)


def test_a_rule_and_standard_output(home: Path, files: list[str], tmp_path: Path) -> None:
    words = [sys.executable, "-m", "anelab", "score", *files, "-o", "-", "--workspace", str(home)]
    words += ["--rule", "expected_errors"]
    one, two = (
        subprocess.run([*words, "--jobs", count], cwd=ROOT, capture_output=True, check=True).stdout
        for count in ("1", "2")
    )
    assert one == two and one.count(b"\n") == 12061


def test_what_cannot_be_shared_out_is_told(home: Path, files: list[str], tmp_path: Path) -> None:
    out = ["-o", str(tmp_path / "t.tsv"), "--jobs", "2"]
    for words, reason in (([files[0], "-", *out], "standard input"), ([*files, *out, "--max-records", "9"], "exclude")):
        done = anelab(home, "score", *words)
        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr


def test_one_bad_file_ends_all_and_leaves_nothing(home: Path, files: list[str], tmp_path: Path) -> None:
    Path(files[3]).write_bytes(Path(files[3]).read_bytes()[:-2000])
    out = tmp_path / "out"
    out.mkdir()
    (out / "t.tsv").write_text("of another day")
    done = anelab(home, "score", *files, "-o", str(out / "t.tsv"), "--jobs", "2")
    assert (done.returncode, "lane1_2.fq.gz" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(out) == {"t.tsv": b"of another day"}


def test_a_process_that_is_killed_is_told(
    home: Path, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(jobs, "_scored", killed)
    monkeypatch.setattr(jobs, "METHOD", "fork")
    done = anelab(home, "score", *files, "-o", str(tmp_path / "t.tsv"), "--jobs", "2")
    assert done.returncode == 1
    assert "ended early (exit status -9); if memory is short, use fewer --jobs" in done.stderr
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("lane")]


def test_a_signal_ends_every_process_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    long = [str(write(tmp_path / f"{n}.fq", made(20, n) * 20_000)) for n in range(2)]
    words = [sys.executable, "-m", "anelab", "score", *long, "-o", str(tmp_path / "t.tsv"), "--jobs", "2"]
    with subprocess.Popen([*words, "--workspace", str(home)], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".anelab-score-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.fq", "1.fq"]
    children = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert children.stdout == ""


def test_every_method_of_starting_gives_the_same(home: Path, files: list[str], tmp_path: Path) -> None:
    """macOS has to start processes anew."""
    plan = {}
    for method in ("fork", "spawn"):
        code = f"""
from anelab.inference.reads import jobs
jobs.METHOD = {method!r}
from anelab.cli import main
if __name__ == "__main__":
    main({[*["score"], *files, "-o", str(tmp_path / method), "--jobs", "2", "--workspace", str(home)]!r})
"""
        script = tmp_path / f"{method}.py"
        script.write_text(code)
        subprocess.run([sys.executable, str(script)], cwd=ROOT, check=True, capture_output=True)
        plan[method] = (tmp_path / method).read_bytes()
    assert plan["fork"] == plan["spawn"]
