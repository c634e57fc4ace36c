"""Where a run comes from: commit, experiment, machine, versions. Tags of every run."""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from anelab import __version__
from anelab.files import json_text
from anelab.host import host_fingerprint

PACKAGES = (
    "torch",
    "lightning-fabric",
    "onnx",
    "onnxruntime",
    "optuna",
    "mlflow",
    "dvc",
    "numpy",
    "coremltools",
)
OURS = (":(exclude)dvc.lock", ":(exclude)reports")


def provenance(project: Path) -> dict[str, str]:
    """Tags by name; what is not known is absent. The dirty flag ignores dvc.lock and reports/,
    which the pipeline itself rewrites."""
    tags = {
        "mlflow.source.git.commit": _git(project, "rev-parse", "HEAD"),
        "anelab.git_branch": _git(project, "rev-parse", "--abbrev-ref", "HEAD"),
        "anelab.git_dirty": _dirty(project),
        "anelab.dvc_exp": os.environ.get("DVC_EXP_NAME", ""),
        "anelab.host": host_fingerprint(),
        "anelab.version": __version__,
        "anelab.packages": json_text(_versions()),
    }
    return {name: value for name, value in tags.items() if value}


def _git(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _dirty(project: Path) -> str:
    if not _git(project, "rev-parse", "HEAD"):
        return ""
    return "true" if _git(project, "status", "--porcelain", "--", ".", *OURS) else "false"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
