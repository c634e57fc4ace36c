"""Packages as other people convert them, without anelab: images, classifiers, flexible shapes, MIL by hand."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anelab.export.toolkit import toolkit


def converted(module: nn.Module, example: torch.Tensor, path: Path, inputs: Any, **options: Any) -> Path:
    """By coremltools' own defaults; `inputs` is given coremltools and returns its input types."""
    with toolkit() as ct:
        model = ct.convert(
            torch.jit.trace(module.eval(), example),
            inputs=inputs(ct),
            minimum_deployment_target=ct.target.macOS14,
            skip_model_load=True,
            **{name: value(ct) for name, value in options.items()},
        )
        model.save(str(path))
    return path


def built(path: Path, program: Any, precision: str = "FLOAT32") -> Path:
    """Of a program written in MIL's own builder."""
    with toolkit() as ct:
        model = ct.convert(
            program,
            minimum_deployment_target=ct.target.macOS14,
            compute_precision=getattr(ct.precision, precision),
            skip_model_load=True,
        )
        model.save(str(path))
    return path


def trial_packages(real_data: Path, target: Path) -> Path:
    """The packages of trial/packages.tar.gz, unpacked into `target`."""
    archive = real_data / "trial" / "packages.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    with tarfile.open(archive) as packed:
        packed.extractall(target, filter="data")
    return target
