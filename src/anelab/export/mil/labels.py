"""A classifier's last operator: the label of the likeliest class, and a dictionary of all probabilities."""

from typing import Any

import numpy as np
from torch import Tensor

from anelab.export.mil.operators import Value, operator


@operator()
def classify(probabilities: Tensor, classes: list[Any]) -> tuple[Value, Value]:
    """Arrays, as everything else: the label, of shape (1,), and the probabilities, of shape (1, classes) in the
    classes' order. One example is classified at a time, for that is what Core ML's label and dictionary hold."""
    found, names = probabilities.numpy().reshape(1, -1), np.array([_name(one) for one in classes])
    if found.shape[1] != len(names):
        raise ValueError(f"has {found.shape[1]} probabilities for {len(names)} classes; it takes one example at a time")
    return names[found.argmax(axis=1)], found.copy()


def class_names(program: Any) -> dict[str, tuple[str, ...]]:
    """The classes in the order of their probabilities, by the output that holds them."""
    return {
        operation.outputs[1].name: tuple(str(_name(one)) for one in operation.inputs["classes"].val)
        for operation in program.operations
        if operation.op_type == "classify"
    }


def _name(given: Any) -> Any:
    """A label out of whatever holds it."""
    return given.item() if hasattr(given, "item") else getattr(given, "val", given)
