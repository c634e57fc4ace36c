"""The champion as a candidate meets it: its rows on the present test set, or what can be said without.

It fails closed: a recorded champion that cannot be compared is not replaced by itself. The candidate is
then challenger, and a person may promote it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.export.executors import predictor
from anelab.export.manifest_file import read_manifest
from anelab.learning.base import AnyWorkload, Arrays, Split
from anelab.learning.config import WorkloadConfig
from anelab.tracking.gates import Gate, champion_gate, not_compared, recorded_gate
from anelab.tracking.models import download, find_promoted
from anelab.tracking.promotion_record import Promotion, PromotionRecord
from anelab.tracking.store import Store

BY_HAND = "`anelab model promote --force` promotes by hand"
CONTRACT = ("preprocessing", "label")


@dataclass(frozen=True)
class ChampionComparison:
    """One of three: rows to compare with, a recorded value to compare with, or a settled verdict."""

    rows: Arrays | None = None
    recorded: Promotion | None = None
    settled: Gate | None = None

    def gate(
        self, workload: AnyWorkload, config: WorkloadConfig, test: Split, rows: Arrays, metrics: dict[str, float]
    ) -> Gate:
        """The candidate's verdict; `rows` and `metrics` are its own on `test`."""
        if self.rows is not None:
            return champion_gate(workload, config, test, rows, self.rows)
        if self.recorded is not None:
            return recorded_gate(config, config.headline(metrics, "the test set"), self.recorded.value)
        assert self.settled is not None
        return self.settled


def find_champion_comparison(
    store: Store,
    workload: AnyWorkload,
    config: WorkloadConfig,
    model: str,
    promotions: PromotionRecord,
    own: dict[str, Any],
    test: Split,
    digest: str,
) -> ChampionComparison:
    """`own` is the candidate's manifest; `digest` names the test set."""
    champion = promotions.champion
    if champion is None:
        return ChampionComparison(settled=not_compared("there is no champion yet"))
    version = find_promoted(store, model, champion)
    if version is None:
        return _absent(champion, config, digest)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = download(store, version, Path(scratch))
        except AnelabError:
            return _absent(champion, config, digest)
        manifest = read_manifest(folder)
        theirs = manifest["metadata"]
        for key in CONTRACT:
            if theirs.get(key) != own["metadata"].get(key):
                return _held(f"the champion's {key} is {theirs.get(key)}, this one's is {own['metadata'].get(key)}")
        main = next(name for name, item in manifest["files"].items() if item["primary"])
        outputs = predictor(folder / main, workload.graphs(config)[0])(test.inputs["model"])
    return ChampionComparison(rows=workload.rows(outputs, test))


def _absent(champion: Promotion, config: WorkloadConfig, digest: str) -> ChampionComparison:
    """Not in this store: its recorded value still binds on the same test set, in the same metric."""
    if champion.test_digest == digest and champion.metric == config.metric:
        return ChampionComparison(recorded=champion)
    return _held(
        f"the recorded champion {champion.sha256[:12]} is not in this store and saw another test set or metric"
    )


def _held(why: str) -> ChampionComparison:
    return ChampionComparison(settled=Gate("champion", "fail", f"{why}, so they cannot be compared; {BY_HAND}", {}))
