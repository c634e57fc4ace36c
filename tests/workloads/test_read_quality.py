import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anelab import workloads
from anelab.errors import AnelabError
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.fastq import Reads, read_fastq
from anelab.workloads.read_quality.model import RawForm, ReadNet, float_form
from anelab.workloads.read_quality.phred import to_phred33
from anelab.workloads.read_quality.prepare import prepare
from anelab.workloads.read_quality.simulate import READS_NAME, TRUTH_NAME, read_truth
from tests.conftest import tiny

GOLDEN = Path(__file__).with_name("reads_2.golden.json")


def test_the_encoding_is_the_documented_one() -> None:
    """The golden file is the contract reads/2: change it only together with the version."""
    assert encode.VERSION == "reads/2"
    for case in json.loads(GOLDEN.read_text()):
        raw = encode.raw_bytes(case["sequence"], case["quality"])
        floats = encode.encode(raw)[0]
        assert floats.dtype == np.float32
        np.testing.assert_allclose(floats, case["floats"], rtol=0, atol=1e-7)


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
    assert sum(parameter.numel() for parameter in net.parameters()) == 46_849
    letters = np.frombuffer(b"ACGTNacgt\0", np.uint8)
    rng = np.random.default_rng(0)
    raw = np.concatenate([rng.choice(letters, (64, 150)), rng.integers(33, 127, (64, 150), np.uint8)], axis=1)
    floats = torch.from_numpy(encode.encode(raw.astype(np.uint8)))
    expected = torch.sigmoid(net(floats))[:, None]
    torch.testing.assert_close(float_form(net)(floats), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(RawForm(net)(torch.from_numpy(raw.astype(np.uint8))), expected, rtol=1e-5, atol=1e-6)


def reads_with(characters: bytes) -> Reads:
    rows = np.full((1, 150), 53, np.uint8)
    rows[0, : len(characters)] = np.frombuffer(characters, np.uint8)
    return Reads(np.full((1, 150), 65, np.uint8), rows, np.array([len(characters)]), ["r"])


@pytest.mark.parametrize(
    ("characters", "phred", "scores"),
    [
        (b"!I", "auto", [0, 40]),
        (b"Bh", "auto", [2, 40]),
        (b"~!", "auto", [93, 0]),
        (b"@h", 64, [0, 40]),
        (b"?I", 33, [30, 40]),
    ],
)
def test_the_offset_is_detected_or_taken_as_said(characters: bytes, phred: Any, scores: list[int]) -> None:
    found = to_phred33(reads_with(characters), phred, Path("r.fq"))
    assert (found[0, :2].astype(int) - 33).tolist() == scores
    assert (found[0, 2:] == 53).all()


@pytest.mark.parametrize(
    ("characters", "phred"),
    [
        (b"????", "auto"),
        (b"FZ", "auto"),
        (b"BC", "auto"),
        (b"K~", "auto"),
        (b"B~", "auto"),
        (b"!I", 64),
        (b"\x20I", 33),
    ],
)
def test_an_offset_in_doubt_or_impossible_names_the_option(characters: bytes, phred: Any) -> None:
    with pytest.raises(AnelabError, match=r"r\.fq: .*read_quality\.data\.phred"):
        to_phred33(reads_with(characters), phred, Path("r.fq"))


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
    expected = sum(float(line.split("\t")[2]) for line in table)
    assert sum(truth.values()) == pytest.approx(expected, rel=0.03)
    assert read_fastq(folders[0] / READS_NAME).names == list(truth)


def test_labels_are_of_the_bases_that_the_model_sees(tmp_path: Path) -> None:
    """A read of 400 whose first 150 are good passes, though its mean over all is bad."""
    good = "@long\n" + "A" * 400 + "\n+\n" + "I" * 150 + "#" * 250 + "\n"
    bad = "@bad\n" + "A" * 100 + "\n+\n" + "#" * 100 + "\n"
    path = tmp_path / "reads.fq"
    path.write_text("".join((good + bad).replace("@long", f"@l{i}").replace("@bad", f"@b{i}") for i in range(20)))
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
            lines.append(f"@f{index}/{mate}\n{'A' * 60}\n+\n{quality * 60}\n")
    path = tmp_path / "pairs.fq"
    path.write_text("".join(lines))
    prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    groups = [set(np.load(tmp_path / f"{name}.group.npy").tolist()) for name in ("train", "validation", "test")]
    assert sum(map(len, groups)) == 200
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def test_nothing_to_learn_and_no_truth_are_errors_with_a_fix(tmp_path: Path) -> None:
    path = tmp_path / "good.fq"
    path.write_text("".join(f"@r{i}\n{'A' * 60}\n+\n{'!' if i == 0 else 'I'}{'I' * 59}\n" for i in range(50)))
    with pytest.raises(AnelabError, match="makes 50 of 50 reads PASS; to learn, there must be at least 3"):
        prepare(tiny().section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]
    with pytest.raises(AnelabError, match=r"needs a truth table .* without one use label: mean_quality"):
        prepare(tiny("read_quality.data.label=true_errors").section("read_quality"), [path], tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"read_id\terrors\n", "is not a gzip table"),
        (gzip.compress(b"read_id\terrors\nr0\tmany\n"), "is not a gzip table"),
        (gzip.compress(b"read_id\terrors\nr0\n"), "is not a gzip table"),
        (gzip.compress(b"read_id\terrors\nr0\t1\nr0\t2\n"), "2 rows but only 1 different reads"),
        (gzip.compress(b"read_id\terrors\nr0\t1\n")[:-9], "is not a gzip table"),
    ],
)
def test_a_damaged_truth_table_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.truth.tsv.gz"
    path.write_bytes(content)
    with pytest.raises(AnelabError, match=rf"x\.truth\.tsv\.gz: .*{problem}"):
        read_truth(path)


def test_a_character_out_of_range_names_record_and_line(tmp_path: Path) -> None:
    reads = reads_with(b"!II\x90")
    with pytest.raises(AnelabError, match=r"r\.fq: record 1, line 4: quality character 144 .* which was detected"):
        to_phred33(reads, "auto", Path("r.fq"))


def test_true_errors_are_joined_by_name(tmp_path: Path) -> None:
    config = tiny("read_quality.data.label=true_errors", "read_quality.data.max_errors=1").section("read_quality")
    workload = workloads.get("read_quality")
    workload.simulate(config, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    card = workload.prepare(config, sorted(tmp_path.glob("*.gz")), out)
    truth = read_truth(tmp_path / TRUTH_NAME)
    assert sum(counts["PASS"] for counts in card.classes.values()) == sum(errors <= 1 for errors in truth.values())
