"""The model that the protocol's own clients are tried with: sum and difference of two rows of 16 whole numbers."""

from pathlib import Path

from anelab.inference.model import Model, Port
from anelab.learning.base import Arrays

NAME = "simple"


def simple_model() -> Model:
    inputs = tuple(Port(name, "int32", (None, 16)) for name in ("INPUT0", "INPUT1"))
    outputs = tuple(Port(name, "int32", (None, 16)) for name in ("OUTPUT0", "OUTPUT1"))
    return Model(NAME, Path("simple.onnx"), inputs, outputs, {}, {}, "NumPy", _sum_and_difference)


def _sum_and_difference(arrays: Arrays) -> Arrays:
    first, second = arrays["INPUT0"], arrays["INPUT1"]
    return {"OUTPUT0": first + second, "OUTPUT1": first - second}
