"""Workspaces that are trained once, by whichever process of the tests comes first, and copied.

They stay in .anelab/tests/, under a digest of all that they depend on, so that the next tests of the same code find
them: another worker, `make fuzz`, a single test that is run again.
"""

import hashlib
import shutil
import sys
import time
from functools import cache
from pathlib import Path

from filelock import FileLock
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from anelab import workloads
from anelab.workspace import STORE
from tests.commands import SETTINGS, WIDE, anelab
from tests.conftest import ROOT, SOURCE

KEPT_S = 86_400
"""How long what other code trained is kept."""


def copy_mnist(target: Path) -> Path:
    """mnist with a champion, of the settings SETTINGS and WIDE; the store has read_quality, too."""
    return copy_workspace(target, "mnist")


def copy_read_quality(target: Path) -> Path:
    """read_quality with a champion, of the settings SETTINGS; the store has mnist, too."""
    return copy_workspace(target, "read_quality")


def copy_workspace(target: Path, *names: str) -> Path:
    """What those workloads wrote, and the store of all, in the empty folder `target`. The store mends its addresses
    when it is opened."""
    made, others = trained(), set(workloads.names()) - set(names)
    for folder in made.iterdir():
        ignore = None if folder.name == STORE else shutil.ignore_patterns(*others)
        shutil.copytree(folder, target / folder.name, ignore=ignore)
    _artifact_repos_cache.clear()  # by the ids of runs, which every copy has
    return target


@cache
def trained() -> Path:
    """The workspace in which all workloads were trained, each with a champion. It is not to be changed."""
    folder = ROOT / ".anelab" / "tests" / _digest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _forget_others(folder)
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            done = anelab(draft, "run", "--jobs", "2", *SETTINGS, *WIDE)
            assert done.returncode == 0, done.stderr
            draft.rename(folder)
    return folder


def _digest() -> str:
    """Of the code that trains, and of what it is told to."""
    sources = sorted(path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    found = hashlib.sha256(repr((sys.version, str(ROOT), SETTINGS, WIDE)).encode())
    for path in [*sources, ROOT / "params.yaml", ROOT / "requirements.lock"]:
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _forget_others(folder: Path) -> None:
    """What other code trained, if no test can still be at work on it."""
    for old in folder.parent.glob("[0-9a-f]" * 16 + "*"):
        if old.stem == folder.name or time.time() - old.stat().st_mtime < KEPT_S:
            continue
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)
