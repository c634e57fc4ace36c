"""`anelab score --report` and `--multiqc`."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from anelab.inference.reads.report import sample_names
from anelab.inference.reads.statistics import AFTER, BEFORE, BINS, EDGES, ProbabilityCounts, ReadStatistics
from anelab.workloads.read_quality.encode import read_reads as encoded_reads
from tests.commands import anelab
from tests.conftest import ROOT
from tests.sequences.made_fastq import Record, text_of, write

MULTIQC = ROOT / ".anelab" / "multiqc" / "bin" / "multiqc"


def made(sizes: list[int], seed: int = 0, mate: str = "") -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        (
            f"r{number}{mate}",
            "".join(rng.choice(list("ACGT"), size)),
            "".join(map(chr, 33 + rng.integers(2, 41, size))),
        )
        for number, size in enumerate(sizes)
    ]


def test_statistics_are_those_of_every_base(tmp_path: Path) -> None:
    sizes = [0, 1, 149, 150, 151, 160, 161, 999, 1000, 1001, 2500, 3] * 3
    records = made(sizes)
    path = write(tmp_path / "r.fq", records)
    found = ReadStatistics("r", "r.fq")
    kept = np.arange(len(sizes)) % 3 != 1
    start = 0
    for part in encoded_reads(path, 33, "--phred "):
        rows = slice(start, start + len(part))
        found.add(part, kept[rows], kept[rows])
        start += len(part)
    for which, chosen in ((BEFORE, np.ones(len(sizes), bool)), (AFTER, kept)):
        scores, bases, reads = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS + 1)
        for (_, sequence, quality), there in zip(records, chosen, strict=True):
            if there:
                values = np.frombuffer(quality.encode(), np.uint8).astype(int) - 33
                places = np.searchsorted(EDGES, np.arange(len(values)), side="right") - 1
                np.add.at(scores, places, values)
                np.add.at(bases, places, 1)
                reads[places[-1] if len(sequence) else BINS] += 1
        assert found.scores[which, :BINS].tolist() == scores.tolist()
        assert found.bases[which, :BINS].tolist() == bases.tolist()
        assert found.reads[which].tolist() == reads.tolist()
    figures = found.as_json()
    assert (figures["reads"], figures["kept"], figures["pass"]) == (36, 24, 24)
    assert (figures["bases"], figures["by_length"][0]) == (sum(sizes), {"from": 0, "to": 0, "reads": 3, "kept": 3})
    assert figures["by_length"][-1]["from"] <= 2500 == figures["by_length"][-1]["to"]
    assert (figures["offset"], figures["shortest"], figures["longest"]) == (33, 0, 2500)


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_keeps_as_many_reads_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.3, 2, 5000)
    counts = ProbabilityCounts()
    for part in np.array_split(probability, 7):
        counts.add(part)
    for percent in (50, 80, 90):
        threshold = counts.threshold(percent)
        kept = float((probability >= threshold).mean())
        assert percent / 100 <= kept <= percent / 100 + 0.05
    assert ProbabilityCounts().threshold(50) == 0.0
    sure = ProbabilityCounts()
    sure.add(np.array([0.0, 1.0, 1.0]))
    assert sure.threshold(50) >= 0.99


def test_samples_are_told_apart_by_folders_and_numbers() -> None:
    assert sample_names(["a.fastq.gz", "b.FQ", "-", "x.y"]) == ["a", "b", "stdin", "x.y"]
    assert sample_names(["one/a.fq", "two/a.fq.bz2"]) == ["one_a", "two_a"]
    assert sample_names(["one/a.fq", "one/a.fq.gz"]) == ["one_a", "one_a_2"]
    assert sample_names(["d1/x.fq", "d1/x.fastq", "q/d1_x_2.fq"]) == ["d1_x", "d1_x_2", "d1_x_2_2"]
    assert sample_names(["a/X.fq", "b/x.fq"]) == ["X", "x_2"]


def test_a_report_has_every_sample_before_and_after(home: Path, tmp_path: Path) -> None:
    for mate in ("1", "2"):
        write(tmp_path / f"s_{mate}.fq", made([150, 250, 90] * 20, int(mate), f"/{mate}"))
    pair = [str(tmp_path / "s_1.fq"), str(tmp_path / "s_2.fq"), "--paired", "-o", str(tmp_path / "t.tsv")]
    for name in ("r.json", "r.html"):
        done = anelab(home, "score", *pair, "--report", str(tmp_path / name), "--rule", "mean_quality")
        assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    rows = [line.split("\t") for line in (tmp_path / "t.tsv").read_text().splitlines()[1:]]
    assert report["schema"] == "anelab.score/1"
    assert [one["name"] for one in report["samples"]] == ["s_1", "s_2"]
    for mate, one in zip("12", report["samples"], strict=True):
        own = [row for row in rows if row[3] == mate]
        assert (one["reads"], one["pass"]) == (60, sum(row[2] == "PASS" for row in own))
        assert one["kept"] == sum(row[4] == "PASS" for row in own) == report["summary"]["pairs_passing"]
        assert [entry["reads"] for entry in one["by_length"]] == [20, 20, 20]
        assert str(tmp_path) not in json.dumps(one)
    page = (tmp_path / "r.html").read_text()
    assert "mean_quality &gt;= 20, length &gt;= 50" in page and "s_2" in page and page.count("<svg") == 4
    assert not re.search(r"(src|href)=", page), "it stands alone"


@pytest.mark.parametrize("content", [b"", b"@r\n\n+\n\n"])
def test_a_report_of_nothing_says_so(content: bytes, home: Path, tmp_path: Path) -> None:
    (tmp_path / "none.fq").write_bytes(content)
    words = [str(tmp_path / "none.fq"), "-o", str(tmp_path / "t.tsv"), "--multiqc", str(tmp_path)]
    done = anelab(home, "score", *words, "--report", str(tmp_path / "r.html"))
    assert done.returncode == 0, done.stderr
    assert "The file has no reads, or only empty ones." in (tmp_path / "r.html").read_text()


def test_what_cannot_be_written_is_told_before_the_work(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "r.fq", made([100] * 5))
    words = [str(path), "-o", str(tmp_path / "t.tsv")]
    for more, reason in (
        (["--report", str(tmp_path / "r.pdf")], "ends in .html or .json"),
        (["--report", str(tmp_path / "no" / "r.json")], "there is no folder"),
        (["--report", str(tmp_path / "t.json"), "--pass-fastq", str(tmp_path / "t.json")], "needs its own file"),
        (["--multiqc", str(tmp_path / "no")], "there is no such folder; create it first"),
    ):
        done = anelab(home, "score", *words, *more)
        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "t.tsv").exists()


@pytest.mark.skipif(not MULTIQC.is_file(), reason="MultiQC is not installed; `make test` installs it")
def test_multiqc_reads_every_section(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mqc").mkdir()
    blank = [("b", "ACGT" * 20, "#" * 80)] * 5
    samples = {
        "short": made([100] * 30),
        "long one": made([150, 700, 2500] * 10),
        "blank": blank,
        "甲": [],
        "乙": blank,
    }
    paths = []
    for name, records in samples.items():
        paths.append(tmp_path / f"{name}.fq.gz")
        paths[-1].write_bytes(gzip.compress((text_of(records) + "\n").encode() if records else b""))
    words = ["-o", str(tmp_path / "t.tsv"), "--multiqc", str(tmp_path / "mqc"), "--rule", "mean_quality"]
    assert anelab(home, "score", *map(str, paths), *words).returncode == 0
    assert len(list((tmp_path / "mqc").glob("*_anelab_general_mqc.json"))) == 5
    done = subprocess.run(
        [MULTIQC, tmp_path / "mqc", "-o", tmp_path / "out", "--no-ai", "--data-format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "out" / "multiqc_data" / "multiqc_data.json").read_text())
    general = data["report_general_stats_data"]["custom_content"]
    reads = {name: len(records) for name, records in samples.items()}
    assert {name: figures["reads"] for name, figures in general.items()} == reads
    plots = data["report_plot_data"]
    sections = ("verdicts", "lengths", "kept_by_length", "quality_before", "quality_after")
    assert {f"anelab_{section}_plot" for section in sections} <= plots.keys()
    lines = {line["name"]: line["pairs"] for line in plots["anelab_quality_before_plot"]["datasets"][0]["lines"]}
    cycles = [x for x, _ in lines["long one"]]
    assert cycles == sorted(cycles), "as numbers, not as text"
    assert len(lines["short"]) == 100
