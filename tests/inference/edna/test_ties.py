"""What is equally near, and references whose labels have few ranks."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.commands import anelab


def plain(tmp_path: Path, header: str) -> tuple[str, str]:
    """A FASTA of twelve species of three genera. A sequence of the first, and a stretch that it shares with the fifth,
    one of whose sequences is shorter than the others."""
    rng = np.random.default_rng(8)
    root, lines, first = rng.integers(0, 4, 600), [], ""
    for species in range(12):
        own = np.where(rng.random(600) < 0.08, rng.integers(0, 4, 600), root)
        for number in range(4):
            letters = np.where(rng.random(600) < 0.004, rng.integers(0, 4, 600), own)
            letters[200:360] = root[200:360] if species in (0, 4) else own[200:360]
            text = "".join("ACGT"[code] for code in letters)[: 400 if (species, number) == (4, 3) else 600]
            name = f"Genus{'abc'[species // 4]} species{'abcd'[species % 4]}"
            lines.append(f"{header.format(id=f's{species}_{number}', name=name)}\n{text}\n")
            first = first or text
    (tmp_path / "refs.fasta").write_text("".join(lines))
    return first, first[200:360]


def assigned(tmp_path: Path, query: str) -> dict[str, str]:
    """One sequence among the references that `plain` wrote."""
    home, index, out = tmp_path / "home", str(tmp_path / "index"), tmp_path / "out.tsv"
    home.mkdir()
    done = anelab(home, "edna", "index", str(tmp_path / "refs.fasta"), "--model", "kmers", "-o", index)
    assert done.returncode == 0, done.stderr
    (tmp_path / "q.fasta").write_text(f">q\n{query}\n")
    done = anelab(home, "edna", "assign", str(tmp_path / "q.fasta"), "--index", index, "-o", str(out))
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(out.read_text().splitlines(), delimiter="\t")
    return row


@pytest.mark.parametrize("header", [">{id} {name} 12S", ">{id};tax=s:{name};", ">{id} d__E;g__;s__{name}"])
def test_references_without_some_ranks_are_enough_and_ties_are_of_any_length(header: str, tmp_path: Path) -> None:
    _, stretch = plain(tmp_path, header)
    row = assigned(tmp_path, stretch)
    assert row["ties"] == "Genusa speciesa;Genusb speciesa"
    assert (row["species"], row["genus"], row["similarity"]) == ("", "", "1.0000")


def test_all_of_more_equal_references_than_the_shortlist_holds_count(tmp_path: Path) -> None:
    first, _ = plain(tmp_path, ">{id} {name}")
    epithets = [f"sp{one}{other}" for one in "abcde" for other in "abcdefghij"]
    names = [f"Genus{'x' if number < 45 else 'y'} {epithet}" for number, epithet in enumerate(epithets)]
    with (tmp_path / "refs.fasta").open("a") as handle:
        handle.writelines(f">t{number} {name}\n{first}\n" for number, name in enumerate(names))
    row = assigned(tmp_path, first)
    assert row["ties"].split(";") == sorted([*names, "Genusa speciesa"])
    assert (row["genus"], row["verdict"]) == ("", "ambiguous")
