"""A Mac that is none: the adapter's fake. It compiles by copying, runs by the evaluator, and plans as told.

Tests of what surrounds the adapter use it; it measures nothing, and nothing it says leaves the tests.
"""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anelab.export.apple import Device, PlannedOperator
from anelab.export.mil.evaluator import Evaluator

PACKAGE = "package.mlpackage"


class FakeModel:
    """Behaves as coremltools does: 16-bit inputs become 32-bit ones in the caller's own dictionary."""

    def __init__(self, package: Path, function: str | None) -> None:
        self.evaluator = Evaluator(package, function)

    def predict(self, data: dict[str, Any]) -> dict[str, Any]:
        for name, array in data.items():
            data[name] = np.asarray(array, np.float32)
        return dict(self.evaluator(data))


class FakeApple:
    def __init__(self, plan: Sequence[PlannedOperator] = (), build: str = "24A335") -> None:
        self.build = build
        self.planned = list(plan)
        self.calls: list[tuple[str, ...]] = []
        self.fails = ""

    def os_build(self) -> str:
        return self.build

    def devices(self) -> list[Device]:
        return [Device("CPU"), Device("GPU"), Device("NE", 16)]

    def compile(self, package: Path, compiled: Path) -> None:
        self.calls.append(("compile", package.name))
        if self.fails == "compile":
            compiled.mkdir(parents=True)
            raise RuntimeError("no room")
        shutil.copytree(package, compiled / PACKAGE)

    def load(self, compiled: Path, unit: str, function: str | None) -> FakeModel:
        self.calls.append(("load", unit, function or ""))
        if self.fails == "load":
            raise RuntimeError("ANECCompile() FAILED")
        return FakeModel(compiled / PACKAGE, function)

    def plan(self, compiled: Path, unit: str, function: str | None) -> list[PlannedOperator]:
        self.calls.append(("plan", unit, function or ""))
        return self.planned


class DyingApple(FakeApple):
    """Loading a model ends the process, as a failed specialisation does."""

    def load(self, compiled: Path, unit: str, function: str | None) -> FakeModel:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def on_ne() -> FakeApple:
    """For a worker process, which makes its adapter by name: most operators are planned on the Neural Engine."""
    plan = [PlannedOperator("conv", "NE", ("NE", "CPU"), 0.9), PlannedOperator("cast", "CPU", ("CPU",), 0.1)]
    return FakeApple(plan)


def on_cpu() -> FakeApple:
    """Everything could run on the Neural Engine, and nothing is planned there."""
    return FakeApple([PlannedOperator("conv", "CPU", ("NE", "CPU"), 1.0)])


def dying() -> FakeApple:
    return DyingApple()
