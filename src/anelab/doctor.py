"""`anelab doctor`: is everything here that the commands need, in versions that were tried together?"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from anelab.errors import AnelabError
from anelab.workspace import Workspace

Level = Literal["ok", "warning", "error"]
PYTHON = ((3, 11), (3, 14))
TESTED = {
    "coremltools": "9.0",
    "dvc": "3.67",
    "lightning-fabric": "2.6",
    "mlflow": "3.17",
    "numpy": "2.3",
    "onnx": "1.23",
    "onnxruntime": "1.31",
    "optuna": "5.0",
    "torch": "2.13",
}
"""What the test suite runs with: first two numbers of each version."""
BREAKS = {"numpy": ((2, 4), "coremltools 9 fails to convert attention with numpy 2.4 and later")}
"""The first version that is known to break something."""
OPTIONAL = {"coreai-torch": "coreai", "streamlit": "dashboard", "tensorboard": "tensorboard"}
INSTALL = "run `make setup`, which installs what requirements.lock names"
FREE_WARNING, FREE_ERROR = 5 * 2**30, 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix` is empty where nothing is to be done."""

    name: str
    level: Level
    text: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Every check, in the order of a report. None of them writes anything but the store's empty database."""
    yield check_python()
    for package in TESTED:
        yield check_version(package, _installed(package))
    for package, extra in OPTIONAL.items():
        yield check_optional(package, extra, _installed(package))
    yield from check_native()
    yield check_providers()
    yield check_devices()
    yield check_params(workspace)
    yield check_store(workspace)
    yield check_dvc(workspace)
    yield check_disk(workspace.root, shutil.disk_usage(workspace.root).free)


def check_python() -> Finding:
    version, arch = platform.python_version(), platform.machine()
    text = f"Python {version} on {platform.system()} {arch}"
    if not PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        return Finding("python", "error", text, "use Python 3.11, 3.12 or 3.13: coremltools has no others")
    if sys.platform == "darwin" and arch == "x86_64":
        fix = "on Apple Silicon use a native (arm64) Python: a translated one reaches no Neural Engine"
        return Finding("python", "warning", text, fix)
    return Finding("python", "ok", text)


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_version(package: str, installed: str | None) -> Finding:
    tested = TESTED[package]
    if installed is None:
        return Finding(package, "error", "is not installed", INSTALL)
    numbers = tuple(int(part) for part in installed.split("+")[0].split(".")[:2] if part.isdigit())
    broken, why = BREAKS.get(package, ((sys.maxsize,), ""))
    if numbers >= broken:
        return Finding(package, "error", f"{installed}: {why}", INSTALL)
    if ".".join(map(str, numbers)) != tested:
        return Finding(package, "warning", f"{installed}; tested with {tested}", INSTALL)
    return Finding(package, "ok", installed)


def check_optional(package: str, extra: str, installed: str | None) -> Finding:
    if installed is None:
        return Finding(package, "ok", f"not installed; optional: `pip install -e '.[{extra}]'` in the project adds it")
    return Finding(package, "ok", installed)


def check_native() -> Iterator[Finding]:
    """coremltools' compiled parts: one writes weights anywhere, one calls Core ML on macOS."""
    yield _native("libmilstoragepython", "weights of ML programs cannot be read or written without it")
    if sys.platform == "darwin":
        yield _native("libcoremlpython", "nothing runs on Core ML without it; Python 3.11 to 3.13 on arm64 has it")
    else:
        yield Finding("libcoremlpython", "ok", "needs macOS: packages are evaluated here, not run")


def _native(library: str, why: str) -> Finding:
    from anelab.export.toolkit import native_library

    trouble = native_library(library)
    if trouble is None:
        return Finding(library, "ok", "is there and loads")
    return Finding(library, "error", f"{trouble}: {why}", INSTALL)


def check_providers() -> Finding:
    from anelab.export.runtime import providers

    found = providers()
    missing = sys.platform == "darwin" and "CoreMLExecutionProvider" not in found
    level: Level = "warning" if missing else "ok"
    fix = "this build of ONNX Runtime lacks Core ML; install the one that requirements.lock names" if missing else ""
    return Finding("onnxruntime providers", level, ", ".join(found), fix)


def check_devices() -> Finding:
    from anelab.export.apple import native

    if sys.platform != "darwin":
        return Finding("compute devices", "ok", "needs macOS: no Neural Engine to be seen from here")
    try:
        found = native().devices()
    except Exception as error:  # Core ML's errors arrive as whatever pybind makes of them
        return Finding("compute devices", "error", str(error), INSTALL)
    text = ", ".join(f"{one.kind} ({one.cores} cores)" if one.cores else one.kind for one in found)
    if any(one.kind == "NE" for one in found):
        return Finding("compute devices", "ok", text)
    return Finding(
        "compute devices", "warning", f"{text}; no Neural Engine", "virtual machines and Intel Macs have none"
    )


def check_params(workspace: Workspace) -> Finding:
    if not workspace.is_clone:
        fix = "run in a clone of the project to train; models that are named by file or store need none"
        return Finding("params.yaml", "ok", f"none in {workspace.project}; {fix}")
    from anelab.config import load_params
    from anelab.workspace import MARKER

    return _tried(
        "params.yaml",
        lambda: f"{len(load_params(workspace.project / MARKER, ()).workloads)} workloads",
        "correct the keys that are named; `anelab check` looks again",
    )


def check_store(workspace: Workspace) -> Finding:
    from anelab.tracking.store import open_store, store_uri, without_password

    if not workspace.is_clone and not os.environ.get("MLFLOW_TRACKING_URI"):  # opening one would make it
        return Finding("MLflow store", "ok", f"not asked for here; {store_uri(workspace)} would be it")

    def opened() -> str:
        store = open_store(workspace)
        return f"{without_password(store.uri)}, {len(store.client.search_registered_models())} registered models"

    return _tried(
        "MLflow store",
        opened,
        "start the server, or unset MLFLOW_TRACKING_URI; files lose nothing, `anelab sync` follows",
    )


def _tried(name: str, attempt: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(name, "ok", attempt())
    except AnelabError as error:
        return Finding(name, "error", str(error), fix)


def check_dvc(workspace: Workspace) -> Finding:
    if not workspace.is_clone:
        return Finding("dvc repository", "ok", "not asked for without params.yaml")
    program = Path(sys.executable).with_name("dvc")
    found = str(program) if program.is_file() else shutil.which("dvc")
    if found is None:
        return Finding("dvc", "error", "the command is not to be found", INSTALL)
    if _run([found, "root"], workspace.project).returncode:
        fix = "run it in a clone of the project, or `dvc init`; `anelab run` works without DVC"
        return Finding("dvc repository", "warning", "params.yaml lies in none", fix)
    if not _has_git(workspace.project) and not _works_without_git(found, workspace.project):
        return Finding(
            "dvc repository",
            "error",
            "params.yaml lies in one, but in no git repository, and DVC then refuses to run",
            "run `git init`, clone the project with git, or run `dvc config core.no_scm true`; `anelab run` works "
            "without either",
        )
    return Finding("dvc repository", "ok", "params.yaml lies in one")


def _has_git(folder: Path) -> bool:
    program = shutil.which("git")
    return program is not None and _run([program, "rev-parse", "--git-dir"], folder).returncode == 0


def _works_without_git(dvc: str, folder: Path) -> bool:
    return _run([dvc, "config", "core.no_scm"], folder).stdout.strip() == "true"


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_disk(folder: Path, free: int) -> Finding:
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < FREE_WARNING:
        level: Level = "error" if free < FREE_ERROR else "warning"
        return Finding(
            "disk",
            level,
            text,
            "free some, or name another place with --workspace; `dvc gc` and `anelab store gc` empty the caches",
        )
    return Finding("disk", "ok", text)
