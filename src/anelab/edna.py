"""Embeddings of DNA by hand: tokenizer, data, models and a trainer, for scripts and notebooks.

What `anelab run edna` does stands on the same parts; it adds search, export, proof and the registry.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from anelab.errors import AnelabError, UsageError
from anelab.files import read_json, write_json
from anelab.learning.base import Array
from anelab.learning.config import SplitConfig
from anelab.learning.splits import stratified_split
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.token_cache import encode_cached
from anelab.sequences.tokenizer import UNK, DNATokenizer
from anelab.training.checkpoint import load_checkpoint, save_checkpoint
from anelab.workloads.edna.backbones import Autoencoder, PooledNet, Transformer
from anelab.workloads.edna.contrastive import ProjectionHead, nt_xent, supervised_contrastive

__all__ = [
    "DNAAutoencoder",
    "DNAContrastiveModel",
    "DNATokenizer",
    "DNATransformerEmbedder",
    "EmbeddingTrainer",
    "ModelFactory",
    "SequenceDataset",
]
MASKED = 0.15
WEIGHTS, TOKENIZER, MODEL = "model.ckpt", "tokenizer.json", "model.json"


class SequenceDataset:
    """Sequences, their ids, and labels if there are any. Raises UsageError unless there are as many of both. `cache`:
    a folder that keeps the ids, so that they are made once."""

    def __init__(
        self,
        sequences: Sequence[str],
        labels: Sequence[Any] | None = None,
        tokenizer: DNATokenizer | None = None,
        max_length: int = 512,
        cache: Path | None = None,
    ) -> None:
        if labels is not None and len(labels) != len(sequences):
            raise UsageError(f"there are {len(sequences)} sequences but {len(labels)} labels; each needs one")
        self.sequences, self.tokenizer, self.max_length = list(sequences), tokenizer or DNATokenizer(), max_length
        self.labels = None if labels is None else list(labels)
        self.classes = sorted(set(self.labels), key=str) if self.labels is not None else []
        found = encode_cached(self.tokenizer, SequenceArray.of(self.sequences), max_length, cache)
        self.input_ids, self.attention_mask = torch.from_numpy(found.ids), torch.from_numpy(found.mask)
        place = {name: number for number, name in enumerate(self.classes)}
        self.codes = torch.tensor([place[name] for name in self.labels or ()], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """`input_ids` and `attention_mask`, int32 [length]; `sequence`; `label`, None without labels."""
        label = self.labels[row] if self.labels is not None else None
        ids, mask = self.input_ids[row], self.attention_mask[row]
        return {"input_ids": ids, "attention_mask": mask, "sequence": self.sequences[row], "label": label}

    def get_batch(self, rows: Sequence[int] | Array) -> dict[str, Any]:
        """As an item, of several rows: int32 [n, length]; `label` is int64 [n], the place among `classes`."""
        chosen = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        label = self.codes[chosen] if self.labels is not None else None
        sequences = [self.sequences[int(row)] for row in chosen]
        parts = {"input_ids": self.input_ids[chosen], "attention_mask": self.attention_mask[chosen]}
        return {**parts, "sequence": sequences, "label": label}


class DNATransformerEmbedder(PooledNet):
    """Ids and mask, [n, L], to embeddings [n, d_model]."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 256,
        nhead: int = 8,
        num_layers: int = 6,
        dropout: float = 0.1,
        pooling: str = "mean",
    ) -> None:
        places = Transformer(vocab_size, d_model, num_layers, nhead, dropout, cls=False)  # tokens have [CLS]
        super().__init__(places, d_model, d_model, pooling)
        self.dimension = d_model


class DNAAutoencoder(Autoencoder):
    """Ids and mask, [n, L], to `latent` [n, latent_dim] and the scores of every token at every place, [n, L,
    vocabulary]."""

    def __init__(
        self, vocab_size: int, embedding_dim: int = 128, latent_dim: int = 64, num_layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__(vocab_size, embedding_dim, latent_dim, num_layers, dropout, "mean")
        self.dimension = latent_dim

    def encode_and_reconstruct(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self(ids, mask), self.reconstruct(ids, mask)


class DNAContrastiveModel(nn.Module):
    """A backbone with `dimension`, and a projection head; `forward` gives projections [n, projection_dim] of length
    1."""

    def __init__(self, backbone_model: Any, projection_dim: int = 128, temperature: float = 0.1) -> None:
        super().__init__()
        self.backbone: nn.Module = backbone_model
        self.temperature = temperature
        self.head = ProjectionHead(int(backbone_model.dimension), projection_dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return normalize(self.head(self.backbone(ids, mask)), dim=1)

    def get_embeddings(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.backbone(ids, mask)
        return found

    def contrastive_loss(self, projections: Tensor, labels: Tensor | None = None) -> Tensor:
        """Supervised contrastive with labels [n]; without, NT-Xent of rows that are first views, then second ones."""
        if labels is not None:
            return supervised_contrastive(projections, labels, self.temperature)
        first, second = projections.chunk(2)
        return nt_xent(first, second, self.temperature)


class ModelFactory:
    """What the trainer can save and load again: a kind, and its arguments."""

    @staticmethod
    def create_transformer(vocab_size: int, **arguments: Any) -> DNATransformerEmbedder:
        return DNATransformerEmbedder(vocab_size, **arguments)

    @staticmethod
    def create_autoencoder(vocab_size: int, **arguments: Any) -> DNAAutoencoder:
        return DNAAutoencoder(vocab_size, **arguments)

    @staticmethod
    def create_contrastive(
        backbone_type: str, vocab_size: int, projection_dim: int = 128, temperature: float = 0.1, **arguments: Any
    ) -> DNAContrastiveModel:
        """`backbone_type`: transformer or autoencoder."""
        makers = {"transformer": DNATransformerEmbedder, "autoencoder": DNAAutoencoder}
        if backbone_type not in makers:
            raise UsageError(f"backbone_type must be one of {', '.join(makers)} but got {backbone_type!r}")
        return DNAContrastiveModel(makers[backbone_type](vocab_size, **arguments), projection_dim, temperature)


@dataclass
class EmbeddingTrainer:
    """Trains a model on sequences. `history`: `train_loss` and `val_loss`, a number for each epoch."""

    model: nn.Module
    tokenizer: DNATokenizer
    device: str = "auto"
    seed: int = 0
    history: dict[str, list[float]] = field(default_factory=lambda: {"train_loss": [], "val_loss": []})

    def __post_init__(self) -> None:
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)

    def prepare_data(
        self,
        sequences: Sequence[str],
        labels: Sequence[Any] | None = None,
        validation_split: float = 0.2,
        batch_size: int = 32,
        max_length: int = 512,
    ) -> tuple["Batches", "Batches"]:
        """Training and validation data; classes keep their shares."""
        data = SequenceDataset(sequences, labels, self.tokenizer, max_length)
        strata = data.codes.numpy() if labels is not None else np.zeros(len(data), np.int64)
        share = SplitConfig.model_construct(validation=validation_split, test=0.0)
        parts = stratified_split(strata, np.arange(len(data)), share, self.seed)
        if not len(parts["train"]) or not len(parts["validation"]):
            raise UsageError(f"{len(data)} sequences are too few to hold some out; give more")
        return Batches(data, parts["train"], batch_size), Batches(data, parts["validation"], batch_size)

    def train_contrastive(
        self, train: "Batches", validation: "Batches", epochs: int = 10, learning_rate: float = 1e-3
    ) -> dict[str, list[float]]:
        """Two views of each row by dropout; with labels, rows of one label are alike too."""
        if not isinstance(self.model, DNAContrastiveModel):
            raise UsageError("train_contrastive needs a DNAContrastiveModel; ModelFactory.create_contrastive makes one")
        return self._train(self._contrastive_loss, train, validation, epochs, learning_rate)

    def train_autoencoder(
        self, train: "Batches", validation: "Batches", epochs: int = 10, learning_rate: float = 1e-3
    ) -> dict[str, list[float]]:
        """Some tokens are hidden; the model has to tell them."""
        if not isinstance(self.model, DNAAutoencoder):
            raise UsageError("train_autoencoder needs a DNAAutoencoder; ModelFactory.create_autoencoder makes one")
        return self._train(self._reconstruction_loss, train, validation, epochs, learning_rate)

    def _train(
        self, loss_of: Any, train: "Batches", validation: "Batches", epochs: int, learning_rate: float
    ) -> dict[str, list[float]]:
        """Keeps the weights of the epoch with the least validation loss, or what they are if it never was a number."""
        torch.manual_seed(self.seed)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate)
        best, weights = float("inf"), {}
        for epoch in range(epochs):
            losses = []
            self.model.train()
            for batch in train.epoch(self.seed + epoch):
                loss = loss_of(batch)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                losses.append(float(loss.detach()))
            with torch.no_grad():
                checks = [float(loss_of(batch)) for batch in validation.epoch(self.seed)]
            self.history["train_loss"].append(float(np.mean(losses)))
            self.history["val_loss"].append(float(np.mean(checks)))
            if self.history["val_loss"][-1] < best:
                best = self.history["val_loss"][-1]
                weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if weights:
            self.model.load_state_dict(weights)
        self.model.eval()
        return self.history

    def _contrastive_loss(self, batch: Mapping[str, Any]) -> Tensor:
        ids, mask = self._moved(batch)
        labels = batch["label"].repeat(2).to(self.device) if batch["label"] is not None else None
        model: Any = self.model
        loss: Tensor = model.contrastive_loss(model(ids.repeat(2, 1), mask.repeat(2, 1)), labels)
        return loss

    def _reconstruction_loss(self, batch: Mapping[str, Any]) -> Tensor:
        ids, mask = self._moved(batch)
        hidden = (torch.rand(ids.shape, device=ids.device) < MASKED) & (mask == 1)
        hidden[:, 0] |= mask[:, 0] == 1
        model: Any = self.model
        scores = model.reconstruct(ids.masked_fill(hidden, UNK), mask)
        return cross_entropy(scores[hidden], ids[hidden].long())

    def _moved(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return batch["input_ids"].to(self.device), batch["attention_mask"].to(self.device)

    def extract_embeddings(self, sequences: Sequence[str], batch_size: int = 32, max_length: int = 512) -> Array:
        """Float32 [n, dimension], in the order of the sequences."""
        data = SequenceDataset(sequences, None, self.tokenizer, max_length)
        embed: Any = getattr(self.model, "get_embeddings", self.model)
        self.model.eval()
        with torch.inference_mode():
            parts = [
                embed(*self._moved(batch)).float().cpu() for batch in Batches(data, np.arange(len(data)), batch_size)
            ]
        found: Array = torch.cat(parts).numpy() if parts else np.empty((0, 0), np.float32)
        return found

    def save_model(self, folder: Path | str) -> None:
        """Weights, tokenizer and history, nothing to unpickle."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        save_checkpoint(target / WEIGHTS, {"model": self.model.state_dict()})
        self.tokenizer.save(target / TOKENIZER)
        write_json(target / MODEL, {"history": self.history, "tokenizer": asdict(self.tokenizer)})

    def load_model(self, folder: Path | str) -> None:
        """Into a model of the same shape. Raises AnelabError for another shape, or another tokenizer."""
        source = Path(folder)
        tokenizer = DNATokenizer.load(source / TOKENIZER)
        if tokenizer != self.tokenizer:
            raise AnelabError(f"{source}: was trained with {tokenizer}, but the trainer has {self.tokenizer}")
        try:
            self.model.load_state_dict(load_checkpoint(source / WEIGHTS)["model"])
        except RuntimeError as error:
            raise AnelabError(f"{source}: its weights are of another model ({error})") from None
        self.history = read_json(source / MODEL)["history"]


@dataclass(frozen=True)
class Batches:
    """Some rows of a dataset; iterating gives them in order, `epoch` shuffled, one batch after the other."""

    data: SequenceDataset
    rows: Array
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._of(self.rows)

    def epoch(self, seed: int) -> Iterator[dict[str, Any]]:
        return self._of(np.random.default_rng(seed).permutation(self.rows))

    def _of(self, rows: Array) -> Iterator[dict[str, Any]]:
        for start in range(0, len(rows), self.batch_size):
            yield self.data.get_batch(rows[start : start + self.batch_size])
