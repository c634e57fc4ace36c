from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from anelab import workloads
from anelab.cli import main
from anelab.config import load_params
from anelab.files import read_json
from anelab.learning.base import AnyWorkload
from anelab.learning.config import WorkloadConfig
from anelab.testing.workloads import WorkloadContract
from anelab.training.evaluate import torch_predictor
from anelab.training.fit import Fitted
from anelab.workloads.splice.hyena import HyenaBackbone, HyenaShape
from tests.conftest import ROOT, tiny

TOYS = str(Path(__file__).with_name("workloads"))
TOY = {
    "metric": "max:recall_at_1",
    "data": {"source": "simulate"},
    "split": {"validation": 0.2, "test": 0.2},
    "model": {"width": 8},
    "training": {"max_epochs": 3, "batch_size": 64, "learning_rate": 0.01},
    "search": {"n_trials": 3, "max_epochs": 1},
    "export": {
        "int8": False,
        "float_tolerance": {"max_absolute": 1e-4, "min_agreement": 0.99, "max_metric_loss": 0.01},
        "int8_tolerance": {"max_absolute": 1.0, "min_agreement": 0.5, "max_metric_loss": 0.5},
    },
    # A worker process knows nothing of this folder of workloads, and what runs exported files need not.
    "bench": {"arms": ["ort-cpu"], "processes": 1, "rounds": 1, "slice_ms": 1.0, "batches": [4]},
    "registry": {"threshold": 0.2, "margin": 0.1, "max_size_bytes": 100000, "resamples": 100},
}


@pytest.fixture(scope="module")
def toy_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").write_text(yaml.safe_dump({"workloads": ["toy"], "seed": 1, "toy": TOY}))
    return folder


@pytest.fixture(scope="module", autouse=True)
def _toy_is_a_workload() -> object:
    workloads.__path__.append(TOYS)
    yield
    workloads.__path__.remove(TOYS)


class TestReadQuality(WorkloadContract):
    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        return workloads.get("read_quality")

    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny().section("read_quality")


class TestReadQualityTrueErrors(TestReadQuality):
    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny("read_quality.data.label=true_errors", "read_quality.data.max_errors=2").section("read_quality")


class TestMnistCnn(WorkloadContract):
    groups_are_global = False

    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        return workloads.get("mnist")

    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny().section("mnist")


class TestMnistMlp(TestMnistCnn):
    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny("mnist.model.architecture=mlp", "mnist.training.learning_rate=0.003").section("mnist")


class TestEdna(WorkloadContract):
    groups_are_global = False
    half_error = weights_error = 0.1  # after a few steps embeddings hardly differ, so that rounding counts
    min_agreement = 0.9  # of nearest neighbours, some of which are as near as others

    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        return workloads.get("edna")

    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny().section("edna")


class TestEdnaTransformer(TestEdna):
    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        letters = "edna.model.tokenizer={encoding: char}"
        settings = ("edna.model.backbone=transformer", "edna.model.layers=1", "edna.model.strands=single", letters)
        return tiny(*settings).section("edna")


class TestEdnaCnn(TestEdna):
    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        kmers = "edna.model.tokenizer={kmer_size: 3, canonical: false}"
        chunks = "edna.model.contrastive.chunk=64"
        return tiny("edna.model.backbone=cnn", "edna.model.layers=1", "edna.model.pooling=max", kmers, chunks).section(
            "edna"
        )


class TestEdnaAutoencoder(TestEdna):
    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        letters = "edna.model.tokenizer={encoding: char}"
        settings = ("edna.model.backbone=autoencoder", "edna.model.layers=1", "edna.model.strands=single", letters)
        return tiny(*settings).section("edna")


class TestSplice(WorkloadContract):
    min_agreement = 0.98  # after a few steps chances are near each other

    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        return workloads.get("splice")

    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        return tiny().section("splice")

    def check_companions(self, folder: Path) -> None:
        assert read_json(folder / "base.json")["source"] in ("table", "pwm")


class TestSpliceHyena(TestSplice):
    weights_error = 3e-3

    @pytest.fixture(scope="class")
    def config(self, tmp_path_factory: pytest.TempPathFactory) -> WorkloadConfig:
        backbone = HyenaBackbone(HyenaShape(width=16, layers=1, inner=32, longest=120, filter_order=8))
        weights = tmp_path_factory.mktemp("pretrained") / "weights.ckpt"
        torch.save({f"backbone.{name}": values for name, values in backbone.state_dict().items()}, weights)
        encoder = f"splice.model.encoder={{kind: hyenadna, pretrained: {weights}, output_dim: 8}}"
        settings = ("splice.model.fusion=cross_attention", "splice.data.base.source=pwm", "splice.training.loss=focal")
        return tiny(encoder, *settings, "splice.training.class_weights=balanced").section("splice")


class TestToy(WorkloadContract):
    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        return workloads.get("toy")

    @pytest.fixture(scope="class")
    def config(self, toy_project: Path) -> WorkloadConfig:
        return load_params(toy_project / "params.yaml").section("toy")

    def check_companions(self, folder: Path) -> None:
        assert np.load(folder / "index.npy").shape[1] == 8

    def test_epochs_are_announced_and_calibration_is_kept(
        self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path, fitted: Fitted
    ) -> None:
        assert fitted.module.epochs_begun == config.training.max_epochs
        temperature = fitted.module.state_dict()["temperature"]
        assert temperature != 1
        validation = workload.load(config, prepared, "validation")
        graph = workload.graphs(config)[0]
        outputs = torch_predictor(workload.deployed(fitted.module, graph), graph)(validation.inputs["model"])
        assert np.linalg.norm(outputs["scaled"], axis=1).mean() == pytest.approx(1, rel=1e-4)


def version_with(project: Path, file: str) -> Path:
    """The folder of a version that holds that file."""
    found = sorted((project / "mlruns/artifacts/toy/models").glob(f"*/artifacts/{file}"))
    return found[0].parent


def test_the_toy_goes_all_the_way_to_a_champion(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its own folder and its section of params.yaml make it a workload."""
    monkeypatch.chdir(toy_project)
    with pytest.raises(SystemExit) as caught:
        main(["run", "toy"])
    assert caught.value.code == 0
    champion = read_json(toy_project / "reports/toy/champion.json")["models"]["toy-onnx"]["champion"]
    assert champion["metric"] == "max:recall_at_1"
    assert champion["value"] > 0.5
    assert (toy_project / "models/toy/export/index.npy").is_file()
    version = version_with(toy_project, "model.onnx")
    assert {path.name for path in version.iterdir()} >= {"manifest.json", "index.npy", "MLmodel"}
    core_ml = version_with(toy_project, "model.buckets.mlpackage")
    assert {path.name for path in core_ml.iterdir()} >= {"model.mlpackage", "manifest.json", "index.npy", "MLmodel"}
    manifest = read_json(version / "manifest.json")
    assert list(manifest["companions"]) == ["examples.npz", "index.npy"]
    cells = read_json(toy_project / "reports/toy/bench.json")["arms"]["ort-cpu:fp32"]["cells"]
    assert set(cells) == {"single", "batch_4"}
    assert manifest["golden"][0]["outputs"]["model.onnx"].keys() == {"embedding", "scaled"}
    assert read_json(toy_project / "models/toy/search/trials.json")["trials"][0]["values"]["model.width"] == 8
    assert ROOT not in toy_project.parents
