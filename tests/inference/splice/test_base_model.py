"""A base model's ONNX file: any layout, whole contigs, training on its scores, and files that are none."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.inference.splice.base_model import BaseModel, open_base_model
from anelab.inference.splice.scorer import open_scorer
from anelab.learning.arrays import load_array
from anelab.sequences.genome import Genome
from anelab.workloads.splice.config import BaseConfig, SimulationConfig
from anelab.workloads.splice.features import LABELS
from anelab.workloads.splice.matrices import matrix_scores
from anelab.workloads.splice.simulate import consensus_matrices, simulate_genome
from anelab.workloads.splice.sites import prevalence_of, strands_of
from anelab.workspace import Workspace
from tests.commands import Done, anelab
from tests.inference.splice.made import CONTEXT, base_model, model_with_base, write_genome
from tests.shared import copy_workspace

ORDER = ("neither", "acceptor", "donor")
GENOME, TRANSCRIPTS = simulate_genome(SimulationConfig(genes=40, exons=3), 6)
CONTIG = "sim1"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("base"), "splice")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_genome(tmp_path_factory.mktemp("genes"), GENOME, TRANSCRIPTS)


def opened(home: Path, *paths: Path, order: tuple[str, ...] = ORDER, context: int = CONTEXT) -> Any:
    settings = BaseConfig(model="mine", channels=list(order), context=context)
    return open_base_model(lambda: Workspace(home, home), paths, settings)


def by_matrices(positions: np.ndarray[Any, Any], strand: int) -> np.ndarray[Any, Any]:
    return matrix_scores(consensus_matrices(), Genome(GENOME.contigs).windows(CONTIG, positions, strand, 61))


@pytest.mark.parametrize(
    "form",
    [{}, {"letters_last": True}, {"whole": True}, {"length": 200}, {"length": 97, "letters_last": True, "whole": True}],
)
@pytest.mark.parametrize("strand", [1, -1])
def test_a_file_of_any_layout_gives_the_scores_of_its_positions(
    home: Path, tmp_path: Path, form: dict[str, Any], strand: int
) -> None:
    size = GENOME.contigs[CONTIG].size
    positions = np.array([4000, 60, 61, 62, 400, 1000, size - 70, 4003])
    with opened(home, base_model(tmp_path / "base.onnx", **form)) as base:
        found = base.scores(GENOME.contigs[CONTIG], positions, strand)
    np.testing.assert_allclose(found, by_matrices(positions, strand), atol=2e-5)


def test_long_stretches_are_the_same_as_single_positions(home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("anelab.inference.splice.base_model.BASES_AT_ONCE", 37)
    positions = np.arange(500, 800)
    with opened(home, base_model(tmp_path / "base.onnx")) as base:
        whole = base.scores(GENOME.contigs[CONTIG], positions, -1)
        single = [base.scores(GENOME.contigs[CONTIG], positions[[row]], -1)[0] for row in (0, 151, 299)]
    np.testing.assert_allclose(whole[[0, 151, 299]], single, atol=1e-6)


def test_several_files_are_averaged_and_classes_come_in_the_order_that_is_said(home: Path, tmp_path: Path) -> None:
    strong, weak = base_model(tmp_path / "a.onnx"), base_model(tmp_path / "b.onnx", strength=0.3)
    codes, positions = GENOME.contigs[CONTIG], np.array([300, 500])

    def scores(*paths: Path, order: tuple[str, ...] = ORDER) -> Any:
        with opened(home, *paths, order=order) as base:
            return base.scores(codes, positions, 1)

    np.testing.assert_allclose(scores(strong, weak), (scores(strong) + scores(weak)) / 2, atol=1e-6)
    turned = scores(strong, order=("neither", "donor", "acceptor")).reshape(2, 3, 5)
    np.testing.assert_allclose(turned, scores(strong).reshape(2, 3, 5)[:, [1, 0, 2]], atol=1e-6)


def test_files_that_are_no_base_model_say_what_one_is(home: Path, tmp_path: Path) -> None:
    codes, positions = GENOME.contigs[CONTIG], np.array([300])

    def refused(path: Path, message: str, context: int = CONTEXT) -> None:
        with pytest.raises(AnelabError, match=message), opened(home, path, context=context) as base:
            assert isinstance(base, BaseModel)
            base.scores(codes, positions, 1)

    refused(base_model(tmp_path / "logits.onnx", softmax=False), "no probabilities .*export the model with its softmax")
    refused(base_model(tmp_path / "base.onnx"), r"gives an array of shape .*splice.data.base.context", context=80)
    refused(base_model(tmp_path / "short.onnx", length=64), "shorter than its context", context=100)
    refused(next((home / "models/splice/export").glob("*.onnx")), "a base model takes one-hot bases")
    (tmp_path / "no.onnx").write_bytes(b"hello")
    refused(tmp_path / "no.onnx", "no.onnx")


def base_scores(home: Path, files: tuple[Path, Path], base: Path, out: Path, *words: str) -> Done:
    context = f"splice.data.base.context={CONTEXT}"
    return anelab(
        home,
        "splice",
        "base-scores",
        *map(str, files),
        "--base-model",
        str(base),
        "-o",
        str(out),
        "-S",
        context,
        *words,
    )


def test_a_model_is_trained_on_a_base_models_scores_of_a_genome(
    home: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    out, base = tmp_path / "base.tsv.gz", base_model(tmp_path / "base.onnx")
    done = base_scores(home, files, base, out)
    assert done.returncode == 0, done.stderr
    sources = ", ".join(str(path) for path in (*files, out))
    words = ("-S", f"splice.data.source=[{sources}]", "-S", f"splice.data.base.context={CONTEXT}")
    for stage in ("inputs", "simulate", "prepare"):
        assert (done := anelab(tmp_path / "w", stage, "splice", *words)).returncode == 0, done.stderr
    facts = read_json(tmp_path / "w/reports/splice/data.json")["facts"]
    assert (facts["base scores from"], facts["rows left out"]["no scores of the base model"]) == ("table", 0)
    prepared = tmp_path / "w/data/prepared/splice"
    sequence, scores = (load_array(prepared / f"train.{name}.npy") for name in ("sequence", "scores"))
    inside = (sequence[:, :91] > 0).all(axis=1) & (sequence[:, -91:] > 0).all(axis=1)
    np.testing.assert_allclose(scores[inside], matrix_scores(consensus_matrices(), sequence)[inside], atol=2e-5)
    assert read_json(prepared / "base.json")["channels"] == ["neither", "acceptor", "donor"]
    wrong = base_scores(home, (files[0], files[0]), base, out)
    assert (wrong.returncode, "give a FASTA and its annotation" in wrong.stderr) == (2, True), wrong.stderr
    unknown = base_scores(home, files, base, out, "-S", "splice.data.base.model=mine")
    assert (unknown.returncode, "must say in which order mine gives the classes" in unknown.stderr) == (2, True), (
        unknown.stderr
    )


def test_a_genome_is_scored_position_by_position(home: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = model_with_base(home, tmp_path / "model", "pwm")

    def score(name: str, *words: str) -> Done:
        command = ("splice", "score", *map(str, files), "--model", str(folder), "-o", str(tmp_path / name))
        return anelab(home, *command, *words)

    done = score("all.tsv.gz", "--json")
    assert done.returncode == 0, done.stderr
    frame = pl.read_csv(gzip.decompress((tmp_path / "all.tsv.gz").read_bytes()), separator="\t")
    sites = {
        (one.contig, one.strand, position, kind)
        for one in TRANSCRIPTS
        for first, last in one.introns
        for position, kind in zip((first - 1, last + 1)[:: one.strand], ("donor", "acceptor"), strict=True)
    }
    named = frame.filter(pl.col("annotated") != "")
    signs = [1 if sign == "+" else -1 for sign in named["strand"]]
    assert sites == set(zip(named["chrom"], signs, named["position"], named["annotated"], strict=True))
    assert len(frame) + json.loads(done.stdout)["not scored"] == sum(
        one.exons[-1][1] - one.exons[0][0] + 1 for one in TRANSCRIPTS
    )
    row = named.row(0, named=True)
    with open_scorer(lambda: Workspace(home, home), str(folder)) as scorer:
        codes, position = GENOME.contigs[row["chrom"]], np.array([row["position"]])
        window = GENOME.windows(row["chrom"], position, signs[0], scorer.window)
        share = prevalence_of(strands_of(TRANSCRIPTS).values())
        chances = scorer.probabilities(window, scorer.scores_at(codes, position, signs[0]), share)[0]
    np.testing.assert_allclose([row[f"probability_{name}"] for name in LABELS], chances, rtol=1e-4)
    assert score("sites.bedgraph", "--positions", "sites").returncode == 0
    lines = (tmp_path / "sites.bedgraph").read_text().splitlines()
    assert [line for line in lines if line.startswith("track")] == [
        f'track type=bedGraph name="{name} {sign}" viewLimits=0:1' for name in LABELS[:2] for sign in "+-"
    ]
    place = f"{row['chrom']}\t{row['position'] - 1}\t{row['position']}\t"
    assert [line for line in lines if line.startswith(place)]
    assert len(lines) == 4 + 2 * len(sites)


def test_what_cannot_be_scored_together_says_what_can(home: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("sequence\tdonor_score\tacceptor_score\tneither_score\nACGTACGT\t0.1\t0.1\t0.8\n")
    for paths, words in (([files[0]], ()), ([table, table], ()), ([table], ("-o", str(tmp_path / "o.bedgraph")))):
        out = () if words else ("-o", str(tmp_path / "o.tsv"))
        done = anelab(home, "splice", "score", *map(str, paths), *words, *out)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "o.tsv").exists()
