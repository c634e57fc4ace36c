"""Stable facts of this machine, for receipts of what belongs to it. Standard library only."""

import os
import platform
import subprocess
from pathlib import Path

from anelab.files import canonical_json, sha256_text


def host_facts() -> dict[str, str | int]:
    """What does not change from run to run: system, processor, cores, memory, Python's architecture."""
    return {
        "cores": os.cpu_count() or 0,
        "machine": platform.machine(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.system(),
        "system_release": platform.release(),
    }


def host_fingerprint() -> str:
    """Sixteen hex digits that name this kind of machine; no serial number, no host name."""
    return sha256_text(canonical_json(host_facts()))[:16]


def _processor() -> str:
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
