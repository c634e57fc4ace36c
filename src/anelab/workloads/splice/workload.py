"""Donor, acceptor or neither: sequence and base scores to recalibrated chances."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anelab.errors import AnelabError
from anelab.files import read_json, write_json
from anelab.learning.arrays import load_array
from anelab.learning.base import (
    SPLITS,
    Array,
    Arrays,
    Batch,
    DataCard,
    GoldenCase,
    Graph,
    Split,
    Tensor,
    Trial,
    shuffled_batches,
)
from anelab.learning.classifier import Classifier
from anelab.learning.evidence import Evidence
from anelab.sequences.nucleotides import encode_bases
from anelab.workloads.splice import simulate
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.features import CENTER, LABELS, SCORES
from anelab.workloads.splice.metrics import splice_figures, splice_replicates
from anelab.workloads.splice.prepare import BASE, EVIDENCE, prepare
from anelab.workloads.splice.windows import NEITHER, SUBGROUPS, load_windows

if TYPE_CHECKING:
    import torch
    from torch import nn

CANDIDATE = 0.01
"""Of donor or acceptor by the base model: where it sees a site at all."""
FIRST, LAST = 4, 7


class Splice(Classifier[Config]):
    name = "splice"
    classes = LABELS
    preprocessing = "splice/1"

    def simulate(self, config: Config, out: Path) -> None:
        data = config.data
        windows, genes, contigs = simulate.simulated_windows(data.simulation, data.window, data.decoys, config.seed)
        simulate.write_windows(out, windows, genes, contigs)

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        return prepare(config, files, out)

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        windows = load_windows(prepared, split)
        given = {"sequence": windows.sequence.astype(np.int32), "scores": windows.scores}
        sites = windows.scores[:, list(CENTER[:2])].max(axis=1)
        targets: dict[str, Array] = {
            "label": windows.label.astype(np.int64),
            "candidate": sites > CANDIDATE,
            "weight": windows.weight,
            "flags": windows.flags,
        }
        return Split({"model": given}, targets, load_array(prepared / f"{split}.related.npy", (None,)))

    def extra_inputs(self, config: Config) -> Mapping[str, Path]:
        pretrained = config.model.encoder.pretrained
        if not pretrained or config.model.encoder.kind != "hyenadna":
            return {}
        if not Path(pretrained).is_file():
            raise AnelabError(f"{pretrained}: is not there; splice.model.encoder.pretrained names a file of weights")
        return {"pretrained": Path(pretrained)}

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        """MetaSpliceAI's space; where the configuration's own values lie outside, it reaches as far as they do."""
        rate, hidden = config.training.learning_rate, config.model.hidden
        return {
            "training.learning_rate": trial.suggest_float(
                "training.learning_rate", min(1e-5, rate), max(1e-3, rate), log=True
            ),
            "training.weight_decay": trial.suggest_float(
                "training.weight_decay", 0.0, max(0.1, config.training.weight_decay)
            ),
            "training.batch_size": trial.suggest_categorical(
                "training.batch_size", sorted({32, 64, 128, 256, config.training.batch_size})
            ),
            "model.hidden": trial.suggest_categorical("model.hidden", sorted({128, 256, 512, hidden})),
            "model.dropout": trial.suggest_float("model.dropout", 0.0, max(0.3, config.model.dropout)),
        }

    def build(self, config: Config, prepared: Path) -> "nn.Module":
        import torch

        from anelab.workloads.splice.model import SpliceNet

        focal = config.training.focal_gamma if config.training.loss == "focal" else 0.0
        distils = read_json(prepared / BASE)["source"] == "table"  # matrices say less of a sequence than its label
        net = SpliceNet(config.model, config.data.window, focal, distils)
        net.scores.fit(torch.from_numpy(load_windows(prepared, "train").scores))
        return net

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        import torch

        rng = np.random.default_rng([config.seed, 41, epoch, rank])
        fold = folds_of(train.groups, config.model.folds, config.seed)
        label = train.targets["label"]
        class_weight = _class_weights(config, label)
        for rows in shuffled_batches(config, len(train), epoch, rank):
            made = {
                "sequence": _substituted(config, train.inputs["model"]["sequence"][rows], rng),
                "scores": train.inputs["model"]["scores"][rows],
                "label": label[rows],
                "weight": train.targets["weight"][rows] * class_weight[label[rows]],
                "fold": fold[rows],
            }
            yield {name: torch.from_numpy(array) for name, array in made.items()}

    def step(
        self, module: "nn.Module", batch: Batch, backward: "Callable[[torch.Tensor], None]"
    ) -> "Mapping[str, torch.Tensor]":
        return module.training_step(batch, backward)  # type: ignore[operator, no-any-return]

    def calibrate(self, module: "nn.Module", config: Config, validation: Split) -> None:
        """What is fitted on validation rows: a share of the sequence alone, and temperatures."""
        import torch

        from anelab.workloads.splice.model import SpliceNet, calibrate

        assert isinstance(module, SpliceNet)
        sequence, scores = (torch.from_numpy(validation.inputs["model"][name]) for name in ("sequence", "scores"))
        calibrate(module, sequence, scores, torch.from_numpy(validation.targets["label"]))

    def describe(self, config: Config) -> dict[str, str]:
        return {
            "base_model": config.data.base.model,
            "label": "splice site",
            "output": "probability of donor, acceptor, neither",
            "window": str(config.data.window),
        }

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        sequence = Tensor(
            "sequence",
            "int32",
            ("n", config.data.window),
            meaning="A 4, C 5, G 6, T 7, other letters 8, no base 0; the position is the middle one",
        )
        scores = Tensor(
            "scores",
            "float32",
            ("n", len(SCORES)),
            meaning="the base model's donor, acceptor and neither at -2 to +2",
            bounds=(0.0, 1.0),
            float32=True,
        )
        output = Tensor("output", "float32", ("n", 3), None, "probability of donor, acceptor, neither", "probability")
        return (Graph("model", (sequence, scores), (output,), precise=("scores", "base", "fusion")),)

    def deployed(self, module: "nn.Module", graph: Graph, half: bool = False) -> "nn.Module":
        from anelab.workloads.splice.hyena import fixed
        from anelab.workloads.splice.model import ProbabilityForm, SpliceNet

        assert isinstance(module, SpliceNet)
        width = graph.inputs[0].shape[1]
        assert isinstance(width, int)
        return fixed(ProbabilityForm(module), width, "convolution" if half else "dft").eval()

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        return splice_figures(rows["probability"], split.targets)

    def replicates(self, rows: Arrays, split: Split, counts: Array) -> Mapping[str, Array]:
        return splice_replicates(rows["probability"], split.targets, counts)

    def subgroups(self, split: Split) -> Mapping[str, Array]:
        """Sites of a kind, and all rows that are none; `hard`: sites that the base model does not see."""
        others = split.targets["label"] == NEITHER
        flags, hard = split.targets["flags"], ~split.targets["candidate"].astype(bool)
        found = {name: flags[:, place] == 1 for place, name in enumerate(SUBGROUPS)} | {"hard": hard}
        sites = {name: rows & ~others for name, rows in found.items()}
        return {name: rows | others for name, rows in sites.items() if rows.any()}

    def support(self, split: Split) -> Mapping[str, int]:
        """True sites: of each class for its own figures, of both for all others."""
        counts = np.bincount(split.targets["label"], minlength=len(LABELS))
        of_class = {"donor": int(counts[0]), "acceptor": int(counts[1])}
        both = sum(of_class.values())
        return {name: of_class.get(name.rpartition("_")[2], both) for name in Config.figures}

    def evidence(self, config: Config, prepared: Path) -> Evidence:
        used = sum(len(load_array(prepared / f"{name}.label.npy", (None,))) for name in SPLITS)
        return Evidence("kmer_position", rows_used=used, **read_json(prepared / EVIDENCE))

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        return [_golden_case(config.data.window, place) for place in range(3)]

    def finish(self, predict: Any, config: Config, prepared: Path, out: Path) -> None:
        """base.json: what the base model is, and `prevalence`, what share of what it learned each class was."""
        label = load_array(prepared / "train.label.npy", (None,))
        learned = np.bincount(label, minlength=len(LABELS)) * _class_weights(config, label.astype(np.int64))
        shares = (learned / learned.sum()).tolist()
        write_json(out / BASE, {**read_json(prepared / BASE), "prevalence": dict(zip(LABELS, shares, strict=True))})


def folds_of(groups: Array, folds: int, seed: int) -> Array:
    """Int64 [n]: the fold of each row; rows of a group are in one."""
    names, member = np.unique(groups, return_inverse=True)
    drawn: Array = np.random.default_rng([seed, 43]).integers(0, folds, len(names))[member]
    return drawn


def _class_weights(config: Config, label: Array) -> Array:
    """Float32 [3], by the place in LABELS."""
    wanted = config.training.class_weights
    if wanted == "balanced":
        counts = np.bincount(label, minlength=len(LABELS))
        return (len(label) / (len(LABELS) * np.maximum(counts, 1))).astype(np.float32)
    given = wanted or {}
    return np.array([given.get(name, 1.0) for name in LABELS], np.float32)  # type: ignore[call-overload]


def _substituted(config: Config, sequence: Array, rng: np.random.Generator) -> Array:
    """Another base, any, at a share of the places that are not near the position."""
    settings, width = config.model.augment, sequence.shape[1]
    changed = np.asarray(rng.random(sequence.shape, np.float32) < settings.substitution)
    changed[:, max(width // 2 - settings.keep, 0) : width // 2 + settings.keep + 1] = False
    others = rng.integers(FIRST, LAST + 1, sequence.shape, np.int32)
    return np.where(changed & (sequence >= FIRST) & (sequence <= LAST), others, sequence)


def _golden_case(width: int, place: int) -> GoldenCase:
    letters = ("ACGTTGCAGGTAAGTCCTTTCAGN" * (width // 24 + 1))[place : place + width]
    codes = encode_bases(np.frombuffer(letters.encode(), np.uint8)[None, :]).astype(np.int32)
    chances = np.full((3, 5), 1e-4)
    chances[2] = 1 - 2e-4
    chances[:, 2] = [0.05, 0.05, 0.05]
    chances[place, 2] = 0.9
    scores = chances.reshape(1, -1).astype(np.float32)
    given = {"sequence": letters, "scores": dict(zip(SCORES, scores[0].tolist(), strict=True))}
    return GoldenCase(given, {"model": {"sequence": codes, "scores": scores}})


WORKLOAD = Splice()
