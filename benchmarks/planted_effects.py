"""Does learning pay where qualities are wrong, and cost nothing where they are right? On simulated reads.

    python benchmarks/planted_effects.py [--seeds 1 2 3 4 5] [--reads 20000] [-S key=value ...]

For each seed, with all planted effects and with none: a library to train on and another to judge, label "no error at
all". AUROC of expected errors, of the Bayes optimum (the true chances, which only a simulator knows), and of the error
network that sees bases too and the one that sees qualities and places only; the share of the gap between the first two
that the network recovers; its ECE; and, where expected errors keep 80 % of the reads, how many the network keeps at the
same residual error rate. Last, means over the seeds with their 95 % intervals (Student's t).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from anelab import workloads
from anelab.config import load_params
from anelab.learning.base import Graph
from anelab.learning.metrics import expected_calibration_error, roc_auc
from anelab.training.fit import fit
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.encode import read_reads
from anelab.workloads.read_quality.filters import kept_at, residual_rate
from anelab.workloads.read_quality.simulate import READS_NAME, TRUTH_NAME
from anelab.workloads.read_quality.truth import read_truth

PROJECT = Path(__file__).resolve().parents[1]
EFFECTS = {"planted": "[ggc, homopolymer, overstated]", "none": "[]"}
SETTINGS = (
    "read_quality.data.label=true_errors",
    "read_quality.model.architecture=errors",
    "read_quality.metric=min:nll",
    "read_quality.training.learning_rate=0.01",
    "read_quality.training.max_epochs=8",
    "read_quality.registry.threshold=1.0",
    "read_quality.training.patience=null",
)
KEPT = 0.8

Values = NDArray[np.float64]


def library(folder: Path, given: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], Values]:
    """Simulate one: raw reads, errors of each, and the true chance of none."""
    config = load_params(PROJECT / "params.yaml", given).section("read_quality")
    folder.mkdir()
    workloads.get("read_quality").simulate(config, folder)
    truth = read_truth(folder / TRUTH_NAME)
    raw, names = [], []
    for part in read_reads(folder / READS_NAME, 33, "--phred "):
        raw.append(part.raw)
        names += part.block.names()
    return (
        np.concatenate(raw),
        np.array([truth[name].errors for name in names]),
        np.array([truth[name].chance_of_none for name in names]),
    )


def probability_of_none(net: nn.Module, raw: NDArray[np.uint8]) -> Values:
    """What a trained network says of reads, [n]."""
    workload = workloads.get("read_quality")
    form = workload.deployed(net, Graph("model", (), ()))
    with torch.no_grad():
        parts = [form(torch.from_numpy(encode.encode(raw[at : at + 4096]))) for at in range(0, len(raw), 4096)]
    return torch.cat(parts)[:, 0].double().numpy()


def measure(scratch: Path, seed: int, kind: str, given: list[str]) -> dict[str, float]:
    """All figures of one seed and kind of effects."""
    common = [*SETTINGS, f"read_quality.data.simulation.effects={EFFECTS[kind]}", *given]
    raw, errors, none = library(scratch / "judged", [*common, f"seed={seed + 1000}"])
    label, lengths = errors > 0, encode.lengths_of(raw)
    stated = encode.expected_errors(raw)
    rate = residual_rate(stated, errors, lengths, KEPT)
    found = {"expected errors": roc_auc(stated, label), "Bayes": roc_auc(-none, label)}
    library(scratch / "trained", [*common, f"seed={seed}"])
    workload = workloads.get("read_quality")
    for name, context in (("with bases", "true"), ("qualities only", "false")):
        settings = [*common, f"seed={seed}", f"read_quality.model.context={context}"]
        config = load_params(PROJECT / "params.yaml", settings).section("read_quality")
        prepared = scratch / name
        prepared.mkdir()
        workload.prepare(config, sorted((scratch / "trained").iterdir()), prepared)
        net = fit(workload, config, prepared, scratch / f"work {name}", ()).module
        passing = probability_of_none(net, raw)
        found[name] = roc_auc(-passing, label)
        found[f"ECE {name}"] = expected_calibration_error(passing, ~label)
        found[f"kept {name}"] = float(kept_at(-passing, errors, lengths, rate).mean())
        if kind == "planted":
            gap = found["Bayes"] - found["expected errors"]
            found[f"of the gap {name}"] = (found[name] - found["expected errors"]) / gap
        else:
            found[f"over expected errors {name}"] = found[name] - found["expected errors"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--reads", type=int, default=20_000)
    parser.add_argument("-S", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    for kind in EFFECTS:
        rows = []
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                reads = f"read_quality.data.simulation.reads={given.reads}"
                rows.append(measure(Path(scratch), seed, kind, [reads, *given.overrides]))
            print(kind, seed, {name: round(value, 4) for name, value in rows[-1].items()}, flush=True)
        print(f"effects: {kind}; {len(rows)} seeds")
        for name in rows[0]:
            values = np.array([row[name] for row in rows])
            reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            print(f"  {name:36} {values.mean():.4f} [{values.mean() - reach:.4f}, {values.mean() + reach:.4f}]")


if __name__ == "__main__":
    main()
