from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anelab.workloads.toy.config import Config  # type: ignore[import-not-found]
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from anelab.learning.base import (
    SPLITS,
    Arrays,
    Batch,
    DataCard,
    GoldenCase,
    Graph,
    Predictor,
    Split,
    Tensor,
    Trial,
    Workload,
    shuffled_batches,
)
from anelab.learning.splits import stratified_split

TOKENS, LENGTH, KINDS = 12, 9, 4


class ToyNet(nn.Module):
    temperature: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, width)
        self.mix = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)  # training only
        self.register_buffer("temperature", torch.ones(()))
        self.epochs_begun = 0

    def embed(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weight = mask[:, :, None]
        mean = (self.embedding(ids) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        return self.mix(mean)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return normalize(self.projection(self.embed(ids, mask)), dim=1)


class Deployed(nn.Module):
    """Without the projection; scaled by the calibrated temperature."""

    def __init__(self, net: ToyNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.net.embed(ids, mask)
        return embedding, embedding / self.net.temperature


class Toy(Workload[Config]):
    name = "toy"
    preprocessing = "toy/1"

    def simulate(self, config: Config, out: Path) -> None:
        rng = np.random.default_rng(config.seed)
        kind = rng.integers(0, KINDS, 300)
        ids = np.where(rng.random((300, LENGTH)) < 0.7, kind[:, None] * 3, rng.integers(0, TOKENS, (300, LENGTH)))
        np.savez(out / "toy.npz", ids=ids, kind=kind, size=rng.integers(3, LENGTH + 1, 300))

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        data = np.load(files[0])
        family = np.arange(len(data["kind"])) // 3
        parts = stratified_split(data["kind"], family, config.split, config.seed)
        for name in SPLITS:
            rows = parts[name]
            mask = np.arange(LENGTH) < data["size"][rows, None]
            np.savez(
                out / f"{name}.npz", ids=data["ids"][rows], mask=mask, kind=data["kind"][rows], family=family[rows]
            )
        counts = {name: {"all": len(rows)} for name, rows in parts.items()}
        return DataCard("a toy", {name: len(rows) for name, rows in parts.items()}, counts)

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        data = np.load(prepared / f"{split}.npz")
        inputs = {"model": {"ids": data["ids"].astype(np.int64), "mask": data["mask"].astype(np.float32)}}
        return Split(inputs, {"kind": data["kind"]}, data["family"], context={"kinds": KINDS})

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        return {
            "model.width": trial.suggest_int("model.width", 4, 16),
            "training.schedule": trial.suggest_categorical("training.schedule", ["constant", "cosine"]),
        }

    def build(self, config: Config, prepared: Path) -> nn.Module:
        return ToyNet(config.model.width)

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        ids, mask = (torch.from_numpy(train.inputs["model"][name]) for name in ("ids", "mask"))
        kind = torch.from_numpy(train.targets["kind"])
        for rows in shuffled_batches(config, len(train), epoch, rank):
            index = torch.from_numpy(rows)
            yield {"ids": ids[index], "mask": mask[index], "kind": kind[index]}

    def step(
        self, module: nn.Module, batch: Batch, backward: Callable[[torch.Tensor], None]
    ) -> Mapping[str, torch.Tensor]:
        """Supervised contrastive loss over the whole batch, its gradients cached and spread over two halves."""
        halves = list(zip(*(batch[name].chunk(2) for name in ("ids", "mask")), strict=True))
        with torch.no_grad():
            cached = torch.cat([module(*half) for half in halves])
        cached.requires_grad_()
        similarity = cached @ cached.T / 0.2 - 1e4 * torch.eye(len(cached), device=cached.device)
        same = (batch["kind"][:, None] == batch["kind"]).float().fill_diagonal_(0)
        loss = cross_entropy(similarity, same / same.sum(dim=1, keepdim=True).clamp(min=1))
        loss.backward()
        assert cached.grad is not None
        for half, gradient in zip(halves, cached.grad.split([len(half[0]) for half in halves]), strict=True):
            backward((module(*half) * gradient).sum())
        return {"loss": loss.detach(), "similar": same.mean()}

    def on_epoch(self, module: nn.Module, epoch: int) -> None:
        module.epochs_begun = epoch + 1  # type: ignore[assignment]

    def calibrate(self, module: nn.Module, config: Config, validation: Split) -> None:
        assert isinstance(module, ToyNet)
        embedding = module.embed(*(torch.from_numpy(array) for array in validation.inputs["model"].values()))
        module.temperature.copy_(embedding.detach().norm(dim=1).mean())

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        inputs = (Tensor("ids", "int64", ("n", LENGTH)), Tensor("mask", "float32", ("n", LENGTH)))
        shape = ("n", config.model.width)
        return (Graph("model", inputs, (Tensor("embedding", "float32", shape), Tensor("scaled", "float32", shape))),)

    def deployed(self, module: nn.Module, graph: Graph, half: bool = False) -> nn.Module:
        assert isinstance(module, ToyNet)
        return Deployed(module).eval()

    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        """The kind of the nearest other row."""
        unit = outputs["embedding"] / np.linalg.norm(outputs["embedding"], axis=1, keepdims=True)
        near = (unit @ unit.T - 2 * np.eye(len(unit), dtype=unit.dtype)).argmax(axis=1)
        return {"decision": split.targets["kind"][near]}

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        assert split.context == {"kinds": KINDS}
        return {"recall_at_1": float((rows["decision"] == split.targets["kind"]).mean())}

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        ids = np.arange(LENGTH)[None]
        inputs = {"ids": ids.astype(np.int64), "mask": (ids < 4).astype(np.float32)}
        return [GoldenCase({"tokens": "0 to 8, the first four used"}, {"model": inputs})]

    def finish(self, predict: Predictor, config: Config, prepared: Path, out: Path) -> None:
        train = self.load(config, prepared, "train")
        np.save(out / "index.npy", predict(train.inputs["model"])["embedding"])


WORKLOAD = Toy()
