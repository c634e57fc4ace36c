"""What the operating system tells of power, heat and load: an adapter each for Linux and macOS."""

import ctypes
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil

THERMAL_LEVELS = ("nominal", "moderate", "heavy", "trapping", "sleeping")
"""macOS' OSThermalPressureLevel."""
UNKNOWN = "unknown"


class System(Protocol):
    """What is not known is "unknown" or None, never a guess."""

    def thermal(self) -> str:
        """nominal, one of macOS' other levels, or "throttled" if the processor was since the call before."""

    def power(self) -> str:
        """mains, battery or unknown."""

    def low_power(self) -> bool | None: ...

    def build(self) -> str | None: ...

    def model(self) -> str | None: ...

    def clusters(self) -> tuple[int | None, int | None]:
        """Performance and efficiency cores, where the processor has both."""

    def translated(self) -> bool:
        """Whether this Python runs through Rosetta."""

    def governor(self) -> str | None: ...


def this_system() -> System:
    return MacSystem() if platform.system() == "Darwin" else LinuxSystem()


def busy_seconds() -> float:
    """CPU time that all processes of the machine have had, in core-seconds."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "system", "nice", "irq", "softirq", "steal")))


def own_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    return float(sum(os.times()[:4]))


class LinuxSystem:
    """From /sys, which containers and virtual machines often lack."""

    def __init__(self, root: Path = Path("/sys")) -> None:
        self.root = root
        self._throttles = self._throttle_count()

    def thermal(self) -> str:
        before, self._throttles = self._throttles, self._throttle_count()
        if before is None or self._throttles is None:
            return UNKNOWN
        return "throttled" if self._throttles > before else "nominal"

    def _throttle_count(self) -> int | None:
        files = list(self.root.glob("devices/system/cpu/cpu*/thermal_throttle/*_throttle_count"))
        return sum(int(file.read_text()) for file in files) if files else None

    def power(self) -> str:
        """A mouse has a battery too, but its scope is a device."""
        supplies = [one for one in self.root.glob("class/power_supply/*") if _text(one / "scope") != "Device"]
        if any(_text(one / "type") == "Mains" and _text(one / "online") == "1" for one in supplies):
            return "mains"
        drained = any(_text(one / "type") == "Battery" and _text(one / "status") == "Discharging" for one in supplies)
        return "battery" if drained else UNKNOWN

    def low_power(self) -> bool | None:
        profile = _text(self.root / "firmware/acpi/platform_profile")
        return profile == "low-power" if profile else None

    def build(self) -> str | None:
        return platform.version() or None

    def model(self) -> str | None:
        return _text(self.root / "class/dmi/id/product_name")

    def clusters(self) -> tuple[int | None, int | None]:
        return None, None

    def translated(self) -> bool:
        return False

    def governor(self) -> str | None:
        return _text(self.root / "devices/system/cpu/cpu0/cpufreq/scaling_governor")


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def run_command(*words: str) -> str:
    """What a command prints; "" if there is none or it fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


class MacSystem:
    """From sysctl, pmset, sw_vers and the notification of thermal pressure, none of which needs to be root. By
    documentation: no Mac has run it for this project yet."""

    def __init__(self, ask: Callable[..., str] = run_command, pressure: Callable[[], int | None] | None = None) -> None:
        self.ask = ask
        self.pressure = pressure or thermal_pressure

    def thermal(self) -> str:
        level = self.pressure()
        return THERMAL_LEVELS[level] if level is not None and 0 <= level < len(THERMAL_LEVELS) else UNKNOWN

    def power(self) -> str:
        text = self.ask("/usr/bin/pmset", "-g", "batt")
        return "mains" if "'AC Power'" in text else "battery" if "'Battery Power'" in text else UNKNOWN

    def low_power(self) -> bool | None:
        for line in self.ask("/usr/bin/pmset", "-g").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] in ("lowpowermode", "powermode"):
                return words[1] == "1"
        return None

    def build(self) -> str | None:
        return self.ask("/usr/bin/sw_vers", "-buildVersion") or None

    def model(self) -> str | None:
        return self._sysctl("hw.model") or None

    def clusters(self) -> tuple[int | None, int | None]:
        found = [self._sysctl(f"hw.perflevel{level}.physicalcpu") for level in (0, 1)]
        return (int(found[0]), int(found[1])) if all(text.isdigit() for text in found) else (None, None)

    def translated(self) -> bool:
        return self._sysctl("sysctl.proc_translated") == "1"

    def governor(self) -> str | None:
        return None

    def _sysctl(self, name: str) -> str:
        return self.ask("/usr/sbin/sysctl", "-n", name)


def thermal_pressure() -> int | None:
    """macOS' level by notify(3), which measures what powermetrics prints without being root."""
    try:
        library = ctypes.CDLL("/usr/lib/libSystem.dylib")
        token, level = ctypes.c_int(), ctypes.c_uint64()
        name = b"com.apple.system.thermalpressurelevel"
        if library.notify_register_check(name, ctypes.byref(token)):
            return None
        try:
            return None if library.notify_get_state(token, ctypes.byref(level)) else int(level.value)
        finally:
            library.notify_cancel(token)
    except (OSError, AttributeError):
        return None
