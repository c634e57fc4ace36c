"""Reads longer than the model sees, judged as a whole: by a rule over all of their bases, or by a model in parts.

A read of L bases is k = ceil(L / WIDTH) parts, and every base is in one of them. It depends on the label:

- mean_quality: base i is in part i mod k, so that each part is like the whole read. The read's probability is the mean
  of the parts', by their logits.
- expected_errors: the same, and qualities are lowered by 10 log10(k), so that each part states as many expected errors
  as the whole read.
- true_errors, overlap: a part has neighbouring bases; the last one is shorter. Errors of the parts are added, as
  Poisson's.

Parts of neighbouring bases would not do for the first two: a few Phred from the threshold a probability of single
precision is 0 or 1, and does not say how far from it a part is.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.fastq import Block, Integers
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH

Values = NDArray[np.float64]
Predict = Callable[[Bytes], NDArray[np.float32]]
"""uint8 [n, 2 WIDTH] of reads/3 to probabilities of PASS, [n]."""
LEAST = 1e-38
SUREST = 8.0
"""The largest logit of a part, either way: how sure a probability beyond it is, single precision does not say."""
CHANCES = 10.0 ** (-np.arange(256) / 10)
STRIDED = ("mean_quality", "expected_errors")
LABELS = (*STRIDED, "true_errors", "overlap")


def long_reads(lengths: Integers) -> Iterator[tuple[int, Integers]]:
    """Numbers of parts above 1, and the rows of the reads that have so many."""
    if lengths.max(initial=0) <= WIDTH:
        return
    parts = -(-lengths // WIDTH)
    for count in np.unique(parts[parts > 1]).tolist():
        yield count, np.flatnonzero(parts == count)


def rule_values(rule: str, block: Block, offset: int, parts: int) -> Values:
    """What `mean_quality` or `expected_errors` is of all bases, [n], of reads of `parts` parts."""
    scores = block.whole_qualities(offset, parts * WIDTH) - np.uint8(offset)
    inside = np.arange(parts * WIDTH) < block.lengths[:, None]
    if rule == "mean_quality":
        return np.where(inside, scores, 0).sum(axis=1, dtype=np.int64) / block.lengths  # type: ignore[no-any-return]
    total: Values = np.where(inside, CHANCES[scores], 0.0).sum(axis=1)
    return total


def model_values(predict: Predict, block: Block, offset: int, parts: int, metadata: Mapping[str, str]) -> Values:
    """Probabilities of PASS, [n], of reads of `parts` parts; `metadata` is the model's."""
    label = metadata["label"]
    codes = block.whole_codes(parts * WIDTH)
    scores = block.whole_qualities(offset + PAD_SCORE, parts * WIDTH) - np.uint8(offset)
    if label == "expected_errors":
        scores = np.where(codes > 0, _lowered(scores, parts), scores)
    rows = [_in_parts(array, parts, label in STRIDED) for array in (codes, scores)]
    found = predict(np.concatenate(rows, axis=1)).reshape(len(block), parts).astype(np.float64)
    if label in STRIDED:
        return _mean_of_logits(found, _bases(block.lengths, parts))
    return _at_most(int(metadata.get("max_errors", 0)), found)


def _in_parts(array: Bytes, parts: int, strided: bool) -> Bytes:
    """uint8 [n, parts WIDTH] as [n parts, WIDTH]."""
    shape = (len(array), WIDTH, parts) if strided else (len(array), parts, WIDTH)
    found = array.reshape(shape)
    return np.ascontiguousarray(found.swapaxes(1, 2) if strided else found).reshape(-1, WIDTH)


def _bases(lengths: Integers, parts: int) -> Integers:
    """int64 [n, parts]: bases in each part of neighbours that lie `parts` apart."""
    found: Integers = -(-(lengths[:, None] - np.arange(parts)) // parts)
    return found


def _lowered(scores: Bytes, parts: int) -> Bytes:
    """Scores by which an error is `parts` times as likely: rounded down at some of the bases and up at the others, so
    that it holds for their sum."""
    exact = 10 * np.log10(parts)
    low, high = 10 ** (np.floor(exact) / 10), 10 ** (np.ceil(exact) / 10)
    share = 0.0 if high == low else (parts - low) / (high - low)
    place = np.arange(scores.shape[1]) // parts  # alike in all parts
    up = np.floor((place + 1) * share) > np.floor(place * share)
    steps = np.where(up, np.ceil(exact), np.floor(exact)).astype(np.int16)
    found: Bytes = np.maximum(scores - steps, 0).astype(np.uint8)
    return found


def _mean_of_logits(probability: Values, bases: Integers) -> Values:
    """Weighted by the bases of each part."""
    least = 1 / (1 + np.exp(SUREST))
    within = probability.clip(least, 1 - least)
    mean = (np.log(within / (1 - within)) * bases).sum(axis=1) / bases.sum(axis=1)
    found: Values = 1 / (1 + np.exp(-mean))
    return found


def _at_most(most: int, probability: Values) -> Values:
    """Poisson's probability of at most so many errors in a read, by that of each part."""
    from scipy.special import gammaincc, gammainccinv

    errors = gammainccinv(most + 1, np.maximum(probability, LEAST)).sum(axis=1)
    found: Values = gammaincc(most + 1, errors)
    return found
