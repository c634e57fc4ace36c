"""The label `overlap`: what mates tell of each other's errors, and what filters make of it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab import workloads
from anelab.errors import AnelabError
from anelab.learning.base import SPLITS
from anelab.sequences.mates import fragments_of
from anelab.sequences.nucleotides import CODES, PAD_CODE, Bytes
from anelab.workloads.read_quality import filters
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH
from anelab.workloads.read_quality.groups import mates_of
from anelab.workloads.read_quality.kmers import KmerTable
from anelab.workloads.read_quality.labelled import label_reads
from anelab.workloads.read_quality.labels import flush_left
from anelab.workloads.read_quality.library import read_all
from anelab.workloads.read_quality.overlap import Overlaps, find_overlaps, reverse_complement
from anelab.workloads.read_quality.prepare import prepare
from anelab.workloads.read_quality.simulate import MATE_NAMES, TRUTH_NAME
from anelab.workloads.read_quality.truth import read_truth
from tests.conftest import tiny
from tests.sequences.made_fastq import write

LIMIT = "read_quality.registry.limits.rare_discarded=1.2"
OVERLAP = ("read_quality.data.label=overlap", LIMIT)
OTHER_STRAND = str.maketrans("ACGTN", "TGCAN")


def configured(*more: str) -> Any:
    return tiny(*OVERLAP, *more).section("read_quality")


def codes_of(*sequences: str) -> Bytes:
    rows = np.zeros((len(sequences), WIDTH), np.uint8)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = np.frombuffer(sequence.encode().translate(CODES), np.uint8)
    return rows


def made(seed: int, length: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def other_strand(sequence: str) -> str:
    return sequence.translate(OTHER_STRAND)[::-1]


def changed(sequence: str, *places: int) -> str:
    bases = list(sequence)
    for place in places:
        bases[place] = "ACGT"[("ACGT".index(bases[place]) + 1) % 4]
    return "".join(bases)


def overlaps_of(*pairs: tuple[str, str]) -> Overlaps:
    reads = [read for pair in pairs for read in pair]
    rows = np.arange(len(reads))
    return find_overlaps(codes_of(*reads), rows[::2], rows[1::2])


FRAGMENT = made(1, 130)
MATES = (FRAGMENT[:90], other_strand(FRAGMENT)[:90])
"""They overlap in the fragment's bases 40 to 89, which are the bases 40 to 89 of either mate."""


def errors_of(found: Overlaps, row: int) -> list[int]:
    (at,) = np.flatnonzero(found.rows == row)
    places: list[int] = np.flatnonzero(found.wrong[at]).tolist()
    return places


def test_a_strand_and_its_complement_are_one_kmer_and_unread_bases_make_none() -> None:
    sequence = made(0, 60)
    table = KmerTable.of(codes_of(sequence, other_strand(sequence), sequence[:30] + "N" + sequence[31:]))
    assert len(table.kmers) == 40
    assert table.lookup(codes_of(sequence))[0, :40].tolist() == [3] * 10 + [2] * 21 + [3] * 9
    assert table.support(codes_of(sequence))[0, :60].tolist() == [3] * 30 + [2] + [3] * 29
    assert table.typical(codes_of(sequence, made(5, 60), "")).tolist() == [2.0, 0.0, 0.0]


def test_the_other_strand_begins_with_the_last_base() -> None:
    assert np.array_equal(reverse_complement(codes_of("AACGN", "")), codes_of("NCGTT", ""))


def test_the_wrong_mate_is_the_one_whose_kmers_are_rare() -> None:
    """In the first row mate 1 errs outside of the overlap, too, which cannot be known."""
    wrong = (changed(MATES[0], 10, 60), MATES[1])
    theirs = (MATES[0], changed(MATES[1], 45))
    near = (changed(MATES[0], 60, 64), changed(MATES[1], 129 - 62))
    found = overlaps_of(wrong, theirs, near, *[MATES] * 6)
    assert (found.pairs, found.trusted, found.undecided) == (9, 9, 0)
    assert [errors_of(found, row) for row in range(6)] == [[60], [], [], [45], [60, 64], [67]]
    assert all(np.flatnonzero(covered).tolist() == list(range(40, 90)) for covered in found.covered)
    assert found.wrong.sum() == 5
    assert found.abundance.tolist() == [15.0] * 18


def test_an_unread_base_is_wrong_whatever_the_mate_says() -> None:
    unread = MATES[0][:70] + "N" + MATES[0][71:]
    both = (unread, other_strand(FRAGMENT[40:70] + "N" + FRAGMENT[71:]))
    found = overlaps_of((unread, MATES[1]), (both[0], both[1][:90]), *[MATES] * 4)
    assert [errors_of(found, row) for row in range(4)] == [[70], [], [70], [59]]


def test_a_fragment_shorter_than_its_reads_ends_where_it_ends() -> None:
    short, adapter = FRAGMENT[:60], made(9, 30)
    pair = (short + adapter, other_strand(short) + adapter)
    found = overlaps_of(*[pair] * 3)
    assert found.trusted == 3
    assert all(np.flatnonzero(covered).tolist() == list(range(60)) for covered in found.covered)


def test_a_difference_that_the_library_does_not_decide_leaves_its_pair_out() -> None:
    other = made(2, 130)
    lonely = (other[:90], changed(other_strand(other)[:90], 60))
    evenly = [(FRAGMENT[:90], changed(MATES[1], 60))] * 4
    found = overlaps_of(lonely, *evenly)
    assert (found.trusted, found.undecided, len(found.rows)) == (5, 5, 0)


@pytest.mark.parametrize(
    "pair",
    [
        (made(3, 90), made(4, 90)),
        (MATES[0], other_strand(FRAGMENT[70:130])),
        ("ACG" * 30, other_strand("ACG" * 30)),
        ("ACG" * 10, other_strand("ACG" * 10)),
        ("A" * 30, "T" * 30),
        ("N" * 40, "N" * 40),
        (MATES[0], ""),
    ],
    ids=["unrelated", "too little", "repeats", "short repeats", "homopolymer", "unread", "empty"],
)
def test_what_is_no_sure_overlap_is_not_trusted(pair: tuple[str, str]) -> None:
    found = overlaps_of(pair, *[MATES] * 3)
    assert (found.pairs, found.trusted) == (4, 3)
    assert set(found.rows.tolist()) == {2, 3, 4, 5, 6, 7}


def simulated(folder: Path, *more: str) -> tuple[Any, list[Path]]:
    settings = ("pairs=true", "amplicons=30", "reads=1500", "min_length=150", *more)
    config = configured(*(f"read_quality.data.simulation.{setting}" for setting in settings))
    workloads.get("read_quality").simulate(config, folder)
    return config, [folder / name for name in MATE_NAMES]


def test_overlaps_find_the_true_errors_of_simulated_reads(tmp_path: Path) -> None:
    config, files = simulated(tmp_path)
    truth = read_truth(tmp_path / TRUTH_NAME)
    reads = read_all(files, config.data)
    found = label_reads(reads, [], config.data)
    inside = found.raw[:, :WIDTH] != PAD_CODE
    true = np.zeros_like(inside)
    for row, read in enumerate(found.rows.tolist()):
        true[row, list(truth[reads.names[read]].places or ())] = True
    called, true = found.targets["wrong"], true & inside
    assert true.sum() > 1000
    assert (called & true).sum() > 0.98 * called.sum()
    assert (called & true).sum() > 0.97 * true.sum()
    assert (found.label == ~called.any(axis=1)).all()


def test_the_model_sees_what_is_known_in_its_place_and_the_card_counts_the_rest(tmp_path: Path) -> None:
    config, files = simulated(tmp_path)
    card = prepare(config, files, tmp_path)
    (facts,) = card.facts["overlaps"]
    assert facts["files"] == " and ".join(MATE_NAMES)
    assert facts["trusted"] > 0.7 * facts["pairs"] == 1050
    assert card.facts["reads_left_out"] == 3000 - 2 * (facts["trusted"] - facts["undecided"])
    raw, wrong = (
        np.concatenate([np.load(tmp_path / f"{name}.{part}.npy") for name in SPLITS]) for part in ("raw", "wrong")
    )
    outside = raw[:, :WIDTH] == PAD_CODE
    assert ((~outside).sum(), wrong.sum()) == (facts["bases"], facts["wrong_bases"])
    assert not wrong[outside].any()
    assert (raw[:, WIDTH:][outside] == PAD_SCORE).all()
    assert outside[:, 0].any()
    assert not outside.all(axis=1).any()


def test_pieces_of_one_sequence_never_part(tmp_path: Path) -> None:
    """Though the reads that they are of differ elsewhere, and the pieces lie in other places."""
    config, files = simulated(tmp_path)
    workloads.get("read_quality").prepare(config, files, tmp_path)
    seen = {name: np.load(tmp_path / f"{name}.raw.npy")[:, :150] for name in SPLITS}
    pieces = {name: {bytes(row[row != 0]) for row in rows} for name, rows in seen.items()}
    assert len(set.union(*pieces.values())) < sum(map(len, seen.values()))  # there are equal ones
    for one, other in itertools.combinations(SPLITS, 2):
        assert not pieces[one] & pieces[other]


def test_libraries_without_overlaps_are_refused(tmp_path: Path) -> None:
    reads = [[(f"r{n}/{mate}", made(1000 * mate + n, 80), "+I" * 40) for n in range(20)] for mate in (1, 2)]
    apart = [write(tmp_path / f"apart_{mate}.fq", reads[mate - 1]) for mate in (1, 2)]
    with pytest.raises(
        AnelabError, match=r"apart_1\.fq and apart_2\.fq: 0 of 20 pairs \(0.0%\) have an overlap .* as in RNA-seq"
    ):
        prepare(configured(), apart, tmp_path)
    with pytest.raises(AnelabError, match=r"needs mates, but there are none in apart_1\.fq"):
        prepare(configured(), apart[:1], tmp_path)


def test_a_library_too_shallow_to_decide_is_refused(tmp_path: Path) -> None:
    """Without what is not decided, reads without errors would remain."""
    config, files = simulated(tmp_path, "amplicons=0")
    with pytest.raises(AnelabError, match=r"21-mers do not show which mate is wrong.* free of errors"):
        prepare(config, files, tmp_path)


def test_who_is_whose_mate_is_told_by_marks_and_never_guessed(tmp_path: Path) -> None:
    def mates(*names: str) -> tuple[list[int], list[int]]:
        unmarked = np.zeros(len(names), np.uint8)
        one, other = mates_of(names, fragments_of(names, unmarked.astype(np.int64), unmarked))
        return one.tolist(), other.tolist()

    assert mates("a/1", "b", "a/2", "c/1", "b", "c/1", "d") == ([0, 1], [2, 4])
    assert mates("a/2", "e/1", "a/1", "e/2") == ([2, 1], [0, 3])
    with pytest.raises(AnelabError, match=r"2 names occur more than twice \(the first is x/1\), .* one at a time"):
        mates("x/1", "x/2", "y", "y", "x/1", "y", "z/1", "z/2")


def test_each_library_decides_for_itself(tmp_path: Path) -> None:
    """Two libraries differ in one base, and in each three mates are wrong about another."""
    files, config = [], configured()
    for library, fragment in (("a", FRAGMENT), ("b", changed(FRAGMENT, 60))):
        ends = (fragment[:90], other_strand(fragment)[:90])
        pairs = [(changed(ends[0], 50 + n) if n < 3 else ends[0], ends[1]) for n in range(12)]
        for mate in (0, 1):
            reads = [(f"{library}{n}/{mate + 1}", pair[mate], "+I" * 45) for n, pair in enumerate(pairs)]
            files.append(write(tmp_path / f"{library}_{mate + 1}.fq", reads))
    reads = read_all(files, config.data)
    found = label_reads(reads, [], config.data)
    assert [facts["files"] for facts in found.facts["overlaps"]] == ["a_1.fq and a_2.fq", "b_1.fq and b_2.fq"]
    assert [facts["wrong_bases"] for facts in found.facts["overlaps"]] == [3, 3]
    assert found.targets["abundance"].tolist() == [1.0] * 48
    apart = [write(tmp_path / f"c_{mate}.fq", [(f"c/{mate}", made(mate, 80), "+I" * 40)]) for mate in (1, 2)]
    with pytest.raises(AnelabError, match=r"c_1\.fq and c_2\.fq: 0 of 1 pairs"):
        label_reads(read_all([*files, *apart], config.data), [], config.data)


def test_whole_reads_tell_of_each_other_and_the_model_sees_its_part(tmp_path: Path) -> None:
    """Of a fragment of 260 bases, reads of 250 overlap in 240; in the first 150 bases of each, ten are not known."""
    fragment = made(3, 260)
    ends = (fragment[:250], other_strand(fragment)[:250])
    pairs = [(changed(ends[0], 140, 200) if n == 0 else ends[0], ends[1]) for n in range(8)]
    files = [
        write(tmp_path / f"{mate}.fq", [(f"r{n}/{mate}", pair[mate - 1], "+I" * 125) for n, pair in enumerate(pairs)])
        for mate in (1, 2)
    ]
    found = label_reads(read_all(files, configured().data), [], configured().data)
    assert len(found.rows) == 16
    assert all(np.flatnonzero(row).tolist() == list(range(10, WIDTH)) for row in found.raw[:, :WIDTH])
    assert [np.flatnonzero(row).tolist() for row in found.targets["wrong"][:2]] == [[140], []]
    far = made(4, 430)
    apart = [(far[:250], other_strand(far)[:250])] * 4
    files = [
        write(
            tmp_path / f"far{mate}.fq", [(f"f{n}/{mate}", pair[mate - 1], "+I" * 125) for n, pair in enumerate(apart)]
        )
        for mate in (1, 2)
    ]
    with pytest.raises(AnelabError, match=r"overlap in far1\.fq, far2\.fq, but not in 30 of the first 150 bases"):
        label_reads(read_all(files, configured().data), [], configured().data)


def test_who_sees_bases_must_say_how_many_rare_reads_may_be_discarded() -> None:
    label, errors, context = OVERLAP[0], "read_quality.model.architecture=errors", "read_quality.model.context=true"
    for sees_bases in ([label], [label, errors, context]):
        with pytest.raises(AnelabError, match=r"may discard rare ones; .* registry\.limits\.rare_discarded=1\.2"):
            tiny(*sees_bases)
    tiny(label, errors)
    assert configured(errors, context).registry.limits == {"rare_discarded": 1.2}
    with pytest.raises(AnelabError, match=r"model\.context is of model\.architecture=errors"):
        configured(context)
    with pytest.raises(AnelabError, match="limits has prevalence, but must have some of accuracy, "):
        configured("read_quality.registry.limits.prevalence=0.5")


@pytest.mark.parametrize("architecture", ["mlp", "errors"])
def test_either_network_learns_from_overlaps(architecture: str, tmp_path: Path) -> None:
    config, files = simulated(tmp_path, "effects=[overstated]")
    config = config.model_copy(update={"model": config.model.model_copy(update={"architecture": architecture})})
    prepare(config, files, tmp_path)
    workload = workloads.get("read_quality")
    train = workload.load(config, tmp_path, "train")
    first = train.inputs["raw"]["input"][:, 0] != PAD_CODE
    assert first.all() if architecture == "mlp" else not first.all()  # the mlp's pieces begin where reads begin
    net = workload.build(config, tmp_path)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    seen = list(workload.batches(config, train, 0))

    def loss() -> float:
        return sum(float(workload.step(net.eval(), batch, lambda loss: None)["loss"]) for batch in seen) / len(seen)

    before = loss()
    for epoch in range(1, 4):
        for batch in workload.batches(config, train, epoch):
            optimiser.zero_grad()
            workload.step(net.train(), batch, torch.Tensor.backward)
            optimiser.step()
    assert loss() < 0.9 * before


def test_pieces_move_to_the_left_with_all_that_belongs_to_them() -> None:
    codes = codes_of("ACGT", "GT")
    codes[0] = np.roll(codes[0], 7)
    raw, wrong = flush_left(np.concatenate([codes, codes * 3], axis=1), codes == 5)
    assert np.array_equal(raw[:, :WIDTH], codes_of("ACGT", "GT"))
    assert np.array_equal(raw[:, WIDTH:], codes_of("ACGT", "GT") * 3)
    assert [np.flatnonzero(row).tolist() for row in wrong] == [[1], []]


def test_a_filter_keeps_as_many_as_the_residual_errors_allow() -> None:
    score, errors, bases = np.arange(5.0), np.array([0, 1, 0, 0, 9]), np.full(5, 10)
    assert filters.residual_rate(score, errors, bases, 0.4) == pytest.approx(1 / 20)
    assert filters.kept_at(score, errors, bases, 1 / 40).tolist() == [True, True, True, True, False]
    assert filters.kept_at(score, errors, bases, 0.0).tolist() == [True, False, False, False, False]
    assert not filters.kept_at(-score, errors, bases, 0.1).any()
    flat = np.zeros(5)
    assert not filters.kept_at(flat, errors, bases, 0.1).any()  # a threshold keeps all reads of one score, or none
    assert filters.kept_at(flat, errors, bases, 0.2).all()
    assert filters.residual_rate(flat, errors, bases, 0.4) == pytest.approx(0.2)


def test_the_best_threshold_tells_most_of_both_kinds() -> None:
    score, bad = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True, True])
    assert filters.best_threshold(score, bad) == 2.0
    assert filters.best_threshold(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])) == 1.0


def test_error_free_reads_of_rare_amplicons_are_counted_against_expected_errors() -> None:
    """Seven of a hundred reads are rare and free of errors; where expected errors keep 50 they discard two of them,
    where they keep 80 and 90 none. A score that puts the rare last discards all seven at all three."""
    errors, rare = np.zeros(100, int), [45, 46, 47, 48, 49, 55, 56]
    errors[40], errors[50:], errors[55:57] = 1, 1, 0
    covered = {"errors": errors, "bases": np.full(100, 100), "stated": np.arange(100.0)}
    assert filters.figures(covered["stated"], covered) == {"kept_50": 0.5, "kept_80": 0.8, "kept_90": 0.9}
    abundance = np.full(100, 0.5)
    without = filters.figures(covered["stated"], covered | {"abundance": abundance})
    assert np.isnan(without["rare_discarded"])
    innocent = np.full(100, 0.5)
    innocent[:5] = 0.001
    assert filters.figures(covered["stated"], covered | {"abundance": innocent})["rare_discarded"] == 1.0
    abundance[rare] = 0.0099
    covered["abundance"] = abundance
    assert filters.figures(covered["stated"], covered)["rare_discarded"] == 1.0
    deletes = filters.figures(np.where(abundance < 0.01, 1000.0, covered["stated"]), covered)
    assert (deletes["kept_50"], deletes["rare_discarded"]) == (0.4, (21 + 1) / (2 + 1))


def test_rules_stand_at_their_best_thresholds_where_errors_are_known(tmp_path: Path) -> None:
    config, files = simulated(tmp_path)
    prepare(config, files, tmp_path)
    test = workloads.get("read_quality").load(config, tmp_path, "test")
    found = {
        name: workloads.get("read_quality").metrics(rule(test), test)
        for name, rule in workloads.rules("read_quality", config, tmp_path).items()
    }
    assert found["expected_errors"]["balanced_accuracy"] > 0.75
    assert found["expected_errors"]["kept_80"] == pytest.approx(0.8, abs=0.01)
    assert found["mean_quality"]["kept_80"] < found["expected_errors"]["kept_80"]


def test_the_mifish_library_overlaps_and_rna_does_not(real_data: Path, tmp_path: Path) -> None:
    mifish = [real_data / f"fastq/mifish_edna_150bp/DRR126155_{mate}.fastq.gz" for mate in (1, 2)]
    card = prepare(configured(), mifish, tmp_path)
    (facts,) = card.facts["overlaps"]
    assert 0.79 < facts["trusted"] / facts["pairs"] < 0.95
    assert 0.02 < facts["wrong_bases"] / facts["bases"] < 0.06
    rna = [real_data / f"fastq/ERR127302/ERR127302_{mate}_subset.fastq.gz" for mate in (1, 2)]
    with pytest.raises(AnelabError, match=r"ERR127302_1_subset\.fastq\.gz and .* have an overlap that can be trusted"):
        prepare(configured(), rna, tmp_path)
