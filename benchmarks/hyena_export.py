"""HyenaDNA's backbone by ONNX Runtime, with its filters as a DFT or as convolutions, beside PyTorch's FFT; one thread.

    python benchmarks/hyena_export.py [--size tiny] [--length 501]

Random weights of the published shape. Printed: the median time of a sequence, the largest error against PyTorch, and
the bytes of the file.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from anelab.export.onnx import export_onnx, write_model
from anelab.export.runtime import onnx_predictor
from anelab.learning.base import Graph, Tensor
from anelab.workloads.splice.encoders import OneHot
from anelab.workloads.splice.hyena import SIZES, HyenaBackbone, fixed

CALLS, WARM = 41, 5


def median_ms(call: Callable[[], object]) -> float:
    for _ in range(WARM):
        call()
    seconds = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--length", type=int, default=501)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = HyenaBackbone(SIZES[given.size]).eval()
    bases = OneHot()(torch.from_numpy(np.random.default_rng(0).integers(4, 8, (1, given.length)).astype(np.int32)))
    with torch.inference_mode():
        wanted = net(bases)
        print(f"PyTorch {torch.__version__}, FFT: {median_ms(lambda: net(bases)):.2f} ms")
    graph = Graph(
        "model",
        (Tensor("bases", "float32", ("n", 6, given.length)),),
        (Tensor("out", "float32", ("n", *wanted.shape[1:])),),
    )
    with tempfile.TemporaryDirectory() as scratch:
        for form in ("dft", "convolution"):
            path = Path(scratch, f"{form}.onnx")
            write_model(export_onnx(fixed(net, given.length, form), graph, 13, {}), path)  # type: ignore[arg-type]
            predict, arrays = onnx_predictor(path), {"bases": bases.numpy()}
            error = np.abs(predict(arrays)["out"] - wanted.numpy()).max()
            print(
                f"ONNX, {form}: {median_ms(lambda: predict(arrays)):.2f} ms, largest error {error:.1e}, "  # noqa: B023
                f"{path.stat().st_size / 1e6:.1f} MB"
            )


if __name__ == "__main__":
    main()
