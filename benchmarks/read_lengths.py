"""Is read_quality right at every length and offset? Trained on two libraries, judged on others and on cut reads.

    ANELAB_TEST_DATA=... python benchmarks/read_lengths.py [--seeds 1 2 3] [-S key=value ...]

Trains on ERR127302 and trinity_rnaseq (72 and 76 bases, Phred+33) with params.yaml's settings and label mean_quality,
once a seed, and prints accuracy and balanced accuracy against the rule on held-out reads, on whole libraries that it
never saw, and on reads of 150 bases cut to every tenth length. Last, the share of reads whose verdict INT8 changes.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from anelab import workloads
from anelab.config import load_params
from anelab.export.artifacts import Source, write_onnx
from anelab.export.runtime import onnx_predictor
from anelab.learning.base import Predictor
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.training.fit import fit
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH, read_reads
from anelab.workloads.read_quality.labels import by_rule

PROJECT = Path(__file__).resolve().parents[1]
TRAINED = ("ERR127302", "trinity_rnaseq")
OTHERS = ("callings_rnaseq", "sickle_phred64_150bp", "mifish_edna_150bp", "illumina_150bp")


def raw_of(folder: Path) -> Bytes:
    """All reads of a library's files."""
    return np.concatenate([part.raw for path in sorted(folder.iterdir()) for part in read_reads(path, "auto", "phred")])


def cut(raw: Bytes, length: int) -> Bytes:
    """The first bases of each read."""
    short = raw.copy()
    short[:, length:WIDTH], short[:, WIDTH + length :] = PAD_CODE, PAD_SCORE
    return short


def judged(verdicts: NDArray[np.bool_], label: NDArray[np.bool_]) -> str:
    """Accuracy, and in brackets the balanced one."""
    right = verdicts == label
    recalls = [right[label == value].mean() for value in (True, False) if (label == value).any()]
    return f"{right.mean():.4f} ({np.mean(recalls):.4f})"


def onnx_variants(config: Config, prepared: Path, module: nn.Module, out: Path) -> dict[str, Predictor]:
    """The model as ONNX, "fp32" and "int8", written into the folder `out`."""
    workload = workloads.get("read_quality")
    described = {"workload": workload.name, "preprocessing": workload.preprocessing}
    source = Source(workload, config, prepared, module.eval(), described)
    made = list(write_onnx(source, workload.graphs(config)[0], out))
    return {one.variant: onnx_predictor(out / one.file) for one in made}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-S", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    data = Path(os.environ["ANELAB_TEST_DATA"]).resolve() / "fastq"
    files = [path for name in TRAINED for path in sorted((data / name).iterdir())]
    others = {name: raw_of(data / name) for name in OTHERS}
    long = np.concatenate([others["sickle_phred64_150bp"], others["mifish_edna_150bp"]])
    others |= {f"cut to {length}": cut(long, length) for length in range(10, 151, 10)}
    workload = workloads.get("read_quality")
    for seed in given.seeds:
        source = f"read_quality.data.source=[{', '.join(map(str, files))}]"
        params = load_params(PROJECT / "params.yaml", [f"seed={seed}", source, *given.overrides])
        config = params.section("read_quality")
        with tempfile.TemporaryDirectory() as scratch:
            prepared, out = Path(scratch, "prepared"), Path(scratch, "out")
            for folder in (prepared, out):
                folder.mkdir()
            workload.prepare(config, files, prepared)
            module = fit(workload, config, prepared, Path(scratch, "work"), ()).module
            predict = onnx_variants(config, prepared, module, out)
            judge = {"held-out reads": workload.load(config, prepared, "test").inputs["raw"]["input"], **others}
            changed = total = 0
            print(f"seed {seed}: accuracy (balanced accuracy)")
            for name, raw in judge.items():
                floats = {"input": encode.encode(raw)}
                verdicts = {variant: run(floats)["output"][:, 0] >= 0.5 for variant, run in predict.items()}
                changed += int((verdicts["fp32"] != verdicts["int8"]).sum())
                total += len(raw)
                print(
                    f"  {name:24} {len(raw):7} reads  {judged(verdicts['fp32'], by_rule(raw, config.data))}", flush=True
                )
            print(f"  INT8 changes {changed / total:.4%} of {total:,} verdicts")


if __name__ == "__main__":
    main()
