"""A trained splice model beside simple methods, on the same rows of the test set.

    python benchmarks/splice_baselines.py WORKSPACE [--without OTHER] [-S splice.model=...]

WORKSPACE: a folder in which `anelab train splice` ran; give the same -S. OTHER: one of the same data and settings, but
with splice.data.base.source=none, whose model knows the sequence alone. Compared: the base model's own scores, its
calibration, logistic regression and boosted trees on the logarithms of the 15 scores and the bases near the position
(fitted to training and validation rows), the sequence alone, and the model.

Printed: negative log-likelihood, with the paired 95 % interval over groups of what the model gains; accuracy; average
precision of sites against decoys of their own kind (GT after the position, or AG before it); ECE over 15 bins of equal
width, also as it would be if the model were calibrated; and of sites that the base model scores below 0.01 the share
that is found where 5 % and 1 % of the decoys are."""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from anelab import workloads
from anelab.config import load_params
from anelab.learning.base import Split
from anelab.learning.metrics import average_precision
from anelab.statistics import interval, resamples
from anelab.training.trained import trained_module
from anelab.workloads.splice.features import CENTER
from anelab.workloads.splice.metrics import splice_figures
from anelab.workloads.splice.windows import has_motif, joined, load_windows

LEAST, NEAR, SEEN = 1e-12, 30, 0.01
RESAMPLES, CALIBRATED_DRAWS, ROWS_AT_ONCE = 1000, 200, 512
Chances = NDArray[np.float64]


def given_features(sequence: NDArray[np.uint8], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    center = sequence.shape[1] // 2
    near = sequence[:, max(center - NEAR, 0) : center + NEAR + 1]
    bases = (near[:, :, None] == np.arange(4, 8)).reshape(len(sequence), -1)
    return np.concatenate([np.log10(np.maximum(scores, LEAST)), bases], axis=1).astype(np.float32)


def classical(prepared: Path, test: Split) -> dict[str, Chances]:
    train = joined([load_windows(prepared, name) for name in ("train", "validation")])
    known, asked = (
        given_features(sequence.astype(np.uint8), scores)
        for sequence, scores in (
            (train.sequence, train.scores),
            (test.inputs["model"]["sequence"], test.inputs["model"]["scores"]),
        )
    )
    scaler = StandardScaler().fit(known)
    logistic = LogisticRegression(C=0.05, max_iter=500).fit(scaler.transform(known), train.label)
    trees = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=True, random_state=0
    ).fit(known, train.label)
    return {
        "logistic regression": logistic.predict_proba(scaler.transform(asked)),
        "boosted trees": trees.predict_proba(asked),
    }


def learned(net: torch.nn.Module, test: Split) -> dict[str, Chances]:
    """The sequence alone, and all of it."""
    sequence, scores = (torch.from_numpy(test.inputs["model"][name]) for name in ("sequence", "scores"))
    alone, fused = [], []
    with torch.inference_mode():
        for part, given in zip(sequence.split(ROWS_AT_ONCE), scores.split(ROWS_AT_ONCE), strict=True):
            alone.append(torch.softmax(net.sequence_logits(net.one_hot(part)), 1))
            fused.append(torch.softmax(net(part, given) / net.temperature, 1))
    return {"sequence alone": torch.cat(alone).double().numpy(), "the model": torch.cat(fused).double().numpy()}


def calibrated_ece(chances: Chances, test: Split) -> tuple[float, float, float]:
    """Mean and central 95 % of the ECE that these chances would have if they were the labels' own."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(CALIBRATED_DRAWS):
        label = (rng.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        drawn.append(splice_figures(chances, {**test.targets, "label": label})["ece_equal_width"])
    return float(np.mean(drawn)), *interval(np.array(drawn))


def without_base(workspace: Path, settings: list[str], test: Split) -> dict[str, Chances]:
    """The model of another workspace, on the same rows."""
    config = load_params(Path("params.yaml"), [*settings, "splice.data.base.source=none"]).section("splice")
    workload, prepared = workloads.get("splice"), workspace / "data/prepared/splice"
    other = workload.load(config, prepared, "test")
    if not np.array_equal(other.inputs["model"]["sequence"], test.inputs["model"]["sequence"]):
        raise SystemExit(f"{workspace}: its test rows are others; prepare both from the same data and seed")
    net, _ = trained_module(workload, config, prepared, workspace / "models/splice/train/best.ckpt")
    return {"without base scores": learned(net.eval(), other)["the model"]}


def report(name: str, chances: Chances, test: Split, model_loss: NDArray[np.float64]) -> None:
    label, scores = test.targets["label"], test.inputs["model"]["scores"]
    figures, own = splice_figures(chances, test.targets), loss_of(chances, label)
    drawn = np.concatenate(
        [counts @ (own - model_loss) / counts.sum(1) for counts in resamples(test.groups, RESAMPLES, 0)]
    )
    low, high = interval(drawn)
    parts = []
    for kind in (0, 1):
        motif = has_motif(test.inputs["model"]["sequence"].astype(np.uint8), kind)
        sites, decoys = label == kind, (label == 2) & motif
        rows = sites | decoys
        hard = sites & (scores[:, CENTER[kind]] < SEEN)
        found = [(chances[hard, kind] > np.quantile(chances[decoys, kind], 1 - rate)).mean() for rate in (0.05, 0.01)]
        parts.append((average_precision(chances[rows, kind], sites[rows]), *found))
    ap, at_5, at_1 = zip(*parts, strict=True)
    print(
        f"{name:20} nll {figures['nll']:.4f} [{low:+.4f}, {high:+.4f}], accuracy {figures['accuracy']:.4f}, "
        f"AP {ap[0]:.4f} {ap[1]:.4f}, ece {figures['ece_equal_width']:.4f}, hard sites at 5 % {at_5[0]:.2f} "
        f"{at_5[1]:.2f}, "
        f"at 1 % {at_1[0]:.2f} {at_1[1]:.2f}"
    )


def loss_of(chances: Chances, label: NDArray[np.int64]) -> NDArray[np.float64]:
    return -np.log(np.maximum(chances[np.arange(len(label)), label], LEAST))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--without", type=Path)
    parser.add_argument("-S", dest="settings", action="append", default=[])
    given = parser.parse_args()
    workload, config = workloads.get("splice"), load_params(Path("params.yaml"), given.settings).section("splice")
    prepared = given.workspace / "data/prepared/splice"
    test = workload.load(config, prepared, "test")
    net, _ = trained_module(workload, config, prepared, given.workspace / "models/splice/train/best.ckpt")
    rules = workloads.rules("splice", config, prepared)
    found = {name: rules[name](test)["probability"] for name in ("base", "base_temperature")}
    found |= classical(prepared, test) | learned(net.eval(), test)
    if given.without:
        found |= without_base(given.without, given.settings, test)
    print(f"{len(test):,} rows, {len(np.unique(test.groups)):,} groups; in brackets: what the model gains")
    model_loss = loss_of(found["the model"], test.targets["label"])
    for name, chances in found.items():
        report(name, np.asarray(chances, np.float64), test, model_loss)
    mean, low, high = calibrated_ece(np.asarray(found["the model"], np.float64), test)
    print(f"if the model were calibrated, its ece on so many rows would be {mean:.4f} [{low:.4f}, {high:.4f}]")


if __name__ == "__main__":
    main()
