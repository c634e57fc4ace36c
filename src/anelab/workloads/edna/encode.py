"""Sequences to what the networks are fed; a sequence and its reverse complement become the same, if k-mers do."""

import numpy as np

from anelab.learning.base import Array
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.tokenizer import DNATokenizer, Encoded, Ids
from anelab.workloads.edna.config import ModelConfig

VERSION = "edna/1"


def tokenizer_of(config: ModelConfig) -> DNATokenizer:
    tokens = config.tokenizer
    return DNATokenizer(tokens.encoding, tokens.kmer_size, tokens.stride, False, tokens.canonical)


def encode(config: ModelConfig, sequences: SequenceArray, max_length: int | None = None) -> Encoded:
    """Ids, mask and segments, int32 [n, L]: of `max_length` places, or of as many as the longest needs, but never more
    than the model's. Canonical k-mers come in the order of one strand, so that both are equal to the last bit."""
    tokenizer = tokenizer_of(config)
    cut = sequences.cut(tokenizer.most_bases(config.max_length))
    found = tokenizer.encode(cut, max_length)
    if tokenizer.canonical and tokenizer.encoding_type == "kmer":
        return Encoded(_oriented(found.ids, found.mask.sum(axis=1)), found.mask, found.segments)
    return found


def reversed_rows(ids: Ids, counts: Array) -> Ids:
    """Each row's first `counts` ids in the opposite order."""
    places = (counts[:, None] - 1 - np.arange(ids.shape[1])) % ids.shape[1]
    return np.take_along_axis(ids, places, axis=1)


def _oriented(ids: Ids, counts: Array) -> Ids:
    """Each row, or its reverse, whichever is less in the first place where they differ."""
    turned = reversed_rows(ids, counts)
    first = (ids != turned).argmax(axis=1)[:, None]
    greater = np.take_along_axis(ids, first, axis=1) > np.take_along_axis(turned, first, axis=1)
    return np.where(greater, turned, ids)


def described(config: ModelConfig) -> dict[str, str]:
    """What a model's file says of its tokens, so that users make the same."""
    tokens = config.tokenizer
    return {
        "tokens": tokens.encoding,
        "kmer_size": str(tokens.kmer_size),
        "stride": str(tokens.stride),
        "canonical": str(tokens.canonical).lower(),
        "max_length": str(config.max_length),
    }
