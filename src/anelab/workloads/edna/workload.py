"""Sequences of marker genes to embeddings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anelab.files import read_json
from anelab.learning.arrays import load_array
from anelab.learning.base import Array, Arrays, Batch, DataCard, GoldenCase, Graph, Split, Tensor, Trial, Workload
from anelab.learning.metrics import defined
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.taxonomy import FAMILY, GENUS, RANKS, SPECIES
from anelab.sequences.tokenizer import UNK
from anelab.workloads.edna import encode, simulate
from anelab.workloads.edna.augment import augmented
from anelab.workloads.edna.config import Config
from anelab.workloads.edna.prepare import prepare
from anelab.workloads.edna.retrieval import retrieval_figures, retrieval_rows

if TYPE_CHECKING:
    import torch
    from torch import nn

    from anelab.workloads.edna.model import EdnaNet

TOGETHER_CALIBRATED = 256
ROWS_PER_TAXON, GROUPS_PER_FAMILY = 4, 8
"""Rows of one taxon that stand next to each other in an epoch, and such groups of one family."""
GOLDEN_SEQUENCES = ("ACGTACGTTGCAACGATTGCAGCTAGCATCGATCAGCTACGA", "acgtNRYacgtacgtaacg", "GGGGCCCC" * 20, "ACG")
LENGTHS = (128, 256)
"""Of places for which Core ML's package has functions of their own, where the model takes more."""


class Edna(Workload[Config]):
    name = "edna"
    preprocessing = encode.VERSION

    def simulate(self, config: Config, out: Path) -> None:
        simulate.simulate_genes(config.data.simulation, config.seed, out)

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        return prepare(config, files, out)

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        """`context` has the sequences themselves, by the target "row"."""
        letters, offsets = (load_array(prepared / f"{split}.{part}.npy", (None,)) for part in ("letters", "offsets"))
        sequences = SequenceArray(letters, offsets)
        taxa = load_array(prepared / f"{split}.taxa.npy", (None, len(RANKS))).astype(np.int64)
        found = encode.encode(config.model, sequences, config.model.max_length)
        targets = {RANKS[rank]: taxa[:, rank] for rank in (SPECIES, GENUS, FAMILY)}
        targets |= {"kind": load_array(prepared / f"{split}.kind.npy", (None,)), "row": np.arange(len(sequences))}
        groups = np.where(taxa[:, SPECIES] >= 0, taxa[:, SPECIES], taxa.max(initial=0) + 1 + targets["row"])
        return Split({"model": {"input_ids": found.ids, "attention_mask": found.mask}}, targets, groups, sequences)

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        return {
            "training.learning_rate": trial.suggest_float("training.learning_rate", 3e-4, 1e-2, log=True),
            "model.contrastive.temperature": trial.suggest_float("model.contrastive.temperature", 0.03, 0.3, log=True),
            "model.augment.crop": trial.suggest_float("model.augment.crop", 0.0, 1.0),
        }

    def build(self, config: Config, prepared: Path) -> "EdnaNet":
        from anelab.workloads.edna.model import EdnaNet

        rank = config.model.contrastive.classify
        classes = len(read_json(prepared / "taxa.json")[rank]) if rank else 0
        return EdnaNet(config.model, classes)

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        import torch

        rng = np.random.default_rng([config.seed, 5, epoch, rank])
        settings, size = config.model.contrastive, config.training.batch_size
        label = _labels(train, settings.rank if settings.loss == "supervised" else None)
        taxon = train.targets[settings.classify] if settings.classify else np.full(len(train), -1)
        order = _by_taxon(label, train.targets["family"] if settings.loss == "supervised" else label, rng)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            made = self._views(config, train, rows, rng)
            if "wanted" not in made:
                made |= {"label": label[rows], "taxon": taxon[rows]}
            yield {name: torch.from_numpy(array) for name, array in made.items()}

    def _views(self, config: Config, train: Split, rows: Array, rng: np.random.Generator) -> dict[str, Array]:
        """Two views of each row, or of an autoencoder one, of which some tokens are hidden."""
        chosen = train.context.take(train.targets["row"][rows])
        if config.model.backbone == "autoencoder":
            found = encode.encode(config.model, chosen)
            hidden = (rng.random(found.ids.shape, np.float32) < config.model.masked) & (found.mask == 1)
            hidden[:, 0] |= ~hidden.any(axis=1) & (found.mask[:, 0] == 1)
            ids, wanted = np.where(hidden, np.int32(UNK), found.ids), np.where(hidden, found.ids, np.int32(-1))
            return {"ids": ids, "mask": found.mask, "wanted": wanted}
        bases = encode.tokenizer_of(config.model).most_bases(config.model.max_length)
        views = [augmented(chosen, config.model.augment, rng, bases) for _ in range(2)]
        most = max(int(view.lengths.max(initial=1)) for view in views)
        length = min(int(encode.tokenizer_of(config.model).token_counts(np.array([most]))[0]), config.model.max_length)
        both = [encode.encode(config.model, view, max(length, 1)) for view in views]
        return {"ids": np.stack([one.ids for one in both], 1), "mask": np.stack([one.mask for one in both], 1)}

    def step(
        self, module: "nn.Module", batch: Batch, backward: "Callable[[torch.Tensor], None]"
    ) -> "Mapping[str, torch.Tensor]":
        if "wanted" in batch:
            return module.reconstruction_step(batch, backward)  # type: ignore[operator, no-any-return]
        return module.contrastive_step(batch, backward)  # type: ignore[operator, no-any-return]

    def calibrate(self, module: "nn.Module", config: Config, validation: Split) -> None:
        """The mean of embeddings, which the deployed form takes off."""
        import torch

        given = [torch.from_numpy(validation.inputs["model"][name]) for name in ("input_ids", "attention_mask")]
        parts = [torch.split(values, TOGETHER_CALIBRATED) for values in given]
        with torch.inference_mode():
            found = torch.cat([module(*part) for part in zip(*parts, strict=True)])
        module.center.copy_(found.mean(dim=0))  # type: ignore[operator]

    def describe(self, config: Config) -> dict[str, str]:
        return {"output": "embedding of length 1", **encode.described(config.model)}

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        most = config.model.max_length
        inputs = (
            Tensor("input_ids", "int32", ("n", "L"), meaning="ids of tokens, 0 where there is none"),
            Tensor("attention_mask", "int32", ("n", "L"), meaning="1 where there is a token, else 0"),
        )
        output = Tensor("embedding", "float32", ("n", config.model.dimension), meaning="embedding of length 1")
        return (Graph("model", inputs, (output,), buckets=(*(size for size in LENGTHS if size < most), most)),)

    def deployed(self, module: "nn.Module", graph: Graph, half: bool = False) -> "nn.Module":
        from anelab.workloads.edna.model import EdnaNet, EmbeddingForm

        assert isinstance(module, EdnaNet)
        return EmbeddingForm(module).eval()

    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        return retrieval_rows(outputs["embedding"], split.targets)

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        return defined(retrieval_figures(rows, split.targets))

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        return [_golden_case(config, sequence) for sequence in GOLDEN_SEQUENCES]


def _golden_case(config: Config, sequence: str) -> GoldenCase:
    found = encode.encode(config.model, SequenceArray.of([sequence]), config.model.max_length)
    inputs = {"input_ids": found.ids, "attention_mask": found.mask}
    return GoldenCase({"sequence": sequence}, {"model": inputs})


def _labels(train: Split, rank: str | None) -> Array:
    """Int64 [n]: the taxon of each row, and of rows without one, or without a rank, a label of their own."""
    rows = np.arange(len(train))
    if rank is None:
        return rows
    codes = train.targets[rank]
    return np.where(codes >= 0, codes, codes.max(initial=0) + 1 + rows)


def _by_taxon(label: Array, family: Array, rng: np.random.Generator) -> Array:
    """All rows, in random order but for this: ROWS_PER_TAXON of a taxon are next to each other, and GROUPS_PER_FAMILY
    such groups of a family are. So a batch has several rows of each of its taxa, and taxa that are much alike."""
    shuffled = rng.permutation(len(label))
    rows = shuffled[np.lexsort((label[shuffled], family[shuffled]))]
    within = _within_runs(label[rows])
    first = np.flatnonzero(within % ROWS_PER_TAXON == 0)
    group = np.cumsum(within % ROWS_PER_TAXON == 0) - 1
    groups = np.lexsort((rng.random(len(first)), family[rows[first]]))
    part = np.cumsum(_within_runs(family[rows[first]][groups]) % GROUPS_PER_FAMILY == 0) - 1
    place = np.empty(len(first), np.int64)
    place[groups[np.argsort(rng.permutation(len(first))[part], kind="stable")]] = np.arange(len(first))
    found: Array = rows[np.lexsort((within, place[group]))]
    return found


def _within_runs(values: Array) -> Array:
    """Of values of which equal ones stand next to each other: 0, 1, 2 ... in each run."""
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))


WORKLOAD = Edna()
