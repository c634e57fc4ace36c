"""Bootstrap replicates of a version's figures on the test set, as a file of the version.

Whoever is judged on one test set is drawn by one plan, so that replicate i of two versions is of the same rows: their
differences are pairs, whenever the versions were made and without either model at hand.
"""

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from anelab.files import replacing
from anelab.tracking.reference import SCHEME
from anelab.tracking.store import Store

REPLICATES = "replicates.npz"
PLAN = "plan"
OWN = "own"
"""The owner in a file of one version."""


@dataclass(frozen=True)
class Replicates:
    """`figures`: float32 [resamples] by name, NaN where undefined. `plan`: what decides which rows were drawn."""

    plan: str
    figures: Mapping[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        save_all(path, self.plan, {OWN: self.figures})

    @classmethod
    def load(cls, path: Path, owner: str = OWN) -> "Replicates | None":
        """One version's, or a file's own; None if there are none, or the file is damaged."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                names = [name for name in kept.files if name != PLAN and name.partition("/")[0] == owner]
                return cls(str(kept[PLAN]), {name.partition("/")[2]: kept[name] for name in names}) if names else None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def save_all(path: Path, plan: str, owners: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
    """Those of several versions in one file, by the sha256 of each."""
    arrays = {f"{owner}/{name}": values for owner, figures in owners.items() for name, values in figures.items()}
    with replacing(path) as draft, draft.open("wb") as target:
        np.savez_compressed(target, allow_pickle=False, **{PLAN: np.array(plan), **arrays})


def of_version(store: Store, model: str, version: int, test_digest: str) -> Replicates | None:
    """A registered version's on that test set; None if it has none, as those of older anelabs."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = download_artifacts(
                f"{SCHEME}{model}/{version}/{REPLICATES}", dst_path=scratch, tracking_uri=store.uri
            )
        except (MlflowException, OSError):
            return None
        drawn = Replicates.load(Path(found))
        return drawn if drawn is not None and drawn.plan.startswith(f"{test_digest} ") else None


def plan_of(test_digest: str, seed: int, resamples: int) -> str:
    return f"{test_digest} {seed} {resamples}"
