"""Every operator that the evaluator has, from all families."""

from collections.abc import Mapping
from importlib import import_module

from anelab.export.mil.operators import ENTERED, Operator

FAMILIES = (
    "activation",
    "constants",
    "control",
    "elementwise",
    "indexing",
    "labels",
    "linear",
    "normalization",
    "pooling",
    "recurrent",
    "reduction",
    "shape",
    "states",
)
for _family in FAMILIES:
    import_module(f"anelab.export.mil.{_family}")
OPERATORS: Mapping[str, Operator] = ENTERED
