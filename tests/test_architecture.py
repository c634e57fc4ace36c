"""Arrows point one way: who may import what, read from the code."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from anelab import workloads
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "anelab"
FILES = sorted(SOURCE.rglob("*.py"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Of the file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> set[str]:
    """Every module that the file imports, at the top or inside a function."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def top_imports(path: Path) -> set[str]:
    """The packages that importing the file imports."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def inside(path: Path, package: str) -> bool:
    return path.relative_to(SOURCE).parts[0] in (package, f"{package}.py")


def outside_users(module: str, package: str) -> list[str]:
    users = [path for path in FILES if any(name.split(".")[0] == module for name in imports(path))]
    return [path.name for path in users if not inside(path, package)]


def test_data_are_prepared_without_torch() -> None:
    """What a workload's module imports at its top costs every stage; that of its network is imported where it runs."""
    checked = [path for path in FILES if inside(path, "learning") or path.name == "workload.py"]
    heavy = [path.name for path in checked if path.name != "affine.py" and top_imports(path) & {"torch", "sklearn"}]
    assert heavy == []


def test_only_tracking_imports_mlflow_and_nothing_imports_dvc() -> None:
    assert outside_users("mlflow", "tracking") == []
    assert outside_users("dvc", "") == []
    assert outside_users("optuna", "training") == []
    assert outside_users("streamlit", "dashboard") == []
    for runtime in ("onnxruntime", "coremltools", "coreai", "coreai_torch"):
        assert outside_users(runtime, "export") == []


ALLOWED = {
    "sequences": set(),
    "learning": set(),
    "workloads": {"learning", "sequences"},
    "training": {"learning"},
    "export": {"learning"},
    "bench": {"training", "export", "learning", "workloads"},
    "tracking": {"bench", "export", "learning", "workloads"},
    "views": {"tracking", "bench", "learning"},
    "inference": {"tracking", "export", "learning", "workloads", "sequences"},
    "serving": {"inference", "tracking", "learning", "sequences"},
    "stages": {"training", "export", "bench", "tracking", "learning", "workloads"},
    "testing": {"training", "export", "bench", "learning", "workloads"},
    "cli": {
        "inference",
        "serving",
        "stages",
        "views",
        "tracking",
        "bench",
        "export",
        "learning",
        "workloads",
        "sequences",
    },
}
WINGS = {
    "arms": set(),
    "published": {"results"},
    "results": {"arms"},
    "machine": {"results"},
    "measuring": {"arms", "results", "machine"},
    "single_file": {"arms", "results", "machine", "measuring"},
}
"""Of bench/."""


def units(paths: list[Path], depth: int) -> dict[str, set[str]]:
    """Which part of anelab imports which; `depth` 1: packages, 9: modules. An import for types only is none."""
    graph: dict[str, set[str]] = {}
    for path in paths:
        user = ".".join(module_name(path).split(".")[1 : 1 + depth])
        used = {".".join(name.split(".")[1 : 1 + depth]) for name in imported_modules(path)}
        graph.setdefault(user, set()).update(used - {user})
    return graph


def module_name(path: Path) -> str:
    return ".".join(["anelab", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_name(path) for path in FILES}


@cache
def imported_modules(path: Path) -> set[str]:
    """Modules of anelab that the file imports when it runs, at the top or inside a function."""
    types = [node for node in nodes(path) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in types for inner in ast.walk(node)}
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module or "" for name in names}
    return found & MODULES


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}
    assert packages == ALLOWED.keys()
    for path in (SOURCE / package).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("anelab.") and name.count(".")}
        assert used & packages <= ALLOWED[package] | {package}, path


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_wings_of_bench_import_only_what_lies_below_them(wing: str) -> None:
    for path in (SOURCE / "bench" / wing).rglob("*.py"):
        used = {name.split(".")[2] for name in imported_modules(path) if name.startswith("anelab.bench.")}
        assert used & WINGS.keys() <= WINGS[wing] | {wing}, path


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_no_imports_go_in_circles(depth: int) -> None:
    graph = units(FILES, depth)
    graph.pop("", None)
    waiting = dict(graph)
    while free := [unit for unit, used in waiting.items() if not used & waiting.keys()]:
        for unit in free:
            del waiting[unit]
    assert not waiting, f"circles among {sorted(waiting)}"


def test_the_dashboard_reads_through_tracking_and_bench_only() -> None:
    allowed = {"bench", "dashboard", "errors", "tracking", "views", "workspace"}
    for path in (ROOT / "dashboards").rglob("*.py"):
        names = imports(path)
        assert {name.split(".")[1] for name in names if name.startswith("anelab.")} <= allowed, path
        assert not any(name.split(".")[0] in ("mlflow", "torch", "optuna", "requests") for name in names), path


def test_tables_of_the_command_line_need_no_data_frames() -> None:
    paths = {module_name(path): path for path in FILES}
    reached, waiting = set[str](), {"anelab.views.tables"}
    while waiting:
        reached |= waiting
        waiting = {name for module in waiting for name in imported_modules(paths[module])} - reached
    used = {name.split(".")[0] for module in reached for name in imports(paths[module])}
    assert not used & {"pandas", "altair"}


@pytest.mark.parametrize("workload", workloads.names())
def test_a_workload_knows_no_other(workload: str) -> None:
    others = {path.name for path in (SOURCE / "workloads").iterdir() if path.is_dir()} - {workload}
    for path in (SOURCE / "workloads" / workload).rglob("*.py"):
        used = {name.split(".")[2] for name in imports(path) if name.startswith("anelab.workloads.")}
        assert not used & others, path


def shared_files() -> list[Path]:
    """What serves every workload: all but their own packages, and what users do with a certain champion, or look at."""
    apart = {SOURCE / "workloads" / name for name in workloads.names()} | {SOURCE / "inference", SOURCE / "cli"}
    apart.add(SOURCE / "serving" / "tasks")
    own = {f"{name}.py" for name in workloads.names()}  # what a workload offers to scripts
    sources = [
        path for path in FILES if not apart & set(path.parents) and path.relative_to(SOURCE).as_posix() not in own
    ]
    plain = [ROOT / name for name in ("dvc.yaml", "Makefile", "pyproject.toml", ".ci/run")]
    found = [*sources, *sorted((ROOT / "dashboards").rglob("*.py")), *plain]
    looked_at = {SOURCE / "views/clusters.py", ROOT / "dashboards/app_pages/clusters.py"}
    return [path for path in found if path not in looked_at]


def test_no_shared_file_names_a_workload() -> None:
    """Adding one touches its own package, its section of params.yaml, and nothing else."""
    named = re.compile(rf"\b({'|'.join(workloads.names())})(\b|_)")
    assert [path.name for path in shared_files() if named.search(path.read_text())] == []


PRIVATE = {
    "tell",
    "tells",
    "told",
    "say",
    "says",
    "said",
    "look",
    "looks",
    "known",
    "shown",
    "rival",
    "stand",
    "standing",
}
PRIVATE |= {"particulars", "words"}
"""Everyday words that once had a meaning of this house. A name is the field's own term."""


def test_names_are_the_fields_own_terms() -> None:
    for path in [*FILES, *(ROOT / "dashboards").rglob("*.py")]:
        for name in names_in(path):
            parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
            assert not PRIVATE & set(parts), f"{path}: {name}"


def names_in(path: Path) -> list[str]:
    """Of the module, its functions and classes, and their arguments and fields."""
    found = [path.stem]
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("test_"):
            found.append(node.name)
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            found += [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return found


def test_functions_and_files_stay_small() -> None:
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 330, path
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.body[0].lineno < 60, f"{path.name}: {node.name}"
