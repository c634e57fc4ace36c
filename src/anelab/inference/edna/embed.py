"""Sequences to embeddings by a model of edna, in their order, in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.inference.model import Model, Plan, open_model
from anelab.interruption import TIMEOUT_S
from anelab.learning.base import SEQUENCES_AT_ONCE
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.kmers import canonical_ranks
from anelab.sequences.profiles import kmer_profiles
from anelab.workloads.edna import encode
from anelab.workloads.edna.config import ModelConfig, TokenizerConfig

if TYPE_CHECKING:
    from anelab.workspace import Workspace

STEP = 64
"""Of lengths, so that few are padded much and few shapes are met."""
CHAMPION = "models:/edna-onnx@champion"

Embeddings = NDArray[np.float32]


class Vectors(Protocol):
    """What gives sequences vectors of length 1, float32 [n, dimension]. `name` says what it is."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def __call__(self, sequences: SequenceArray) -> Embeddings: ...


@dataclass(frozen=True)
class Embedder:
    """By a model. A sequence of more tokens than it takes is embedded in stretches that overlap by half, whose mean
    stands for it."""

    name: str
    model: Model
    config: ModelConfig

    @property
    def dimension(self) -> int:
        return self.config.dimension

    def __call__(self, sequences: SequenceArray) -> Embeddings:
        most = encode.tokenizer_of(self.config).most_bases(self.config.max_length)
        if not len(sequences) or sequences.lengths.max() <= most:
            return self._embedded(sequences)
        stretches, owner = _stretches(sequences, most)
        found = self._embedded(stretches)
        sums = np.zeros((len(sequences), self.dimension), np.float32)
        np.add.at(sums, owner, found)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        answer: Embeddings = sums / np.maximum(lengths, 1e-12)
        return answer

    def _embedded(self, sequences: SequenceArray) -> Embeddings:
        """By length, so that rows of a call are padded little."""
        found = np.empty((len(sequences), self.dimension), np.float32)
        order = np.argsort(sequences.lengths, kind="stable")
        fixed = self.model.inputs[0].shape[1]
        for start in range(0, len(order), SEQUENCES_AT_ONCE):
            rows = order[start : start + SEQUENCES_AT_ONCE]
            part = sequences.take(rows)
            needed = encode.tokenizer_of(self.config).token_counts(np.array([int(part.lengths[-1])]))
            length = fixed or min(-(-max(int(needed[0]), 1) // STEP) * STEP, self.config.max_length)
            tokens = encode.encode(self.config, part, length)
            outputs = self.model.predict({"input_ids": tokens.ids, "attention_mask": tokens.mask})
            found[rows] = outputs["embedding"]
        return found


def _stretches(sequences: SequenceArray, most: int) -> tuple[SequenceArray, NDArray[np.int64]]:
    """Of at most so many bases, and whose each is. They are an even number, and stand alike on both strands."""
    counts = np.where(sequences.lengths > most, 2 * -(-sequences.lengths // most), 1)
    owner = np.repeat(np.arange(len(sequences)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    slack, last = np.maximum(sequences.lengths[owner] - most, 0), counts[owner] - 1
    from_end = slack - (last - number) * slack // np.maximum(last, 1)
    begin = np.where(2 * number <= last, number * slack // np.maximum(last, 1), from_end)
    wanted = np.minimum(sequences.lengths[owner], most)
    return SequenceArray.gather(sequences.letters, sequences.offsets[:-1][owner] + begin, wanted), owner


@contextmanager
def open_embedder(
    workspace: "Callable[[], Workspace]", reference: str = CHAMPION, timeout_s: float | None = TIMEOUT_S
) -> Iterator[Embedder]:
    """Raises AnelabError if the model is none of edna."""
    with open_model(workspace, reference, Plan(batch_rows=SEQUENCES_AT_ONCE, timeout_s=timeout_s)) as model:
        yield embedder_of(model)


def embedder_of(model: Model) -> Embedder:
    """Of a model that is open."""
    model.require("edna", encode.VERSION)
    facts = model.metadata
    try:
        tokens = TokenizerConfig(
            encoding=facts["tokens"],  # type: ignore[arg-type]
            kmer_size=int(facts["kmer_size"]),
            stride=int(facts["stride"]),
            canonical=facts["canonical"] == "true",
        )
        (width,) = model.outputs[0].shape[1:]
        most = int(facts["max_length"])
        config = ModelConfig(tokenizer=tokens, max_length=most, dimension=int(width or 0), strands="single")
    except (KeyError, ValueError) as error:
        raise AnelabError(f"{model.path}: its metadata do not tell its tokens ({error}); export it again") from None
    return Embedder(model.name, model, config)


@dataclass(frozen=True)
class KmerVectors:
    """Counts of canonical k-mers, of length 1: what a learned embedding must beat."""

    k: int = 6

    @property
    def name(self) -> str:
        return f"{self.k}-mer counts"

    @property
    def dimension(self) -> int:
        return len(canonical_ranks(self.k)[1])

    def __call__(self, sequences: SequenceArray) -> Embeddings:
        return kmer_profiles(sequences, self.k)
