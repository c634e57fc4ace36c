"""The folder of an index: whole, checked, and never in place of something else."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anelab.files import file_digest
from anelab.inference.edna.index import open_index
from anelab.workspace import Workspace
from tests.commands import anelab
from tests.inference.edna.conftest import Files


def test_an_index_needs_nothing_but_its_folder_and_notices_damage(files: Files, tmp_path: Path) -> None:
    def no_workspace() -> Workspace:
        raise AssertionError

    with open_index(no_workspace, files.index) as index:
        assert len(index) == len(index.points) == len(index.reference_neighbours.rows)
    (files.index / "taxa.npy").touch()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in files.index.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with (copy / "taxa.npy").open("ab") as handle:
        handle.write(b"x")
    query = files.fasta("one.fasta", files.held[:1])
    for folder, says in (
        (copy, "taxa.npy: is missing or changed"),
        (tmp_path, "is no index"),
        (tmp_path / "no", "is no index"),
    ):
        done = anelab(files.home, "edna", "assign", str(query), "--index", str(folder), "-o", str(tmp_path / "out.tsv"))
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
        assert not (tmp_path / "out.tsv").exists()


def test_an_index_whose_numbers_lead_out_of_it_is_refused(files: Files, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(files.index, copy)
    rows = np.load(copy / "near_rows.npy")
    rows[0, 0] = 10**6
    np.save(copy / "near_rows.npy", rows)
    facts = json.loads((copy / "index.json").read_text())
    facts["files"]["near_rows.npy"] = file_digest(copy / "near_rows.npy")
    (copy / "index.json").write_text(json.dumps(facts))
    query = files.fasta("one.fasta", files.held[:1])
    done = anelab(files.home, "edna", "assign", str(query), "--index", str(copy), "-o", str(tmp_path / "out.tsv"))
    assert (done.returncode, "its tables do not fit each other" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("k", 30),
        ("vectors", {"kmer_size": 30}),
        ("ranks", []),
        ("novelty", {"knots": [], "weights": []}),
        ("files", None),
    ],
)
def test_facts_that_do_not_fit_are_refused(fact: str, value: Any, files: Files, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(files.index, copy)
    facts = json.loads((copy / "index.json").read_text())
    (copy / "index.json").write_text(json.dumps({**facts, fact: value}))
    done = anelab(files.home, "edna", "assign", "x.fasta", "--index", str(copy), "-o", str(tmp_path / "out.tsv"))
    assert (done.returncode, "make it again" in done.stderr) == (1, True), done.stderr


def test_another_project_is_not_taken_for_an_index(files: Files, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"name": "a site"}')
    refs = str(files.folder / "refs.fasta")
    done = anelab(files.home, "edna", "index", refs, "-o", str(tmp_path))
    assert (done.returncode, "is no index that may be replaced" in done.stderr) == (2, True)
    copy = tmp_path / "copy"
    shutil.copytree(files.index, copy)
    (copy / "notes.txt").write_text("mine")
    done = anelab(files.home, "edna", "index", refs, "-o", str(copy))
    assert (done.returncode, "holds 'notes.txt'" in done.stderr) == (2, True)
    assert (copy / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_not_replaced(files: Files, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refs = str(files.folder / "refs.fasta")
    done = anelab(files.home, "edna", "index", refs, "-o", str(tmp_path))
    assert (done.returncode, "holds 'thesis.txt', and is no index" in done.stderr) == (2, True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
