"""Arms that fail in the ways that arms fail. Each is ONNX Runtime's until its calls break."""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anelab.bench.arms.contract import Call, Opened, Subject
from anelab.bench.arms.onnx import OrtCpu
from anelab.learning.base import Split


@dataclass(frozen=True)
class Broken(OrtCpu):
    """`when` is the file whose presence makes it break; without one it breaks from the start."""

    when: Path | None = None
    kind: ClassVar[str] = "broken"

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def fail(self) -> None:
        raise NotImplementedError

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        opened = super().open(subject, observe)

        def prepare(rows: Split) -> Call:
            return _then(opened.prepare(rows), self.fail if self.when is None or self.when.exists() else None)

        return replace(opened, prepare=prepare)


def _then(call: Call, fail: Callable[[], None] | None) -> Call:
    def failing() -> Any:
        assert fail is not None
        fail()
        return call()

    return call if fail is None else failing


@dataclass(frozen=True)
class Killed(Broken):
    def fail(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Segfault(Broken):
    def fail(self) -> None:
        ctypes.string_at(0)


@dataclass(frozen=True)
class Hang(Broken):
    def fail(self) -> None:
        time.sleep(3600)


@dataclass(frozen=True)
class Leave(Broken):
    def fail(self) -> None:
        print("\x1b[31mnative code says goodbye\x1b[m", flush=True)
        os._exit(3)


@dataclass(frozen=True)
class Raise(Broken):
    def fail(self) -> None:
        raise RuntimeError("ANECCompile() FAILED")


@dataclass(frozen=True)
class Memory(Broken):
    """Asks for more than it may have."""

    def fail(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        np.ones(1 << 40)


@dataclass(frozen=True)
class Wrong(Broken):
    """Answers fast, and wrongly."""

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        opened = super(Broken, self).open(subject, observe)
        return replace(opened, read=lambda found: {name: array + 0.5 for name, array in opened.read(found).items()})


@dataclass(frozen=True)
class Slowed(Broken):
    """Every call takes twice as long as it does."""

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        opened = super(Broken, self).open(subject, observe)

        def prepare(rows: Split) -> Call:
            call = opened.prepare(rows)

            def twice() -> Any:
                call()
                return call()

            return twice

        return replace(opened, prepare=prepare)


@dataclass(frozen=True)
class Slow(Broken):
    """So slow that every clock sees it."""

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        opened = super(Broken, self).open(subject, observe)
        return replace(opened, prepare=lambda rows: _then(opened.prepare(rows), lambda: time.sleep(0.002)))
