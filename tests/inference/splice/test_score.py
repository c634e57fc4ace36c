"""`anelab splice check` and `score`: what a user's table gives, and what is wrong with it."""

import csv
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anelab.files import read_json
from anelab.inference.splice.score import COLUMNS
from anelab.learning.arrays import load_array
from anelab.workloads import get
from anelab.workloads.splice.features import LABELS
from tests.commands import Done, anelab
from tests.conftest import tiny
from tests.shared import copy_workspace


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("splice"), "splice")


@pytest.fixture(scope="module")
def table(home: Path) -> pl.DataFrame:
    return pl.read_csv(gzip.decompress((home / "data/raw/splice/windows.tsv.gz").read_bytes()), separator="\t")[:60]


def write(frame: pl.DataFrame, path: Path) -> Path:
    path.write_text(frame.write_csv(separator="\t"))
    return path


def score(home: Path, path: Path, out: Path, *words: str) -> Done:
    return anelab(home, "splice", "score", str(path), "-o", str(out), *words)


def rows_of(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_a_table_keeps_its_columns_and_gets_the_models_and_the_bases_chances(
    home: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    path = write(table.drop("label"), tmp_path / "a table.tsv")
    done = score(home, path, tmp_path / "out.tsv.gz")
    assert done.returncode == 0, done.stderr
    assert "60 rows" in done.stderr
    found = rows_of(tmp_path / "out.tsv.gz")
    assert list(found[0]) == [*table.drop("label").columns, *COLUMNS]
    assert [row["id"] for row in found] == table["id"].to_list()
    for row, donor in zip(found, table["donor_p0"].to_list(), strict=True):
        chances = [float(row[f"probability_{label}"]) for label in LABELS]
        assert sum(chances) == pytest.approx(1, abs=1e-4)
        assert row["verdict"] == LABELS[int(np.argmax(chances))]
        assert float(row["base_donor"]) == pytest.approx(donor, rel=1e-3, abs=1e-6)


def test_scores_are_those_that_the_test_set_was_judged_by(home: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    """Preparing and scoring read the same table alike."""
    whole = pl.read_csv(gzip.decompress((home / "data/raw/splice/windows.tsv.gz").read_bytes()), separator="\t")
    assert score(home, write(whole, tmp_path / "all.tsv"), tmp_path / "out.tsv").returncode == 0
    by_sequence = {row["sequence"]: float(row["probability_donor"]) for row in rows_of(tmp_path / "out.tsv")}
    test = get("splice").load(tiny().section("splice"), home / "data/prepared/splice", "test")
    letters = np.frombuffer(b"NNNNACGTN", np.uint8)[test.inputs["model"]["sequence"]]
    kept = load_array(home / "data/prepared/splice/test.scores.npy")
    assert len(kept) == len(letters)
    examples = np.array([by_sequence[row.tobytes().decode()] for row in letters])
    figures = read_json(home / "reports/splice/train.json")["test"]
    found = get("splice").metrics(
        {"probability": np.stack([examples, 0 * examples, 1 - examples], axis=1), "decision": (examples < 0.5) * 2},
        test,
    )
    assert found["ap_donor"] == pytest.approx(figures["ap_donor"], abs=1e-3)


def test_without_the_bases_scores_it_says_which_columns_to_give(
    home: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    bare = table.select("id", "sequence")
    done = score(home, write(bare, tmp_path / "bare.tsv"), tmp_path / "out.tsv")
    assert (done.returncode, "has no scores of the base model" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "out.tsv").exists()
    renamed = write(table.rename({"sequence": "seq"}), tmp_path / "renamed.tsv")
    assert "say which it is by splice.data.columns" in score(home, renamed, tmp_path / "out.tsv").stderr
    assert score(home, renamed, tmp_path / "out.tsv", "-S", "splice.data.columns={sequence: seq}").returncode == 0
    again = score(home, tmp_path / "out.tsv", tmp_path / "twice.tsv", "-S", "splice.data.columns={sequence: seq}")
    assert "has columns base_acceptor" in again.stderr
    assert score(home, tmp_path / "absent.tsv", tmp_path / "out.tsv").returncode == 2


def test_a_row_that_is_wrong_late_in_the_table_leaves_no_file(home: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    values = ["0.1"] * 59 + ["x"]
    path = write(table.with_columns(donor_p0=pl.Series(values)), tmp_path / "late.tsv")
    done = score(home, path, tmp_path / "out.tsv")
    assert (done.returncode, "late.tsv: line 61: column donor_p0" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_check_says_what_prepare_would_find(home: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    path = write(table.with_columns(pred_type=pl.lit("TP")), tmp_path / "t.tsv")
    done = anelab(home, "splice", "check", str(path))
    assert done.returncode == 0, done.stderr
    assert "rows: 60" in done.stdout and "pred_type" in done.stdout
    (tmp_path / "no.tsv").write_text("hello\n")
    done = anelab(home, "splice", "check", str(tmp_path / "no.tsv"))
    assert (done.returncode, "is no FASTA, no annotation" in done.stderr) == (1, True), done.stderr


def test_neighbours_that_training_joins_are_joined_for_scoring_too(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    letters = "".join(map(chr, np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 300)]))
    chances = rng.dirichlet([1, 1, 5], 100).round(6)
    rows = {
        "chrom": ["chr1"] * 100,
        "position": list(range(1, 101)),
        "strand": ["+"] * 100,
        "sequence": [letters[place : place + 101] for place in range(100)],
    }
    center = dict(zip(("donor_score", "acceptor_score", "neither_score"), chances.T, strict=True))
    padded = np.concatenate([np.tile([0, 0, 1.0], (2, 1)), chances, np.tile([0, 0, 1.0], (2, 1))])
    whole = {
        f"{name}_{offset}": padded[place : place + 100, track]
        for track, name in enumerate(LABELS)
        for place, offset in enumerate(("m2", "m1", "p0", "p1", "p2"))
    }
    for name, scores in (("center", center), ("whole", whole)):
        path = write(pl.DataFrame({**rows, **scores}), tmp_path / f"{name}.tsv")
        assert score(home, path, tmp_path / f"{name}.out").returncode == 0
    left, right = (rows_of(tmp_path / f"{name}.out") for name in ("center", "whole"))
    assert [row["probability_donor"] for row in left] == [row["probability_donor"] for row in right]
