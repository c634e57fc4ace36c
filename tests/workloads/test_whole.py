"""Reads longer than the model sees: rules over all of their bases, and models in parts."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.inference.reads.scorer import rule_scorer
from anelab.sequences.fastq import read_blocks
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH, read_reads
from anelab.workloads.read_quality.whole import _lowered, long_reads, model_values
from tests.conftest import tiny
from tests.sequences.made_fastq import write

PHRED = "--phred "


def long_file(tmp_path: Path, lengths: Sequence[int]) -> Path:
    rng = np.random.default_rng(3)
    records = []
    for number, length in enumerate(lengths):
        bases, scores = rng.choice(list("ACGTN"), length), rng.integers(2, 42, length) + 33
        records.append((f"r{number}", "".join(bases), scores.astype(np.uint8).tobytes().decode()))
    return write(tmp_path / "long.fq", records)


LENGTHS = [0, 1, 149, 150, 151, 250, 299, 300, 301, 449, 1000, 6006]


def test_rules_see_every_base(tmp_path: Path) -> None:
    data = tiny().read_quality.data
    (reads,) = read_reads(long_file(tmp_path, LENGTHS), 33, PHRED)
    scores = [np.frombuffer(reads.block.line(row, 3), np.uint8) - 33.0 for row in range(len(reads))]
    expected = {
        "mean_quality": [one.mean() if one.size else 0 for one in scores],
        "expected_errors": [(10 ** (-one / 10)).sum() for one in scores],
    }
    for rule, values in expected.items():
        scorer = rule_scorer(rule, data)
        np.testing.assert_allclose(scorer.score(reads), values, atol=1e-9)
        first = rule_scorer(rule, data, whole=False).score(reads)
        np.testing.assert_array_equal(first[:4], scorer.score(reads)[:4])
        assert (first[4:] != scorer.score(reads)[4:]).all()


def parts_of(tmp_path: Path, label: str, lengths: Sequence[int]) -> dict[int, np.ndarray]:
    """What a model is given for each read, uint8 [parts, 300], by its row."""
    (block,) = read_blocks(long_file(tmp_path, lengths))
    given: dict[int, np.ndarray] = {}
    for parts, rows in long_reads(block.lengths):

        def predict(raw: np.ndarray, parts: int = parts, rows: np.ndarray = rows) -> np.ndarray:
            given.update(zip(rows.tolist(), raw.reshape(len(rows), parts, -1), strict=True))
            return np.full(len(raw), 0.25, np.float32)

        found = model_values(predict, block.take(rows), 33, parts, {"label": label})
        np.testing.assert_allclose(found, 0.25 if label == "mean_quality" else 0.25**parts, rtol=1e-6)
    return given


@pytest.mark.parametrize("label", ["mean_quality", "overlap"])
def test_every_base_is_in_one_part_and_nothing_else_is(label: str, tmp_path: Path) -> None:
    (block,) = read_blocks(long_file(tmp_path, LENGTHS))
    given = parts_of(tmp_path, label, LENGTHS)
    assert sorted(given) == [4, 5, 6, 7, 8, 9, 10, 11]
    for row, raw in given.items():
        codes, scores = raw[:, :WIDTH], raw[:, WIDTH:]
        inside = codes > 0
        assert (scores[~inside] == PAD_SCORE).all()
        assert (np.diff(inside.astype(int), axis=1) <= 0).all()  # bases, then pads
        order = (1, 0) if label == "mean_quality" else (0, 1)
        wanted = np.frombuffer(block.line(row, 3), np.uint8) - 33
        np.testing.assert_array_equal(scores.transpose(order)[inside.transpose(order)], wanted)
        assert inside.sum(axis=1).min() > (WIDTH // 2 - 1 if label == "mean_quality" else 0)


@given(st.integers(2, 60), st.integers(20, 93))
def test_lowered_scores_state_as_many_errors_as_the_whole_read(parts: int, score: int) -> None:
    """Those of one part, of a read whose bases all have that score."""
    lowered = _lowered(np.full((1, parts * WIDTH), score, np.uint8), parts)
    part = lowered.reshape(WIDTH, parts).T
    whole = parts * WIDTH * 10 ** (-score / 10)
    if score > 10 * np.log10(parts) + 1:
        np.testing.assert_allclose((10.0 ** (-part.astype(float) / 10)).sum(axis=1), whole, rtol=0.01)


def test_errors_of_parts_are_added_as_poissons(tmp_path: Path) -> None:
    (block,) = read_blocks(long_file(tmp_path, [300]))
    metadata = {"label": "true_errors", "max_errors": "1"}
    mean = 0.7
    of_one = np.float32(np.exp(-mean) * (1 + mean))
    (found,) = model_values(lambda raw: np.full(len(raw), of_one), block, 33, 2, metadata)
    assert found == pytest.approx(np.exp(-2 * mean) * (1 + 2 * mean), rel=1e-5)


def test_one_part_that_is_sure_does_not_outweigh_the_others(tmp_path: Path) -> None:
    (block,) = read_blocks(long_file(tmp_path, [450]))
    given = iter([np.array([0.0, 0.9999, 0.9999], np.float32)])
    (found,) = model_values(lambda raw: next(given), block, 33, 3, {"label": "mean_quality"})
    assert found > 0.5


VSEARCH = shutil.which("vsearch")


@pytest.mark.skipif(VSEARCH is None, reason="vsearch is not installed; Debian has it, and CI installs it")
def test_expected_errors_are_vsearchs_on_every_library(real_data: Path, tmp_path: Path) -> None:
    data = tiny("read_quality.data.min_length=0").read_quality.data
    scorer = rule_scorer("expected_errors", data)
    kept_of_all = 0
    for path in sorted((real_data / "fastq").glob("*/*.f*q*")):
        ours, offsets = [], set()
        for reads in read_reads(path, "auto", PHRED):
            passed = scorer.passes(scorer.score(reads), reads.block.lengths)
            ours += [name for name, one in zip(reads.block.names(), passed, strict=True) if one]
            offsets.add(reads.offset)
        assert ours == vsearch(path, offsets.pop(), tmp_path / "kept.fq"), path
        kept_of_all += len(ours)
    assert kept_of_all > 1000


def vsearch(path: Path, offset: int, out: Path) -> list[str]:
    """Names of the reads that `--fastq_maxee 1` keeps."""
    options = [
        "--fastq_maxee",
        "1",
        "--fastq_ascii",
        str(offset),
        "--fastq_qmax",
        str(126 - offset),
        "--fastqout",
        str(out),
    ]
    packed = ["--gzip_decompress"] if path.suffix == ".gz" else []
    done = subprocess.run(
        [str(VSEARCH), "--fastq_filter", str(path), "--fastqout", str(out), *options, *packed],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [name for block in read_blocks(out) for name in block.names()] if out.stat().st_size else []
