"""Reads to PASS or FAIL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

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
from anelab.learning.metrics import binary_figures, calibration_table, confusion_table
from anelab.workloads.read_quality import encode, simulate
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.labels import by_rule, join_and_crop
from anelab.workloads.read_quality.model import FloatForm, HalfForm, RawForm, ReadNet
from anelab.workloads.read_quality.prepare import prepare

GOLDEN_READS = (
    {"sequence": "ACGTNacgt", "quality": "!5?I~!5?I"},
    {"sequence": "A" * 150, "quality": "I" * 150},
    {"sequence": "GATTACA" * 25, "quality": "#" * 175},
    {"sequence": "", "quality": ""},
)


class ReadQuality(Workload[Config]):
    name = "read_quality"
    preprocessing = encode.VERSION

    def simulate(self, config: Config, out: Path) -> None:
        simulate.simulate_reads(config.data.simulation, config.seed, out)

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        return prepare(config, files, out)

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        raw, label, group = (np.load(prepared / f"{split}.{part}.npy") for part in ("raw", "label", "group"))
        inputs = {"model": {"input": encode.encode(raw)}, "raw": {"input": raw}}
        return Split(inputs, {"label": label}, group)

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        return {
            "training.learning_rate": trial.suggest_float("training.learning_rate", 1e-4, 1e-2, log=True),
            "model.dropout": trial.suggest_float("model.dropout", 0.0, 0.5),
        }

    def build(self, config: Config, prepared: Path) -> ReadNet:
        return ReadNet(config.model.hidden, config.model.dropout)

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        raw, label = train.inputs["raw"]["input"], train.targets["label"]
        rng = np.random.default_rng([config.seed, 4, epoch, rank])
        for rows in shuffled_batches(config, len(train), epoch, rank):
            reads, passes = _augmented(config, raw, label, rows, rng)
            yield {"input": torch.from_numpy(encode.encode(reads)), "label": torch.from_numpy(passes).float()}

    def step(
        self, module: nn.Module, batch: Batch, backward: Callable[[torch.Tensor], None]
    ) -> Mapping[str, torch.Tensor]:
        loss = binary_cross_entropy_with_logits(module(batch["input"]), batch["label"])
        backward(loss)
        return {"loss": loss.detach()}

    def describe(self, config: Config) -> dict[str, str]:
        return {"label": config.data.label, "output": "probability of PASS"}

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        output = (Tensor("output", "float32", ("n", 1), meaning="probability of PASS"),)
        shape, meaning = ("n", encode.FEATURES), "150 bases, then 150 Phred scores, encoded as reads/3"
        return (
            Graph("model", (Tensor("input", "float32", shape, (-1.0, 1 / 93), meaning),), output),
            Graph("raw", (Tensor("input", "uint8", shape),), output, formats=frozenset({"onnx"})),
        )

    def deployed(self, module: nn.Module, graph: Graph, half: bool = False) -> nn.Module:
        assert isinstance(module, ReadNet)
        if graph.name == "raw":
            return RawForm(module)
        return HalfForm(module) if half else FloatForm(module)

    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        probability = outputs["output"][:, 0]
        return {"probability": probability, "decision": (probability >= 0.5).astype(np.int64)}

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        return binary_figures(rows["probability"], split.targets["label"])

    def plots(self, rows: Arrays, split: Split) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        label = split.targets["label"]
        return {
            "confusion": confusion_table(rows["decision"], label, ["FAIL", "PASS"]),
            "calibration": calibration_table(rows["probability"], label),
        }

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        return [_golden_case(read) for read in GOLDEN_READS]


def _augmented(config: Config, raw: Array, label: Array, rows: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows of the training set, a share of them joined, cut to any length and labelled anew, where a rule labels."""
    reads, passes = raw[rows], label[rows]
    changed = np.flatnonzero(rng.random(len(rows)) < config.model.augment)
    made = join_and_crop(reads[changed], raw, rng)
    known = by_rule(made, config.data)
    if known is None:
        return reads, passes
    reads[changed], passes[changed] = made, known
    return reads, passes


def _golden_case(read: dict[str, str]) -> GoldenCase:
    raw = encode.raw_bytes(read["sequence"], read["quality"])
    return GoldenCase(read, {"raw": {"input": raw}, "model": {"input": encode.encode(raw)}})


WORKLOAD = ReadQuality()
