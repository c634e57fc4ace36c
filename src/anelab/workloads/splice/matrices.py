"""Position-weight matrices as a base model: how much likelier a sequence is at sites than elsewhere, base by base.

Of donors 3 bases of the exon and 6 of the intron, of acceptors 20 of the intron and 3 of the exon, as in MaxEntScan
(Yeo and Burge 2004), but without its dependences between bases.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import CODES, Bytes
from anelab.workloads.splice.features import LABELS, OFFSETS
from anelab.workloads.splice.windows import ACCEPTOR, DONOR, NEITHER

SPANS: Mapping[int, tuple[int, int]] = {DONOR: (-2, 7), ACCEPTOR: (-20, 3)}
"""First base, and the one after the last, from the position, which is the exon's base beside the intron."""
PSEUDO = 0.5
FIRST = int(CODES[ord("A")])

Matrices = dict[str, Any]
"""JSON: of "donor" and "acceptor" a row of four log-odds for each base, and "prior", the log-odds of the type."""


def fit_matrices(sequence: Bytes, label: NDArray[np.int8]) -> Matrices:
    """Of rows of codes, uint8 [n, width], and their labels: sites against all rows that are none."""
    found: Matrices = {}
    others = max(int((label == NEITHER).sum()), 1)
    for kind, (first, last) in SPANS.items():
        center = sequence.shape[1] // 2
        codes = sequence[:, center + first : center + last]
        site, other = (_frequencies(codes[label == one]) for one in (kind, NEITHER))
        count = max(int((label == kind).sum()), 1)
        found[LABELS[kind]] = {
            "log_odds": np.log(site / other).round(6).tolist(),
            "prior": float(np.log(count / others)),
        }
    return found


def _frequencies(codes: Bytes) -> NDArray[np.float64]:
    """Float64 [bases, 4]."""
    counts = np.stack([(codes == FIRST + base).sum(axis=0) for base in range(4)], axis=1) + PSEUDO
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares


def matrix_scores(matrices: Matrices, sequence: Bytes) -> NDArray[np.float32]:
    """Float32 [n, 15] in the order of SCORES: the chance of each class at -2 to +2, as the matrices have it."""
    center, reach = sequence.shape[1] // 2, len(OFFSETS) // 2
    logits = np.zeros((len(sequence), len(LABELS), len(OFFSETS)))
    for kind, (first, last) in SPANS.items():
        table = np.zeros((9, last - first))
        table[FIRST : FIRST + 4] = np.array(matrices[LABELS[kind]]["log_odds"]).T
        for place in range(len(OFFSETS)):
            start = center + place - reach + first
            codes = sequence[:, max(start, 0) : start + last - first]
            columns = np.arange(last - first)[-codes.shape[1] :] if start < 0 else np.arange(codes.shape[1])
            logits[:, kind, place] = table[codes, columns].sum(axis=1) + matrices[LABELS[kind]]["prior"]
    logits -= logits.max(axis=1, keepdims=True)
    chances = np.exp(logits)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances.reshape(len(sequence), -1).astype(np.float32)
