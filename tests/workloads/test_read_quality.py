import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anelab import workloads
from anelab.errors import AnelabError
from anelab.files import canonical_json
from anelab.learning.base import SPLITS
from anelab.sequences import phred, streams
from anelab.sequences.fastq import read_blocks
from anelab.sequences.phred import Reads
from anelab.workloads.read_quality import encode, simulate
from anelab.workloads.read_quality.config import SimulationConfig
from anelab.workloads.read_quality.encode import read_reads
from anelab.workloads.read_quality.errors import ErrorForm, ErrorNet, at_most
from anelab.workloads.read_quality.labels import _spans, by_rule, join_and_crop
from anelab.workloads.read_quality.model import RIDGE, FloatForm, HalfForm, RawForm, ReadNet, facts, read_loss
from anelab.workloads.read_quality.prepare import prepare
from anelab.workloads.read_quality.simulate import MATE_NAMES, READS_NAME, TRUTH_NAME, simulate_reads
from anelab.workloads.read_quality.truth import COLUMNS, read_truth
from tests.conftest import tiny
from tests.sequences.made_fastq import write

GOLDEN = Path(__file__).with_name("reads_3.golden.json")
LIBRARIES = (
    "ERR127302",
    "biometal_seed",
    "callings_rnaseq",
    "illumina_150bp",
    "mifish_edna_150bp",
    "nanopore",
    "sickle_phred64_150bp",
    "trinity_rnaseq",
)


def test_the_encoding_is_the_documented_one() -> None:
    """The golden file is the contract reads/3: change it only together with the version."""
    assert encode.VERSION == "reads/3"
    for case in json.loads(GOLDEN.read_text()):
        raw = encode.raw_bytes(case["sequence"], case["quality"])
        floats = encode.encode(raw)[0]
        assert floats.dtype == np.float32
        np.testing.assert_allclose(floats, case["floats"], rtol=0, atol=1e-7)
        assert raw[0].tolist() == case["bytes"]


@given(st.text("ACGTNacgtuR.", max_size=160), st.integers(0, 93))
def test_pads_are_no_base_and_add_nothing_to_the_first_layer(sequence: str, score: int) -> None:
    raw = encode.raw_bytes(sequence, chr(33 + score) * len(sequence))
    floats = encode.encode(raw)
    size = min(len(sequence), 150)
    assert ((floats[:, :150] == -1).sum(axis=1) == 150 - size).all()
    torch.manual_seed(0)
    net = ReadNet([8], 0.0)
    centred = torch.from_numpy(floats) * net.scale + net.shift
    assert centred[0, size:150].abs().max() == 0 if size < 150 else True
    assert centred[0, 150 + size :].abs().max() < 1e-6 if size < 150 else True
    mean, lengths = encode.phred_scores(raw)
    assert lengths[0] == size
    assert mean[0] == (score if size else 0)


def test_the_network_has_the_documented_size_and_its_forms_agree() -> None:
    torch.manual_seed(0)
    net = ReadNet([128, 64], 0.2).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == 46_849 + 81
    rng = np.random.default_rng(0)
    raw = np.concatenate([rng.integers(4, 9, (64, 150)), rng.integers(0, 94, (64, 150))], axis=1).astype(np.uint8)
    for row, length in enumerate(range(0, 128, 2)):
        raw[row, length:150], raw[row, 150 + length :] = 0, 20
    floats = torch.from_numpy(encode.encode(raw))
    expected = torch.sigmoid(sum(net(floats)))[:, None]
    torch.testing.assert_close(FloatForm(net)(floats), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(HalfForm(net)(floats), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(RawForm(net)(torch.from_numpy(raw)), expected, rtol=1e-4, atol=1e-5)


def test_16_bits_do_not_round_the_weights_by_which_the_skip_path_decides() -> None:
    torch.manual_seed(0)
    net = ReadNet([8], 0.0).eval()
    with torch.no_grad():
        for layer in (net.skip[0], net.skip[2]):
            layer.weight.mul_(10)  # to terms that are as large as those of a trained network
    floats = torch.from_numpy(encode.encode(np.concatenate([encode.raw_bytes("A" * n, "5" * n) for n in range(151)])))
    exact = HalfForm(net)(floats)
    rounded = HalfForm(net)
    with torch.no_grad():
        for name, values in rounded.named_parameters():
            if name.startswith("skip") and name.endswith("weight"):
                values.copy_(values.half().float())
    torch.testing.assert_close(rounded(floats), exact, rtol=0, atol=1e-5)


def test_what_the_layers_add_to_the_skip_path_has_a_price() -> None:
    layers, skip, label = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    loss, objective = read_loss((layers, skip), label)
    assert float(loss) == pytest.approx((math.log1p(math.exp(-1.5)) + math.log1p(math.exp(-1.5))) / 2)
    assert float(objective - loss) == pytest.approx(RIDGE * (1 + 4) / 2, abs=1e-6)


def test_the_skip_path_knows_mean_errors_and_length() -> None:
    raw = np.concatenate([encode.raw_bytes(*read) for read in (("ACGT", "5555"), ("A" * 150, "I" * 150), ("", ""))])
    values = torch.from_numpy(raw).float()
    known = facts(values[:, :150].clamp(0, 1), values[:, 150:] - 20).numpy()
    np.testing.assert_allclose(known[:, 0], [0, 20 * 13 / 16, 0], atol=1e-5)
    np.testing.assert_allclose((np.exp(known[:, 1]) - 1e-3) * 1.28, [0.04, 0.015, 0], atol=1e-6)
    np.testing.assert_allclose(known[:, 2], np.array([4, 150, 0]) * 5 / 128 - 2, atol=1e-6)


def reads_with(characters: bytes, tmp_path: Path, phred: Any, more: bytes = b"") -> Reads:
    path = tmp_path / "r.fq"
    path.write_bytes(b"@r\n" + b"A" * len(characters) + b"\n+\n" + characters + b"\n" + more)
    (found,) = read_reads(path, phred, "--phred ")
    return found


@pytest.mark.parametrize(
    ("characters", "phred", "scores"),
    [
        (b"!I", "auto", [0, 40]),
        (b"Bh", "auto", [2, 40]),
        (b"~!", "auto", [93, 0]),
        (b"@h", 64, [0, 40]),
        (b"?I", 33, [30, 40]),
        (b"??", "auto", [30, 30]),
        (b"?I", "auto", [30, 40]),
    ],
)
def test_the_offset_is_detected_or_taken_as_said(
    characters: bytes, phred: Any, scores: list[int], tmp_path: Path
) -> None:
    found = reads_with(characters, tmp_path, phred)
    assert found.raw[0, 150:152].tolist() == scores
    assert (found.raw[0, 152:] == 20).all()


@pytest.mark.parametrize(
    ("characters", "phred"),
    [
        (b"?h", "auto"),
        (b"FZ", "auto"),
        (b"BC", "auto"),
        (b"K~", "auto"),
        (b"B~", "auto"),
        (b"!I", 64),
        (b"\x20I", 33),
    ],
)
def test_an_offset_in_doubt_or_impossible_names_the_option(characters: bytes, phred: Any, tmp_path: Path) -> None:
    with pytest.raises(AnelabError, match=r"r\.fq: .*--phred"):
        reads_with(characters, tmp_path, phred)


def test_an_offset_is_found_by_later_reads_and_contradicted_by_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of blocks of a few reads: the first are flat, a later one decides, and the last does not fit."""
    small_blocks(monkeypatch)
    monkeypatch.setattr(phred, "FIRST", 60)
    flat, low = b"".join(b"@r\nAAAA\n+\nhhhh\n" for _ in range(50)), b"@low\nAAAA\n+\nBBhh\n"
    path = tmp_path / "r.fq"
    path.write_bytes(flat + low + flat)
    assert {part.offset for part in read_reads(path, "auto", "--phred ")} == {64}
    path.write_bytes(flat + low + flat + b"@bad\nAAAA\n+\n!!!!\n")
    with pytest.raises(AnelabError, match=r"record 102, line 408: quality character 33 is outside 64 to 126"):
        list(read_reads(path, "auto", "--phred "))
    path.write_bytes(flat)
    with pytest.raises(AnelabError, match="may be offset 33 or 64; say which: --phred 33 or --phred 64"):
        list(read_reads(path, "auto", "--phred "))


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int = 100) -> None:
    for name in ("BLOCK_BYTES", "READ_BYTES", "LEAST_BYTES"):
        monkeypatch.setattr(streams, name, size)


LONG_64 = [f"@r\n{'A' * 150}\n+\n{'@' * 75}{'h' * 75}\n".encode() for _ in range(3000)]


@pytest.mark.parametrize("size", [1000, 60_000, 10 << 20])
@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([b"@r\nAAAA\n+\n!IJJ\n"] * 250 + LONG_64, "record 251, line 1004: from here on quality characters span 64"),
        ([*LONG_64, b"@r\nAA\n+\n@z\n"], "quality characters span 64 to 122, which may be offset 33 or 64"),
        (LONG_64, 64),
        ([b"@\n\n+\n\n"] * 100_001 + LONG_64, "the first 100,000 reads are empty, which may be"),
        ([b"@\n\n+\n\n"] * 20_000 + LONG_64, 64),
        ([b"@\n\n+\n\n"] * 20_000, 33),
    ],
)
def test_what_is_found_of_an_offset_is_the_same_whatever_the_blocks(
    records: list[bytes], found: int | str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, size)
    path = tmp_path / "r.fq"
    path.write_bytes(b"".join(records))
    if isinstance(found, int):
        assert {part.offset for part in read_reads(path, "auto", "--phred ")} == {found}
    else:
        with pytest.raises(AnelabError, match=found):
            list(read_reads(path, "auto", "--phred "))


rows = st.tuples(st.integers(0, 150), st.integers(0, 41))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=20))
def test_spans_are_the_runs_one_after_the_other(runs: list[tuple[int, int]]) -> None:
    starts, sizes = (np.array(column) for column in zip(*runs, strict=True))
    expected = [value for start, size in runs for value in range(start, start + size)]
    assert _spans(starts, sizes).tolist() == expected


def joined(raw: Any, seed: int) -> Any:
    made, wrong = join_and_crop(raw, None, encode.lengths_of(raw), np.arange(len(raw)), np.random.default_rng(seed))
    assert wrong is None
    return made


def test_a_wrong_base_goes_where_its_base_goes() -> None:
    """Bases that are wrong are C, all others A."""
    rng = np.random.default_rng(0)
    wrong = (rng.random((200, 150)) < 0.1) & (np.arange(150) < 80)
    raw = np.concatenate([encode.raw_bytes("".join("AC"[int(one)] for one in row[:80]), "I" * 80) for row in wrong])
    made, places = join_and_crop(raw, wrong, encode.lengths_of(raw), np.arange(200), rng)
    assert ((made[:, :150] == 5) == places).all()
    assert places is not None and places.any()


@given(st.lists(rows, min_size=1, max_size=20), st.integers(0, 5))
def test_joined_and_cropped_reads_are_reads_of_any_length(made: list[tuple[int, int]], seed: int) -> None:
    raw = np.concatenate([encode.raw_bytes("ACGT"[q % 4] * n, chr(33 + q) * n) for n, q in made])
    out = joined(raw, seed)
    lengths = encode.lengths_of(out)
    inside = np.arange(150) < lengths[:, None]
    assert ((out[:, :150] != 0) == inside).all()  # no pad between bases
    assert (out[:, 150:][~inside] == 20).all()
    scores = {q for n, q in made if n}
    assert set(out[:, 150:][inside].tolist()) <= scores
    kept = {("ACGT"[q % 4], q) for n, q in made if n}
    letters = {4: "A", 5: "C", 6: "G", 7: "T"}
    pairs = zip(out[:, :150][inside].tolist(), out[:, 150:][inside].tolist(), strict=True)
    assert {(letters[code], score) for code, score in pairs} <= kept  # a base keeps its quality


def test_joined_and_cropped_reads_have_every_length_alike() -> None:
    raw = np.concatenate([encode.raw_bytes("A" * 72, "I" * 72)] * 20_000)
    lengths = encode.lengths_of(joined(raw, 0))
    counts = np.bincount(lengths, minlength=151)
    assert counts[0] == 0
    assert counts[1:].min() > 80 and counts[1:].max() < 200


def test_a_rule_labels_and_true_errors_have_none() -> None:
    raw = np.concatenate([encode.raw_bytes("A" * n, q * n) for n, q in ((100, "I"), (100, "0"), (40, "I"))])
    label = "read_quality.data.label"
    by = {name: tiny(f"{label}={name}").section("read_quality").data for name in ("mean_quality", "expected_errors")}
    assert by_rule(raw, by["mean_quality"]).tolist() == [True, False, False]  # type: ignore[arg-type, union-attr]
    assert by_rule(raw, by["expected_errors"]).tolist() == [True, False, False]  # type: ignore[arg-type, union-attr]
    np.testing.assert_allclose(encode.expected_errors(raw), [0.01, 100 * 10**-1.5, 0.004], rtol=1e-6)
    assert by_rule(raw, tiny(f"{label}=true_errors").section("read_quality").data) is None  # type: ignore[arg-type]


def test_the_error_network_begins_at_what_qualities_state_and_its_forms_agree() -> None:
    torch.manual_seed(0)
    raw = np.concatenate([encode.raw_bytes("ACGT" * n, chr(33 + q) * 4 * n) for n, q in ((5, 20), (30, 35), (37, 2))])
    raw = np.concatenate([raw, encode.raw_bytes("", "")])
    floats = torch.from_numpy(encode.encode(raw))
    fresh = ErrorForm(ErrorNet(8, True, 0), "float")(floats)[:, 0]
    none = [0.99**20, (1 - 10**-3.5) ** 120, (1 - 10**-0.2) ** 148, 1.0]
    torch.testing.assert_close(fresh, torch.tensor(none), rtol=2e-3, atol=1e-5)
    net = ErrorNet(8, True, 2)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    expected = ErrorForm(net, "float")(floats)
    torch.testing.assert_close(ErrorForm(net, "half")(floats), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ErrorForm(net, "raw")(torch.from_numpy(raw)), expected, rtol=1e-4, atol=1e-5)
    blind = ErrorForm(ErrorNet(8, False, 0), "float")
    blind.net.load_state_dict({**net.state_dict(), "sees": blind.net.sees})
    other = raw.copy()
    other[:, :150][other[:, :150] > 0] = 6  # all G: qualities and places are the same
    torch.testing.assert_close(blind(torch.from_numpy(encode.encode(other))), blind(floats))


def test_poisson_of_at_most_so_many() -> None:
    mean = torch.tensor([[0.0], [0.5], [3.0]])
    torch.testing.assert_close(at_most(0, mean), torch.exp(-mean))
    wanted = torch.exp(-mean) * (1 + mean + mean**2 / 2)
    torch.testing.assert_close(at_most(2, mean), wanted)


def test_the_error_network_needs_places(tmp_path: Path) -> None:
    settings = ("read_quality.data.label=true_errors", "read_quality.model.architecture=errors")
    config = tiny(*settings, "read_quality.data.max_errors=1").section("read_quality")
    workload = workloads.get("read_quality")
    reads = [(f"r{n}", bases(np.random.default_rng(n), 60), "#I" * 30) for n in range(40)]
    path = write(tmp_path / "reads.fq", reads)
    table = tmp_path / "reads.truth.tsv.gz"
    table.write_bytes(gzip.compress("".join(["read_id\terrors\n", *(f"r{n}\t{n % 3}\n" for n in range(40))]).encode()))
    workload.prepare(config, [path, table], tmp_path)
    with pytest.raises(AnelabError, match="needs the places of errors; give truth tables a column `places`"):
        next(workload.batches(config, workload.load(config, tmp_path, "train"), 0))
    with pytest.raises(AnelabError, match=r"needs data\.label=true_errors"):
        tiny("read_quality.model.architecture=errors").section("read_quality")


def test_simulated_reads_are_a_function_of_the_seed_and_their_errors_are_what_quality_says(tmp_path: Path) -> None:
    workload = workloads.get("read_quality")
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        folder.mkdir()
        workload.simulate(
            tiny("read_quality.data.simulation.reads=3000", f"seed={seed}").section("read_quality"), folder
        )
    first, again, other = ((folder / READS_NAME).read_bytes() for folder in folders)
    assert first == again != other
    truth = read_truth(folders[0] / TRUTH_NAME)
    table = gzip.decompress((folders[0] / TRUTH_NAME).read_bytes()).decode().splitlines()[1:]
    expected = sum(float(line.split("\t")[3]) for line in table)
    assert sum(one.errors for one in truth.values()) == pytest.approx(expected, rel=0.03)
    blocks = read_blocks(folders[0] / READS_NAME)
    assert [name for block in blocks for name in block.names()] == list(truth)


def simulated(folder: Path, **settings: Any) -> SimulationConfig:
    folder.mkdir(exist_ok=True)
    given = {"reads": 4000, "min_length": 150, "max_length": 150, **settings}
    config = SimulationConfig.model_validate(given)
    simulate_reads(config, 3, folder)
    return config


def ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, effects: list[str]) -> dict[str, float]:
    """Chances of an error over those that the qualities state, by what is special of a base."""
    seen: dict[str, Any] = {}

    def keep(*given: Any) -> Any:
        seen["truth"] = given[1]
        seen["reads"] = sequence(*given)
        return seen["reads"]

    sequence = simulate._sequence
    monkeypatch.setattr(simulate, "_sequence", keep)
    simulated(tmp_path, effects=effects)
    truth, reads = seen["truth"], seen["reads"]
    stated = np.minimum(10 ** (-reads.phred / 10), 0.09)  # so low that no factor is cut off
    low = 10 ** (-reads.phred / 10) <= 0.09
    after = np.zeros(truth.shape, bool)
    after[:, 3:] = (truth[:, :-3] == 2) & (truth[:, 1:-2] == 2) & (truth[:, 2:-1] == 1)
    runs, late = simulate._run_lengths(truth) >= 5, np.arange(150) >= 100
    kinds = {"ggc": after & ~runs & ~late, "homopolymer": runs & ~after & ~late, "overstated": ~after & ~runs & late}
    kinds["none"] = ~after & ~runs & ~np.broadcast_to(late, after.shape)
    return {name: reads.chance[rows & low].sum() / stated[rows & low].sum() for name, rows in kinds.items()}


def test_planted_effects_are_as_large_as_they_say_and_each_has_its_switch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = {"ggc": 8.0, "homopolymer": 4.0, "overstated": 10**0.6, "none": 1.0}
    found = ratios(monkeypatch, tmp_path, ["ggc", "homopolymer", "overstated"])
    assert found == pytest.approx(sizes)
    monkeypatch.undo()
    assert ratios(monkeypatch, tmp_path, []) == pytest.approx(dict.fromkeys(sizes, 1.0))
    monkeypatch.undo()
    only = ratios(monkeypatch, tmp_path, ["homopolymer"])
    assert only == pytest.approx({**dict.fromkeys(sizes, 1.0), "homopolymer": 4.0})


def test_the_truth_table_has_the_true_chances(tmp_path: Path) -> None:
    simulated(tmp_path, effects=["ggc", "overstated"], profile="declining", n_runs=0.1, min_length=30)
    lines = gzip.decompress((tmp_path / TRUTH_NAME).read_bytes()).decode().splitlines()
    assert tuple(lines[0].split("\t")) == COLUMNS
    table = [line.split("\t") for line in lines[1:]]
    errors, stated, true, none = np.array([[row[1], *row[3:6]] for row in table], float).T
    assert [len(row[2].split(",")) if row[2] else 0 for row in table] == errors.tolist()
    assert errors.sum() == pytest.approx(true.sum(), rel=0.02)
    assert true.sum() > 1.3 * stated.sum()
    assert (errors == 0).mean() == pytest.approx(none.mean(), abs=0.02)
    parts = list(read_reads(tmp_path / READS_NAME, 33, "p"))
    raw = np.concatenate([part.raw for part in parts])
    lengths = np.concatenate([part.block.lengths for part in parts])
    assert [len(row[6]) for row in table] == lengths.tolist()
    for row in range(0, len(table), 97):
        causes = np.array([int(digit, 16) for digit in table[row][6]], np.uint8)
        chances = simulate.true_chances(raw[row, 150 : 150 + lengths[row]].astype(np.int64), causes)
        assert chances.sum() == pytest.approx(true[row], abs=1e-5)
        assert np.prod(1 - chances) == pytest.approx(none[row], rel=1e-4, abs=1e-6)


def test_mates_overlap_and_run_into_the_adapter(tmp_path: Path) -> None:
    simulated(tmp_path, pairs=True, n_runs=0.1)
    mates = [np.concatenate([part.raw for part in read_reads(tmp_path / name, 33, "p")]) for name in MATE_NAMES]
    truth = read_truth(tmp_path / TRUTH_NAME)
    names = [name for part in read_reads(tmp_path / MATE_NAMES[1], 33, "p") for name in part.block.names()]
    assert len(mates[0]) == len(mates[1]) == 4000 and len(truth) == 8000 and set(names) <= set(truth)
    clean = [row for row, name in enumerate(names) if not truth[name].errors and not truth[f"{name[:-1]}1"].errors]
    shared = 0
    for row in clean:
        one = bytes(mates[0][row, :150]).translate(bytes.maketrans(b"\4\5\6\7", b"ACGT")).decode()
        two = bytes(mates[1][row, :150]).translate(bytes.maketrans(b"\4\5\6\7", b"TGCA")).decode()[::-1]
        shared += two[:40] in one or one[:40] in two
    assert len(clean) > 200
    assert shared > 0.8 * len(clean)
    spelt = bytes(4 + int(base) for base in simulate.ADAPTER)
    assert any(spelt in bytes(row[:150]) for row in mates[0])
    assert (mates[0][:, :150] == 8).any(axis=1).mean() == pytest.approx(0.1, abs=0.02)


def test_newer_instruments_have_four_qualities(tmp_path: Path) -> None:
    simulated(tmp_path, profile="binned", adapters=0.5)
    (first, *_) = read_reads(tmp_path / READS_NAME, 33, "p")
    assert set(first.raw[:, 150:].ravel().tolist()) == {2, 12, 23, 37}


def test_labels_are_of_the_bases_that_the_model_sees(tmp_path: Path) -> None:
    """A read of 400 whose first 150 are good passes, though its mean over all is bad."""
    rng = np.random.default_rng(0)
    reads = [(f"l{i}", bases(rng, 400), "I" * 150 + "#" * 250) for i in range(20)]
    path = write(tmp_path / "reads.fq", reads + [(f"b{i}", bases(rng, 100), "#" * 100) for i in range(20)])
    card = prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    assert card.facts["reads_cut"] == 20
    assert card.warnings == [
        "20 reads are longer than 150 bases; the model sees the first 150",
        "only 3 of the test reads are FAIL; figures that depend on them are uncertain",
    ]
    assert sum(counts["PASS"] for counts in card.classes.values()) == 20


def test_mates_stay_in_one_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for mate in (1, 2):
        for index in range(200):
            quality = "I" if rng.random() < 0.5 else "#"
            lines.append(f"@f{index}/{mate}\n{bases(rng, 60)}\n+\n{quality * 60}\n")
    path = tmp_path / "pairs.fq"
    path.write_text("".join(lines))
    prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    groups = [set(np.load(tmp_path / f"{name}.group.npy").tolist()) for name in ("train", "validation", "test")]
    assert sum(map(len, groups)) == 200
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def bases(rng: np.random.Generator, count: int) -> str:
    return "".join(rng.choice(list("ACGT"), count))


def test_reads_of_one_sequence_and_their_mates_stay_in_one_split(tmp_path: Path) -> None:
    """Each of 30 sequences is read eight times, with mates of their own and names that tell nothing."""
    rng = np.random.default_rng(0)
    molecules = [bases(rng, 60) for _ in range(30)]
    reads = []
    for number in range(240):
        quality = "I" if rng.random() < 0.5 else "#"
        reads += [(f"f{number}/1", molecules[number % 30], quality * 60), (f"f{number}/2", bases(rng, 60), "I" * 60)]
    path = write(tmp_path / "reads.fq", reads)
    card = prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    assert card.facts["groups"] == 30
    seen = [{row.tobytes() for row in np.load(tmp_path / f"{name}.raw.npy")[:, :150]} for name in SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    same = write(tmp_path / "same.fq", [(f"r{i}", "ACGT" * 15, "I#"[i % 2] * 60) for i in range(40)])
    with pytest.raises(AnelabError, match=r"no reads are left for .*validation, test.*40 reads make only 1 such"):
        prepare(tiny().section("read_quality"), [same], tmp_path)  # type: ignore[arg-type]


def test_whole_libraries_are_held_out_and_files_of_mates_are_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for library in range(3):
        for mate in ("1", "2"):
            reads = [(f"lib{library}.{n}/{mate}", bases(rng, 60), "I#"[n % 2] * 60) for n in range(40)]
            paths.append(write(tmp_path / f"lib{library}_{mate}.fq", reads))
    config = tiny("read_quality.split.by_library=true").section("read_quality")
    card = prepare(config, paths, tmp_path)  # type: ignore[arg-type]
    assert sorted(card.rows.values()) == [80, 80, 80]
    assert all(len({name[:4] for name in files}) == 1 and len(files) == 2 for files in card.facts["files"].values())
    assert len({files[0] for files in card.facts["files"].values()}) == 3
    with pytest.raises(AnelabError, match="needs at least 3 libraries but got 2"):
        prepare(config, paths[:4], tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form", ["SRR{0}.{1}.{2}", "SRR{0}.{1}/{2}", "s{0}:{1}_{2}", "SRR{0}:{1}/{2}_ACGT", "{0}:{1} {2}:N:0:1"]
)
@pytest.mark.parametrize("by_library", [True, False])
def test_mates_never_part_however_they_are_marked(form: str, by_library: bool, tmp_path: Path) -> None:
    """Three libraries of 40 pairs; a pair's bases begin with its number, written in A and C."""
    rng = np.random.default_rng(0)
    paths = []
    for library in range(3):
        for mate in (1, 2):
            number = [f"{library * 64 + n:08b}".translate(str.maketrans("01", "AC")) for n in range(40)]
            reads = [(form.format(library, n, mate), number[n] + bases(rng, 60), "I#"[n % 2] * 68) for n in range(40)]
            paths.append(write(tmp_path / f"lib{library}_R{mate}.fq", reads))
    config = tiny(f"read_quality.split.by_library={str(by_library).lower()}").section("read_quality")
    card = prepare(config, paths, tmp_path)  # type: ignore[arg-type]
    assert card.facts["groups"] == 120
    seen = [{row.tobytes() for row in np.load(tmp_path / f"{name}.raw.npy")[:, :8]} for name in SPLITS]
    assert sum(map(len, seen)) == 120
    if by_library:
        assert sorted(card.rows.values()) == [80, 80, 80]


def test_labels_that_cutting_changes_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reads = [(f"tail{n}", bases(rng, 400), "I" * 150 + "#" * 250) for n in range(20)]
    reads += [(f"good{n}", bases(rng, 200), "I" * 200) for n in range(20)]
    path = write(tmp_path / "reads.fq", [*reads, *((f"bad{n}", bases(rng, 100), "#" * 100) for n in range(20))])
    card = prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    assert (card.facts["reads_cut"], card.facts["reads_labelled_otherwise_uncut"]) == (40, 20)


def test_nothing_to_learn_and_no_truth_are_errors_with_a_fix(tmp_path: Path) -> None:
    path = tmp_path / "good.fq"
    path.write_text("".join(f"@r{i}\n{'A' * 60}\n+\n{'!' if i == 0 else 'I'}{'I' * 59}\n" for i in range(50)))
    with pytest.raises(AnelabError, match="gives PASS to 50 of 50 reads, but training needs at least 3"):
        prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    with pytest.raises(AnelabError, match=r"needs a truth table .* without one use label: mean_quality"):
        prepare(tiny("read_quality.data.label=true_errors").section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"read_id\terrors\n", "must be a gzip table"),
        (gzip.compress(b"read_id\terrors\nr0\tmany\n", mtime=0), "must be a gzip table"),
        (gzip.compress(b"read_id\terrors\nr0\n", mtime=0), "must be a gzip table"),
        (gzip.compress(bytes(3 << 20), mtime=0), "line 1 has 1,048,576 characters or more"),
        (gzip.compress(b"", mtime=0), "its first line has no read_id"),
        (gzip.compress(b"read_id\terrors\nr0\t1\nr0\t2\n", mtime=0), "read r0 occurs twice"),
        (gzip.compress(b"read_id\terrors\nr0\t1\n", mtime=0)[:-9], "must be a gzip table"),
        (gzip.compress(b"name\terrors\nr0\t1\n", mtime=0), "columns read_id and errors"),
        (gzip.compress(b"read_id\terrors\tplaces\nr0\t2\t7\n", mtime=0), "r0 has 2 errors, but its places are 7"),
        (gzip.compress(b"read_id\terrors\tplaces\nr0\t2\t7,7\n", mtime=0), "r0 has 2 errors, but its places are 7,7"),
        (gzip.compress(b"read_id\terrors\nr0\t-2\n", mtime=0), "r0 has -2 errors"),
    ],
)
def test_a_damaged_truth_table_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.truth.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(AnelabError, match=rf"x\.truth\.tsv\.gz: .*{problem}"):
        read_truth(path)


def test_an_error_beyond_a_reads_end_is_named(tmp_path: Path) -> None:
    reads = write(tmp_path / "reads.fq", [(f"r{n}", "A" * 60, "I" * 60) for n in range(9)])
    rows = "".join(f"r{n}\t1\t{61 if n == 4 else n + 1}\n" for n in range(9))
    table = tmp_path / "x.truth.tsv.gz"
    table.write_bytes(gzip.compress(f"read_id\terrors\tplaces\n{rows}".encode(), mtime=0))
    config = tiny("read_quality.data.label=true_errors", "read_quality.data.phred=33").section("read_quality")
    with pytest.raises(AnelabError, match=r"x\.truth\.tsv\.gz: read r4 has 60 bases, but an error at place 61"):
        workloads.get("read_quality").prepare(config, [reads, table], tmp_path)


@pytest.mark.parametrize(
    ("label", "refused"),
    [
        ("mean_quality", {"mifish_edna_150bp": "gives PASS to 2999 of 3000 reads"}),
        ("expected_errors", {"nanopore": "gives PASS to 0 of 3000 reads"}),
        ("true_errors", dict.fromkeys(LIBRARIES, "needs a truth table")),
        ("overlap", dict.fromkeys(sorted({*LIBRARIES} - {"mifish_edna_150bp"}), "mates|have an overlap")),
    ],
)
def test_every_label_on_every_library_gives_a_card_or_says_why_not(
    label: str, refused: dict[str, str], real_data: Path, tmp_path: Path
) -> None:
    settings = [f"read_quality.data.label={label}", "read_quality.registry.limits={rare_discarded: 2.0}"]
    settings += [] if label == "overlap" else ["read_quality.data.max_records=3000"]
    config = tiny(*settings).section("read_quality")
    for library in LIBRARIES:
        out = tmp_path / library
        out.mkdir()
        files = sorted(path for path in (real_data / "fastq" / library).iterdir() if ".f" in path.name)
        if library in refused:
            with pytest.raises(AnelabError, match=refused[library]):
                prepare(config, files, out)  # type: ignore[arg-type]
        else:
            card = json.loads(canonical_json(prepare(config, files, out).as_json()))  # type: ignore[arg-type]
            assert min(card["rows"].values()) > 100
            assert (card["facts"]["reads_cut"] > 0) == (library in ("mifish_edna_150bp", "nanopore"))


def test_true_errors_are_joined_by_name(tmp_path: Path) -> None:
    config = tiny("read_quality.data.label=true_errors", "read_quality.data.max_errors=1").section("read_quality")
    workload = workloads.get("read_quality")
    workload.simulate(config, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    card = workload.prepare(config, sorted(tmp_path.glob("*.gz")), out)
    truth = read_truth(tmp_path / TRUTH_NAME)
    assert sum(counts["PASS"] for counts in card.classes.values()) == sum(one.errors <= 1 for one in truth.values())
