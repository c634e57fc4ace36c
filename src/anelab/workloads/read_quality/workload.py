"""Reads to PASS or FAIL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.arrays import load_array
from anelab.learning.base import (
    Array,
    Arrays,
    Batch,
    DataCard,
    GoldenCase,
    Graph,
    Split,
    Tensor,
    Trial,
    Workload,
    shuffled_batches,
)
from anelab.learning.metrics import binary_figures, binary_replicates, calibration_table, confusion_table, defined
from anelab.workloads.read_quality import encode, filters, simulate
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.labels import by_rule, flush_left, join_and_crop
from anelab.workloads.read_quality.prepare import prepare

if TYPE_CHECKING:
    import torch
    from torch import nn

    from anelab.workloads.read_quality.errors import ErrorNet
    from anelab.workloads.read_quality.model import ReadNet

GOLDEN_READS = (
    {"sequence": "ACGTNacgt", "quality": "!5?I~!5?I"},
    {"sequence": "A" * 150, "quality": "I" * 150},
    {"sequence": "GATTACA" * 25, "quality": "#" * 175},
    {"sequence": "", "quality": ""},
)


ROWS_AT_ONCE = 1 << 14
"""Of an epoch, that are augmented together: 20 MB of floats."""
PRECISE = ("skip", "near", "far", "last")
"""In 8 bits they would change verdicts of reads that are not near 0.5."""


class ReadQuality(Workload[Config]):
    name = "read_quality"
    preprocessing = encode.VERSION

    def simulate(self, config: Config, out: Path) -> None:
        simulate.simulate_reads(config.data.simulation, config.seed, out)

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        return prepare(config, files, out)

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        paths = {path.name.split(".")[1]: path for path in sorted(prepared.glob(f"{split}.*.npy"))}
        raw_path, group_path = (paths.pop(name, prepared / f"{split}.{name}.npy") for name in ("raw", "group"))
        raw, group = load_array(raw_path, (None, 2 * encode.WIDTH)), load_array(group_path, (None,))
        arrays = {name: load_array(path) for name, path in paths.items()}
        if config.data.label == "overlap" and config.model.architecture == "mlp":
            raw, arrays["wrong"] = flush_left(raw, arrays["wrong"])
        if "wrong" in arrays:
            arrays |= {"errors": arrays["wrong"].sum(axis=1), "bases": encode.lengths_of(raw)}
            arrays["stated"] = encode.expected_errors(raw)
        return Split({"model": {"input": encode.encode(raw)}, "raw": {"input": raw}}, arrays, group)

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        rate = {"training.learning_rate": trial.suggest_float("training.learning_rate", 1e-4, 1e-2, log=True)}
        if config.model.architecture == "errors":
            return {**rate, "model.channels": trial.suggest_categorical("model.channels", [8, 16, 32])}
        return {**rate, "model.dropout": trial.suggest_float("model.dropout", 0.0, 0.5)}

    def build(self, config: Config, prepared: Path) -> "ReadNet | ErrorNet":
        from anelab.workloads.read_quality.errors import ErrorNet
        from anelab.workloads.read_quality.model import ReadNet

        if config.model.architecture == "mlp":
            return ReadNet(config.model.hidden, config.model.dropout)
        return ErrorNet(config.model.channels, config.model.context, config.data.max_errors)

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        import torch

        size, rng = config.training.batch_size, np.random.default_rng([config.seed, 4, epoch, rank])
        if config.model.architecture == "errors" and "wrong" not in train.targets:
            raise AnelabError(
                "read_quality.model.architecture=errors needs the places of errors; give truth tables a column `places`"
            )
        lengths = encode.lengths_of(train.inputs["raw"]["input"])
        for rows in shuffled_batches(config, len(train), epoch, rank, max(1, ROWS_AT_ONCE // size)):
            made = _augmented(config, train, lengths, rows, rng)
            many = {name: torch.from_numpy(array) for name, array in made.items()}
            for batch in zip(*(torch.split(values, size) for values in many.values()), strict=True):
                yield dict(zip(many, batch, strict=True))

    def step(
        self, module: "nn.Module", batch: Batch, backward: "Callable[[torch.Tensor], None]"
    ) -> "Mapping[str, torch.Tensor]":
        from anelab.workloads.read_quality.errors import error_loss, inside_of
        from anelab.workloads.read_quality.model import read_loss

        answer = module(batch["input"])
        if isinstance(answer, tuple):
            loss, objective = read_loss(answer, batch["label"])
        else:
            loss = objective = error_loss(answer, batch["wrong"], inside_of(batch["input"]))
        backward(objective)
        return {"loss": loss.detach()}

    def describe(self, config: Config) -> dict[str, str]:
        return {"label": config.data.label, "output": "probability of PASS"}

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        output = (Tensor("output", "float32", ("n", 1), meaning="probability of PASS", quantity="probability"),)
        shape, meaning = ("n", encode.FEATURES), "150 bases, then 150 Phred scores, encoded as reads/3"
        return (
            Graph("model", (Tensor("input", "float32", shape, (-1.0, 1 / 93), meaning),), output, precise=PRECISE),
            Graph("raw", (Tensor("input", "uint8", shape),), output, formats=frozenset({"onnx"})),
        )

    def deployed(self, module: "nn.Module", graph: Graph, half: bool = False) -> "nn.Module":
        from anelab.workloads.read_quality.errors import ErrorForm, ErrorNet
        from anelab.workloads.read_quality.model import FloatForm, HalfForm, RawForm, ReadNet

        if isinstance(module, ErrorNet):
            return ErrorForm(module, "raw" if graph.name == "raw" else "half" if half else "float")
        assert isinstance(module, ReadNet)
        if graph.name == "raw":
            return RawForm(module)
        return HalfForm(module) if half else FloatForm(module)

    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        probability = outputs["output"][:, 0]
        return {"probability": probability, "decision": (probability >= 0.5).astype(np.int64)}

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        figures = binary_figures(rows["probability"], split.targets["label"])
        if "errors" in split.targets:
            figures |= defined(filters.figures(-rows["probability"], split.targets))
        return figures

    def replicates(self, rows: Arrays, split: Split, counts: Array) -> Mapping[str, Array]:
        if "errors" in split.targets:
            return super().replicates(rows, split, counts)
        return binary_replicates(rows["probability"], split.targets["label"], counts)

    def plots(self, rows: Arrays, split: Split) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        label = split.targets["label"]
        return {
            "confusion": confusion_table(rows["decision"], label, ["FAIL", "PASS"]),
            "calibration": calibration_table(rows["probability"], label),
        }

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        return [_golden_case(read) for read in GOLDEN_READS]


def _augmented(config: Config, train: Split, lengths: Array, rows: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Those rows of the training set, a share of them joined, cut to any length and labelled anew, if that can be done.
    Not for the network of errors: to it a place is a cycle of the instrument, and any length is alike."""
    raw, wrong = train.inputs["raw"]["input"], train.targets.get("wrong")
    floats, passes = train.inputs["model"]["input"][rows], train.targets["label"][rows].astype(np.float32)
    if config.model.architecture == "errors":
        assert wrong is not None
        return {"input": floats, "label": passes, "wrong": wrong[rows].astype(np.float32)}
    changed = np.flatnonzero(rng.random(len(rows)) < config.model.augment)
    made, places = join_and_crop(raw, wrong, lengths, rows[changed], rng)
    relabelled = by_rule(made, config.data)
    if relabelled is None and places is not None:
        relabelled = places.sum(axis=1) <= config.data.max_errors
    if relabelled is not None:
        floats[changed], passes[changed] = encode.encode(made), relabelled
    return {"input": floats, "label": passes}


def _golden_case(read: dict[str, str]) -> GoldenCase:
    raw = encode.raw_bytes(read["sequence"], read["quality"])
    return GoldenCase(read, {"raw": {"input": raw}, "model": {"input": encode.encode(raw)}})


WORKLOAD = ReadQuality()
