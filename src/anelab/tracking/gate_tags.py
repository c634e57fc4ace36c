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


def held_back(model: str, alias: str, versions: Mapping[int, Mapping[str, str]]) -> str:
    """What a message says where a champion is asked for and there is none: which gates hold back the newest of
    `versions` (tags by number) that may be one."""
    eligible = [number for number, tags in versions.items() if tags.get(f"gate.{CHAMPION}") != "not eligible"]
    failed = failed_gates(versions[max(eligible)]) if eligible else {}
    if alias != CHAMPION or not failed:
        return ""
    named = f"{model}/{max(eligible)}"
    return (
        f": its newest version, {named}, was held back ({reasons_text(failed)}), so name a version ({named}), or "
        f"`anelab model promote {named} --force`"
    )
