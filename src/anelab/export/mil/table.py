"""Every operator that the evaluator has, from all families."""

from collections.abc import Mapping

from anelab.export.mil import (
    activation,
    constants,
    control,
    elementwise,
    indexing,
    linear,
    normalization,
    pooling,
    recurrent,
    reduction,
    shape,
)
from anelab.export.mil.operators import ENTERED, Operator

FAMILIES = (
    activation,
    constants,
    control,
    elementwise,
    indexing,
    linear,
    normalization,
    pooling,
    recurrent,
    reduction,
    shape,
)
OPERATORS: Mapping[str, Operator] = ENTERED
