"""Features of a base model's scores: one function for NumPy arrays and torch tensors, and so for the exported graph.

Given are the donor, acceptor and neither probabilities at -2 to +2 of a position, always all three: nothing here
depends on what a row is labelled. Formulas are those of MetaSpliceAI's meta-layer, but its 7 features of the context,
which it took from the track that a row was labelled for, are computed for donor and acceptor both: 50 in all.
"""

from collections.abc import Sequence
from typing import Any

LABELS = ("donor", "acceptor", "neither")
OFFSETS = ("m2", "m1", "p0", "p1", "p2")
SCORES = tuple(f"{track}_{offset}" for track in LABELS for offset in OFFSETS)
"""Of the 15 given values, in their order; m and p: bases before and after the position, on the given strand."""

CENTER = tuple(SCORES.index(f"{track}_p0") for track in LABELS)
EPSILON = 1e-10
LEAST_PEAK = 1e-3
CONTEXT = ("context_score_m2", "context_score_m1", "context_score_p1", "context_score_p2")
PROBABILITY = (
    "relative_donor_probability",
    "splice_probability",
    "donor_acceptor_diff",
    "splice_neither_diff",
    "donor_acceptor_logodds",
    "splice_neither_logodds",
    "probability_entropy",
)
OF_TRACK = (
    "diff_m1",
    "diff_m2",
    "diff_p1",
    "diff_p2",
    "surge_ratio",
    "is_local_peak",
    "weighted_context",
    "peak_height_ratio",
    "second_derivative",
    "signal_strength",
    "context_diff_ratio",
)
COMPARED = (
    "donor_acceptor_peak_ratio",
    "type_signal_difference",
    "score_difference_ratio",
    "signal_strength_ratio",
)
NEIGHBOURS = (*CONTEXT, "context_neighbor_mean", "context_asymmetry", "context_max")
FEATURES = (
    *(f"{label}_score" for label in LABELS),
    *PROBABILITY,
    *(f"{track}_{name}" for track in LABELS[:2] for name in OF_TRACK),
    *COMPARED,
    *(f"{track}_{name}" for track in LABELS[:2] for name in NEIGHBOURS),
)
FORBIDDEN = (
    "splice_type",
    "pred_type",
    "true_position",
    "predicted_position",
    "is_correct",
    "error_type",
    "label",
    "source_class",
)
"""Columns of a table that follow from the label. They never become features."""


def features(scores: Any, xp: Any) -> Any:
    """Float [n, 50] of float [n, 15] in the order of SCORES. `xp` is the module of the arrays, numpy or torch."""
    track = {label: [scores[:, 5 * place + offset] for offset in range(5)] for place, label in enumerate(LABELS)}
    donor, acceptor, neither = (track[label][2] for label in LABELS)
    of_donor, of_acceptor = (_of_track(track[label], xp) for label in LABELS[:2])
    found = [
        donor,
        acceptor,
        neither,
        *_probability(donor, acceptor, neither, xp),
        *of_donor,
        *of_acceptor,
        *_compared(
            donor,
            acceptor,
            dict(zip(OF_TRACK, of_donor, strict=True)),
            dict(zip(OF_TRACK, of_acceptor, strict=True)),
            xp,
        ),
        *_neighbours(track["donor"], xp),
        *_neighbours(track["acceptor"], xp),
    ]
    return xp.stack(found, -1)


def _probability(donor: Any, acceptor: Any, neither: Any, xp: Any) -> Sequence[Any]:
    splice, best = donor + acceptor, xp.maximum(donor, acceptor)
    entropy = -(donor * _log(donor, xp) + acceptor * _log(acceptor, xp) + neither * _log(neither, xp))
    return (
        donor / (splice + EPSILON),
        splice / (splice + neither + EPSILON),
        (donor - acceptor) / (best + EPSILON),
        (best - neither) / (xp.maximum(best, neither) + EPSILON),
        xp.log((donor + EPSILON) / (acceptor + EPSILON)),  # one logarithm: two large ones would cancel
        xp.log((splice + EPSILON) / (neither + EPSILON)),
        entropy,
    )


def _of_track(values: Sequence[Any], xp: Any) -> Sequence[Any]:
    m2, m1, center, p1, p2 = values
    mean, most = _mean(values), _most(values, xp)
    peak = (center > m1) & (center > p1) & (center > LEAST_PEAK)
    return (
        center - m1,
        center - m2,
        center - p1,
        center - p2,
        center / (m1 + p1 + EPSILON),
        xp.where(peak, xp.ones_like(center), xp.zeros_like(center)),
        0.1 * m2 + 0.2 * m1 + 0.4 * center + 0.2 * p1 + 0.1 * p2,
        center / (mean + EPSILON),
        (center - m1) - (p1 - center),
        center - mean,
        center / (most + EPSILON),
    )


def _compared(
    donor: Any, acceptor: Any, of_donor: dict[str, Any], of_acceptor: dict[str, Any], xp: Any
) -> Sequence[Any]:
    strength, against = of_donor["signal_strength"], of_acceptor["signal_strength"]
    return (
        of_donor["peak_height_ratio"] / (of_acceptor["peak_height_ratio"] + EPSILON),
        strength - against,
        (donor - acceptor) / (donor + acceptor + EPSILON),
        strength / _not_zero(against + EPSILON, xp),
    )


def _neighbours(values: Sequence[Any], xp: Any) -> Sequence[Any]:
    m2, m1, _, p1, p2 = values
    return m2, m1, p1, p2, _mean(values), (m1 + m2) - (p1 + p2), _most(values, xp)


def _mean(values: Sequence[Any]) -> Any:
    m2, m1, _, p1, p2 = values
    return (m2 + m1 + p1 + p2) / 4


def _most(values: Sequence[Any], xp: Any) -> Any:
    m2, m1, _, p1, p2 = values
    return xp.maximum(xp.maximum(m2, m1), xp.maximum(p1, p2))


def _log(values: Any, xp: Any) -> Any:
    return xp.log(values + EPSILON)


def _not_zero(values: Any, xp: Any) -> Any:
    """A signed denominator, at least EPSILON from 0."""
    return xp.where(xp.abs(values) < EPSILON, xp.full_like(values, EPSILON), values)
