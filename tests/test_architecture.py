"""Arrows point one way: who may import what, read from the code."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "anelab"
FILES = sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def inside(path: Path, package: str) -> bool:
    return path.relative_to(SOURCE).parts[0] in (package, f"{package}.py")


def outside_users(module: str, package: str) -> list[str]:
    users = [path for path in FILES if any(name.split(".")[0] == module for name in imports(path))]
    return [path.name for path in users if not inside(path, package)]


def test_only_tracking_imports_mlflow_and_nothing_imports_dvc() -> None:
    assert outside_users("mlflow", "tracking") == []
    assert outside_users("dvc", "") == []
    assert outside_users("optuna", "training") == []
    assert outside_users("streamlit", "dashboard") == []
    for runtime in ("onnxruntime", "coremltools", "coreai", "coreai_torch"):
        assert outside_users(runtime, "export") == []


ALLOWED = {
    "learning": {"learning"},
    "workloads": {"workloads", "learning"},
    "training": {"training", "learning"},
    "export": {"export", "learning"},
    "bench": {"bench", "training", "export", "learning", "workloads"},
    "tracking": {"tracking", "bench", "export", "learning", "workloads"},
    "views": {"views", "tracking", "bench", "learning"},
    "stages": {"stages", "training", "export", "bench", "tracking", "learning", "workloads"},
}
PACKAGES = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    for path in (SOURCE / package).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("anelab.") and name.count(".")}
        assert used & PACKAGES <= ALLOWED[package], path


def test_the_dashboard_reads_through_tracking_and_bench_only() -> None:
    allowed = {"bench", "dashboard", "errors", "tracking", "views", "workspace"}
    for path in (ROOT / "dashboards").rglob("*.py"):
        names = imports(path)
        assert {name.split(".")[1] for name in names if name.startswith("anelab.")} <= allowed, path
        assert not any(name.split(".")[0] in ("mlflow", "torch", "optuna", "requests") for name in names), path


@pytest.mark.parametrize("workload", ["read_quality", "mnist"])
def test_a_workload_knows_no_other(workload: str) -> None:
    others = {path.name for path in (SOURCE / "workloads").iterdir() if path.is_dir()} - {workload}
    for path in (SOURCE / "workloads" / workload).rglob("*.py"):
        used = {name.split(".")[2] for name in imports(path) if name.startswith("anelab.workloads.")}
        assert not used & others, path


def test_functions_and_files_stay_small() -> None:
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 330, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.body[0].lineno < 60, f"{path.name}: {node.name}"
