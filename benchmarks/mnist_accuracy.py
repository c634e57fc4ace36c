"""Accuracy on MNIST's own 10,000 test images over seeds: the module, and every exported file.

Only the seed and what is listed in SETTINGS differ from params.yaml.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from anelab import workloads
from anelab.config import load_params
from anelab.export.onnx import export_onnx, write_model
from anelab.export.quantize import calibration_rows, quantize_int8
from anelab.export.runtime import onnx_predictor
from anelab.learning.config import WorkloadConfig
from anelab.training.evaluate import evaluate_module
from anelab.training.fit import fit

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "mlp": ["mnist.model.architecture=mlp", "mnist.training.learning_rate=0.004", "mnist.training.max_epochs=12"],
    "cnn": ["mnist.model.architecture=cnn", "mnist.training.learning_rate=0.02", "mnist.training.max_epochs=6"],
}
COMMON = ["mnist.training.batch_size=128"]
KINDS = ("torch", "model.onnx", "model.raw.onnx", "model.int8.onnx")


def measure(config: WorkloadConfig, prepared: Path) -> dict[str, float]:
    """Test accuracy by kind of artifact."""
    workload = workloads.get("mnist")
    module = fit(workload, config, prepared).module
    test = workload.load(config, prepared, "test")
    found = {"torch": evaluate_module(workload, config, module, test)[1]["accuracy"]}
    train = workload.load(config, prepared, "train").inputs["model"]
    with tempfile.TemporaryDirectory() as scratch:
        for graph in workload.graphs(config):
            model = export_onnx(workload.deployed(module, graph), graph, config.export.opset, {})
            models = {"model.onnx" if graph.name == "model" else "model.raw.onnx": model}
            if graph.name == "model":
                rows = calibration_rows(train, config.export.calibration_rows, config.seed)
                models["model.int8.onnx"] = quantize_int8(model, graph, rows, {})
            for name, one in models.items():
                write_model(one, Path(scratch, name))
                outputs = onnx_predictor(Path(scratch, name))(test.inputs[graph.name])
                found[name] = workload.metrics(workload.rows(outputs, test), test)["accuracy"]
    return found


def main(architectures: list[str], seeds: int) -> None:
    data = Path(os.environ["ANELAB_TEST_DATA"], "mnist")
    for architecture in architectures:
        table = []
        for seed in range(seeds):
            overrides = [*COMMON, *SETTINGS[architecture], f"seed={seed}", f"mnist.data.source=[{data}]"]
            config = load_params(ROOT / "params.yaml", overrides).section("mnist")
            with tempfile.TemporaryDirectory() as scratch:
                started = time.perf_counter()
                workloads.get("mnist").prepare(config, sorted(data.iterdir()), Path(scratch))
                table.append(measure(config, Path(scratch)))
            row = "  ".join(f"{kind} {table[-1][kind]:.4f}" for kind in KINDS)
            print(f"{architecture} seed {seed}: {row}  ({time.perf_counter() - started:.0f} s)", flush=True)
        for kind in KINDS:
            values = [row[kind] for row in table]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(
                f"{architecture} {kind}: mean {statistics.mean(values):.5f}, sd {spread:.5f}, lowest {min(values):.4f}"
            )
        drops = [row["model.onnx"] - row["model.int8.onnx"] for row in table]
        print(f"{architecture} INT8 drop: mean {statistics.mean(drops):+.5f}, largest {max(drops):+.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", nargs="+", default=["mlp", "cnn"], choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.architectures, arguments.seeds)
