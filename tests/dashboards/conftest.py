"""A store that the real pipeline made, and into it a Mac's result that is made up."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from anelab import workloads
from anelab.bench.measuring.run import write_result
from anelab.bench.results.bundle import SAMPLES, write_bundle
from anelab.tracking import reading
from anelab.workspace import Workspace
from tests.commands import SETTINGS, anelab
from tests.conftest import ROOT
from tests.shared import copy_workspace
from tests.views.made import mac

HOSTILE = "Mac16,10 ![](https://elsewhere.example/p.png) <img src=x>"
"""A bundle may say anything of its machine."""
BENCH = "{arms: [ort-cpu, classical], processes: 6, rounds: 2, slice_ms: 1.0, scenarios: [single, batch], batches: [4]}"
QUICK = [
    *SETTINGS,
    "-S",
    f"mnist.bench={BENCH}",
    "-S",
    "mnist.registry.margin=1.0",
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test with caches of its own, as each server has; and with the main module that was, for AppTest puts the
    app in its place, and processes that are spawned later would run it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both workloads; mnist has two versions of each model, and a Mac has measured the champion."""
    folder = copy_workspace(tmp_path_factory.mktemp("home"), *workloads.names())
    searched = anelab(folder, "search", "read_quality", *QUICK, "-S", "read_quality.search.n_trials=5")
    assert searched.returncode == 0, searched.stderr
    for stage in (("bench", "run"), ("register",)):
        done = anelab(folder, *stage, "mnist", *QUICK)
        assert done.returncode == 0, done.stderr
    for stage in ("train", "export", "register"):
        done = anelab(folder, stage, "mnist", *QUICK, "-S", "mnist.training.max_epochs=3")
        assert done.returncode == 0, done.stderr
    import_mac(folder, tmp_path_factory.mktemp("mac"))
    return folder


def map_genes(folder: Path, genes: Path, model: str, scratch: Path) -> None:
    """Make the map "a survey" of the genes in a folder, which are its references, too."""
    index, fasta = str(scratch / "a survey"), str(genes / "genes.fasta.gz")
    labelled = ("--labels", str(genes / "taxonomy.tsv"), "--model", model)
    for words in (("index", fasta, *labelled, "-o", index), ("clusters", fasta, "--index", index)):
        done = anelab(folder, "edna", *words)
        assert done.returncode == 0, done.stderr


def import_mac(folder: Path, scratch: Path) -> None:
    """Bring the result that is made up into the store of the folder, as a bundle."""
    store = reading.open_existing(Workspace(ROOT, folder))
    assert store is not None
    (champion,) = [
        one for one in reading.versions(store, "mnist") if one.model == "mnist-coreml" and "champion" in one.aliases
    ]
    report, slices = mac(champion.sha256, HOSTILE)
    written = write_result(report, slices, scratch / SAMPLES)
    write_bundle(written, scratch / SAMPLES, scratch / "mac.bench.zip")
    done = anelab(folder, "bench", "import", str(scratch / "mac.bench.zip"))
    assert done.returncode == 0, done.stderr
