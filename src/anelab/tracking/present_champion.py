"""A registered version against whoever is champion now, without the data: by what both kept of their bootstrap.

The verdict that a version has from its registration is about the champion of that day.
"""

from collections.abc import Mapping

from mlflow.entities.model_registry import ModelVersion

from anelab.bench.results.quality import difference
from anelab.tracking.gate_tags import gate_verdicts
from anelab.tracking.gates import Gate
from anelab.tracking.models import champion_version
from anelab.tracking.registration import MARGIN_TAG
from anelab.tracking.replicates import of_version
from anelab.tracking.store import Store

GATE = "champion"
CONTRACT = ("anelab.metric", "anelab.test_digest")
AGAINST = ("fail", "not eligible")
"""Verdicts that hold a version back."""


def held_back_now(store: Store, version: ModelVersion, margin: float | None = None) -> list[str]:
    """Why a version that `register` made may not be champion now, a sentence a gate; empty if it may. `margin`: of the
    metric, by which it may be worse than the champion; None for that of its registration."""
    registered = version.tags.get(MARGIN_TAG) or version.tags.get("gate.champion.margin") or "0"
    allowed = float(registered) if margin is None else margin
    verdicts = _verdicts_now(store, version, allowed)
    return [f"{name}: {why}" for name, (verdict, why) in verdicts.items() if verdict in AGAINST]


def _verdicts_now(store: Store, version: ModelVersion, margin: float) -> dict[str, tuple[str, str]]:
    """Verdict and reason of every gate, of the gate `champion` as of now."""
    verdicts = gate_verdicts(version.tags)
    if verdicts.get(GATE, ("", ""))[0] == "not eligible":
        return verdicts
    gate = _against_champion(store, version.name, version, margin)
    return {**verdicts, GATE: (gate.verdict, gate.reason)}


def _against_champion(store: Store, model: str, version: ModelVersion, margin: float) -> Gate:
    champion = champion_version(store, model)
    if champion is None:
        return Gate(GATE, "not compared", "there is no champion now", {})
    if str(champion.version) == str(version.version):
        return Gate(GATE, "not compared", "it is the champion", {})
    ours, theirs = version.tags, champion.tags
    named = f"the champion now, {model}/{champion.version}"
    if any(ours.get(key) != theirs.get(key) for key in CONTRACT):
        return Gate(GATE, "fail", f"{named}, was judged on another test set or by another metric", {})
    direction, _, metric = ours["anelab.metric"].partition(":")
    digest = ours["anelab.test_digest"]
    drawn = [of_version(store, model, int(one.version), digest) for one in (version, champion)]
    if drawn[0] is None or drawn[1] is None or drawn[0].plan != drawn[1].plan:
        return Gate(GATE, "fail", f"{named}, cannot be compared: replicates.npz of one is missing, or differs", {})
    sign = 1.0 if direction == "max" else -1.0
    pair = [sign * one.figures[metric] for one in drawn if one is not None]
    found = difference(sign * _value(ours, metric), sign * _value(theirs, metric), *pair)
    reason = (
        f"{metric} gain over {named}: {found.point:+.6g} [{found.low:+.6g}, {found.high:+.6g}], the lower bound must "
        f"reach {-margin:g}"
    )
    return Gate(GATE, "pass" if found.low >= -margin else "fail", reason, {})


def _value(tags: Mapping[str, str], metric: str) -> float:
    return float(tags[f"metric.{metric}"])
