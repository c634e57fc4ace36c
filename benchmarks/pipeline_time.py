"""`make repro`'s work in a fresh clone of HEAD, with this environment: from nothing, between its stages, and again with
nothing to do."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from anelab.files import read_json
from anelab.host import host_facts
from anelab.tracking.receipt import Receipt, execution_path
from anelab.workspace import Workspace

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def timed(folder: Path, *command: str) -> float:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def gaps(clone: Path) -> list[float]:
    """Seconds from the last write of a stage to the first line of work of the next, as their records have them."""
    workspace, found = Workspace(clone, clone), []
    for path in clone.glob("models/*/receipts/*.json"):
        execution = execution_path(workspace, Receipt.read(path))
        if execution.is_file():  # not of what DVC took from its cache
            record = read_json(execution)
            found.append((record["started_ms"], record["ended_ms"]))
    found.sort()
    return [(after[0] - before[1]) / 1000 for before, after in pairwise(found)]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch, "anelab")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        print(f"dvc repro, both workloads, from nothing: {timed(clone, 'dvc', 'repro'):.1f} s")
        between = gaps(clone)
        print(f"between two stages: median {statistics.median(between):.2f} s, longest {max(between):.2f} s")
        print(f"anelab sync: {timed(clone, 'anelab', 'sync'):.1f} s")
        again = [timed(clone, "dvc", "repro") for _ in range(5)]
        print(
            f"dvc repro, nothing to do: median {statistics.median(again):.2f} s of {sorted(round(t, 2) for t in again)}"
        )
        shown = [timed(clone, "anelab", "--help") for _ in range(10)]
        print(f"anelab --help: median {statistics.median(shown):.3f} s, slowest {max(shown):.3f} s")
        seen = [timed(clone, "python", "-m", "anelab.inputs") for _ in range(5)]
        print(f"stage inputs: median {statistics.median(seen):.3f} s")
    print(host_facts())


if __name__ == "__main__":
    main()
