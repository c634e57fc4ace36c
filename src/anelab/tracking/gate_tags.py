"""Verdicts of gates, as the tags of a version have them."""

from collections.abc import Mapping

from anelab.tracking.reference import CHAMPION


def gate_verdicts(tags: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Verdict and reason by gate."""
    names = [key.removeprefix("gate.") for key in tags if key.startswith("gate.") and key.count(".") == 1]
    return {name: (tags[f"gate.{name}"], tags.get(f"gate.{name}.reason", "")) for name in names}


def failed_gates(tags: Mapping[str, str], is_champion: bool = False) -> dict[str, str]:
    """Reasons by gate. What is champion now lost no comparison with itself."""
    failed = {name: reason for name, (verdict, reason) in sorted(gate_verdicts(tags).items()) if verdict == "fail"}
    return {name: reason for name, reason in failed.items() if not (is_champion and name == CHAMPION)}


def reasons_text(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items())


def held_back(model: str, alias: str, number: int | None, tags: Mapping[str, str]) -> str:
    """What a message says of the newest version, `number`, where a champion is asked for and there is none: which gates
    hold it back."""
    failed = failed_gates(tags)
    if alias != CHAMPION or number is None or not failed:
        return ""
    return (
        f": its newest version {number} was held back ({reasons_text(failed)}), so name a version "
        f"({model}/{number}), or `anelab model promote {model}/{number} --force`"
    )
