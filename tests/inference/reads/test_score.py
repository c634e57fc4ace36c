"""`anelab score`: every read its verdict, whatever the way in and out."""

import gzip
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from anelab.inference.reads.scorer import model_scorer
from anelab.tracking.lookup import version_files
from anelab.tracking.reference import parse_version
from anelab.tracking.store import open_store
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.encode import read_reads
from anelab.workspace import Workspace
from tests.commands import anelab
from tests.conftest import ROOT
from tests.sequences.made_fastq import Record, text_of, write


def made(count: int, seed: int = 0, suffix: str = "") -> list[Record]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        size = int(rng.integers(0, 200))
        level = 40 if rng.random() < 0.5 else 8
        quality = "".join(chr(33 + int(score)) for score in np.clip(rng.normal(level, 4, size), 2, 41))
        found.append((f"lib:{number}{suffix} x", "".join(rng.choice(list("ACGTN"), size)), quality))
    return found


def table(path: Path) -> list[list[str]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line.split("\t") for line in data.decode().splitlines()]


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.fq.gz"
    path.write_bytes(gzip.compress((text_of(made(5000)) + "\n").encode()))
    return path


def test_verdicts_are_those_of_the_exported_model(home: Path, reads: Path, tmp_path: Path) -> None:
    done = anelab(home, "score", str(reads), "-o", str(tmp_path / "out.tsv"), "--json", "--first-150")
    assert done.returncode == 0, done.stderr
    header, *rows = table(tmp_path / "out.tsv")
    assert header == ["read_id", "probability", "verdict"]
    raw = np.concatenate([part.raw for part in read_reads(reads, 33, "--phred ")])
    session = onnxruntime.InferenceSession(home / "models/read_quality/export/model.onnx")
    expected = session.run(None, {"input": encode.encode(raw)})[0][:, 0]
    assert [row[0] for row in rows] == [f"lib:{number}" for number in range(5000)]
    np.testing.assert_allclose([float(row[1]) for row in rows], expected, atol=2e-6)
    sure = np.abs(expected - 0.5) > 1e-5
    assert [row[2] for row in np.array(rows)[sure]] == np.where(expected[sure] >= 0.5, "PASS", "FAIL").tolist()
    summary = json.loads(done.stdout)
    assert summary["reads"] == summary["pass"] + summary["fail"] == 5000
    assert summary["offsets"] == {"33": 5000}
    assert (summary["whole"], summary["longer"] > 1000) == (False, True)
    assert anelab(home, "score", str(reads), "-o", str(tmp_path / "whole.tsv")).returncode == 0
    lengths = np.concatenate([part.block.lengths for part in read_reads(reads, 33, "--phred ")])
    same = np.array([one == other for one, other in zip(rows, table(tmp_path / "whole.tsv")[1:], strict=True)])
    assert same[lengths <= 150].all()
    assert not same[lengths > 160].any()


def test_the_threshold_is_the_users(home: Path, reads: Path, tmp_path: Path) -> None:
    for words, column in ((["--threshold", "0.6"], 0.6), (["--rule", "mean_quality", "--threshold", "25"], 25.0)):
        assert anelab(home, "score", str(reads), "-o", str(tmp_path / "out.tsv"), *words).returncode == 0
        rows = [(float(value), verdict) for _, value, verdict in table(tmp_path / "out.tsv")[1:]]
        assert {verdict for value, verdict in rows if value < column - 1e-5} == {"FAIL"}
        assert "PASS" in {verdict for value, verdict in rows if value > column + 1e-5}


def test_the_batch_size_changes_no_verdict(home: Path, reads: Path, real_data: Path) -> None:
    sources = [reads, *sorted((real_data / "fastq" / "mifish_edna_150bp").iterdir())]
    parts = [part for source in sources for part in read_reads(source, 33, "--phred ", 4000)]
    verdicts = []
    for rows in (1, 7, 1024, 100_000):
        with model_scorer(lambda: Workspace(ROOT, home), str(home / "models/read_quality/export"), rows) as scorer:
            verdicts.append(
                [passed for part in parts for passed in scorer.passes(scorer.score(part), part.block.lengths)]
            )
    assert all(verdicts[0] == other for other in verdicts[1:])


def test_reads_are_parted_by_their_verdict_and_stay_as_they_came(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "reads.fq", made(300), "\r\n", last="")
    good, bad = tmp_path / "good.fq.gz", tmp_path / "bad.fq"
    files = ["--pass-fastq", str(good), "--fail-fastq", str(bad)]
    done = anelab(home, "score", str(path), "-o", str(tmp_path / "out.tsv.gz"), *files)
    assert done.returncode == 0, done.stderr
    verdicts = [row[2] for row in table(tmp_path / "out.tsv.gz")[1:]]
    records = (path.read_bytes().decode() + "\n").split("@lib")[1:]
    parted = {"PASS": gzip.decompress(good.read_bytes()).decode(), "FAIL": bad.read_bytes().decode()}
    for name, text in parted.items():
        assert text == "".join(f"@lib{one}" for one, verdict in zip(records, verdicts, strict=True) if verdict == name)
    assert 0 < verdicts.count("PASS") < 300


def test_a_header_with_nanopores_tags_is_read_and_written_as_it_came(tmp_path: Path) -> None:
    tags = "\tqs:f:14.2\tMM:Z:C+m?" + ",7,0,6" * 50_000
    path = write(tmp_path / "r.fq", [("one" + tags, "ACGT" * 20, "!III" * 20), ("two", "ACGT", "!III")])
    words = ["--rule", "expected_errors", "-o", str(tmp_path / "out.tsv"), "--fail-fastq", str(tmp_path / "bad.fq")]
    done = anelab(tmp_path, "score", str(path), *words)
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in table(tmp_path / "out.tsv")] == ["read_id", "one", "two"]
    assert (tmp_path / "bad.fq").read_bytes() == path.read_bytes()


def test_merged_reads_are_asked_about_and_read_as_they_are_said_to_be(tmp_path: Path) -> None:
    path = write(tmp_path / "r.fq", [(f"m{n}", "ACGTA" * 20, "@IS]U" * 20) for n in range(50)])
    words = ["score", str(path), "--rule", "mean_quality", "-o", str(tmp_path / "out.tsv")]
    done = anelab(tmp_path, *words)
    assert (done.returncode, "at 33 they are Q31 to Q60, as of merged reads" in done.stderr) == (1, True), done.stderr
    done = anelab(tmp_path, *words, "--phred", "33")
    assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
    assert {row[2] for row in table(tmp_path / "out.tsv")[1:]} == {"PASS"}


def test_mates_stay_in_step_in_two_files_and_in_one(home: Path, tmp_path: Path) -> None:
    first, second = made(4000, 1, "/1"), made(4000, 2, "/2")
    one, two = write(tmp_path / "R1.fq", first), write(tmp_path / "R2.fq", second)
    both = write(tmp_path / "both.fq", [read for pair in zip(first, second, strict=True) for read in pair])
    for name, words in (("a", [str(one), str(two), "--paired"]), ("b", [str(both), "--interleaved"])):
        out = [f"-o{tmp_path / name}.tsv", "--pass-fastq", f"{tmp_path / name}.{{}}.fq", "--fail-fastq"]
        done = anelab(home, "score", *words, *out, f"{tmp_path / name}.fail.fq", "--json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert (summary["reads"], summary["pairs"]) == (8000, 4000)
    for name in (".1.fq", ".2.fq", ".fail.fq"):
        assert (tmp_path / f"a{name}").read_bytes() == (tmp_path / f"b{name}").read_bytes()
    ours, theirs = (np.array(table(tmp_path / f"{name}.tsv")[1:]) for name in "ab")
    assert table(tmp_path / "a.tsv")[0] == ["read_id", "probability", "verdict", "mate", "pair_verdict"]
    assert (ours[:, [0, 2, 3, 4]] == theirs[:, [0, 2, 3, 4]]).all()
    assert ours[:, 3].tolist() == ["1", "2"] * 4000
    both = (ours[::2, 2] == "PASS") & (ours[1::2, 2] == "PASS")
    assert ours[:, 4].tolist() == np.where(np.repeat(both, 2), "PASS", "FAIL").tolist()
    np.testing.assert_allclose(ours[:, 1].astype(float), theirs[:, 1].astype(float), atol=2e-6)  # batches differ
    rows = table(tmp_path / "a.tsv")[1:]
    assert [row[0] for row in rows[:4]] == ["lib:0/1", "lib:0/2", "lib:1/1", "lib:1/2"]
    passing = [row[0][:-2] for row, mate in zip(rows[::2], rows[1::2], strict=True) if row[2] == mate[2] == "PASS"]
    assert len(passing) == summary["pairs_passing"] > 0
    for mate in ("1", "2"):
        heads = [line.split()[0] for line in (tmp_path / f"a.{mate}.fq").read_text().splitlines()[::4]]
        assert heads == [f"@{name}/{mate}" for name in passing]
    assert (tmp_path / "a.fail.fq").read_text().count("\n") == 4 * 2 * (4000 - len(passing))


@pytest.mark.parametrize(
    ("second", "words", "problem"),
    [
        (made(99, 2, "/2"), ["--paired"], r"R2\.fq: ends after 99 records, but .*R1\.fq has more"),
        (made(101, 2, "/2"), ["--paired"], r"R1\.fq: ends after 100 records, but .*R2\.fq has more"),
        ([*made(50, 2, "/2"), ("other", "A", "I"), *made(49, 3)], ["--paired"], r"R2\.fq: record 51 is other, but its"),
        ([], ["--interleaved"], r"R1\.fq: record 2 is marked as mate 1, and its mate in .*R1\.fq as 1"),
        (made(100, 2, "/1"), ["--paired"], r"R2\.fq: record 1 is marked as mate 1, and its mate in .*R1\.fq as 1"),
    ],
)
def test_mates_out_of_step_are_refused(
    second: list[Record], words: list[str], problem: str, home: Path, tmp_path: Path
) -> None:
    files = [write(tmp_path / "R1.fq", made(100, 1, "/1"))]
    if second:
        files.append(write(tmp_path / "R2.fq", second))
    done = anelab(home, "score", *map(str, files), *words, "-o", str(tmp_path / "out.tsv"))
    assert done.returncode == 1
    assert re.search(problem, done.stderr), done.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_input_that_breaks_leaves_nothing_and_keeps_what_was_there(home: Path, reads: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.fq.gz"
    cut.write_bytes(reads.read_bytes()[:-1000])
    out, good = tmp_path / "results" / "out.tsv", tmp_path / "results" / "good.fq"
    out.parent.mkdir()
    out.write_text("of another day")
    done = anelab(home, "score", str(cut), "-o", str(out), "--pass-fastq", str(good))
    assert done.returncode == 1
    assert "cut.fq.gz: the gzip stream is cut short" in done.stderr
    assert out.read_text() == "of another day"
    assert [path.name for path in out.parent.iterdir()] == ["out.tsv"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_who_is_killed_leaves_nothing_under_the_names_of_outputs(
    how: signal.Signals, home: Path, tmp_path: Path
) -> None:
    """And nothing at all, but for SIGKILL, which nobody can answer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    out = tmp_path / "out.tsv"
    words = ["score", str(pipe), "--phred", "33", "-o", str(out), "--workspace", str(home)]
    process = subprocess.Popen([sys.executable, "-m", "anelab", *words], cwd=ROOT, stderr=subprocess.PIPE)
    with pipe.open("w") as feed:
        feed.write(text_of(made(20_000)))
        feed.flush()
        time.sleep(0.5)
        process.send_signal(how)
        process.wait(timeout=30)
    assert process.returncode not in (0, -signal.SIGABRT)
    assert not out.exists()
    assert how == signal.SIGKILL or [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_standard_input_that_waits_is_interrupted_in_order(home: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "anelab", "score", "-", "-o", str(tmp_path / "out.tsv"), "--workspace", str(home)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, b"Fatal" in told, (tmp_path / "out.tsv").exists()) == (130, False, False)


def test_no_input_is_ever_an_output(home: Path, tmp_path: Path) -> None:
    one, two = write(tmp_path / "in_1.fq", made(9, 1, "/1")), write(tmp_path / "in_2.fq", made(9, 2, "/2"))
    before = one.read_bytes()
    words = ["score", str(one), str(two), "--paired", "-o", str(tmp_path / "out.tsv")]
    done = anelab(home, *words, "--fail-fastq", str(tmp_path / "in_{}.fq"))
    assert (done.returncode, "in_1.fq: is an input too; give another output" in done.stderr) == (2, True)
    command = [sys.executable, "-m", "anelab", "score", "-", "-o", str(one), "--workspace", str(home)]
    with one.open("rb") as given:
        own = subprocess.run(command, stdin=given, capture_output=True, cwd=ROOT, check=False)
    assert (own.returncode, b"is an input" in own.stderr) == (2, True)
    assert one.read_bytes() == before
    done = anelab(home, *words, "--pass-fastq", str(tmp_path / "x_{}.fq"), "--fail-fastq", str(tmp_path / "x_1.fq"))
    assert (done.returncode, "each output needs its own file" in done.stderr) == (2, True)


def test_no_output_takes_its_name_unless_all_are_whole(home: Path, reads: Path, tmp_path: Path) -> None:
    words = ["score", str(reads), "--pass-fastq", str(tmp_path / "p.fq"), "-o"]
    done = anelab(home, *words, str(tmp_path))
    assert (done.returncode, "is a folder; give a file" in done.stderr) == (2, True)
    words = [sys.executable, "-m", "anelab", *words, str(tmp_path / "out.tsv"), "--workspace", str(home)]
    limited = ["bash", "-c", 'ulimit -f 400; "$@"', "bash", *words]  # the reads fit, what is left of the table does not
    longer = [(f"{'n' * 3000}{number}", "ACGT" * 4, "!" * 16) for number in range(150)]
    reads.write_bytes(gzip.compress((text_of(longer) + "\n").encode()))
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "File too large" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [reads.name]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="files in /dev are those of Linux")
def test_a_file_in_memory_is_a_file(home: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = write(Path(folder, "in.fq"), made(50))
        before = path.read_bytes()
        done = anelab(home, "score", str(path), "-o", str(tmp_path / "out.tsv"), "--pass-fastq", str(path))
        assert (done.returncode, "is an input" in done.stderr) == (2, True)
        Path(folder, "out.tsv").write_text("of another day")
        path.write_bytes(before[:-30])
        assert anelab(home, "score", str(path), "-o", f"{folder}/out.tsv").returncode == 1
        assert Path(folder, "out.tsv").read_text() == "of another day"


def test_standard_input_that_does_not_block_is_waited_for(home: Path, tmp_path: Path) -> None:
    lines = text_of(made(300)) + "\n"
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    words = [sys.executable, "-m", "anelab", "score", "-", "-o", str(tmp_path / "out.tsv"), "--workspace", str(home)]
    with subprocess.Popen(words, cwd=ROOT, stdin=reader, stderr=subprocess.DEVNULL) as process:
        os.close(reader)
        with os.fdopen(writer, "w") as feed:
            for part in (lines[:20_000], lines[20_000:]):
                feed.write(part)
                feed.flush()
                time.sleep(1.5)
    assert (process.returncode, len(table(tmp_path / "out.tsv"))) == (0, 301)


def test_a_signal_that_is_ignored_stays_so(home: Path, tmp_path: Path) -> None:
    words = ["nohup", sys.executable, "-m", "anelab", "score", "-", "-o", str(tmp_path / "o"), "--workspace", str(home)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        time.sleep(2)
        process.send_signal(signal.SIGHUP)
        process.communicate((text_of(made(9)) + "\n").encode(), timeout=30)
    assert (process.returncode, len(table(tmp_path / "o"))) == (0, 10)


def test_a_link_is_written_through(home: Path, reads: Path, tmp_path: Path) -> None:
    link, target = tmp_path / "link.tsv", tmp_path / "target.tsv"
    target.write_text("old")
    link.symlink_to(target)
    assert anelab(home, "score", str(reads), "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert len(table(target)) == 5001


def test_standard_output_has_nothing_but_what_goes_there(home: Path, reads: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "anelab", "score", str(reads), "--workspace", str(home)]
    for more, count in ((["-o", "-", "--json"], 5001), (["-o", "/dev/stdout"], 5001)):
        with (tmp_path / "out").open("wb") as out:
            subprocess.run([*words, *more], stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT, check=True)
        assert (tmp_path / "out").read_bytes().count(b"\n") == count
    done = subprocess.run(
        [*words, "-o", str(tmp_path / "t"), "--pass-fastq", "-"], capture_output=True, cwd=ROOT, check=True
    )
    assert done.stdout.count(b"\n") % 4 == 0
    assert done.stdout.endswith(b"\n") and b"reads (Phred" not in done.stdout


def test_reads_of_another_offset_do_not_slip_in(home: Path, tmp_path: Path, real_data: Path) -> None:
    path = tmp_path / "mixed.fq"
    other = gzip.decompress((real_data / "fastq/sickle_phred64_150bp/test.f.fastq.gz").read_bytes())
    path.write_bytes((text_of(made(5000)) + "\n").encode() + other)
    done = anelab(home, "score", str(path), "-o", str(tmp_path / "out.tsv"))
    assert done.returncode == 1
    assert "as offset 64 has them, but offset 33 was detected" in done.stderr
    path.write_bytes(other)
    forced = anelab(home, "score", str(path), "-o", str(tmp_path / "out.tsv"), "--phred", "33")
    assert (forced.returncode, "warning" in forced.stderr) == (0, True)


def test_a_full_disk_is_told(home: Path, reads: Path) -> None:
    done = anelab(home, "score", str(reads), "-o", "/dev/full")
    assert (done.returncode, "No space left on device" in done.stderr) == (1, True)


def test_it_stands_in_a_pipeline(home: Path, reads: Path) -> None:
    words = [sys.executable, "-m", "anelab", "score", "-", "-o", "-", "--workspace", str(home)]
    done = subprocess.run(words, input=reads.read_bytes(), capture_output=True, cwd=ROOT, check=True)
    assert len(done.stdout.splitlines()) == 5001
    assert b"5,000 reads (Phred+33) by read_quality-onnx@champion" in done.stderr


def test_neither_torch_nor_mlflow_is_imported(home: Path, reads: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom anelab.cli import main\n"
        f"try: main(['score', {str(reads)!r}, '-o', {str(tmp_path / 'out.tsv')!r}, '--workspace', {str(home)!r}])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert not {'torch', 'mlflow', 'pandas', 'sklearn', 'urllib.request'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", ["mean_quality", "expected_errors"])
def test_a_rule_judges_as_the_label_does(rule: str, home: Path, tmp_path: Path) -> None:
    records = [("good", "A" * 100, "I" * 100), ("bad", "A" * 100, "#" * 100), ("short", "A" * 49, "I" * 49)]
    path = write(tmp_path / "reads.fq", records)
    done = anelab(home, "score", str(path), "--rule", rule, "-o", str(tmp_path / "out.tsv"))
    assert done.returncode == 0, done.stderr
    header, *rows = table(tmp_path / "out.tsv")
    assert header == ["read_id", rule, "verdict"]
    assert [row[2] for row in rows] == ["PASS", "FAIL", "FAIL"]
    values = {"mean_quality": ["40.000000", "2.000000", "40.000000"], "expected_errors": ["0.010000", "63.095734"]}
    assert [row[1] for row in rows][: len(values[rule])] == values[rule]
    stricter = ["-S", "read_quality.data.min_length=120"]
    anelab(home, "score", str(path), "--rule", rule, "-o", str(tmp_path / "out.tsv"), *stricter)
    assert {row[2] for row in table(tmp_path / "out.tsv")[1:]} == {"FAIL"}


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--phred", "59"], 2, "--phred must be auto, 33 or 64"),
        (["--rule", "best"], 2, "--rule must be one of mean_quality, expected_errors"),
        (["--paired"], 2, "--paired needs files in pairs"),
        (["--threshold", "1.5"], 2, "--threshold must be above 0 and below 1 but got 1.5"),
        (["--rule", "expected_errors", "--threshold", "0"], 2, "--threshold must be above 0 but got 0"),
        (["--paired", "--interleaved"], 2, "exclude each other"),
        (["--pass-fastq", "OUT"], 2, "each output needs its own file"),
        (["--pass-fastq", "READS"], 2, "is an input too; give another output"),
        (["--pass-fastq", "x{}.fq"], 2, "stands for the mate, 1 or 2; it needs --paired or --interleaved"),
        (["--model", "models:/read_quality-onnx@best"], 1, "has no version or alias best"),
        (["--model", "models:/nothing-onnx/3"], 1, "nothing-onnx has no version or alias 3"),
        (["--model", "absent.onnx"], 2, "absent.onnx: is not there"),
        (["--model", "FOLDER"], 1, "holds no manifest.json"),
        (["--pass-fastq", "nowhere/good.fq"], 2, "nowhere/good.fq: there is no folder nowhere; create it first"),
        (["--phred", "64"], 1, "is outside 64 to 126, the range of offset 64, which is set by --phred"),
    ],
)
def test_what_cannot_be_meant_is_told(
    words: list[str], code: int, problem: str, home: Path, reads: Path, tmp_path: Path
) -> None:
    named = {"OUT": str(tmp_path / "out.tsv"), "READS": str(reads), "FOLDER": str(tmp_path)}
    given = [named.get(word, word) for word in words]
    done = anelab(home, "score", str(reads), "-o", named["OUT"], *given)
    assert (done.returncode, problem in done.stderr) == (code, True), done.stderr
    assert not Path(named["OUT"]).exists()


def test_a_model_of_another_contract_is_refused(home: Path, reads: Path, tmp_path: Path) -> None:
    model = onnx.load(home / "models/read_quality/export/model.onnx")
    onnx.helper.set_model_props(model, {"workload": "read_quality", "preprocessing": "reads/1"})
    onnx.save(model, tmp_path / "old.onnx")
    done = anelab(home, "score", str(reads), "--model", str(tmp_path / "old.onnx"), "-o", str(tmp_path / "out.tsv"))
    assert done.returncode == 1
    assert "preprocessing reads/1, but it must be reads/3 of read_quality" in done.stderr


def test_a_damaged_model_is_refused(home: Path, reads: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "models/read_quality/export", tmp_path / "export")
    with (tmp_path / "export" / "model.raw.onnx").open("r+b") as handle:
        handle.seek(1000)
        handle.write(b"?")
    done = anelab(home, "score", str(reads), "--model", str(tmp_path / "export"), "-o", str(tmp_path / "out.tsv"))
    assert (done.returncode, "is not the file that manifest.json lists" in done.stderr) == (1, True)


def test_from_a_folder_of_reads_the_workspace_is_named(home: Path, reads: Path, tmp_path: Path) -> None:
    """It needs no params.yaml, unless a rule's thresholds are meant."""
    own = tmp_path / "own"
    shutil.copytree(home / "mlruns", own / "mlruns")
    words = [sys.executable, "-m", "anelab", "score", reads.name, "-o", "out.tsv", "--workspace"]
    done = subprocess.run([*words, "own"], cwd=reads.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(table(reads.parent / "out.tsv")) == 5001
    refused = subprocess.run([*words, "own", "--rule", "mean_quality"], cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, "name one with --workspace" in refused.stderr) == (2, True)
    absent = subprocess.run([*words[:4], "gone*.fq", *words[5:], "own"], cwd=tmp_path, capture_output=True, text=True)
    assert absent.stderr.rstrip().endswith("give a path, a folder or a glob that exists")


def test_without_a_champion_the_gate_that_holds_it_back_is_named(home: Path, reads: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(home / "mlruns", own / "mlruns")
    with closing(sqlite3.connect(own / "mlruns/mlflow.db")) as connection, connection:
        connection.execute("delete from registered_model_aliases")
        connection.execute("update model_version_tags set value = 'fail' where key = 'gate.quality'")
    for words in (["score", str(reads), "-o", str(tmp_path / "x.tsv")], ["model", "inspect", "read_quality-onnx"]):
        done = anelab(own, *words)
        assert done.returncode == 1
        assert "was held back (quality: balanced_accuracy is" in done.stderr
        assert "anelab model promote read_quality-onnx/" in done.stderr
    held = anelab(own, "score", str(reads), "-o", str(tmp_path / "x.tsv"), "--model", "read_quality-onnx/1")
    assert held.returncode == 0
    assert held.stderr.count("was held back when it was registered (quality: balanced_accuracy is") == 1


def test_a_version_is_found_without_mlflow_where_mlflow_finds_it(home: Path, tmp_path: Path) -> None:
    workspace = Workspace(ROOT, home)
    version = open_store(workspace).client.get_model_version_by_alias("read_quality-onnx", "champion")
    names = ["models:/read_quality-onnx@champion", "read_quality-onnx", f"read_quality-onnx/{version.version}"]
    for name in names:
        with version_files(workspace, parse_version(name)) as files:
            assert version.source.removeprefix("models:/") in str(files.folder)
            assert (files.folder / "model.raw.onnx").is_file()
    shutil.copytree(home / "mlruns", tmp_path / "moved" / "mlruns")
    hidden = home / "mlruns" / "artifacts"
    hidden.rename(home / "mlruns" / "elsewhere")
    try:
        with version_files(Workspace(ROOT, tmp_path / "moved"), parse_version(names[0])) as files:
            assert files.folder.is_relative_to(tmp_path / "moved")
    finally:
        (home / "mlruns" / "elsewhere").rename(hidden)


def test_every_command_takes_every_form(home: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((2, 300), np.float32))
    for form in ("read_quality-onnx", "models:/read_quality-onnx@champion", "read_quality-onnx/1"):
        assert anelab(home, "model", "inspect", form, "--json").returncode == 0
        done = anelab(home, "predict", form, str(tmp_path / "rows.npy"), "-o", str(tmp_path / "out.npz"))
        assert done.returncode == 0, done.stderr
        done = anelab(home, "predict", form, "--golden")
        assert done.returncode == 0, done.stderr
        assert "4 of 4 golden cases pass" in done.stdout
    assert anelab(home, "model", "inspect", "read_quality-onnx", "champion").returncode == 0
    again = anelab(home, "model", "promote", "read_quality-onnx")
    assert (again.returncode, "name a version of read_quality-onnx" in again.stderr) == (2, True)
    assert "names version 1 already" in anelab(home, "model", "delete", "read_quality-onnx/1", "2").stderr
    core_ml = anelab(home, "predict", "read_quality-coreml", str(tmp_path / "rows.npy"), "-o", str(tmp_path / "c.npz"))
    assert core_ml.returncode == 0, core_ml.stderr
    assert "on evaluator" in core_ml.stderr
    one, other = (np.load(tmp_path / name)["output"] for name in ("out.npz", "c.npz"))
    np.testing.assert_allclose(one, other, atol=5e-3)
