"""How far two arrays are apart where values may be infinite or NaN: NaN is never a small error."""

from collections.abc import Mapping

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays


def absolute_errors(found: Array, wanted: Array) -> Array:
    """|found - wanted|, of the arrays' one shape. 0 where both hold the same infinity or both NaN, infinite where
    one of them is not finite and the other differs."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(found - wanted)
    alike = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    return np.where(alike, 0, np.where(np.isnan(errors), np.inf, errors))


def relative_errors(found: Array, wanted: Array, smallest: float) -> Array:
    """`absolute_errors` over |wanted|, or over `smallest` where that is smaller."""
    scales: Array = np.maximum(np.abs(np.nan_to_num(wanted)), smallest)
    return absolute_errors(found, wanted) / scales


def differing_values(found: Arrays, wanted: Arrays) -> dict[str, int]:
    """By output: values that are NaN or infinite in one of the two and not the same in the other. Outputs without
    any are left out."""
    return _counted(found, wanted, alike=False)


def differing_texts(counts: Mapping[str, int]) -> list[str]:
    """A sentence for each output of `differing_values`, where the module's outputs were wanted."""
    return [f"{count} values of {name} are NaN or infinite, unlike the module's" for name, count in counts.items()]


def shared_values(found: Arrays, wanted: Arrays) -> dict[str, int]:
    """By output: values that are the same infinity, or NaN, in both. Outputs without any are left out."""
    return _counted(found, wanted, alike=True)


def values_not_finite(arrays: Arrays) -> dict[str, int]:
    """By output: values that are NaN or infinite. Outputs without any, or of text, are left out."""
    counts = {name: int((~np.isfinite(array)).sum()) for name, array in arrays.items() if array.dtype.kind in "fiub"}
    return {name: count for name, count in counts.items() if count}


def check_outputs(found: Arrays, wanted: Arrays, what: str) -> None:
    """Raises AnelabError if an output is missing or has another shape than wanted; `what` names who gave `found`."""
    for name, array in wanted.items():
        if name not in found:
            raise AnelabError(f"{what}: gave no output {name}; it gave {', '.join(found) or 'nothing'}")
        if found[name].shape != array.shape:
            raise AnelabError(f"{what}: output {name} has shape {found[name].shape}, the module's has {array.shape}")


def _counted(found: Arrays, wanted: Arrays, alike: bool) -> dict[str, int]:
    counts = {name: _count(found[name], array, alike) for name, array in wanted.items()}
    return {name: count for name, count in counts.items() if count}


def _count(found: Array, wanted: Array, alike: bool) -> int:
    """Places where one is not finite, and both hold the same (`alike`) or do not."""
    places = ~np.isfinite(found) | ~np.isfinite(wanted)
    return int((places & ((absolute_errors(found, wanted) == 0) == alike)).sum())
