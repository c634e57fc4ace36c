"""How well a score sorts reads where their errors are known: what a filter keeps, and whom it discards.

`score` float [n], higher is worse. `errors` and `bases` [n], of each read. Two filters are compared where the errors a
base of what they keep are equal, for it is these that a user wants to limit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.learning.base import Arrays

KEPT = (50, 80, 90)
"""Per cent of the reads that expected errors keep where another filter is compared with them."""
RARE = 0.01
"""An amplicon is rare whose 21-mers have less than this share of its library's reads."""

Numbers = NDArray[Any]
Mask = NDArray[np.bool_]


def residual_rate(score: Numbers, errors: Numbers, bases: Numbers, share: float) -> float:
    """Errors a base of the best `share` of the reads, and of those that score like the last of them."""
    best = score <= np.sort(score)[max(round(share * len(score)), 1) - 1]
    return float(errors[best].sum() / max(bases[best].sum(), 1))


def kept_at(score: Numbers, errors: Numbers, bases: Numbers, rate: float) -> Mask:
    """Which reads the threshold keeps, [n], that keeps the most of them with at most `rate` errors a base."""
    order = np.argsort(score, kind="stable")
    residual = np.cumsum(errors[order]) / np.maximum(np.cumsum(bases[order]), 1)
    below = np.flatnonzero((residual <= rate) & _last_of_its_value(score[order]))
    kept = np.zeros(len(score), bool)
    kept[order[: below[-1] + 1 if below.size else 0]] = True
    return kept


def best_threshold(score: Numbers, bad: Mask) -> float:
    """From above which a read is discarded, so that as many bad as good reads, in shares of each, are told."""
    order = np.argsort(score, kind="stable")
    good_kept = np.cumsum(~bad[order]) / max(int((~bad).sum()), 1)
    bad_kept = np.cumsum(bad[order]) / max(int(bad.sum()), 1)
    last = _last_of_its_value(score[order])
    return float(score[order][last][np.argmax((good_kept - bad_kept)[last])])


def _last_of_its_value(ordered: Numbers) -> Mask:
    """A threshold keeps all reads of one score, or none."""
    return np.append(ordered[1:] != ordered[:-1], True)


def figures(score: Numbers, targets: Arrays) -> dict[str, float]:
    """Shares of reads kept where expected errors keep 50, 80 and 90 % of them, at as many errors a base; and, where the
    abundance of their amplicons is known, `rare_discarded`: how often error-free reads of rare amplicons are discarded
    there, in times of how often expected errors discard them, one added to either number (NaN if there are none)."""
    errors, bases, stated = targets["errors"], targets["bases"], targets["stated"]
    found: dict[str, float] = {}
    ours = theirs = 0
    innocent = (targets["abundance"] < RARE) & (errors == 0) if "abundance" in targets else None
    for share in KEPT:
        rate = residual_rate(stated, errors, bases, share / 100)
        kept = kept_at(score, errors, bases, rate)
        found[f"kept_{share}"] = float(kept.mean())
        if innocent is not None:
            ours += int((innocent & ~kept).sum())
            theirs += int((innocent & ~kept_at(stated, errors, bases, rate)).sum())
    if innocent is not None:
        found["rare_discarded"] = (ours + 1) / (theirs + 1) if innocent.any() else float("nan")
    return found
