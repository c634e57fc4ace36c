"""How well effects tell variants that alter splicing from those that do not, by the model and by its base model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.inference.splice.variants import Outcome, Variant
from anelab.learning.metrics import binary_replicates
from anelab.statistics import interval, replicates
from anelab.workloads.splice.classifications import Classifications

ALTERING, NORMAL = "splice-altering", "normal"
RATES = (0.05, 0.01)
"""Shares of normal variants that are called too."""
RESAMPLES = 1000
DIFFERENCE = "model less base"
FIGURES = ("roc_auc", "average_precision")


@dataclass
class Detection:
    """Of variants that have a class the largest effect, as outcomes come in."""

    classes: Classifications
    scores: list[tuple[float, float]] = field(default_factory=list)
    altering: list[bool] = field(default_factory=list)
    genes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seen: set[Any] = field(default_factory=set)

    def add(self, variant: Variant, outcome: Outcome) -> None:
        key = variant.contig.removeprefix("chr"), variant.position, variant.ref, variant.alt
        found = self.classes.classes.get(key)
        if found is None or key in self.seen:
            self._count("variants without a class" if found is None else "variants that come twice")
            return
        self.seen.add(key)
        if not outcome.effects:
            self._count("with a class, but skipped")
        elif found not in (ALTERING, NORMAL):
            self._count(f"of class {found}, not judged")
        else:
            self._count(f"of class {found}")
            own, base = (max(max(getattr(one, name)) for one in outcome.effects) for name in ("values", "base_values"))
            self.scores.append((own, base))
            self.altering.append(found == ALTERING)
            self.genes.append(f"{variant.contig}:{outcome.effects[0].gene}")  # of several, the first

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def texts(self) -> dict[str, Any]:
        """The report, each figure in one line."""
        return {
            side: {
                name: _text(item, "+" if side == DIFFERENCE else "") if isinstance(item, dict) else item
                for name, item in figures.items()
            }
            for side, figures in self.report().items()
        }

    def report(self) -> dict[str, Any]:
        """Counts, and each figure with its 95 % interval over genes: of the model, of its base, and the difference on
        the same rows. Raises AnelabError unless there are variants of both classes."""
        label = np.array(self.altering, bool)
        if not label.any() or label.all():
            found_counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items()) or "there is none"
            raise AnelabError(
                f"of the variants that were scored {label.sum()} are {ALTERING} and {(~label).sum()} {NORMAL}, but to "
                f"judge detection there must be some of both; variants: {found_counts}"
            )
        scores = np.array(self.scores)
        counts = {**self.counts, "classes without a variant": len(self.classes.classes.keys() - self.seen)}
        _, groups = np.unique(self.genes, return_inverse=True)
        once = np.ones((1, len(label)))
        sides = {"model": scores[:, 0], "base": scores[:, 1]}
        drawn = replicates(lambda weights: _of_both(sides, label, weights), groups, RESAMPLES, 0)
        points = {name: float(values[0]) for name, values in _of_both(sides, label, once).items()}
        names = [name.partition(" ")[2] for name in points if name.startswith("model ")]
        found: dict[str, Any] = {
            side: {name: _figure(points[f"{side} {name}"], drawn[f"{side} {name}"]) for name in names} for side in sides
        }
        found[DIFFERENCE] = {
            name: _figure(
                points[f"model {name}"] - points[f"base {name}"], drawn[f"model {name}"] - drawn[f"base {name}"]
            )
            for name in names
        }
        return {"variants": counts, **found}


def _of_both(
    sides: Mapping[str, NDArray[np.float64]], label: NDArray[np.bool_], counts: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    for side, score in sides.items():
        figures = binary_replicates(score, label, counts)
        found |= {f"{side} {name}": figures[name] for name in FIGURES}
        for rate in (one for one in RATES if one * (~label).sum() >= 1):
            found[f"{side} recall at {rate:.0%} false positives"] = recall_at(score, label, counts, rate)
    return found


def recall_at(
    score: NDArray[np.float64], label: NDArray[np.bool_], counts: NDArray[np.float64], rate: float
) -> NDArray[np.float64]:
    """[k]: of each resample the share of positives above a threshold that at most a share `rate` of negatives is above,
    NaN if it has none of either; `counts` [k, n]."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    drawn = counts[:, order]
    positives, negatives = (np.cumsum(drawn * rows, axis=1)[:, last] for rows in (label[order], ~label[order]))
    best = np.where(negatives <= rate * negatives[:, -1:], positives, 0).max(axis=1)
    there = (positives[:, -1] > 0) & (negatives[:, -1] > 0)
    return np.where(there, best / np.maximum(positives[:, -1], 1), np.nan)


def _figure(value: float, drawn: NDArray[Any]) -> dict[str, Any]:
    return {"value": round(value, 4), "interval": [round(end, 4) for end in interval(drawn)]}


def _text(figure: Mapping[str, Any], sign: str) -> str:
    value, low, high = (format(number, f"{sign}.3f") for number in (figure["value"], *figure["interval"]))
    return f"{value} [{low}, {high}]"
