"""How sure a taxon is, learned from the references themselves: each is looked for without itself, without its species,
without its genus, without its family; so it is known when the nearest reference's taxon is right.

Logistic regression on straight pieces of the numbers of `match_features`, and on products of two, each limited to what
was seen. The weights are plain numbers in the index; nothing has to be unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.features import Values

QUANTILES = 8
"""Of each number: straight pieces between them."""
PENALTY = 1.0
MOST_ITERATIONS = 500
SURE = 30.0
"""Log odds that are as good as certain."""


@dataclass(frozen=True)
class Calibrator:
    """`knots`: float [features, QUANTILES], rising; `weights`: float [terms], the first for the constant."""

    knots: Values
    weights: Values

    def __call__(self, values: Values) -> Values:
        """The chance, float [n], of values [n, features]."""
        return 1 / (1 + np.exp(-np.clip(_terms(values, self.knots) @ self.weights, -SURE, SURE)))

    @classmethod
    def fit(cls, values: Values, truth: NDArray[np.bool_], weight: Values) -> "Calibrator":
        """`truth`, bool [n], of which each row counts `weight`. With one class only the chance is its share; without a
        row it is 1."""
        from sklearn.linear_model import LogisticRegression

        if not len(values):
            return cls.constant(values.shape[1])
        knots = np.quantile(values, np.linspace(0, 1, QUANTILES), axis=0).T
        terms = _terms(values, knots)
        if truth.all() or not truth.any():
            share = (truth.sum() + 0.5) / (len(truth) + 1)
            return cls(knots, np.append(np.log(share / (1 - share)), np.zeros(terms.shape[1] - 1)))
        model = LogisticRegression(C=1 / PENALTY, max_iter=MOST_ITERATIONS)
        model.fit(terms[:, 1:], truth, sample_weight=weight)
        return cls(knots, np.concatenate([model.intercept_, model.coef_[0]]))

    @classmethod
    def constant(cls, features: int) -> "Calibrator":
        """Which is sure of everything."""
        knots = np.zeros((features, QUANTILES))
        terms = _terms(np.zeros((1, features)), knots).shape[1]
        return cls(knots, np.append(SURE, np.zeros(terms - 1)))

    @classmethod
    def cross_fit(
        cls, values: Values, truth: NDArray[np.bool_], weight: Values, fold: NDArray[Any]
    ) -> "tuple[Calibrator, Values]":
        """Fitted on all rows; and the chance of each row, float [n], by one that was fitted on the rows of the other
        folds. `fold`: 0 or 1 [n]."""
        chance = np.empty(len(values))
        for part in (0, 1):
            rest = cls.fit(*(each[fold != part] for each in (values, truth, weight)))
            chance[fold == part] = rest(values[fold == part])
        return cls.fit(values, truth, weight), chance

    def as_json(self) -> dict[str, Any]:
        return {"knots": self.knots.tolist(), "weights": self.weights.tolist()}

    @classmethod
    def from_json(cls, found: dict[str, Sequence[Any]], features: int) -> "Calibrator":
        """Raises ValueError or KeyError for one that is none of so many numbers."""
        wanted = cls.constant(features)
        read = cls(np.array(found["knots"], np.float64), np.array(found["weights"], np.float64))
        for one, other in ((read.knots, wanted.knots), (read.weights, wanted.weights)):
            if one.shape != other.shape or not np.isfinite(one).all():
                raise ValueError(f"a calibration has {one.shape} numbers instead of {other.shape}")
        return read


def _terms(values: Values, knots: Values) -> Values:
    """[n, terms]: 1, then each number's share of the way through each piece, which saturates at both ends; then
    products of these shares over the whole way, two numbers at a time."""
    pieces, whole = [np.ones((len(values), 1))], []
    for place, line in enumerate(knots):
        low, high = line[:-1], line[1:]
        steps = np.clip((values[:, place, None] - low) / np.maximum(high - low, 1e-9), 0, 1) * (high > low)
        pieces.append(steps)
        whole.append(steps.mean(axis=1))
    ways = np.stack(whole, axis=1)
    one, other = np.triu_indices(len(knots), 1)
    return np.concatenate([*pieces, ways[:, one] * ways[:, other]], axis=1)
