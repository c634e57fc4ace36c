"""The record of the machine, and of its condition at the borders of each block."""

import os
import platform
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

import anelab
from anelab.bench.machine.system import System, busy_seconds, own_seconds
from anelab.bench.results.schema import Conditions, Host
from anelab.errors import AnelabError
from anelab.files import canonical_json, file_digest, sha256_text
from anelab.host import host_facts, host_fingerprint

PACKAGES = ("coremltools", "numpy", "onnxruntime", "torch")
BUSY_CORES = 0.25
"""Others' share of the machine, in cores, from which on it is called busy."""


def host_record(system: System) -> Host:
    facts = host_facts()
    performance, efficiency = system.clusters()
    return Host(
        fingerprint=host_fingerprint(),
        system=str(facts["system"]),
        release=platform.mac_ver()[0] or str(facts["system_release"]),
        build=system.build(),
        machine=str(facts["machine"]),
        processor=str(facts["processor"]),
        model=system.model(),
        cores=int(facts["cores"]),
        performance_cores=performance,
        efficiency_cores=efficiency,
        neural_engine_cores=_neural_engine_cores(),
        memory_bytes=int(facts["memory_bytes"]),
        python=str(facts["python"]),
        translated=system.translated(),
        governor=system.governor(),
        power=system.power(),
        low_power=system.low_power(),
        thermal=system.thermal(),
        load_average=os.getloadavg()[0],
        versions={name: _version(name) for name in PACKAGES},
        anelab=source_digest(),
    )


def _neural_engine_cores() -> int | None:
    """As Core ML lists its devices; None where there is no Core ML, or no Neural Engine."""
    if sys.platform != "darwin":
        return None
    from anelab.export.apple import native

    try:
        return next((device.cores for device in native().devices() if device.kind == "NE"), None)
    except AnelabError:
        return None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def source_digest() -> str:
    """sha256 over anelab's own modules, by path."""
    root = Path(anelab.__file__).parent
    return sha256_text(
        canonical_json({file.relative_to(root).as_posix(): file_digest(file) for file in root.rglob("*.py")})
    )


@dataclass
class Watch:
    """Looks at the machine when a block begins and when it ends."""

    system: System
    _began: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _states: list[tuple[str, str, bool | None]] = field(default_factory=list)

    def begin(self) -> None:
        self.system.thermal()  # what was throttled before is not this block's
        self._began = (time.monotonic(), busy_seconds(), own_seconds())
        self._states = [self._state()]

    def end(self, block: int) -> Conditions:
        """All workers must have ended, for a process's time counts as ours once it has."""
        seconds, busy, own = time.monotonic(), busy_seconds(), own_seconds()
        passed = max(seconds - self._began[0], 1e-9)
        others = max(0.0, (busy - self._began[1] - (own - self._began[2])) / passed)
        self._states.append(self._state())
        return Conditions(
            block=block,
            load_average=os.getloadavg()[0],
            other_cpu_cores=round(others, 3),
            thermal=_worst([state[0] for state in self._states], "nominal"),
            power=_worst([state[1] for state in self._states], "mains"),
            low_power=any(state[2] for state in self._states) if self._states[0][2] is not None else None,
            left_out=_left_out(self._states),
            busy=others > BUSY_CORES,
        )

    def _state(self) -> tuple[str, str, bool | None]:
        return self.system.thermal(), self.system.power(), self.system.low_power()


def _worst(seen: list[str], good: str) -> str:
    return next((value for value in seen if value not in (good, "unknown")), seen[0])


def _left_out(states: list[tuple[str, str, bool | None]]) -> list[str]:
    """Why a block is no evidence. What is unknown is not held against it."""
    reasons = {f"thermal pressure: {thermal}" for thermal, _, _ in states if thermal not in ("nominal", "unknown")}
    reasons |= {"on battery" for _, power, _ in states if power == "battery"}
    return sorted(reasons | {"low power mode" for _, _, low in states if low})
