"""What the command line imports sooner or later, and takes seconds for."""

import mlflow.pyfunc  # noqa: F401
import onnxruntime  # noqa: F401
import torch  # noqa: F401

import tests.commands
import tests.stores  # noqa: F401
from anelab.export.toolkit import toolkit

with toolkit():
    pass
