"""The same commands on real files; small settings, so the figures are floors, not results."""

from contextlib import chdir
from pathlib import Path

import pytest

from anelab.cli import main
from anelab.files import read_json
from tests.conftest import ROOT, TINY

QUICK = [override for override in TINY if ".bench=" in override or ".coreml." in override]
"""No more packages and timing than show that they are made."""


def run(workload: str, workspace: Path, *overrides: str) -> None:
    settings = [word for override in (*QUICK, *overrides) for word in ("-S", override)]
    with chdir(ROOT), pytest.raises(SystemExit) as caught:
        main(["run", workload, "--workspace", str(workspace), *settings])
    assert caught.value.code == 0


def test_reads_of_a_real_library(real_data: Path, tmp_path: Path) -> None:
    source = f"read_quality.data.source=[{real_data / 'fastq/ERR127302'}]"
    run("read_quality", tmp_path, source, "read_quality.search.n_trials=0", "read_quality.training.max_epochs=4")
    card = read_json(tmp_path / "reports/read_quality/data.json")
    assert sum(card["rows"].values()) == 40_000
    failed = sum(counts["FAIL"] for counts in card["classes"].values())
    assert failed / 40_000 == pytest.approx((0.048 + 0.099) / 2, abs=0.002)
    report = read_json(tmp_path / "reports/read_quality/train.json")
    assert report["test"]["accuracy"] > 0.99
    assert report["baselines"]["mean_quality"]["accuracy"] == 1.0
    assert read_json(tmp_path / "reports/read_quality/champion.json")["models"]["read_quality-onnx"]["champion"]


def test_real_mnist(real_data: Path, tmp_path: Path) -> None:
    overrides = ("mnist.search.n_trials=0", "mnist.training.max_epochs=2", "mnist.model.architecture=mlp")
    run(
        "mnist", tmp_path, f"mnist.data.source=[{real_data / 'mnist'}]", "mnist.training.learning_rate=3e-3", *overrides
    )
    report = read_json(tmp_path / "reports/mnist/train.json")
    assert report["test"]["accuracy"] > 0.95
    assert read_json(tmp_path / "reports/mnist/data.json")["rows"]["test"] == 10_000
    parity = read_json(tmp_path / "reports/mnist/parity.json")
    assert parity["model.raw.onnx"]["onnxruntime_cpu"]["metric"] == report["test"]["accuracy"]
